package ledger

import (
	"slices"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
)

// modelAlert is an alert of the dumb model: no slots, no leases, no undo.
type modelAlert struct {
	labels      label.Set
	annotations label.Set
	key         string // the sender's own
	group       string // of rules
	start, end  alert.Time
	received    alert.Time // first report of the episode
	ours        bool       // end is ours, not the sender's
	fires       bool
	seq         int // of the change
}

// model is the ledger as one would write it without caring for speed or disks:
// Alertmanager's rules over a map.
type model map[alert.Key]*modelAlert

func (m model) clone() model {
	n := model{}
	for k, a := range m {
		c := *a
		n[k] = &c
	}
	return n
}

// lapse ends what nobody renewed.
func (m model) lapse(now alert.Time) {
	for _, a := range m {
		if a.fires && a.end != 0 && a.end <= now {
			a.fires = false
		}
	}
}

// forget drops what ended long ago.
func (m model) forget(now alert.Time) {
	for k, a := range m {
		if !a.fires && a.end.Add(resolvedKeep) <= now {
			delete(m, k)
		}
	}
}

// byKey finds the alert that a sender's own key names: one that fires, if any.
func (m model) byKey(tenant, key string) *modelAlert {
	var found *modelAlert
	for k, a := range m {
		if key != "" && k.Tenant == tenant && a.key == key && (found == nil || a.fires || !found.fires && a.seq > found.seq) {
			found = a
		}
	}
	return found
}

// post takes one report of a sender.
func (m model) post(b *intake.Batch, in *alert.Alert, now alert.Time) {
	over := in.EndsAt != 0 && in.EndsAt <= now
	r := modelAlert{labels: in.Labels, annotations: in.Annotations, start: in.StartsAt, end: in.EndsAt}
	if in.Extra != nil {
		r.key = in.Extra.DedupeKey
	}
	known, same := m.byKey(b.Tenant, r.key), m[alert.Key{Tenant: b.Tenant, Fingerprint: in.Labels.Fingerprint()}]
	if known == nil || !known.fires && same != nil && same.fires {
		known = same
	}
	if known != nil && !known.fires && !over {
		known = nil
	}
	if known != nil {
		r.labels = known.labels
		if over && r.annotations.Empty() {
			r.annotations = known.annotations
		}
		if over && in.Extra != nil && r.key == "" {
			r.key = known.key
		}
		if r.start == 0 {
			r.start = known.start
			if r.end != 0 {
				r.end = max(r.end, r.start)
			}
		}
	}
	if r.start == 0 {
		r.start = now
		if r.end != 0 {
			r.start = min(r.end, now)
		}
	}
	if r.end == 0 && (!b.Hold || b.Expiry != 0) {
		timeout := b.Expiry
		if timeout == 0 {
			timeout = testTimeout
		}
		r.end, r.ours = now.Add(timeout), true
	}
	if r.end != 0 && r.end < r.start {
		return // refused
	}
	m.merge(b.Tenant, r, now)
}

func (m model) merge(tenant string, r modelAlert, now alert.Time) {
	id := alert.Key{Tenant: tenant, Fingerprint: r.labels.Fingerprint()}
	r.fires, r.received = r.end == 0 || r.end > now, now
	old := m[id]
	switch {
	case old == nil:
	case old.end != 0 && r.start > old.end: // later than what is known
	case !old.fires && r.fires && r.start >= old.end:
	case !r.fires && r.end < old.start && old.start != old.received: // the late end of an earlier one
		return
	default:
		r.start = min(r.start, old.start)
		if old.fires || !r.fires {
			r.received = old.received
		}
		switch {
		case !r.fires && !old.fires:
			r.end = max(r.end, old.end)
		case r.fires && old.fires && (old.end == 0 || !old.ours && r.end != 0 && old.end > r.end):
			r.end, r.ours = old.end, old.ours
		case r.fires && !old.fires && !old.ours && old.end > r.end && r.end != 0:
			r.end, r.ours = old.end, old.ours
		}
	}
	if old != nil {
		if r.seq = old.seq; *old == r {
			return
		}
	}
	for _, a := range m {
		r.seq = max(r.seq, a.seq+1)
	}
	m[id] = &r
}

// report takes all that fires in a rule group.
func (m model) report(tenant, group string, firing []label.Set, start map[label.Set]alert.Time, now alert.Time) {
	for _, a := range m {
		if a.group == group && a.fires && !has(firing, a.labels) {
			a.fires, a.end = false, now
		}
	}
	for _, l := range firing {
		m.merge(tenant, modelAlert{labels: l, group: group, start: start[l]}, now)
	}
}

// retain ends what the rules that are gone had firing.
func (m model) retain(groups []string, now alert.Time) {
	for _, a := range m {
		gone := a.group != ""
		for _, g := range groups {
			gone = gone && g != a.group
		}
		if gone && a.fires {
			a.fires, a.end = false, now
		}
	}
}

func has(list []label.Set, l label.Set) bool { return slices.Contains(list, l) }

const testTimeout = 5 * time.Minute
