// Package history owns what the store holds of alerts: it writes their states
// and why-trails behind everybody's back, makes good from the journal what it
// missed, and answers searches.
package history

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/trail"
	"github.com/fenghuo-mesh/fenghuo/node/store"
)

// Sizes of what travels to the history.
const (
	chunk       = 256             // documents handed over at once
	every       = time.Second     // or after this time
	settleEvery = time.Minute     // what the store gathered goes to its disk
	backlog     = 8192            // beyond it the journal is read again instead
	maxBuffer   = 1 << 20         // of the encoding buffer that is kept
	retry       = 5 * time.Second // after a refused write
)

// Historian writes what happened to alerts into the store, behind everybody's
// back: the store may lag, be full or dead, and only searches notice. What it
// missed it reads again from the journal.
type Historian struct {
	o    Options
	wake chan struct{}

	// writing is held from reading a state of an alert until the store has it:
	// an older one must not come behind a newer one.
	writing sync.Mutex
	docs    []store.Doc // reused by the writer, as the next
	buf     []byte
	shown   uint64 // version up to which open alerts have been written

	mu      sync.Mutex // guards all following
	pending []noted
	byID    map[episode]int // index in pending of an episode's newest state
	upTo    uint64
	put     uint64 // upTo when it was last written
	missed  bool   // pending was dropped: read the journal from the store's position
}

// noted is a state of an alert that waits to be written.
type noted struct {
	a   *alert.Alert
	why trail.Log
}

// episode is what an alert's ID is made of.
type episode struct {
	fingerprint label.Fingerprint
	onset       int64
}

func episodeOf(a *alert.Alert) episode { return episode{a.Labels.Fingerprint(), millis(a.Onset)} }

// Options of a Historian. All but Open are required.
type Options struct {
	Store *store.Store
	// Replay calls each for every state of an alert that the journal still has
	// behind a position.
	Replay func(from uint64, each func(pos uint64, a *alert.Alert) error) error
	// Open returns the alerts that fire now and have a version above since. With
	// it only what is over needs to be noted: what goes on is written when
	// somebody searches, so that a storm costs the history nothing until then.
	Open   func(since uint64) []*alert.Alert
	Logger *slog.Logger
	Now    func() time.Time
}

// New returns a historian that begins by reading the journal from where the
// store ends.
func New(o Options) *Historian {
	return &Historian{o: o, wake: make(chan struct{}, 1), byID: map[episode]int{}, missed: true}
}

// Note takes an alert's new state, which the journal holds. It never blocks.
// Seen follows it.
func (h *Historian) Note(a *alert.Alert, log trail.Log) {
	id := episodeOf(a)
	h.mu.Lock()
	h.add(id, noted{a, log})
	full := len(h.pending) >= chunk
	h.mu.Unlock()
	if full {
		h.nudge()
	}
}

// Seen says that the journal holds nothing up to pos that has not been noted or
// is found open. It comes behind the last state of a batch, whose states share
// a position: else a crash between two of them would cost the second.
func (h *Historian) Seen(pos uint64) {
	h.mu.Lock()
	h.upTo = max(h.upTo, pos)
	h.mu.Unlock()
}

// add replaces an older state of the same episode that still waits. h.mu is
// held.
func (h *Historian) add(id episode, n noted) {
	if i, ok := h.byID[id]; ok {
		h.pending[i] = n
		return
	}
	if len(h.pending) >= backlog {
		h.pending, h.byID, h.missed = nil, map[episode]int{}, true
		return
	}
	h.byID[id] = len(h.pending)
	h.pending = append(h.pending, n)
}

func (h *Historian) nudge() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// Run writes until ctx ends, and then once more.
func (h *Historian) Run(ctx context.Context) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	collect := time.NewTicker(10 * time.Minute)
	defer collect.Stop()
	settle := time.NewTicker(settleEvery)
	defer settle.Stop()
	var pause time.Time
	for {
		select {
		case <-ctx.Done():
			h.Flush(context.WithoutCancel(ctx))
			return nil
		case <-settle.C:
			// The journal still has what the store only gathered, but not for
			// ever.
			if err := h.o.Store.Flush(ctx); err != nil {
				h.refused(err)
			}
			continue
		case <-collect.C:
			if err := h.o.Store.Collect(ctx); err != nil {
				h.o.Logger.Warn("history: old entries not removed", "err", err)
			}
			continue
		case <-h.wake:
		case <-tick.C:
		}
		if h.o.Now().Before(pause) {
			continue
		}
		if !h.Flush(ctx) {
			pause = h.o.Now().Add(retry)
		}
	}
}

// Flush writes what waits. It says false when the store refused; what it
// refused is read from the journal later.
func (h *Historian) Flush(ctx context.Context) bool {
	h.writing.Lock()
	defer h.writing.Unlock()
	return h.flush(ctx)
}

// flush is Flush; writing is held.
func (h *Historian) flush(ctx context.Context) bool {
	h.mu.Lock()
	missed, list, upTo := h.missed, h.pending, h.upTo
	nothing := !missed && upTo == h.put
	if len(list) > 0 {
		h.pending, h.byID = nil, map[episode]int{}
	}
	h.missed = false
	h.mu.Unlock()
	if nothing && len(list) == 0 {
		return true
	}
	var err error
	if missed {
		err = h.catchUp(ctx)
	}
	if err == nil {
		err = h.write(ctx, upTo, list)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		h.put = upTo
		return true
	}
	h.missed = true
	h.keepTrails(list)
	h.refused(err)
	return false
}

// keepTrails takes back what the journal doesn't have: why-trails. Newer states
// of the same episodes stay. h.mu is held.
func (h *Historian) keepTrails(list []noted) {
	for _, n := range list {
		id := episodeOf(n.a)
		if _, newer := h.byID[id]; !newer && len(n.why.Events()) > 0 && len(h.pending) < backlog {
			h.add(id, n)
		}
	}
}

// write puts states into the store, and at last notes that everything up to
// upTo is there. writing is held.
func (h *Historian) write(ctx context.Context, upTo uint64, list []noted) error {
	for {
		n := min(len(list), chunk)
		h.docs, h.buf = h.docs[:0], h.buf[:0]
		for i := range list[:n] {
			h.encode(list[i].a, list[i].why)
		}
		list = list[n:]
		at := uint64(0)
		if len(list) == 0 {
			at = upTo
		}
		err := h.o.Store.Put(ctx, at, h.docs)
		clear(h.docs)
		if cap(h.buf) > maxBuffer {
			h.buf = nil
		}
		if err != nil || len(list) == 0 {
			return err
		}
	}
}

// show writes the open alerts that have changed since it last did, so that a
// search finds them.
func (h *Historian) show(ctx context.Context) {
	h.writing.Lock()
	defer h.writing.Unlock()
	if !h.flush(ctx) || h.o.Open == nil {
		return
	}
	open := h.o.Open(h.shown)
	list, shown := make([]noted, len(open)), h.shown
	for i, a := range open {
		list[i].a, shown = a, max(shown, a.Version)
	}
	if len(list) == 0 {
		return
	}
	if err := h.write(ctx, 0, list); err != nil {
		h.refused(err)
		return
	}
	h.shown = shown
}

func (h *Historian) refused(err error) {
	if errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrAbsent) {
		return // the store has said so, once
	}
	h.o.Logger.Warn("history: not written, will be tried again", "err", err)
}

// catchUp reads the journal from where the store ends, gathered or written. What
// is noted meanwhile is newer, and the newest state of an episode wins.
func (h *Historian) catchUp(ctx context.Context) error {
	var list []noted
	var last uint64
	// What the store has gathered it has with its why-trail, which the journal
	// hasn't.
	err := h.o.Replay(h.o.Store.Stats().Pending, func(pos uint64, a *alert.Alert) error {
		last = pos
		if h.o.Open != nil && a.Fires() {
			return nil
		}
		if list = append(list, noted{a: a}); len(list) < chunk {
			return nil
		}
		err := h.write(ctx, pos, list)
		list = list[:0]
		return err
	})
	if err != nil || last == 0 {
		return err
	}
	return h.write(ctx, last, list)
}

// The stored form of a history entry, version 1: a version byte, the length of
// the why-trail as a varint, the trail as JSON, the alert's stored form.
const version = 1

// ErrEncoding: bytes that should be a history entry are not.
var ErrEncoding = errors.New("malformed history entry")

// encode appends an entry to docs. Its bytes lie in buf, which the next batch
// overwrites: the store copies what it takes. writing is held.
func (h *Historian) encode(a *alert.Alert, log trail.Log) {
	var why []byte
	if events := log.Events(); len(events) > 0 {
		why, _ = json.Marshal(events) // texts and numbers: it can't fail
	}
	start := len(h.buf)
	h.buf = append(h.buf, version)
	h.buf = binary.AppendUvarint(h.buf, uint64(len(why)))
	h.buf = append(h.buf, why...)
	h.buf, _ = a.AppendBinary(h.buf)
	doc := store.Doc{ID: a.ID(), Start: millis(a.Onset), Data: h.buf[start:len(h.buf):len(h.buf)], Tokens: tokensOf(a)}
	if !a.Fires() {
		doc.End = millis(a.EndsAt)
	}
	h.docs = append(h.docs, doc)
}

// tokensOf are what a search can ask for without reading the entry. Names
// with a colon can't be confused with those of labels in the index.
func tokensOf(a *alert.Alert) []uint64 {
	tokens := make([]uint64, 0, 14)
	for n, v := range a.Labels.All() {
		tokens = append(tokens, label.HashPair(n, v))
	}
	for _, t := range [...][2]string{
		{":fingerprint", a.Labels.Fingerprint().String()},
		{":tenant", a.Tenant},
		{":source", a.Source()},
		{":priority", a.Priority.String()},
		{":service", a.Service()},
		{":resource", a.Resource()},
	} {
		if t[1] != "" {
			tokens = append(tokens, label.HashPair(t[0], t[1]))
		}
	}
	return tokens
}

// decode reads what encode wrote.
func decode(data []byte) (*alert.Alert, trail.Log, error) {
	if len(data) == 0 || data[0] != version {
		return nil, trail.Log{}, fmt.Errorf("%w: unknown version", ErrEncoding)
	}
	size, n := binary.Uvarint(data[1:])
	if n <= 0 || size > uint64(len(data)-1-n) {
		return nil, trail.Log{}, fmt.Errorf("%w: truncated", ErrEncoding)
	}
	why, body := data[1+n:1+n+int(size)], data[1+n+int(size):]
	a := new(alert.Alert)
	if err := a.UnmarshalBinary(body); err != nil {
		return nil, trail.Log{}, fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	var log trail.Log
	if len(why) > 0 {
		var events []trail.Event
		if err := json.Unmarshal(why, &events); err != nil {
			return nil, trail.Log{}, fmt.Errorf("%w: trail: %w", ErrEncoding, err)
		}
		for _, e := range events {
			log = log.Add(e)
		}
	}
	return a, log, nil
}

// Get returns an episode by its ID with its why-trail; found is false where
// the history has none.
func (h *Historian) Get(ctx context.Context, id string) (a *alert.Alert, why trail.Log, found bool, err error) {
	h.show(ctx)
	doc, found, err := h.o.Store.Get(ctx, id)
	if err != nil || !found {
		return nil, trail.Log{}, false, err
	}
	a, why, err = decode(doc.Data)
	return a, why, err == nil, err
}

// Query selects episodes.
type Query struct {
	// From and To bound the time in which an episode was active.
	From, To alert.Time
	// Matchers select by labels; those on equality use the index.
	Matchers label.Matchers
	// Keep says whether an episode that matches is wanted; nil: yes.
	Keep func(*alert.Alert) bool
	// Limit is how many to return, Cursor where the page before ended.
	Limit  int
	Cursor string
}

// steps bounds how often the store is asked for one page.
const steps = 16

// Search returns a page of episodes, newest first, the cursor of the next page
// ("" after the last), and how many entries couldn't be read.
func (h *Historian) Search(ctx context.Context, q Query) (found []*alert.Alert, next string, unread int, err error) {
	if q.Cursor == "" { // later pages show the history as it was at the first
		h.show(ctx)
	}
	sq := store.Query{From: millis(q.From), To: millis(q.To), Cursor: q.Cursor}
	for _, m := range q.Matchers {
		if m.Type == label.Equal && m.Value != "" {
			sq.All = append(sq.All, label.HashPair(m.Name, m.Value))
		}
	}
	keep := func(d store.Doc) bool {
		a, _, err := decode(d.Data)
		if err != nil {
			unread++
			return false
		}
		return q.Matchers.Match(a.Labels) && (q.Keep == nil || q.Keep(a))
	}
	for range steps {
		sq.Limit = q.Limit - len(found)
		docs, cursor, err := h.o.Store.Search(ctx, sq, keep)
		if err != nil {
			return nil, "", unread, err
		}
		for _, d := range docs {
			if a, _, err := decode(d.Data); err == nil {
				found = append(found, a)
			}
		}
		next, sq.Cursor = cursor, cursor
		if next == "" || len(found) >= q.Limit {
			break
		}
	}
	return found, next, unread, nil
}

func millis(t alert.Time) int64 { return int64(t) / int64(time.Millisecond) }
