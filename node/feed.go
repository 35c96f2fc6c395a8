package node

import (
	"fmt"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/incident"
	"github.com/fenghuo-mesh/fenghuo/aggregate/silence"
	v1 "github.com/fenghuo-mesh/fenghuo/node/api/v1"
	"github.com/fenghuo-mesh/fenghuo/node/ledger"
	"github.com/fenghuo-mesh/fenghuo/node/notify"
)

// feed says what happens on this node to whoever follows it live.
type feed struct{ *v1.Feed }

func (f feed) changes(cs []ledger.Change) {
	for i := range cs {
		c := &cs[i]
		h := v1.Happening{At: c.At, Alert: c.After}
		switch {
		case c.After == nil, c.Kind == alert.Unchanged:
			continue
		case c.Fires && !c.WasFiring:
			h.Kind = v1.AlertBegan
		case c.WasFiring && !c.Fires:
			h.Kind = v1.AlertEnded
			if c.Expired {
				h.Detail = "expired: no report came before the end it was given"
			}
		case c.Fires:
			h.Kind = v1.AlertUpdated
		default:
			continue
		}
		f.Publish(h) // one by one: a storm needs no list of its own
	}
}

func (f feed) incident(op incident.Op, in *incident.Incident) {
	h := v1.Happening{Kind: v1.IncidentUpdated, At: in.Updated, Incident: in}
	switch op {
	case incident.Open:
		h.Kind = v1.IncidentOpened
	case incident.Close:
		h.Kind = v1.IncidentClosed
	}
	f.Publish(h)
}

func (f feed) notice(m *notify.Message, o notify.Outcome) {
	h := v1.Happening{Kind: v1.NoticeSent, At: alert.At(o.At), Subject: m.Receiver}
	h.Detail = fmt.Sprintf("%s: %d alerts of %s, %s", m.Status(), len(m.Alerts), m.GroupKey, m.Reason)
	if !o.Delivered {
		h.Kind = v1.NoticeFailed
		h.Detail += fmt.Sprintf("; %d attempts: %v", o.Attempts, o.Err)
	}
	f.Publish(h)
}

func (f feed) silences(changed []silence.Silence, now alert.Time) {
	for i := range changed {
		s := &changed[i]
		h := v1.Happening{Kind: v1.SilenceUpdated, At: now, Silence: s}
		switch {
		case s.StateAt(now) == silence.Expired:
			h.Kind = v1.SilenceExpired
		case s.StartsAt >= s.UpdatedAt:
			h.Kind = v1.SilenceCreated
		}
		f.Publish(h)
	}
}
