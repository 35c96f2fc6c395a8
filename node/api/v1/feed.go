package v1

import (
	"strconv"
	"strings"
	"sync"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/incident"
	"github.com/fenghuo-mesh/fenghuo/aggregate/silence"
)

// Kind names what happened.
type Kind string

// What can happen.
const (
	AlertBegan      Kind = "alert.began"
	AlertUpdated    Kind = "alert.updated"
	AlertEnded      Kind = "alert.ended"
	IncidentOpened  Kind = "incident.opened"
	IncidentUpdated Kind = "incident.updated"
	IncidentClosed  Kind = "incident.closed"
	NoticeSent      Kind = "notice.sent"
	NoticeFailed    Kind = "notice.failed"
	SilenceCreated  Kind = "silence.created"
	SilenceUpdated  Kind = "silence.updated"
	SilenceExpired  Kind = "silence.expired"
	Resync          Kind = "resync"
)

// Bounds of a Feed.
const (
	DefaultFeedSize = 1024 // happenings that can be resumed from
	MaxFollowers    = 64   // streams at once
)

// Happening is one thing that happened. Whatever it points to isn't changed
// any more.
type Happening struct {
	Kind     Kind
	At       alert.Time
	Alert    *alert.Alert
	Incident *incident.Incident
	Silence  *silence.Silence
	Subject  string // receiver of a notice
	Detail   string // the reason, for people
}

// Feed hands on what happens to whoever follows. It keeps the newest
// happenings in a ring and nothing per follower but a place in it: a slow
// follower costs nothing, and one that falls out of the ring is told to resync.
// Safe for concurrent use.
type Feed struct {
	epoch  string // tells this life of the node from others
	closed chan struct{}

	mu        sync.Mutex // guards all following
	ring      []Happening
	last      uint64 // number of the newest happening; the first is 1
	followers map[*follower]struct{}
	ended     bool
}

// follower is a place in the feed.
type follower struct {
	feed *Feed
	next uint64
	wake chan struct{}
}

// NewFeed makes a feed that keeps size happenings (0: DefaultFeedSize). epoch
// differs each time the node starts, as its start time does.
func NewFeed(size int, epoch int64) *Feed {
	if size <= 0 {
		size = DefaultFeedSize
	}
	return &Feed{
		epoch: strconv.FormatInt(epoch, 36), closed: make(chan struct{}), ring: make([]Happening, size), followers: map[*follower]struct{}{},
	}
}

// Publish hands on what happened. It never waits and costs next to nothing
// while nobody follows.
func (f *Feed) Publish(happened ...Happening) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, h := range happened {
		f.last++
		f.ring[f.last%uint64(len(f.ring))] = h
	}
	for fo := range f.followers {
		select {
		case fo.wake <- struct{}{}:
		default:
		}
	}
}

// Close ends all streams, so that the server can drain, and lets no more begin.
// It may be called again.
func (f *Feed) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ended {
		f.ended = true
		close(f.closed)
	}
}

// Followers counts the open streams.
func (f *Feed) Followers() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.followers)
}

// follow begins after the happening that lastID names; "" is from now on. lost
// says that what came after it is gone. ok is false where too many follow
// or the feed is closed.
func (f *Feed) follow(lastID string) (fo *follower, lost, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended || len(f.followers) >= MaxFollowers {
		return nil, false, false
	}
	fo = &follower{feed: f, next: f.last + 1, wake: make(chan struct{}, 1)}
	f.followers[fo] = struct{}{}
	if lastID == "" {
		return fo, false, true
	}
	epoch, number, _ := strings.Cut(lastID, "-")
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil || epoch != f.epoch || n > f.last || n+1 < f.oldest() {
		return fo, true, true
	}
	fo.next = n + 1
	return fo, false, true
}

// oldest is the number of the oldest happening in the ring. f.mu is held.
func (f *Feed) oldest() uint64 {
	if size := uint64(len(f.ring)); f.last > size {
		return f.last - size + 1
	}
	return 1
}

// leave ends following.
func (fo *follower) leave() {
	fo.feed.mu.Lock()
	defer fo.feed.mu.Unlock()
	delete(fo.feed.followers, fo)
}

// take returns up to n happenings and the number of the first. lost says that
// some were overwritten before they were read.
func (fo *follower) take(n int) (out []Happening, first uint64, lost bool) {
	f := fo.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if oldest := f.oldest(); fo.next < oldest {
		fo.next = f.last + 1
		return nil, fo.next, true
	}
	first = fo.next
	for ; fo.next <= f.last && len(out) < n; fo.next++ {
		out = append(out, f.ring[fo.next%uint64(len(f.ring))])
	}
	return out, first, false
}

// id names a happening for Last-Event-ID.
func (f *Feed) id(number uint64) string { return f.epoch + "-" + strconv.FormatUint(number, 10) }
