package notice

import (
	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/inhibit"
	"github.com/fenghuo-mesh/fenghuo/aggregate/silence"
	"github.com/fenghuo-mesh/fenghuo/aggregate/trail"
	"github.com/fenghuo-mesh/fenghuo/aggregate/window"
)

// muting is what keeps alerts from being told.
type muting struct {
	intervals window.Set
	inhibit   *inhibit.Inhibitor
	silences  *silence.Book
}

// offHours names the time intervals that mute the group.
func (m *muting) offHours(g *group, now alert.Time) []string {
	if !g.routed || len(g.place.route.ActiveIntervals)+len(g.place.route.MuteIntervals) == 0 {
		return nil
	}
	return m.intervals.MutedBy(g.place.route.ActiveIntervals, g.place.route.MuteIntervals, now.Std())
}

func (m *muting) muted(a *alert.Alert, now alert.Time) bool {
	return m.inhibit.Mutes(a.Tenant, a.Labels, now) || m.silences.Mutes(a.Tenant, a.Labels, now)
}

// suppression is the part of a status that doesn't depend on the route.
func (m *muting) suppression(a *alert.Alert, now alert.Time) Status {
	s := Status{
		State:       StateActive,
		SilencedBy:  m.silences.MutedBy(a.Tenant, a.Labels, now),
		InhibitedBy: m.inhibit.Sources(a.Tenant, a.Labels, now),
	}
	if len(s.SilencedBy)+len(s.InhibitedBy) > 0 {
		s.State = StateSuppressed
	}
	return s
}

// noteMuted records, once per time it is muted, what keeps an alert from being
// told.
func (m *muting) noteMuted(s *slot, now alert.Time) {
	more := s.extra()
	if more.muted {
		return
	}
	more.muted = true
	for _, e := range m.mutedEvents(s.a, now) {
		more.trail = more.trail.Add(e)
	}
}

func (m *muting) mutedEvents(a *alert.Alert, now alert.Time) []trail.Event {
	var out []trail.Event
	for _, fp := range m.inhibit.Sources(a.Tenant, a.Labels, now) {
		out = append(out, trail.Event{At: now, Kind: trail.Muted, Subject: fp.String(), Detail: "inhibited by this alert"})
	}
	for _, id := range m.silences.MutedBy(a.Tenant, a.Labels, now) {
		detail := "silenced"
		if s, ok := m.silences.Get(id); ok {
			detail = "silenced by " + s.CreatedBy + " until " + text(s.EndsAt) + ": " + s.Comment
		}
		out = append(out, trail.Event{At: now, Kind: trail.Muted, Subject: id, Detail: detail})
	}
	return out
}

func (m *slotMore) noteHeard(now alert.Time) {
	if m.muted {
		m.muted = false
		m.trail = m.trail.Add(trail.Event{At: now, Kind: trail.Unmuted})
	}
}
