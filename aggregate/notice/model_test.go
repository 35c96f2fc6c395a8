package notice

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/silence"
)

// model is Alertmanager's dispatcher, dedupe stage and notification log for one
// integration, written down as its sources say, without mutes. Alerts are named
// by episode where Alertmanager names them by labels.
type model struct {
	groups map[string]*modelGroup
	log    map[string]*modelEntry
}

type modelGroup struct {
	alerts map[label.Fingerprint]*alert.Alert
	next   alert.Time
}

type modelEntry struct {
	firing, resolved map[string]bool
	at               alert.Time
}

const (
	modelWait     = time.Second
	modelInterval = time.Minute
	modelRepeat   = time.Hour
)

func (m *model) insert(a *alert.Alert, now alert.Time) {
	k := a.Labels.Get("zone")
	g := m.groups[k]
	if g == nil {
		g = &modelGroup{alerts: map[label.Fingerprint]*alert.Alert{}, next: now.Add(modelWait)}
		if a.StartsAt.Add(modelWait) < now {
			g.next = now
		}
		m.groups[k] = g
	}
	g.alerts[a.Labels.Fingerprint()] = a
}

// flush returns what the group of a zone sends now; deliver says if it arrives.
func (m *model) flush(zone string, now alert.Time, deliver func() bool) string {
	g := m.groups[zone]
	g.next = g.next.Add(modelInterval)
	firing, resolved := map[string]bool{}, map[string]bool{}
	var all []*alert.Alert
	for _, a := range g.alerts {
		all = append(all, a)
		if a.ResolvedAt(now) {
			resolved[a.ID()] = true
		} else {
			firing[a.ID()] = true
		}
	}
	sent, ok := "", true
	if reason := m.log[zone].needs(firing, resolved, now); reason != "" {
		if ok = deliver(); ok {
			m.log[zone] = &modelEntry{firing, resolved, now}
		}
		slices.SortFunc(all, compareAlerts)
		sent = fmt.Sprintf("%d zone %s: %s:", (now-epoch)/alert.Time(time.Second), zone, reason)
		for _, a := range all {
			sent += fmt.Sprintf(" %s ended=%v", a.ID(), a.ResolvedAt(now))
		}
	}
	if ok {
		maps.DeleteFunc(g.alerts, func(_ label.Fingerprint, a *alert.Alert) bool { return a.ResolvedAt(now) })
		if len(g.alerts) == 0 {
			delete(m.groups, zone)
		}
	}
	return sent
}

// needs is DedupStage.needsUpdate.
func (e *modelEntry) needs(firing, resolved map[string]bool, now alert.Time) Reason {
	subset := func(a, b map[string]bool) bool {
		for k := range a {
			if !b[k] {
				return false
			}
		}
		return true
	}
	switch {
	case e == nil && len(firing) > 0:
		return First
	case e == nil:
		return ""
	case !subset(firing, e.firing) && len(e.firing) == 0:
		return First
	case !subset(firing, e.firing):
		return NewAlerts
	case len(firing) == 0 && len(e.firing) > 0:
		return AllResolved
	case len(firing) == 0:
		return ""
	case !subset(resolved, e.resolved):
		return SomeResolved
	case e.at < now.Add(-modelRepeat):
		return Repeated
	}
	return ""
}

// TestAgainstModel: with no mutes and no crash, what is sent, when, why and of
// what, is what Alertmanager sends.
func TestAgainstModel(t *testing.T) {
	c := configs()[0]
	c.Receivers = slices.Clone(c.Receivers)
	c.Receivers[0].Integrations = c.Receivers[0].Integrations[:1]
	rapid.Check(t, func(t *rapid.T) {
		m := &model{groups: map[string]*modelGroup{}, log: map[string]*modelEntry{}}
		r := &random{T: t}
		r.world = world{now: epoch, timeout: 10 * time.Hour, book: map[alert.Key]*alert.Alert{}, sils: silence.NewBook(silence.Options{}), config: c}
		r.boot()
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			l := label.FromStrings("alertname", strconv.Itoa(rapid.IntRange(1, 3).Draw(t, "name")), "zone", strconv.Itoa(rapid.IntRange(1, 2).Draw(t, "zone")))
			k := alert.Key{Tenant: "t", Fingerprint: l.Fingerprint()}
			ends := rapid.IntRange(0, 2).Draw(t, "ends") == 0
			// Alertmanager tells of a repeated end again; here it is no news.
			if old := r.book[k]; !ends || old != nil && !old.ResolvedAt(r.now) {
				r.report(l, ends)
				m.insert(r.book[k], r.now)
			}
			to := r.now.Add(time.Duration(rapid.OneOf(rapid.IntRange(0, 90), rapid.IntRange(0, 5000)).Draw(t, "pause")) * time.Second)
			for next := r.p.Next(); next != 0 && next <= to; next = r.p.Next() {
				r.now = max(r.now, next)
				compare(t, m, r)
			}
			for zone, g := range m.groups {
				require.Greater(t, g.next, to, "the model would flush zone %s", zone)
			}
			r.now = to
		}
	})
}

// compare flushes both.
func compare(t *rapid.T, m *model, r *random) {
	var want, got []string
	arrives := map[string]bool{}
	for _, zone := range slices.Sorted(maps.Keys(m.groups)) {
		if m.groups[zone].next > r.now {
			continue
		}
		arrives[zone] = rapid.IntRange(0, 4).Draw(t, "arrives") > 0
		if s := m.flush(zone, r.now, func() bool { return arrives[zone] }); s != "" {
			want = append(want, s)
		}
	}
	for _, n := range r.p.Due(r.now) {
		zone := n.GroupLabels.Get("zone")
		s := fmt.Sprintf("%d zone %s: %s:", (r.now-epoch)/alert.Time(time.Second), zone, n.Reason)
		for _, a := range n.Alerts {
			s += fmt.Sprintf(" %s ended=%v", a.ID(), a.EndsAt != 0)
		}
		got = append(got, s)
		_, ok := r.p.Done(n.ID, Outcome{Delivered: arrives[zone], At: r.now, Attempts: 1}, r.now)
		require.True(t, ok)
	}
	require.Equal(t, want, got)
}
