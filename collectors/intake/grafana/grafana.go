// Package grafana owns what Grafana sends: the webhook of its unified
// alerting, which is a dialect of Alertmanager's, and that of the alerting
// before version 8, one body per rule without any time.
package grafana

import (
	"fmt"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/document"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/draft"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/prometheus"
)

// Decode reads both kinds of bodies.
func Decode(r intake.Request) (intake.Result, error) {
	doc, err := document.Parse(r.Body, document.Limits{})
	if err != nil {
		return intake.Result{}, err
	}
	if doc.Get("alerts").Kind() == document.Missing && doc.First("ruleId", "ruleName").Present() {
		return legacy(doc, r)
	}
	res, err := prometheus.Group(doc, prometheus.Dialect{Prefix: "grafana", Request: r, Adjust: details})
	if err != nil {
		return intake.Result{}, err
	}
	if tested(res) {
		return intake.Result{Control: &intake.Control{Type: intake.ControlTest, Reason: "Grafana's test of a contact point"}}, nil
	}
	return res, nil
}

// tested says whether all of a body is what Grafana's test button sends.
func tested(res intake.Result) bool {
	for _, e := range res.Events {
		if e.Alert.Name() != "TestAlert" || e.Alert.Labels.Get("instance") != "Grafana" {
			return false
		}
	}
	return len(res.Events) > 0 && len(res.Rejected) == 0
}

// details keeps what Grafana adds to an alert as annotations, where there is
// room for it.
func details(e *intake.Event, v, _ *document.Value) error {
	var r document.Reader
	extra := []label.Pair{
		{Name: "value_string", Value: draft.Cut(r.Text(v.Get("valueString")), 1<<10)},
		{Name: "dashboard_url", Value: r.Text(v.Get("dashboardURL"))},
		{Name: "panel_url", Value: r.Text(v.Get("panelURL"))},
		{Name: "silence_url", Value: r.Text(v.Get("silenceURL"))},
		{Name: "image_url", Value: r.Text(v.Get("imageURL"))},
	}
	r.Object(v.Get("values"))
	if r.Err != nil {
		return r.Err
	}
	if e.Alert.GeneratorURL == "" {
		url := draft.First(r.Text(v.Get("ruleURL")), r.Text(v.Get("dashboardURL")), r.Text(v.Get("panelURL")))
		if len(url) <= alert.MaxURLBytes {
			e.Alert.GeneratorURL = url
		}
	}
	for _, p := range extra {
		if p.Value == "" || e.Alert.Annotations.Get(p.Name) != "" {
			continue
		}
		if more, err := label.NewAnnotations(append(e.Alert.Annotations.Pairs(), p)); err == nil {
			e.Alert.Annotations = more
		}
	}
	return nil
}

// legacy reads a body of the alerting before version 8.
func legacy(doc *document.Value, r intake.Request) (intake.Result, error) {
	var read document.Reader
	name, id, org := read.Text(doc.Get("ruleName")), read.Text(doc.Get("ruleId")), read.Text(doc.Get("orgId"))
	state, message, title := read.Text(doc.Get("state")), read.Text(doc.Get("message")), read.Text(doc.Get("title"))
	url, image := read.Text(doc.Get("ruleUrl")), read.Text(doc.Get("imageUrl"))
	tags := prometheus.Pairs(&read, doc.Get("tags"))
	matches := read.Array(doc.Get("evalMatches"))
	if read.Err != nil {
		return intake.Result{}, read.Err
	}
	d := draft.Draft{Extra: alert.Extra{
		Name: name, Summary: draft.First(message, title, name), ExternalID: id, ExternalURL: url,
		DedupeKey: "grafana:rule:" + draft.First(org, "0") + ":" + draft.First(id, name),
	}}
	d.Labels("rule_id", id, "org_id", org)
	for _, t := range tags {
		d.Label(t.Name, t.Value)
	}
	own, err := label.New(tags)
	if err != nil {
		return intake.Result{}, fmt.Errorf("tags: %w: %w", intake.ErrContent, err)
	}
	d.Extra.SeverityRaw = alert.SeverityOf(own)
	d.Annotation("image_url", image)
	// What matched is told only while it fires, so it describes the alert and
	// doesn't identify it. Its series may differ; the first one names resource
	// and service.
	if err := found(&d, own, matches); err != nil {
		return intake.Result{}, err
	}
	switch state {
	case "alerting", "no_data":
		d.StartsAt = r.ReceivedAt
	case "ok":
		d.Resolved, d.EndsAt = true, r.ReceivedAt
	default:
		return intake.Result{Control: &intake.Control{Type: intake.ControlIgnored, Reason: fmt.Sprintf("state %.32q neither fires nor resolves", state)}}, nil
	}
	if name == "Test notification" && (id == "0" || id == "") {
		return intake.Result{Control: &intake.Control{Type: intake.ControlTest, Reason: "Grafana's test of a notification channel"}}, nil
	}
	e, err := d.Event()
	if err != nil {
		return intake.Result{}, fmt.Errorf("tags: %w: %w", intake.ErrContent, err)
	}
	return intake.Result{Events: []intake.Event{e}}, nil
}

// found describes a draft by the series that matched.
func found(d *draft.Draft, own label.Set, matches *document.Value) error {
	first := own
	for i, m := range matches.Items() {
		if i == maxMatches {
			break
		}
		var read document.Reader
		tags := prometheus.Pairs(&read, read.Required(m).Get("tags"))
		metric, value := read.Text(m.Get("metric")), read.Text(m.Get("value"))
		if read.Err != nil {
			return read.Err
		}
		if i == 0 {
			if all, err := label.New(merge(own, tags)); err == nil {
				first = all
			}
			for _, t := range tags {
				d.Volatile(t.Name, t.Value)
			}
		}
		d.Annotation(fmt.Sprintf("match_%d", i+1), metric+" = "+value)
	}
	d.Extra.Resource = alert.ResourceOf(first)
	probe := alert.Alert{Labels: first}
	d.Extra.Service, d.Extra.ErrorCode = probe.Service(), probe.ErrorCode()
	return nil
}

// maxMatches is how many matched series are kept with an alert.
const maxMatches = 10

// merge adds tags that own doesn't have.
func merge(own label.Set, tags []label.Pair) []label.Pair {
	all := own.Pairs()
	for _, t := range tags {
		if own.Get(t.Name) == "" {
			all = append(all, t)
		}
	}
	return all
}
