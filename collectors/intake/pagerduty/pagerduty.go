// Package pagerduty owns PagerDuty's Events API v2 as its clients speak it, so
// that a tool that can page PagerDuty can page a node.
package pagerduty

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/document"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/draft"
)

// Bounds of the API.
const (
	maxBody   = 512 << 10
	maxKey    = 255
	maxDetail = 40
)

// Events decodes events, and answers as the API does.
type Events struct{}

// errEvent is a mistake in an event, in the API's words.
type errEvent struct{ text string }

func (e errEvent) Error() string { return e.text }
func (e errEvent) Unwrap() error { return intake.ErrContent }

func invalid(format string, args ...any) error { return errEvent{fmt.Sprintf(format, args...)} }

func parse(body []byte) (*document.Value, error) {
	if len(body) > maxBody {
		return nil, fmt.Errorf("body: %w: %d bytes, at most %d", document.ErrLimit, len(body), maxBody)
	}
	doc, err := document.Parse(body, document.Limits{Values: 20_000})
	if err != nil {
		return nil, err
	}
	if doc.Kind() != document.Object {
		return nil, doc.Wrong("object")
	}
	return doc, nil
}

// Key implements intake.Keyed: the routing key stands in the body.
func (Events) Key(r intake.Request) (string, error) {
	doc, err := parse(r.Body)
	if err != nil {
		return "", err
	}
	var read document.Reader
	key := read.Text(doc.First("routing_key", "service_key"))
	if read.Err == nil && key == "" {
		return "", invalid("'routing_key' is missing or blank")
	}
	return key, read.Err
}

// Decode implements intake.Decoder.
func (Events) Decode(r intake.Request) (intake.Result, error) {
	doc, err := parse(r.Body)
	if err != nil {
		return intake.Result{}, err
	}
	var read document.Reader
	action, key := read.Text(doc.Get("event_action")), strings.TrimSpace(read.Text(doc.Get("dedup_key")))
	read.Object(doc.Get("payload"))
	if read.Err != nil {
		return intake.Result{}, read.Err
	}
	if len([]rune(key)) > maxKey {
		return intake.Result{}, invalid("'dedup_key' is too long: at most %d characters", maxKey)
	}
	switch action {
	case "trigger":
		return trigger(doc, key, r)
	case "resolve", "acknowledge":
		if key == "" {
			return intake.Result{}, invalid("'dedup_key' is missing or blank")
		}
	case "":
		return intake.Result{}, invalid("'event_action' is missing or blank")
	default:
		return intake.Result{}, invalid("'event_action' is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')")
	}
	if action == "acknowledge" {
		return intake.Result{Echo: key, Control: &intake.Control{
			Type: intake.ControlUpdate, Action: "acknowledge", DedupeKey: dedupe(key), User: doc.Get("client").Scalar(),
			Message: doc.Get("payload").Get("summary").Scalar(), Time: alert.At(r.ReceivedAt),
		}}, nil
	}
	return resolve(doc, key, r)
}

func dedupe(key string) string { return "pagerduty_events_v2:" + key }

// trigger decodes an event that opens or repeats an alert.
func trigger(doc *document.Value, key string, r intake.Request) (intake.Result, error) {
	p := doc.Get("payload")
	var read document.Reader
	summary, source := strings.TrimSpace(read.Text(p.Get("summary"))), strings.TrimSpace(read.Text(p.Get("source")))
	severity, stamp := strings.ToLower(read.Text(p.Get("severity"))), read.Text(p.Get("timestamp"))
	if read.Err != nil {
		return intake.Result{}, read.Err
	}
	switch {
	case !p.Present():
		return intake.Result{}, invalid("'payload' is missing or blank")
	case summary == "":
		return intake.Result{}, invalid("'payload.summary' is missing or blank")
	case source == "":
		return intake.Result{}, invalid("'payload.source' is missing or blank")
	case severity == "":
		return intake.Result{}, invalid("'payload.severity' is missing or blank")
	}
	switch severity {
	case "critical", "error", "warning", "info":
	default:
		return intake.Result{}, invalid("'payload.severity' is invalid (must be one of the following: 'critical', 'error', 'warning' or 'info')")
	}
	at, err := draft.Time(stamp, time.UTC)
	if err != nil {
		return intake.Result{}, invalid("'payload.timestamp' is invalid: %v", err)
	}
	if at.IsZero() {
		at = r.ReceivedAt
	}
	if key == "" {
		key = made(p)
	}
	d := draft.Draft{StartsAt: at, Extra: alert.Extra{
		Resource: source, Summary: summary, SeverityRaw: p.Get("severity").Scalar(), ExternalID: key, DedupeKey: dedupe(key),
	}}
	if err := describe(&d, doc); err != nil {
		return intake.Result{}, err
	}
	return finish(&d, key)
}

// resolve decodes the end of an alert. It names the key; a payload, which few
// clients send, is read for what it holds.
func resolve(doc *document.Value, key string, r intake.Request) (intake.Result, error) {
	p := doc.Get("payload")
	at := draft.TimeOr(p.Get("timestamp").Scalar(), time.UTC)
	if at.IsZero() {
		at = r.ReceivedAt
	}
	d := draft.Draft{Resolved: true, EndsAt: at, Bare: p.Get("summary").Scalar() == "", Extra: alert.Extra{
		Resource: p.Get("source").Scalar(), Summary: p.Get("summary").Scalar(), SeverityRaw: p.Get("severity").Scalar(),
		ExternalID: key, DedupeKey: dedupe(key),
	}}
	if !d.Bare {
		if err := describe(&d, doc); err != nil {
			return intake.Result{}, err
		}
	}
	return finish(&d, key)
}

func finish(d *draft.Draft, key string) (intake.Result, error) {
	d.Label("dedup_key", key) // nothing else need differ between two problems
	e, err := d.Event()
	if err != nil {
		return intake.Result{}, fmt.Errorf("payload: %w: %w", intake.ErrContent, err)
	}
	return intake.Result{Events: []intake.Event{e}, Echo: key}, nil
}

// describe reads name, labels, details and links.
func describe(d *draft.Draft, doc *document.Value) error {
	p := doc.Get("payload")
	var read document.Reader
	component, group, class := read.Text(p.Get("component")), read.Text(p.Get("group")), read.Text(p.Get("class"))
	links, images := read.Array(doc.Get("links")), read.Array(doc.Get("images"))
	client, clientURL := read.Text(doc.Get("client")), read.Text(doc.Get("client_url"))
	if read.Err != nil {
		return read.Err
	}
	d.Extra.Name = draft.Cut(draft.First(class, d.Extra.Summary), alert.MaxIDBytes)
	d.Labels("source", d.Extra.Resource, "component", component, "group", group, "class", class)
	details := p.Get("custom_details")
	d.Extra.Service = draft.First(detail(details, "service", "service_name", "app", "application"), component)
	d.Extra.ErrorCode = detail(details, "error_code", "errcode", "err_code", "code", "status_code", "http.status_code")
	d.Extra.Description = detail(details, "description")
	n := 0
	for name, v := range details.Members() {
		if n++; n > maxDetail {
			break
		}
		d.Volatile(name, v.Loose())
	}
	d.Annotation("details", details.Loose())
	d.Extra.ExternalURL = draft.First(links.At(0).Get("href").Scalar(), clientURL)
	d.Annotation("image_url", images.At(0).Get("src").Scalar())
	d.Annotation("client", client)
	return nil
}

func detail(v *document.Value, names ...string) string {
	for _, n := range names {
		if t := v.Find(n).Scalar(); !alert.Absent(t) {
			return t
		}
	}
	return ""
}

// made is the key of an event that brings none. The API makes a random one;
// ours follows from what the event is about, so that a repeat is a repeat.
func made(p *document.Value) string {
	h := sha256.New()
	for _, n := range []string{"summary", "source", "component", "group", "class"} {
		// Writing to a hash never fails.
		_, _ = fmt.Fprintf(h, "%q", p.Get(n).Scalar())
	}
	return hex.EncodeToString(h.Sum(nil))[:32]
}

// answer is the API's form of an answer.
type answer struct {
	Status   string   `json:"status"`
	Message  string   `json:"message"`
	DedupKey string   `json:"dedup_key,omitempty"`
	Errors   []string `json:"errors,omitempty"`
}

// Reply implements intake.Replier.
func (Events) Reply(_ intake.Request, res intake.Result, out intake.Outcome) (intake.Response, bool) {
	a, status := answer{Status: "success", Message: "Event processed", DedupKey: res.Echo}, http.StatusAccepted
	var ours errEvent
	switch {
	case out.Err == nil && len(out.Rejected) == 0:
	case out.Status >= 500, out.Status == http.StatusTooManyRequests:
		return intake.Response{}, false
	case errors.As(out.Err, &ours):
		a, status = answer{Status: "invalid event", Message: "Event object is invalid", Errors: []string{ours.text}}, http.StatusBadRequest
	case out.Err != nil:
		a, status = answer{Status: "invalid event", Message: "Event object is invalid", Errors: []string{draft.Cut(out.Err.Error(), 1<<10)}}, http.StatusBadRequest
		if out.Status == http.StatusRequestEntityTooLarge {
			status = out.Status
		}
	default:
		a, status = answer{Status: "invalid event", Message: "Event object is invalid"}, http.StatusBadRequest
		for _, r := range out.Rejected {
			a.Errors = append(a.Errors, draft.Cut(r.Err.Error(), 1<<10))
		}
	}
	body, err := json.Marshal(a)
	if err != nil {
		return intake.Response{}, false
	}
	return intake.Response{Status: status, ContentType: "application/json", Body: body}, true
}

var (
	_ intake.Replier = Events{}
	_ intake.Keyed   = Events{}
)
