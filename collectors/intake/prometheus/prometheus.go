// Package prometheus owns what Prometheus and Alertmanager send: the webhook
// body of version 4, and the array of API v2. Grafana and Aliyun ARMS speak
// dialects of the former and build on it.
package prometheus

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/document"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/draft"
)

// Alertmanager decodes Alertmanager's webhook, and every dialect of it:
// fingerprints and counters may be missing.
func Alertmanager(r intake.Request) (intake.Result, error) {
	doc, err := document.Parse(r.Body, document.Limits{})
	if err != nil {
		return intake.Result{}, err
	}
	return Group(doc, Dialect{Prefix: "alertmanager", Request: r})
}

// Dialect is how a relative of Alertmanager's webhook differs from it.
type Dialect struct {
	// Prefix stands in front of dedupe keys.
	Prefix string
	// Request is the request that is decoded.
	Request intake.Request
	// Adjust may change an alert that has been read: v is its object, doc the
	// body.
	Adjust func(e *intake.Event, v, doc *document.Value) error
}

// Group decodes a body with a list of alerts.
func Group(doc *document.Value, d Dialect) (intake.Result, error) {
	var read document.Reader
	list := read.Array(read.Required(doc).Get("alerts"))
	truncated := read.Int(doc.Get("truncatedAlerts"))
	status := read.Text(doc.Get("status"))
	if read.Err != nil {
		return intake.Result{}, read.Err
	}
	if list.Kind() != document.Array {
		return intake.Result{}, fmt.Errorf("alerts: %w: want array, got %s", intake.ErrContent, list.Kind())
	}
	res := intake.Result{Truncated: int(min(max(truncated, 0), 1<<30))}
	err := each(list, &res, func(v *document.Value) (intake.Event, error, error) {
		return grouped(v, doc, status, d)
	})
	return res, err
}

// each decodes the elements of a list. A mistake in the body's structure
// refuses all of it; an alert the model can't hold is rejected alone.
func each(list *document.Value, res *intake.Result, one func(*document.Value) (e intake.Event, reject, err error)) error {
	if list.Len() > intake.MaxAlerts {
		return fmt.Errorf("%s: %w: %d, at most %d", list.Path(), intake.ErrTooMany, list.Len(), intake.MaxAlerts)
	}
	for i, v := range list.Items() {
		e, reject, err := one(v)
		switch {
		case err != nil:
			*res = intake.Result{}
			return err
		case reject != nil:
			res.Rejected = append(res.Rejected, intake.Rejection{Index: i, Err: fmt.Errorf("%s: %w", v.Path(), reject)})
		default:
			res.Events = append(res.Events, e)
		}
	}
	return nil
}

// grouped decodes one alert of a webhook; group is the body's status, for
// alerts that carry none.
func grouped(v, doc *document.Value, group string, d Dialect) (e intake.Event, reject, err error) {
	a, reject, err := read(v)
	if reject != nil || err != nil {
		return e, reject, err
	}
	var r document.Reader
	status := r.Text(v.Get("status"))
	fingerprint := r.Text(v.Get("fingerprint"))
	if r.Err != nil {
		return e, nil, r.Err
	}
	if status == "" {
		status = group
	}
	switch status {
	case "resolved":
		e.Resolved = true
		if a.EndsAt == 0 {
			a.EndsAt = alert.At(d.Request.ReceivedAt)
		}
	case "firing":
		a.EndsAt = 0 // firing until told; what stands there is the year 1 or a guess
		if a.StartsAt == 0 {
			a.StartsAt = alert.At(d.Request.ReceivedAt)
		}
	default:
		return e, nil, fmt.Errorf("%s.status: %w: want firing or resolved, got %.32q", v.Path(), intake.ErrContent, status)
	}
	e.Alert = a
	Name(&e, d.Prefix, fingerprint)
	if d.Adjust != nil {
		err = d.Adjust(&e, v, doc)
	}
	return e, nil, err
}

// Name gives an event its key: the sender's fingerprint, or that of the
// labels. Where both are one the alert needs no key of its own.
func Name(e *intake.Event, prefix, fingerprint string) {
	own := e.Alert.Labels.Fingerprint().String()
	if fingerprint == "" || fingerprint == own {
		e.Key = prefix + ":" + own
		return
	}
	if e.Alert.Extra == nil {
		e.Alert.Extra = &alert.Extra{}
	}
	e.Alert.Extra.DedupeKey = draft.Key(prefix + ":" + fingerprint)
}

// V2 decodes the array of API v2 that Prometheus, vmalert and others post.
// An end in the future is how long the alert fires without being repeated.
func V2(r intake.Request) (intake.Result, error) {
	doc, err := document.Parse(r.Body, document.Limits{})
	if err != nil {
		return intake.Result{}, err
	}
	if doc.Kind() != document.Array {
		return intake.Result{}, doc.Wrong("array")
	}
	var res intake.Result
	err = each(doc, &res, func(v *document.Value) (e intake.Event, reject, err error) {
		a, reject, err := read(v)
		if reject != nil || err != nil {
			return e, reject, err
		}
		now := alert.At(r.ReceivedAt)
		if a.StartsAt == 0 {
			// As Alertmanager: the end, or now; an end to come is no begin.
			if a.StartsAt = now; a.EndsAt != 0 {
				a.StartsAt = min(a.EndsAt, now)
			}
		}
		e = intake.Event{Alert: a, Resolved: a.ResolvedAt(now)}
		if a.EndsAt != 0 && a.EndsAt < a.StartsAt {
			return e, alert.ErrTimes, nil
		}
		Name(&e, "prometheus", "")
		return e, nil, nil
	})
	return res, err
}

// read decodes what webhook and API have in common: labels, annotations,
// times, generatorURL.
func read(v *document.Value) (a *alert.Alert, reject, err error) {
	var r document.Reader
	labels := Pairs(&r, r.Required(v).Get("labels"))
	notes := Pairs(&r, v.Get("annotations"))
	url := r.Text(v.Get("generatorURL"))
	starts, ends := stamp(&r, v.Get("startsAt")), stamp(&r, v.Get("endsAt"))
	if r.Err != nil {
		return nil, nil, r.Err
	}
	a = &alert.Alert{GeneratorURL: url, StartsAt: alert.At(starts), EndsAt: alert.At(ends)}
	if a.Labels, err = label.New(labels); err != nil {
		return nil, fmt.Errorf("labels: %w", err), nil
	}
	if a.Labels.Empty() {
		return nil, fmt.Errorf("labels: %w", label.ErrEmpty), nil
	}
	if a.Annotations, err = label.NewAnnotations(notes); err != nil {
		return nil, fmt.Errorf("annotations: %w", err), nil
	}
	if len(url) > alert.MaxURLBytes {
		return nil, fmt.Errorf("generatorURL: %w: %d bytes, at most %d", alert.ErrTooLong, len(url), alert.MaxURLBytes), nil
	}
	a.Priority = alert.PriorityOf(alert.SeverityOf(a.Labels))
	if code := dottedCode(a.Labels); code != "" && a.ErrorCode() == "" {
		a.Extra = &alert.Extra{ErrorCode: code}
	}
	return a, nil, nil
}

// dottedCode is the one label for an error code that the model doesn't derive.
func dottedCode(l label.Set) string {
	if v := l.Get("http.status_code"); !alert.Absent(v) && len(v) <= alert.MaxIDBytes {
		return v
	}
	return ""
}

// Pairs reads an object of texts.
func Pairs(r *document.Reader, v *document.Value) []label.Pair {
	r.Object(v)
	pairs := make([]label.Pair, 0, v.Len()+1)
	for n, m := range v.Members() {
		pairs = append(pairs, label.Pair{Name: n, Value: r.Text(m)})
	}
	return pairs
}

// stamp reads an RFC 3339 time; the API's times always have a zone.
func stamp(r *document.Reader, v *document.Value) time.Time {
	text := r.Text(v)
	if text == "" || v.Kind() == document.Null {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t, err = draft.Time(text, time.UTC)
	}
	if err != nil && r.Err == nil {
		r.Err = fmt.Errorf("%s: %w: %w", v.Path(), intake.ErrContent, err)
	}
	return t
}

// Status answers GET /api/v2/status, by which some clients look who is there.
const Status = `{"cluster":{"status":"disabled","peers":[]},"config":{"original":""},"uptime":"1970-01-01T00:00:00.000Z",` +
	`"versionInfo":{"branch":"","buildDate":"","buildUser":"","goVersion":"","revision":"","version":"0.34.2"}}`

// Answer is Alertmanager's reply to POST /api/v2/alerts: nothing on success;
// a list of what was refused with 400 though the rest is stored.
type Answer struct{ intake.DecodeFunc }

// Reply implements intake.Replier.
func (Answer) Reply(_ intake.Request, _ intake.Result, out intake.Outcome) (intake.Response, bool) {
	if out.Err != nil || out.Status >= 500 { // 400 would tell the client not to try again
		return intake.Response{}, false
	}
	if len(out.Rejected) == 0 {
		return intake.Response{Status: 200}, true
	}
	reasons := make([]string, 0, min(len(out.Rejected), maxReported+1))
	for i, r := range out.Rejected {
		if i == maxReported {
			reasons = append(reasons, fmt.Sprintf("and %d more", len(out.Rejected)-i))
			break
		}
		reasons = append(reasons, r.Err.Error())
	}
	body, err := json.Marshal(strings.Join(reasons, "; "))
	if err != nil {
		return intake.Response{}, false
	}
	return intake.Response{Status: 400, ContentType: "application/json", Body: append(body, '\n')}, true
}

// maxReported bounds an answer that lists what was refused.
const maxReported = 20

var _ intake.Replier = Answer{}
