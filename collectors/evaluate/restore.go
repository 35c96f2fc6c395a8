package evaluate

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/rule"
	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

// Restore takes up the pending and firing states that ALERTS_FOR_STATE holds
// from before the node was down, for the alerts that are active now. Prometheus
// waits for the second evaluation, because in the first one scraped and recorded
// series may be missing; first says that this is the first one, and then rules
// of which something is remembered wait. A rule whose memory can't be read goes
// on without. It says whether a state was restored: then pending alerts fire only
// at the next evaluation, and what fires now is not all.
func (g *Group) Restore(ctx context.Context, now time.Time, first bool) (restored bool) {
	for _, r := range g.rules {
		a, ok := r.(*alerting)
		if !ok || a.restored {
			continue
		}
		memory, err := a.remembered(ctx, now)
		if err != nil {
			if ctx.Err() != nil {
				return restored
			}
			g.env.Logger.Error("restoring the state of alerts failed", "rule_group", g.identity.key, "alert", a.spec.Name, "err", err)
		}
		if first && len(memory) > 0 {
			continue
		}
		a.mu.Lock()
		a.machine.Restore(now, g.env.ForGracePeriod, func(set label.Set) (rule.Remembered, bool) {
			m, ok := memory[set]
			return m, ok
		})
		a.restored, restored = true, restored || len(memory) > 0
		a.mu.Unlock()
	}
	return restored
}

// remembered reads the newest ALERTS_FOR_STATE samples of the rule: their values
// and, by a second query, their times. A lookback as long as the outage tolerance
// finds them, and not those that ended with a staleness marker.
func (a *alerting) remembered(ctx context.Context, now time.Time) (map[label.Set]rule.Remembered, error) {
	selector := a.forStateSelector()
	o := series.QueryOptions{Own: true, Lookback: a.env.OutageTolerance}
	values, err := a.env.Querier.Instant(ctx, selector, now, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", selector, err)
	}
	if len(values.Vector) == 0 {
		return nil, nil
	}
	times, err := a.env.Querier.Instant(ctx, "timestamp("+selector+")", now, o)
	if err != nil {
		return nil, fmt.Errorf("timestamp(%s): %w", selector, err)
	}
	seen := make(map[label.Set]time.Time, len(times.Vector))
	for _, s := range times.Vector {
		if set, ok := withoutName(s.Labels); ok {
			seen[set] = time.UnixMilli(int64(s.V * 1000)).UTC()
		}
	}
	out := make(map[label.Set]rule.Remembered, len(values.Vector))
	for _, s := range values.Vector {
		set, ok := withoutName(s.Labels)
		if at := seen[set]; ok && !at.IsZero() {
			out[set] = rule.Remembered{ActiveAt: time.Unix(int64(s.V), 0).UTC(), At: at}
		}
	}
	return out, nil
}

// forStateSelector selects the rule's series by its name and its labels, less
// the labels that are templates.
func (a *alerting) forStateSelector() string {
	var b strings.Builder
	b.WriteString(metricForState + "{" + labels.AlertName + "=" + strconv.Quote(a.spec.Name))
	for _, t := range a.labels {
		if t.plain() && t.name != labels.AlertName {
			b.WriteString("," + strconv.Quote(t.name) + "=" + strconv.Quote(t.source))
		}
	}
	b.WriteString("}")
	return b.String()
}

func withoutName(ls labels.Labels) (label.Set, bool) {
	pairs := make([]label.Pair, 0, ls.Len())
	ls.Range(func(l labels.Label) {
		if l.Name != model.MetricNameLabel {
			pairs = append(pairs, label.Pair{Name: l.Name, Value: l.Value})
		}
	})
	set, err := label.New(pairs)
	return set, err == nil
}
