// Package notify owns the sending of notifications: retry with backoff until
// the flush's deadline, one queue a receiver so that a dead one delays nobody
// else, and the message that every channel renders. What must be told, and
// when, is decided elsewhere (aggregate/notice).
package notify

import (
	"regexp"
	"strconv"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

// Message is one notification, independent of its channel.
type Message struct {
	ID          string // unique per notification and receiver; the same for every attempt
	Receiver    string
	GroupKey    string
	Reason      string // why now, in Alertmanager's words
	GroupLabels label.Set
	RouteLabels label.Set
	Alerts      []*alert.Alert // firing and resolved, as they stood at At
	At          alert.Time
	ExternalURL string
}

// Explained returns the alerts with what their sources said beside labels and
// annotations (summary, description, severity, link) filled in as annotations,
// for receivers that know nothing else. Alerts that come with annotations only,
// as Prometheus's, are returned as they are.
func Explained(alerts []*alert.Alert) []*alert.Alert {
	out := make([]*alert.Alert, len(alerts))
	for i, a := range alerts {
		out[i] = explained(a)
	}
	return out
}

func explained(a *alert.Alert) *alert.Alert {
	if a.Extra == nil {
		return a
	}
	pairs := a.Annotations.Pairs()
	had := len(pairs)
	for _, p := range [...]label.Pair{
		{Name: "summary", Value: a.Extra.Summary},
		{Name: "description", Value: a.Extra.Description},
		{Name: "severity", Value: a.Extra.SeverityRaw},
		{Name: "external_url", Value: a.Extra.ExternalURL},
	} {
		if p.Value != "" && a.Annotations.Get(p.Name) == "" && a.Labels.Get(p.Name) != p.Value {
			pairs = append(pairs, p)
		}
	}
	if len(pairs) == had {
		return a
	}
	annotations, err := label.NewAnnotations(pairs)
	if err != nil {
		return a // more than annotations may hold: what the sender wrote is enough
	}
	view := *a
	view.Annotations = annotations
	return &view
}

// Firing says whether any of the alerts fires.
func (m *Message) Firing() bool {
	for _, a := range m.Alerts {
		if !a.ResolvedAt(m.At) {
			return true
		}
	}
	return false
}

// Status is "firing" or "resolved".
func (m *Message) Status() string {
	if m.Firing() {
		return "firing"
	}
	return "resolved"
}

// Common returns the labels and annotations that all alerts share.
func (m *Message) Common() (labels, annotations label.Set) {
	if len(m.Alerts) == 0 {
		return label.Set{}, label.Set{}
	}
	labels, annotations = m.Alerts[0].Labels, m.Alerts[0].Annotations
	for _, a := range m.Alerts[1:] {
		if labels.Empty() && annotations.Empty() {
			break
		}
		labels, annotations = shared(labels, a.Labels), shared(annotations, a.Annotations)
	}
	return labels, annotations
}

func shared(a, b label.Set) label.Set {
	if a == b {
		return a
	}
	return a.Without(func(name string) bool { return a.Get(name) != b.Get(name) })
}

// AppendJSON appends Alertmanager's webhook body, version 4, with at most
// maxAlerts alerts (0: all), to b. Fields and their order are Alertmanager
// 0.34's (notify/webhook, template.Data), its quoting of the receiver's name
// included.
func (m *Message) AppendJSON(b []byte, maxAlerts int) []byte {
	shown := m.Alerts
	if maxAlerts > 0 && len(shown) > maxAlerts {
		shown = shown[:maxAlerts]
	}
	// Upstream truncates first and derives the rest from what is left.
	view := *m
	view.Alerts = shown
	labels, annotations := view.Common()
	b = append(b, `{"receiver":`...)
	b = label.AppendQuoted(b, regexp.QuoteMeta(m.Receiver))
	b = append(b, `,"status":"`...)
	b = append(b, view.Status()...)
	b = append(b, `","alerts":[`...)
	for i, a := range shown {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendAlert(b, a, m.At)
	}
	b = append(b, `],"notification_reason":`...)
	b = label.AppendQuoted(b, m.Reason)
	b = append(b, `,"groupLabels":`...)
	b = m.GroupLabels.AppendJSON(b)
	b = append(b, `,"commonLabels":`...)
	b = labels.AppendJSON(b)
	b = append(b, `,"commonAnnotations":`...)
	b = annotations.AppendJSON(b)
	b = append(b, `,"routeLabels":`...)
	b = m.RouteLabels.AppendJSON(b)
	b = append(b, `,"externalURL":`...)
	b = label.AppendQuoted(b, m.ExternalURL)
	b = append(b, `,"version":"4","groupKey":`...)
	b = label.AppendQuoted(b, m.GroupKey)
	b = append(b, `,"truncatedAlerts":`...)
	b = strconv.AppendInt(b, int64(len(m.Alerts)-len(shown)), 10)
	return append(b, '}', '\n')
}

func appendAlert(b []byte, a *alert.Alert, now alert.Time) []byte {
	ends := alert.Time(0) // a firing alert's end is unknown: the zero time
	b = append(b, `{"status":"`...)
	if a.ResolvedAt(now) {
		ends = a.EndsAt
		b = append(b, `resolved`...)
	} else {
		b = append(b, `firing`...)
	}
	b = append(b, `","labels":`...)
	b = a.Labels.AppendJSON(b)
	b = append(b, `,"annotations":`...)
	b = a.Annotations.AppendJSON(b)
	b = append(b, `,"startsAt":"`...)
	b = a.StartsAt.Std().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","endsAt":"`...)
	b = ends.Std().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","generatorURL":`...)
	b = label.AppendQuoted(b, a.GeneratorURL)
	b = append(b, `,"fingerprint":"`...)
	b = a.Labels.Fingerprint().Append(b)
	return append(b, '"', '}')
}
