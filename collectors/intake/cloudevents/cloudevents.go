// Package cloudevents owns alerts in CloudEvents 1.0 envelopes: structured,
// binary and batched. What lies in "data" is our own shape: name, status,
// severity, summary, description, service, resource, error_code, dedupe_key,
// labels, url, startsAt, endsAt.
package cloudevents

import (
	"encoding/base64"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/document"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/draft"
)

// Decode reads a request of any of the three modes.
func Decode(r intake.Request) (intake.Result, error) {
	media, _, err := mime.ParseMediaType(r.ContentType)
	if err != nil {
		media = ""
	}
	if r.Header.Get("ce-specversion") != "" && !strings.HasPrefix(media, "application/cloudevents") {
		return binary(r, media)
	}
	doc, err := document.Parse(r.Body, document.Limits{})
	if err != nil {
		return intake.Result{}, err
	}
	switch {
	case doc.Kind() == document.Array && media != "application/cloudevents+json":
		return batch(doc, r)
	case doc.Kind() == document.Object && doc.Get("specversion").Present():
		e, err := structured(doc, r)
		if err != nil {
			return intake.Result{}, err
		}
		return intake.Result{Events: []intake.Event{e}}, nil
	case doc.Kind() == document.Object:
		return intake.Result{}, fmt.Errorf("specversion: %w: missing, in the body and in the headers", intake.ErrContent)
	}
	return intake.Result{}, doc.Wrong("object")
}

func batch(doc *document.Value, r intake.Request) (intake.Result, error) {
	if doc.Len() > intake.MaxAlerts {
		return intake.Result{}, fmt.Errorf("body: %w: %d, at most %d", intake.ErrTooMany, doc.Len(), intake.MaxAlerts)
	}
	var res intake.Result
	seen := map[string]bool{}
	for _, v := range doc.Items() {
		e, err := structured(v, r)
		if err != nil {
			return intake.Result{}, err
		}
		if seen[e.ID] {
			continue // delivered twice in one batch
		}
		seen[e.ID] = true
		res.Events = append(res.Events, e)
	}
	return res, nil
}

// envelope is the context of an event.
type envelope struct {
	version, id, source, kind, subject, time string
}

// structured reads an envelope in JSON.
func structured(v *document.Value, r intake.Request) (intake.Event, error) {
	var read document.Reader
	read.Required(v)
	env := envelope{
		version: read.Text(v.Get("specversion")), id: read.Text(v.Get("id")), source: read.Text(v.Get("source")),
		kind: read.Text(v.Get("type")), subject: read.Text(v.Get("subject")), time: read.Text(v.Get("time")),
	}
	coded := read.Text(v.Get("data_base64"))
	if read.Err != nil {
		return intake.Event{}, read.Err
	}
	data := v.Get("data")
	if coded != "" {
		raw, err := base64.StdEncoding.DecodeString(coded)
		if err != nil {
			return intake.Event{}, fmt.Errorf("%s: %w: %w", v.Get("data_base64").Path(), intake.ErrContent, err)
		}
		if data, err = document.Parse(raw, document.Limits{}); err != nil {
			return intake.Event{}, fmt.Errorf("%s: %w", v.Get("data_base64").Path(), err)
		}
	} else if data.Kind() == document.Text {
		inner, err := document.ParseText(data.Scalar(), document.Limits{})
		if err != nil {
			return intake.Event{}, data.Wrong("object")
		}
		data = inner
	}
	return event(env, data, r)
}

// binary reads an envelope in headers; the body is the data.
func binary(r intake.Request, media string) (intake.Result, error) {
	if media != "" && media != "application/json" && media != "text/json" && !strings.HasSuffix(media, "+json") {
		return intake.Result{}, fmt.Errorf("%w: data of type %.64q; want application/json", intake.ErrMediaType, media)
	}
	env := envelope{
		version: header(r.Header, "ce-specversion"), id: header(r.Header, "ce-id"), source: header(r.Header, "ce-source"),
		kind: header(r.Header, "ce-type"), subject: header(r.Header, "ce-subject"), time: header(r.Header, "ce-time"),
	}
	data, err := document.Parse(r.Body, document.Limits{})
	if err != nil {
		return intake.Result{}, err
	}
	e, err := event(env, data, r)
	if err != nil {
		return intake.Result{}, err
	}
	return intake.Result{Events: []intake.Event{e}}, nil
}

// header reads an attribute. Its value is percent-encoded; one that isn't
// stays as it is.
func header(h http.Header, name string) string {
	v := strings.TrimSpace(h.Get(name))
	if plain, err := url.PathUnescape(v); err == nil {
		v = plain
	}
	return strings.ToValidUTF8(v, "\ufffd")
}

// event makes the alert.
func event(env envelope, data *document.Value, r intake.Request) (intake.Event, error) {
	switch {
	case env.version != "1.0":
		return intake.Event{}, fmt.Errorf("specversion: %w: want 1.0, got %.16q", intake.ErrContent, env.version)
	case env.id == "":
		return intake.Event{}, fmt.Errorf("id: %w: missing", intake.ErrContent)
	case env.source == "":
		return intake.Event{}, fmt.Errorf("source: %w: missing", intake.ErrContent)
	case env.kind == "":
		return intake.Event{}, fmt.Errorf("type: %w: missing", intake.ErrContent)
	case data.Kind() != document.Object:
		return intake.Event{}, fmt.Errorf("data: %w: want object, got %s", document.ErrType, data.Kind())
	}
	var read document.Reader
	text := func(names ...string) string { return read.Text(data.First(names...)) }
	name := draft.First(text("name", "alertname", "title"), env.kind)
	d := draft.Draft{Extra: alert.Extra{
		Name: name, SeverityRaw: text("severity", "level", "priority"), Summary: text("summary", "message"), Description: text("description"),
		Service: text("service", "service_name", "app"), ErrorCode: text("error_code", "code"), Resource: text("resource", "host", "hostname", "instance"),
		ExternalID: env.id, ExternalURL: text("url", "external_url", "link"),
	}}
	key := text("dedupe_key", "dedup_key", "fingerprint")
	status := text("status", "state")
	starts, ends := text("startsAt", "starts_at"), text("endsAt", "ends_at")
	for n, v := range read.Object(data.Get("labels")).Members() {
		d.Label(n, read.Text(v))
	}
	for n, v := range read.Object(data.Get("annotations")).Members() {
		d.Annotation(n, read.Text(v))
	}
	if read.Err != nil {
		return intake.Event{}, fmt.Errorf("data: %w", read.Err)
	}
	derive(&d, env)
	d.Label("dedupe_key", key) // nothing else need differ between two problems
	if key == "" {
		key = env.source + ":" + name + ":" + env.subject
	}
	d.Extra.DedupeKey = "cloudevents:" + key
	d.Resolved = draft.Resolves(status) || status == "" && draft.Resolves(env.kind[strings.LastIndexByte(env.kind, '.')+1:])
	if err := times(&d, env, [2]string{starts, ends}, r); err != nil {
		return intake.Event{}, err
	}
	e, err := d.Event()
	if err != nil {
		return intake.Event{}, fmt.Errorf("data.labels: %w: %w", intake.ErrContent, err)
	}
	e.ID = env.source + "\x00" + env.id
	return e, nil
}

// derive fills what the data doesn't say from labels and envelope.
func derive(d *draft.Draft, env envelope) {
	if d.Extra.Resource == "" {
		for _, n := range []string{"host", "hostname", "ident", "pod", "node", "instance", "device"} {
			d.Extra.Resource = draft.First(d.Extra.Resource, d.Get(n))
		}
		d.Extra.Resource = draft.First(d.Extra.Resource, env.subject)
	}
	d.Extra.Service = draft.First(d.Extra.Service, d.Get("service"), d.Get("service_name"), d.Get("app"), d.Get("application"))
	d.Extra.SeverityRaw = draft.First(d.Extra.SeverityRaw, d.Get("severity"))
	d.Labels("source", env.source, "subject", env.subject)
}

func times(d *draft.Draft, env envelope, own [2]string, r intake.Request) error {
	var got [3]time.Time
	for i, f := range []struct{ name, text string }{{"data.startsAt", own[0]}, {"data.endsAt", own[1]}, {"time", env.time}} {
		t, err := draft.Time(f.text, r.Location())
		if err != nil {
			return fmt.Errorf("%s: %w: %w", f.name, intake.ErrContent, err)
		}
		got[i] = t
	}
	starts, ends, at := got[0], got[1], got[2]
	if at.IsZero() {
		at = r.ReceivedAt
	}
	d.StartsAt = starts
	switch {
	case !d.Resolved && starts.IsZero():
		d.StartsAt = at
	case d.Resolved && ends.IsZero():
		d.EndsAt = at
	case d.Resolved:
		d.EndsAt = ends
	}
	return nil
}
