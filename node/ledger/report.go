package ledger

import (
	"context"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
)

// Report implements the evaluator's reporter: firing is all that fires in a
// rule group; what it reported before and doesn't now has resolved.
func (p *Ledger) Report(ctx context.Context, group string, firing []*alert.Alert) error {
	p.ruleMu.Lock()
	quiet := len(firing) == 0 && len(p.byRule[group]) == 0
	p.ruleMu.Unlock()
	if quiet {
		return nil
	}
	return p.do(ctx, &op{report: &report{group: group, firing: firing}}).err
}

// Retain resolves the alerts of rule groups that no longer exist.
func (p *Ledger) Retain(ctx context.Context, groups []string) error {
	return p.do(ctx, &op{report: &report{retain: append([]string{}, groups...)}}).err
}

// ruleIndex keeps which alerts each rule group has firing.
func (p *Ledger) ruleIndex(c *Change) {
	a := c.After
	if a == nil || a.Extra == nil || a.Extra.RuleGroup == "" || c.WasFiring == c.Fires {
		return
	}
	p.ruleMu.Lock()
	defer p.ruleMu.Unlock()
	group, key := a.Extra.RuleGroup, hashKey(a.Tenant, a.Labels.Fingerprint())
	if !c.Fires {
		delete(p.byRule[group], key)
		if len(p.byRule[group]) == 0 {
			delete(p.byRule, group)
		}
		return
	}
	if p.byRule[group] == nil {
		p.byRule[group] = map[uint64]struct{}{}
	}
	p.byRule[group][key] = struct{}{}
}

func (p *Ledger) applyReport(r *report, now alert.Time) (rec intake.Receipt) {
	seen := make(map[uint64]bool, len(r.firing))
	for i, firing := range r.firing {
		own := *firing // the evaluator keeps its alerts and reports them again
		in := &own
		if in.Tenant == "" {
			in.Tenant = p.o.Tenant
		}
		alert.Complete(in, now, 0, true)
		err := in.Validate()
		if err == nil {
			err = p.merge(in, now)
		}
		if err != nil {
			rec.Rejected = append(rec.Rejected, intake.Rejection{Index: i, Err: err})
			p.o.Logger.Warn("alert of a rule refused", "group", r.group, "labels", in.Labels.String(), "err", err)
			continue
		}
		seen[hashKey(in.Tenant, in.Labels.Fingerprint())] = true
		rec.Accepted++
	}
	p.endAbsent(r.group, seen, now)
	return rec
}

func (p *Ledger) applyRetain(groups []string, now alert.Time) {
	keep := map[string]bool{}
	for _, g := range groups {
		keep[g] = true
	}
	p.ruleMu.Lock()
	var gone []string
	for g := range p.byRule {
		if !keep[g] {
			gone = append(gone, g)
		}
	}
	p.ruleMu.Unlock()
	for _, g := range gone {
		p.endAbsent(g, nil, now)
	}
}

// endAbsent resolves the alerts of a rule group that were not reported again.
func (p *Ledger) endAbsent(group string, seen map[uint64]bool, now alert.Time) {
	p.ruleMu.Lock()
	var ended []uint64
	for key := range p.byRule[group] {
		if !seen[key] {
			ended = append(ended, key)
		}
	}
	p.ruleMu.Unlock()
	for _, key := range ended {
		slot, ok := p.book.byKey[key]
		if !ok {
			continue
		}
		old := p.book.slots[slot]
		next := *old
		next.EndsAt, next.UpdatedAt, next.Lease = max(now, old.StartsAt), now, 0
		p.end(slot, old, &next, now, false)
	}
}
