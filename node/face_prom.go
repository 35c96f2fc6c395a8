package node

import (
	"context"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenghuo-mesh/fenghuo/collectors/evaluate"
	"github.com/fenghuo-mesh/fenghuo/collectors/metadata"
	"github.com/fenghuo-mesh/fenghuo/node/api/prom"
	v1 "github.com/fenghuo-mesh/fenghuo/node/api/v1"
)

// promFace answers what Prometheus's API asks beside samples.
type promFace struct{ n *Node }

var (
	_ prom.Rules    = promFace{}
	_ prom.Targets  = promFace{}
	_ prom.Metadata = promFace{}
)

// RuleGroups implements prom.Rules.
func (f promFace) RuleGroups() []prom.RuleGroup {
	var out []prom.RuleGroup
	for _, g := range f.n.samples.rules.Groups() {
		group := prom.RuleGroup{
			Name: g.Name, File: g.File, Interval: g.Interval, Limit: g.Limit,
			EvaluationTime: g.EvaluationTime, LastEvaluation: g.LastEvaluation,
		}
		for i := range g.Rules {
			group.Rules = append(group.Rules, promRule(&g.Rules[i]))
		}
		out = append(out, group)
	}
	return out
}

func promRule(r *evaluate.RuleStatus) prom.Rule {
	rule := prom.Rule{
		Kind: prom.KindRecording, Name: r.Name, Query: r.Query, Labels: r.Labels, Health: r.Health, LastError: r.LastError,
		EvaluationTime: r.EvaluationTime, LastEvaluation: r.LastEvaluation,
	}
	if !r.Alerting {
		return rule
	}
	rule.Kind, rule.State = prom.KindAlerting, r.State.String()
	rule.For, rule.KeepFiringFor, rule.Annotations = r.Duration, r.KeepFiringFor, r.Annotations
	for _, a := range r.Alerts {
		rule.Alerts = append(rule.Alerts, prom.Alert{
			Labels: a.Labels.Map(), Annotations: a.Annotations.Map(), State: a.State.String(),
			ActiveAt: a.ActiveAt, KeepFiringSince: a.KeepFiringSince, Value: a.Value,
		})
	}
	return rule
}

// Rules implements v1.Node.
func (f v1Face) Rules(context.Context) ([]v1.RuleGroup, error) {
	var out []v1.RuleGroup
	for _, g := range f.n.samples.rules.Groups() {
		group := v1.RuleGroup{
			Name: g.Name, File: g.File, IntervalSeconds: g.Interval.Seconds(),
			EvaluatedAt: g.LastEvaluation, EvaluateSeconds: g.EvaluationTime.Seconds(),
		}
		for i := range g.Rules {
			r := &g.Rules[i]
			rule := v1.Rule{
				Name: r.Name, Kind: "recording", Query: r.Query, ForSeconds: r.Duration.Seconds(), KeepSeconds: r.KeepFiringFor.Seconds(),
				Labels: r.Labels, Annotations: r.Annotations, Active: len(r.Alerts), Health: r.Health, Error: r.LastError,
				EvaluatedAt: r.LastEvaluation, EvaluateMicros: float64(r.EvaluationTime.Microseconds()),
			}
			if r.Alerting {
				rule.Kind, rule.State = "alerting", r.State.String()
			}
			group.Rules = append(group.Rules, rule)
		}
		out = append(out, group)
	}
	return out, nil
}

// buildMetric shows which program runs.
func buildMetric(n *Node) prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "fenghuo_build_info", Help: "1, with the version of the program.",
		ConstLabels: prometheus.Labels{"version": n.o.Version, "node": n.o.Config.Node.Name, "datacenter": n.o.Config.Node.Datacenter},
	})
	g.Set(1)
	return g
}

// Targets implements prom.Targets.
func (f promFace) Targets() (active []prom.Target, dropped []prom.DroppedTarget) {
	for _, t := range f.n.samples.scrape.Targets() {
		if t.Dropped {
			dropped = append(dropped, prom.DroppedTarget{DiscoveredLabels: t.Discovered.Map(), ScrapePool: t.Job})
			continue
		}
		active = append(active, prom.Target{
			DiscoveredLabels: t.Discovered.Map(), Labels: t.Labels.Map(), ScrapePool: t.Job, ScrapeURL: t.URL,
			LastError: t.LastError, LastScrape: t.LastScrape, LastScrapeDuration: t.LastDuration, Health: t.Health,
			ScrapeInterval: t.Interval, ScrapeTimeout: t.Timeout,
		})
	}
	return active, dropped
}

// Metadata implements prom.Metadata: what the host's collectors, the scraped
// exporters and the pushing senders say of their metrics.
func (f promFace) Metadata() []metadata.Metric {
	out := slices.Concat(f.n.samples.scrape.Metadata(), f.n.samples.remote.Metadata())
	if h := f.n.samples.current(); h != nil {
		out = append(out, h.Metadata()...)
	}
	return out
}
