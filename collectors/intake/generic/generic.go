// Package generic owns a small language that maps any JSON to the alert model.
//
// A mapping is a YAML file. It is checked when it is loaded, with line and
// field, and evaluating it is a pure function of the body:
//
//	version: 1
//	alerts: $.items[*]                  # where the alerts are; default: the body is one
//	name: [$.rule.name, $.title]        # the first that is there
//	status: $.state                     # with it, the sender tells when problems end
//	resolved: [OK, 恢复]                 # words that end one; default: the usual ones
//	ignore: [PENDING]                   # words that neither begin nor end one
//	severity: {from: $.level, map: {"1": critical, "2": warning}, default: info}
//	priority: {critical: P0}            # words to priorities; default: the usual ones
//	resource: "{$.host}:{$.port}"       # a template: all its paths must be there
//	dedupe_key: "{$.rule.id}:{$.host}"  # equal for a problem's begin and end
//	starts_at: $.begin
//	ends_at: $.end
//	time: {zone: Asia/Shanghai, format: unix_ms}
//	labels: {env: $$.environment, team: sre}
//	annotations: {value: $.value}
//	copy: [{from: $.tags, to: labels, only: [dc, rack], rename: {dc: datacenter}}]
//	expiry: 30m                         # without status: how long a report holds
//
// A text that begins with $ is a path from the alert, with $$ from the body;
// one with braces is a template; any other is a constant. Further fields are
// summary, description, service, error_code, external_id and url.
package generic

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/document"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/draft"
)

// errTooMany is intake's own, under the name the paths use.
var errTooMany = intake.ErrTooMany

// Mapping is a loaded mapping. It is an intake.Decoder, never changes, and is
// safe for concurrent use.
type Mapping struct {
	alerts path
	name, status, severity, summary, description, service, resource,
	code, id, url, key, starts, ends *value
	resolved, ignore    map[string]bool
	priority            map[string]alert.Priority
	zone                *time.Location
	format              string
	labels, annotations []named
	copies              []pick
	expiry              time.Duration
}

// values names the fields that hold one value each.
func (m *Mapping) values() map[string]**value {
	return map[string]**value{
		"name": &m.name, "status": &m.status, "severity": &m.severity, "summary": &m.summary, "description": &m.description,
		"service": &m.service, "resource": &m.resource, "error_code": &m.code, "external_id": &m.id, "url": &m.url,
		"dedupe_key": &m.key, "starts_at": &m.starts, "ends_at": &m.ends,
	}
}

// named is a label or annotation.
type named struct {
	name  string
	value *value
}

// pick copies members of an object.
type pick struct {
	from         path
	labels       bool
	prefix       string
	only, except []string
	rename       map[string]string
}

// Ends says whether the mapping tells when problems end.
func (m *Mapping) Ends() bool { return m.status != nil || m.ends != nil }

// Expiry is how long a report holds, 0 where the mapping doesn't say.
func (m *Mapping) Expiry() time.Duration { return m.expiry }

// errIgnored: the alert's status is one to ignore.
var errIgnored = errors.New("status is ignored")

// Decode implements intake.Decoder.
func (m *Mapping) Decode(r intake.Request) (intake.Result, error) {
	body, err := document.Parse(r.Body, document.Limits{})
	if err != nil {
		return intake.Result{}, err
	}
	items, err := m.alerts.all(body, intake.MaxAlerts)
	if err != nil {
		return intake.Result{}, err
	}
	var res intake.Result
	ignored := 0
	for i, item := range items {
		if item.Kind() != document.Object {
			return intake.Result{}, item.Wrong("object")
		}
		e, err := m.one(evaluation{m: m, body: body, item: item, r: &r})
		switch {
		case errors.Is(err, errIgnored):
			ignored++
		case errors.Is(err, document.ErrType):
			return intake.Result{}, err
		case err != nil:
			res.Rejected = append(res.Rejected, intake.Rejection{Index: i, Err: fmt.Errorf("%s: %w", item.Path(), err)})
		default:
			res.Events = append(res.Events, e)
		}
	}
	if ignored > 0 && ignored == len(items) {
		res.Control = &intake.Control{Type: intake.ControlIgnored, Reason: "the mapping ignores this status"}
	}
	if len(res.Events) == 0 && len(res.Rejected) == 1 {
		return intake.Result{}, res.Rejected[0].Err
	}
	return res, nil
}

// evaluation is one alert's turn.
type evaluation struct {
	m          *Mapping
	body, item *document.Value
	r          *intake.Request
	err        error
}

// get evaluates a value.
func (e *evaluation) get(field string, v *value) string {
	if v == nil || e.err != nil {
		return ""
	}
	text, err := v.text(e.body, e.item)
	if err != nil {
		e.err = fmt.Errorf("%s: %w", field, err)
	}
	return text
}

func (m *Mapping) one(e evaluation) (intake.Event, error) {
	d := draft.Draft{Extra: alert.Extra{
		Name: e.get("name", m.name), SeverityRaw: e.get("severity", m.severity), Summary: e.get("summary", m.summary),
		Description: e.get("description", m.description), Service: e.get("service", m.service), Resource: e.get("resource", m.resource),
		ErrorCode: e.get("error_code", m.code), ExternalID: e.get("external_id", m.id), ExternalURL: e.get("url", m.url),
		DedupeKey: e.get("dedupe_key", m.key),
	}}
	status := e.get("status", m.status)
	e.times(&d, status)
	for _, l := range m.labels {
		d.Label(l.name, e.get("labels."+l.name, l.value))
	}
	// Two problems may differ in their key alone; then so must their labels.
	d.Label("dedupe_key", d.Extra.DedupeKey)
	for _, a := range m.annotations {
		d.Annotation(a.name, e.get("annotations."+a.name, a.value))
	}
	for _, c := range m.copies {
		e.copy(&d, c)
	}
	switch {
	case e.err != nil:
		return intake.Event{}, e.err
	case m.ignore[fold(status)] && status != "":
		return intake.Event{}, errIgnored
	case d.Extra.Name == "":
		return intake.Event{}, fmt.Errorf("name: %w: its paths lead nowhere", intake.ErrContent)
	}
	if p, ok := m.priority[fold(d.Extra.SeverityRaw)]; ok {
		d.Priority = &p
	}
	ev, err := d.Event()
	if err != nil {
		return ev, fmt.Errorf("labels: %w", err)
	}
	if d.Extra.DedupeKey == "" {
		ev.Key = "generic:" + ev.Alert.Labels.Fingerprint().String()
	}
	return ev, nil
}

// times reads when, and whether the problem has ended.
func (e *evaluation) times(d *draft.Draft, status string) {
	m := e.m
	starts, ends := e.time("starts_at", m.starts), e.time("ends_at", m.ends)
	switch {
	case m.resolved != nil:
		d.Resolved = m.resolved[fold(status)]
	case m.status != nil:
		d.Resolved = draft.Resolves(status)
	default:
		d.Resolved = !ends.IsZero() && !ends.After(e.r.ReceivedAt)
	}
	d.StartsAt, d.EndsAt = starts, ends
	if d.Resolved && ends.IsZero() {
		d.EndsAt = e.r.ReceivedAt
	}
	if !d.Resolved && starts.IsZero() {
		d.StartsAt = e.r.ReceivedAt
	}
}

func (e *evaluation) time(field string, v *value) time.Time {
	text := e.get(field, v)
	if text == "" || e.err != nil {
		return time.Time{}
	}
	zone := e.m.zone
	if zone == nil {
		zone = e.r.Location()
	}
	t, err := readTime(text, e.m.format, zone)
	if err != nil {
		e.err = fmt.Errorf("%s: %w: %w", field, intake.ErrContent, err)
	}
	return t
}

// copy takes over members of an object; members that are no texts are left.
func (e *evaluation) copy(d *draft.Draft, c pick) {
	from := c.from.at(e.body, e.item)
	if from.Present() && from.Kind() != document.Object && e.err == nil {
		e.err = from.Wrong("object")
	}
	for n, v := range from.Members() {
		if len(c.only) > 0 && !slices.Contains(c.only, n) || slices.Contains(c.except, n) {
			continue
		}
		if to, ok := c.rename[n]; ok {
			n = to
		}
		n = c.prefix + n
		if c.labels {
			d.Label(n, v.Scalar())
		} else {
			d.Annotation(n, v.Scalar())
		}
	}
}

// timeFormats are the formats beside Go's layouts.
func timeFormats() []string {
	return []string{"auto", "rfc3339", "unix", "unix_ms", "unix_us", "unix_ns"}
}

// layout says whether a text is one of Go's layouts for a full date.
func layout(s string) bool {
	return strings.Contains(s, "2006") && (strings.Contains(s, "01") || strings.Contains(s, "Jan")) && strings.Contains(s, "02") && len(s) <= 64
}

// readTime reads a time in the mapping's format.
func readTime(text, format string, zone *time.Location) (time.Time, error) {
	switch format {
	case "", "auto":
		return draft.Time(text, zone)
	case "rfc3339":
		t, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return t, fmt.Errorf("%.64q is not an RFC 3339 time", text)
		}
		return t, nil
	case "unix", "unix_ms", "unix_us", "unix_ns":
		return unixTime(text, format)
	}
	t, err := time.ParseInLocation(format, text, zone)
	if err != nil {
		return t, fmt.Errorf("%.64q is not of the form %s", text, format)
	}
	return t, nil
}
