// Package show owns how a decoded request is written for people who debug a
// sender: one JSON document, the same for every source.
package show

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
)

// Document is what a request was understood to mean.
type Document struct {
	Alerts  []Alert  `json:"alerts"`
	Control *Control `json:"control"`
	// Rejected counts what stands in the body and can't be taken: alerts that
	// break the model's bounds, and values that are no alerts.
	Rejected int `json:"rejected"`
	// Truncated is how many alerts the sender says it left out.
	Truncated int `json:"truncated"`
	// Rejections says why alerts were rejected.
	Rejections []Rejected `json:"rejections,omitempty"`
}

// Alert is one alert. What the sender didn't tell is null.
type Alert struct {
	Source       string            `json:"source"`
	Status       string            `json:"status"` // firing or resolved
	Name         *string           `json:"name"`
	SeverityRaw  *string           `json:"severity_raw"`
	PriorityHint *string           `json:"priority_hint"`
	StartsAt     *string           `json:"startsAt"` // RFC 3339, UTC
	EndsAt       *string           `json:"endsAt"`   // null while it fires
	Resource     *string           `json:"resource"`
	Service      *string           `json:"service"`
	ErrorCode    *string           `json:"error_code"`
	Summary      *string           `json:"summary"`
	Description  *string           `json:"description,omitempty"`
	Labels       map[string]string `json:"labels"` // with the volatile ones
	Annotations  map[string]string `json:"annotations,omitempty"`
	// Volatile names the labels above that change while the alert fires. They
	// are kept as annotations: routes and silences don't see them.
	Volatile    []string `json:"volatile_labels,omitempty"`
	ExternalID  *string  `json:"external_id,omitempty"`
	ExternalURL *string  `json:"external_url"`
	DedupeKey   string   `json:"dedupe_key"`
	// ExpiresAt is when a firing alert is taken to have ended unless repeated,
	// where the sender says so.
	ExpiresAt *string `json:"expires_at,omitempty"`
}

// Control is a message that is no alert.
type Control struct {
	Type      string `json:"type"`
	Action    string `json:"action,omitempty"`
	DedupeKey string `json:"dedupe_key,omitempty"`
	User      string `json:"user,omitempty"`
	Message   string `json:"message,omitempty"`
	Time      string `json:"time,omitempty"`
	Reason    string `json:"reason,omitempty"`
}

// Rejected is one alert of the body that can't be taken.
type Rejected struct {
	Index  int    `json:"index"`
	Reason string `json:"reason"`
}

// Of describes the result of decoding a request of a source.
func Of(source string, res intake.Result) Document {
	d := Document{Alerts: make([]Alert, 0, len(res.Events)), Truncated: res.Truncated, Rejected: len(res.Rejected) + res.Failed}
	for i := range res.Events {
		d.Alerts = append(d.Alerts, of(source, &res.Events[i]))
	}
	for _, r := range res.Rejected {
		d.Rejections = append(d.Rejections, Rejected{r.Index, r.Err.Error()})
	}
	if c := res.Control; c != nil {
		d.Control = &Control{
			Type: string(c.Type), Action: c.Action, DedupeKey: c.DedupeKey, User: c.User, Message: c.Message,
			Reason: c.Reason,
		}
		if t := stamp(c.Time); t != nil {
			d.Control.Time = *t
		}
	}
	return d
}

func of(source string, e *intake.Event) Alert {
	a := e.Alert
	out := Alert{
		Source: source, Status: "firing",
		SeverityRaw: text(a.SeverityRaw()), StartsAt: stamp(a.StartsAt),
		Resource: text(a.Resource()), Service: text(a.Service()), ErrorCode: text(a.ErrorCode()),
		Description: text(a.Description()), Labels: a.Labels.Map(), Volatile: slices.Sorted(slices.Values(e.Volatile)),
		ExternalURL: text(a.GeneratorURL), DedupeKey: e.Key,
	}
	if e.Resolved {
		out.Status, out.EndsAt = "resolved", stamp(a.EndsAt)
	} else {
		out.ExpiresAt = stamp(a.EndsAt)
	}
	if !e.Bare {
		out.Name, out.Summary, out.PriorityHint = text(a.Name()), text(a.Summary()), text(a.Priority.String())
	}
	if x := a.Extra; x != nil {
		out.ExternalID = text(x.ExternalID)
		if x.ExternalURL != "" {
			out.ExternalURL = &x.ExternalURL
		}
		if x.DedupeKey != "" {
			out.DedupeKey = x.DedupeKey
		}
	}
	if !a.Annotations.Empty() {
		out.Annotations = a.Annotations.Map()
	}
	for _, n := range e.Volatile {
		out.Labels[n] = a.Annotations.Get(n)
	}
	return out
}

func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func stamp(t alert.Time) *string {
	if t == 0 {
		return nil
	}
	s := t.Std().Format(time.RFC3339Nano)
	return &s
}

// Write decodes a request and writes what it means as indented JSON.
func Write(w io.Writer, source string, dec intake.Decoder, r intake.Request) error {
	res, err := dec.Decode(r)
	if err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(Of(source, res)); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return nil
}
