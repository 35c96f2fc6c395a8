// Package trail owns the why-trail: what was decided about an alert, when, by
// what, recorded as data where it is decided, so that "why was I (not) paged?"
// has an answer.
package trail

import (
	"slices"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
)

// Kind names a decision. The text is part of the API.
type Kind string

// The decisions a node takes.
const (
	Received Kind = "received" // first report of an episode
	Ended    Kind = "ended"    // resolved by its sender
	Expired  Kind = "expired"  // resolved because its sender fell silent
	Routed   Kind = "routed"   // joined a notification group; Subject is the route
	Waiting  Kind = "waiting"  // the group waits until the time in Detail
	Muted    Kind = "muted"    // not told: Subject is the silence, window or inhibitor
	Unmuted  Kind = "unmuted"  // no longer muted
	Claimed  Kind = "claimed"  // about to be sent; Subject is the receiver
	Sent     Kind = "sent"     // delivered; Subject is the receiver
	Retried  Kind = "retried"  // a delivery failed and will be tried again
	Failed   Kind = "failed"   // given up until the next flush
	NotSent  Kind = "not_sent" // a flush sent nothing; Detail says why
	Joined   Kind = "joined"   // joined an incident; Subject is its ID, Detail the evidence
)

// Event is one decision.
type Event struct {
	At      alert.Time
	Kind    Kind
	Subject string // what decided or was addressed: route, receiver, silence ID...
	Detail  string // the reason, for people
}

// MaxEvents is how many events a Log keeps: the first ones, because they say
// how it began, and the newest.
const (
	MaxEvents = 32
	keepFirst = 4
)

// Log is a bounded list of events, oldest first. The zero Log is empty. It is a
// value: Add returns the longer log and leaves the old one as it was.
type Log struct {
	events  []Event
	Dropped int // events forgotten between the first and the newest ones
}

// Add appends an event; one equal to the last but for its time is not
// repeated.
func (l Log) Add(e Event) Log {
	if n := len(l.events); n > 0 {
		last := l.events[n-1]
		last.At = e.At
		if last == e {
			return l
		}
	}
	if len(l.events) < MaxEvents {
		l.events = append(slices.Clip(l.events), e)
		return l
	}
	kept := make([]Event, 0, MaxEvents)
	kept = append(kept, l.events[:keepFirst]...)
	kept = append(kept, l.events[keepFirst+1:]...)
	l.events = append(kept, e)
	l.Dropped++
	return l
}

// Events returns the events, oldest first. The slice must not be changed.
func (l Log) Events() []Event { return l.events }
