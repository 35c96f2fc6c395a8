package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/incident"
	"github.com/fenghuo-mesh/fenghuo/aggregate/notice"
	"github.com/fenghuo-mesh/fenghuo/aggregate/silence"
	"github.com/fenghuo-mesh/fenghuo/node/journal"
)

// snapshotLook is how often it is checked whether the journal wants a snapshot.
const snapshotLook = 5 * time.Second

// memory reads a node's past from the journal and writes its present into it.
type memory struct {
	n       *Node
	origins map[alert.Origin]*alert.Origin // seen in the journal
}

// recover reads the journal into the book, the planner, the silences and the
// incidents. What can't be read is counted and said, and never stops the start.
func (m memory) recover() error {
	n := m.n
	var strange int
	rec, err := n.journal.Replay(func(_ journal.Position, r journal.Record) error {
		if !m.restore(r) {
			strange++
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if strange > 0 {
		n.o.Logger.Warn("journal: records of an unknown kind or form were left out", "records", strange)
	}
	n.ledger.Recovered()
	n.o.Logger.Info("journal read", "alerts", n.ledger.Len(), "records", rec.SnapshotRecords+rec.Records, "unfinished_bytes", rec.TornBytes)
	return nil
}

// restore takes one record. It says false for one it can't read.
func (m memory) restore(r journal.Record) bool {
	n := m.n
	l := n.lead
	switch r.Kind {
	case kindAlert:
		a := new(alert.Alert)
		if a.UnmarshalBinary(r.Data) != nil {
			return false
		}
		a.Origin = m.shared(a.Origin)
		n.ledger.Load(a)
	case kindTold:
		var t notice.Told
		if t.UnmarshalBinary(r.Data) != nil {
			return false
		}
		l.planner.Load(t)
	case kindSilence:
		var s silence.Silence
		if s.UnmarshalBinary(r.Data) != nil {
			return false
		}
		if _, err := l.silences.Load(s); err != nil {
			return false
		}
	case kindIncident:
		in := new(incident.Incident)
		if in.UnmarshalBinary(r.Data) != nil {
			return false
		}
		l.incidents.Put(in)
	default:
		return false
	}
	return true
}

// shared returns one Origin for all alerts read from disk that came the same
// way.
func (m memory) shared(o *alert.Origin) *alert.Origin {
	if o == nil {
		return nil
	}
	if have := m.origins[*o]; have != nil {
		return have
	}
	m.origins[*o] = o
	return o
}

// keepSnapshots writes a snapshot whenever the journal has grown enough, or
// lacks what was decided while the disk was full.
func (m memory) keepSnapshots(ctx context.Context) error {
	n := m.n
	tick := time.NewTicker(snapshotLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		n.lead.mu.Lock()
		n.lead.unwritten = n.ledger.Lacks() || n.lead.unwritten
		lacks := n.lead.unwritten
		n.lead.planner.Collect(n.now())
		n.lead.silences.Collect(n.now())
		n.lead.mu.Unlock()
		if !lacks && !n.journal.NeedsSnapshot() {
			continue
		}
		// The history first: the snapshot lets the journal drop what it is built
		// from.
		n.historian.Flush(ctx)
		if err := n.store.Flush(ctx); err != nil {
			n.o.Logger.Debug("history not flushed before a snapshot", "err", err) // it says why itself
		}
		if err := m.snapshot(ctx); err != nil && ctx.Err() == nil {
			say := n.o.Logger.Warn
			if errors.Is(err, journal.ErrFull) {
				say = n.o.Logger.Debug // the journal has said so
			}
			say("journal: snapshot not written, will be tried again", "err", err)
		}
	}
}

// snapshot writes the present state and lets the journal drop what it replaces.
func (m memory) snapshot(ctx context.Context) error {
	n := m.n
	l := n.lead
	var at journal.Position
	var alerts []*alert.Alert
	var told []notice.Told
	var silences []silence.Silence
	var incidents []*incident.Incident
	// Both locks are held for a moment, in the order in which everybody takes
	// them, so that every record up to `at` is in what is copied.
	n.ledger.Frozen(func(held []*alert.Alert) {
		l.mu.Lock()
		defer l.mu.Unlock()
		at = n.journal.End()
		alerts = slices.Clone(held)
		told = slices.Collect(l.planner.Records())
		silences = l.silences.Query(silence.Filter{}, n.now())
		incidents = l.incidents.List()
		l.unwritten = false
	})
	err := n.journal.Snapshot(ctx, at, func(emit func(journal.Record) error) error {
		var buf []byte
		for _, a := range alerts {
			if a == nil {
				continue
			}
			buf, _ = a.AppendBinary(buf[:0])
			if err := emit(journal.Record{Kind: kindAlert, Data: buf}); err != nil {
				return err
			}
		}
		for i := range told {
			if err := emitRecord(emit, kindTold, &told[i]); err != nil {
				return err
			}
		}
		for i := range silences {
			if err := emitRecord(emit, kindSilence, &silences[i]); err != nil {
				return err
			}
		}
		for _, in := range incidents {
			if err := emitRecord(emit, kindIncident, in); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		l.mu.Lock()
		l.unwritten = true
		l.mu.Unlock()
	}
	return err
}

func emitRecord(emit func(journal.Record) error, kind uint8, v any) error {
	for _, r := range appendRecord(nil, kind, v) {
		if err := emit(r); err != nil {
			return err
		}
	}
	return nil
}

// replay reads the states of alerts that the journal still has behind a
// position.
func (m memory) replay(from uint64, each func(pos uint64, a *alert.Alert) error) error {
	_, err := m.n.journal.ReplayFrom(journal.Position(from), func(pos journal.Position, r journal.Record) error {
		if r.Kind != kindAlert {
			return nil
		}
		a := new(alert.Alert)
		if a.UnmarshalBinary(r.Data) != nil {
			return nil // the start has said what can't be read
		}
		return each(uint64(pos), a)
	})
	return err
}
