package notice

import (
	"cmp"
	"slices"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/trail"
)

// Episode is one run of an alert and how far a receiver knows of it. The
// numbers count tellings and only grow; two versions merge by taking the
// greater of each, so order and repetition don't matter:
//
//   - the receiver takes it to fire if Begun > max(Suspended, Ended);
//   - it is owed the end if max(Begun, Claimed) > Ended.
type Episode struct {
	// Fingerprint and Onset name the episode within the tenant.
	Fingerprint label.Fingerprint
	Onset       alert.Time
	// At is when it was last told of a change, in seconds since 1970.
	At uint32
	// Begun counts tellings that it fires, after it was not taken to fire.
	Begun uint8
	// Suspended is Begun as of the last notification that left it out because
	// it was muted: it is told as new when it's heard again.
	Suspended uint8
	// Ended is Begun as of the telling that it ended.
	Ended uint8
	// Claimed is Begun as of an attempt to tell whose outcome is unknown.
	Claimed uint8
}

func (e *Episode) fires() bool { return e.Begun > max(e.Suspended, e.Ended) }
func (e *Episode) owed() bool  { return max(e.Begun, e.Claimed) > e.Ended }

func (e *Episode) merge(o Episode) {
	e.At = max(e.At, o.At)
	e.Begun = max(e.Begun, o.Begun)
	e.Suspended = max(e.Suspended, o.Suspended)
	e.Ended = max(e.Ended, o.Ended)
	e.Claimed = max(e.Claimed, o.Claimed)
}

// covers says whether o adds nothing.
func (e *Episode) covers(o Episode) bool {
	return e.Begun >= o.Begun && e.Suspended >= o.Suspended && e.Ended >= o.Ended
}

func compareEpisodes(a, b Episode) int {
	return cmp.Or(cmp.Compare(a.Fingerprint, b.Fingerprint), cmp.Compare(a.Onset, b.Onset))
}

// State says what a Told records.
type State uint8

// The states. Their numbers are stored.
const (
	// Claimed: about to be sent.
	Claimed State = 1
	// Delivered: the receiver has it. Also the form in which what is known is
	// written anew by Records.
	Delivered State = 2
	// Failed: given up. The receiver doesn't have it, or, where the record has
	// episodes, may have it: their Claimed says of what it may have heard.
	Failed State = 3
)

// String names the state.
func (s State) String() string {
	switch s {
	case Claimed:
		return "claimed"
	case Delivered:
		return "delivered"
	case Failed:
		return "failed"
	}
	return "unknown"
}

// Told is a record of the told-log: of one notification of one group to one
// integration. Records merge in any order, any number of times.
type Told struct {
	// ID is the notice's; "" where Records has merged several.
	ID    string
	State State
	// Tenant, Receiver, RouteKey and GroupLabels name the group, Integration
	// who was told.
	Tenant, Receiver, Integration, RouteKey string
	GroupLabels                             label.Set
	// At is when it was claimed, delivered or given up.
	At alert.Time
	// Repeat is the route's repeat interval then; the record is kept for it.
	Repeat time.Duration
	// Reason is why it was told.
	Reason Reason
	// Err is the last error of a failed attempt, Attempts how many were made.
	Err      string
	Attempts uint32
	// Episodes are what the receiver knows once it is delivered, where that
	// changes; sorted.
	Episodes []Episode
	// Settles are IDs of earlier attempts whose outcome was unknown and is no
	// longer asked for: this notification was sent because of them.
	Settles []string
}

// Reason says why a notification is sent. The texts are Alertmanager's.
type Reason string

// The reasons.
const (
	First        Reason = "first notification"
	NewAlerts    Reason = "new alerts added"
	SomeResolved Reason = "some alerts resolved"
	AllResolved  Reason = "all alerts resolved"
	Repeated     Reason = "repeat interval elapsed"
	// Unknown: an earlier attempt was claimed, but whether it arrived is not
	// known: the node died in between.
	Unknown Reason = "outcome of an earlier attempt unknown"
)

// log is what one integration was told of one group, and what is under way.
type log struct {
	integ  *integration
	eps    []Episode  // sorted
	sent   alert.Time // last delivery
	flight *flight
	more   *logMore
	repeat uint32 // seconds, for how long it is kept
	failed bool   // the last attempt was given up
	missed bool   // a flush passed by while a notice was under way
	again  bool   // look at it at once, beside the group's timer
	loaded bool   // sent comes from disk
}

// logMore is what most logs don't need.
type logMore struct {
	claims   []Told   // attempts of unknown outcome
	finished []string // IDs whose claims need not be looked for; until settled
	trail    trail.Log
}

func (l *log) extra() *logMore {
	if l.more == nil {
		l.more = &logMore{}
	}
	return l.more
}

func (l *log) unknown() bool { return l.more != nil && len(l.more.claims) > 0 }

// of returns the range of an alert's episodes.
func (l *log) of(fp label.Fingerprint) (i, j int) {
	i, _ = slices.BinarySearchFunc(l.eps, fp, func(e Episode, fp label.Fingerprint) int {
		return cmp.Compare(e.Fingerprint, fp)
	})
	for j = i; j < len(l.eps) && l.eps[j].Fingerprint == fp; j++ {
	}
	return i, j
}

// owes says whether the end of any of the alert's episodes is owed.
func (l *log) owes(fp label.Fingerprint) bool {
	i, j := l.of(fp)
	for ; i < j; i++ {
		if l.eps[i].owed() {
			return true
		}
	}
	return false
}

// find returns an episode or nil.
func (l *log) find(fp label.Fingerprint, onset alert.Time) *Episode {
	i, ok := slices.BinarySearchFunc(l.eps, Episode{Fingerprint: fp, Onset: onset}, compareEpisodes)
	if !ok {
		return nil
	}
	return &l.eps[i]
}

// merge folds sorted episodes in.
func (l *log) merge(in []Episode) {
	added := 0
	for _, e := range in {
		if have := l.find(e.Fingerprint, e.Onset); have != nil {
			have.merge(e)
		} else {
			added++
		}
	}
	if added == 0 {
		return
	}
	// Grow once and merge from the back.
	i, old := len(l.eps)-1, len(l.eps)
	if cap(l.eps)-old < added {
		grown := make([]Episode, old, old+added+old/8)
		copy(grown, l.eps)
		l.eps = grown
	}
	l.eps = l.eps[:old+added]
	at := len(l.eps) - 1
	for _, e := range slices.Backward(in) {
		for i >= 0 && compareEpisodes(l.eps[i], e) > 0 {
			l.eps[at] = l.eps[i]
			at, i = at-1, i-1
		}
		if i >= 0 && compareEpisodes(l.eps[i], e) == 0 {
			continue // merged above
		}
		l.eps[at] = e
		at--
	}
}

// covers says whether a record adds nothing to what was told.
func (l *log) covers(t *Told) bool {
	if l.sent < t.At {
		return false
	}
	for _, e := range t.Episodes {
		if have := l.find(e.Fingerprint, e.Onset); have == nil || !have.covers(e) {
			return false
		}
	}
	return true
}

func (l *log) keep(repeat time.Duration) {
	l.repeat = max(l.repeat, uint32(min(max(repeat/time.Second, 0), 1<<31)))
}
