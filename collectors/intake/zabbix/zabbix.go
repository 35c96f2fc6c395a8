// Package zabbix owns what Zabbix sends: the body of a webhook media type, and
// the sender protocol by which scripts and agents push single values.
//
// The webhook's parameters are macros, so every value is a text and a macro
// that has no value arrives as its own name. The names are those of the script
// we publish; the CamelCase names of other popular scripts are read too.
package zabbix

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/document"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/draft"
)

// Decode reads a webhook's body.
func Decode(r intake.Request) (intake.Result, error) {
	doc, err := document.Parse(r.Body, document.Limits{})
	if err != nil {
		return intake.Result{}, err
	}
	f, err := read(doc)
	if err != nil {
		return intake.Result{}, err
	}
	e := event{fields: f, zone: r.Location(), now: r.ReceivedAt}
	if e.id = f.get("event_id", "alert_id", "id"); e.id == "" {
		return intake.Result{}, fmt.Errorf("event_id: %w: the macro {EVENT.ID} is missing or has no value", intake.ErrContent)
	}
	if c := e.control(); c != nil {
		return intake.Result{Control: c}, nil
	}
	return e.result()
}

// fields are the body's texts by name, macros without a value left out.
type fields map[string]string

func read(doc *document.Value) (fields, error) {
	var r document.Reader
	r.Required(doc)
	if r.Err != nil {
		return nil, r.Err
	}
	f := make(fields, doc.Len())
	for name, v := range doc.Members() {
		var text string
		if v.Kind() == document.Array && (fold(name) == "eventtags" || fold(name) == "tags") {
			text = tagsOf(v) // a script that parsed {EVENT.TAGSJSON} itself
		} else {
			text = r.Text(v)
		}
		if r.Err != nil {
			return nil, r.Err
		}
		if !alert.Absent(strings.TrimSpace(text)) {
			f[fold(name)] = strings.TrimSpace(text)
		}
	}
	return f, nil
}

// fold makes EventId, event_id, event.id and EVENT-ID one name.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '_' || r == '-' || r == '.' || r == ' ' || r == '{' || r == '}':
			return -1
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return r
	}, name)
}

func (f fields) get(names ...string) string {
	for _, n := range names {
		if v := f[fold(n)]; v != "" {
			return v
		}
	}
	return ""
}

// event is a webhook's event.
type event struct {
	fields
	id   string
	zone *time.Location
	now  time.Time
}

func (e *event) key() string { return "zabbix:" + e.id }

// time joins a date and a time macro; zero where they have no value.
func (e *event) time(date, clock string) time.Time {
	if date == "" {
		return time.Time{}
	}
	return draft.TimeOr(strings.TrimSpace(date+" "+clock), e.zone)
}

// control returns what an update operation or a message of Zabbix about itself
// means; nil for a problem or its recovery.
func (e *event) control() *intake.Control {
	if src := e.get("event_source"); src != "" && src != "0" && src != "4" && digits(src) {
		// 0 is a trigger, 4 a service; discovery, autoregistration and internal
		// events describe no problem of a host.
		return &intake.Control{Type: intake.ControlIgnored, DedupeKey: e.key(), Reason: "event source " + src + " is not a trigger"}
	}
	if s := e.get("event_update_status"); s != "1" {
		return nil
	}
	action := e.get("event_update_action")
	c := &intake.Control{
		Type: intake.ControlUpdate, Action: verb(action), DedupeKey: e.key(),
		User: e.get("event_update_user", "user_fullname"), Message: e.get("event_update_message"),
		Time: alert.At(e.time(e.get("event_update_date"), e.get("event_update_time"))),
	}
	if c.Time == 0 {
		c.Time = alert.At(e.now)
	}
	return c
}

// verb is the most telling of the actions of an update operation.
func verb(actions string) string {
	a := strings.ToLower(actions)
	for _, v := range []struct{ has, verb string }{
		{"unacknowledged", "unacknowledge"},
		{"acknowledged", "acknowledge"},
		{"unsuppressed", "unsuppress"},
		{"suppressed", "suppress"},
		{"closed", "close"},
		{"severity", "severity"},
		{"cause", "rank"},
		{"symptom", "rank"},
		{"commented", "comment"},
		{"message", "comment"},
	} {
		if strings.Contains(a, v.has) {
			return v.verb
		}
	}
	if a == "" {
		return "update"
	}
	return draft.Cut(a, 64)
}

func (e *event) result() (intake.Result, error) {
	host := e.get("host_host", "host_name", "host", "service")
	name := e.get("event_name", "trigger_name", "alert_name", "name", "subject", "alert_subject")
	d := draft.Draft{Extra: alert.Extra{
		Name: name, Resource: draft.First(host, e.get("host_ip")), ErrorCode: "",
		SeverityRaw: e.get("event_severity", "trigger_severity", "severity"),
		Summary:     name, Description: e.get("trigger_description", "description", "alert_message", "message"),
		ExternalID: e.id, ExternalURL: e.link(), DedupeKey: e.key(),
	}}
	d.StartsAt = e.time(e.get("event_date"), e.get("event_time"))
	last := e.time(e.get("last_received"), "")
	number := e.get("event_nseverity", "trigger_nseverity")
	d.Priority = priority(number, d.Extra.SeverityRaw)
	if d.Extra.SeverityRaw == "" {
		d.Extra.SeverityRaw = number
	}
	if err := e.status(&d, last); err != nil {
		return intake.Result{}, err
	}
	e.describe(&d, host)
	ev, err := d.Event()
	if err != nil {
		return intake.Result{}, fmt.Errorf("event_tags: %w: %w", intake.ErrContent, err)
	}
	return intake.Result{Events: []intake.Event{ev}}, nil
}

// status reads whether the problem began or ended, and when.
func (e *event) status(d *draft.Draft, last time.Time) error {
	value := e.get("event_value")
	word := strings.ToUpper(e.get("event_status", "trigger_status", "status"))
	switch {
	case value == "0", value == "" && (word == "OK" || word == "RESOLVED" || word == "RECOVERY"):
		d.Resolved = true
	case value == "1", value == "" && (word == "PROBLEM" || word == "FIRING"):
	case value == "" && word == "":
		// A script without {EVENT.VALUE}: a recovery shows by its time.
		d.Resolved = e.get("event_recovery_date") != ""
	default:
		return fmt.Errorf("event_value: %w: want 0 or 1, got %.32q", intake.ErrContent, draft.First(value, word))
	}
	if d.Resolved {
		d.EndsAt = e.time(e.get("event_recovery_date"), e.get("event_recovery_time"))
		if d.EndsAt.IsZero() {
			d.EndsAt = otherwise(last, e.now)
		}
	} else if d.StartsAt.IsZero() {
		d.StartsAt = otherwise(last, e.now)
	}
	return nil
}

// otherwise is t, or another time where that isn't set.
func otherwise(t, other time.Time) time.Time {
	if t.IsZero() {
		return other
	}
	return t
}

// describe adds labels and annotations. What Zabbix may change during a
// problem (names, addresses, operational data) is no label.
func (e *event) describe(d *draft.Draft, host string) {
	d.Label("host", host)
	d.Labels("trigger_id", e.get("trigger_id"))
	service, code := "", ""
	for _, t := range tags(e.get("event_tags", "event_tags_json", "tags")) {
		switch t.name {
		case "service", "service_name", "app", "application":
			service = draft.First(service, t.value)
		case "error_code", "errcode", "err_code", "code", "status_code", "http.status_code":
			code = draft.First(code, t.value)
		case "host", "trigger_id", "severity", "value":
			d.Label("tag_"+t.name, t.value)
			continue
		}
		d.Label(t.name, t.value)
	}
	d.Extra.Service, d.Extra.ErrorCode = service, code
	for _, n := range []string{
		"host_name", "host_ip", "host_port", "host_groups", "host_id", "operation_data", "event_opdata", "item_name", "item_value",
		"item_key", "item_lastvalue", "event_duration", "event_age", "acknowledged",
	} {
		d.Volatile(n, e.get(n))
	}
	d.Annotation("subject", e.get("subject"))
}

// link leads to the event in Zabbix.
func (e *event) link() string {
	if own := e.get("event_url"); own != "" {
		return own
	}
	base, trigger := strings.TrimRight(e.get("zabbix_url", "zabbix_uri"), "/"), e.get("trigger_id")
	if base == "" || trigger == "" {
		return e.get("trigger_url")
	}
	return base + "/tr_events.php?triggerid=" + url.QueryEscape(trigger) + "&eventid=" + url.QueryEscape(e.id)
}

// priority maps Zabbix's severity, whose number is the same in every
// language: 5 disaster to 0 not classified.
func priority(number, word string) *alert.Priority {
	if len(number) == 1 && number[0] >= '0' && number[0] <= '5' {
		return new([...]alert.Priority{alert.P4, alert.P4, alert.P3, alert.P2, alert.P1, alert.P0}[number[0]-'0'])
	}
	if w := strings.ToLower(word); w == "未分类" || w == "not classified" {
		return new(alert.P4)
	}
	if len(word) == 1 && word[0] >= '0' && word[0] <= '5' {
		return priority(word, "")
	}
	return new(alert.PriorityOf(word))
}

type tag struct{ name, value string }

// maxTags is how many tags of an event are read.
const maxTags = 32

// tags reads {EVENT.TAGSJSON}; the older {EVENT.TAGS} ("a:b, c") as well. What
// is neither is no reason to lose a problem.
func tags(text string) []tag {
	if text == "" {
		return nil
	}
	var out []tag
	if doc, err := document.ParseText(text, document.Limits{Depth: 4, Values: 4 * maxTags * 3}); err == nil && doc.Kind() == document.Array {
		for _, v := range doc.Items() {
			if name := v.Get("tag").Scalar(); name != "" && len(out) < maxTags {
				out = append(out, tag{name, draft.First(v.Get("value").Scalar(), "true")})
			}
		}
		return out
	}
	for part := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), ":")
		if name = strings.TrimSpace(name); name != "" && len(out) < maxTags && !strings.ContainsAny(name, "[]{}\"") {
			out = append(out, tag{name, draft.First(strings.TrimSpace(value), "true")})
		}
	}
	return out
}

// tagsOf writes a parsed list of tags as {EVENT.TAGS} does.
func tagsOf(v *document.Value) string {
	var parts []string
	for _, t := range v.Items() {
		if name := t.Get("tag").Scalar(); name != "" {
			parts = append(parts, name+":"+t.Get("value").Scalar())
		}
	}
	return strings.Join(parts, ", ")
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
