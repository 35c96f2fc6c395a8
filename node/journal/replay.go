package journal

import (
	"errors"
	"fmt"
)

// Recovery says what a replay read and what it could not.
type Recovery struct {
	Snapshot        Position // what the snapshot stands for; 0: there is none
	SnapshotRecords int
	Records         int      // behind the snapshot
	End             Position // of the last record that could be read
	TornBytes       int64    // unfinished at the end when the last life ended; never acknowledged
	Lost            []Loss   // what a broken disk took, oldest first
}

// Loss is a stretch of the log that can't be read.
type Loss struct {
	File     string
	From, To Position // for a snapshot: places in the file, counted from its position
	Reason   string
}

// String names file, place and reason.
func (l Loss) String() string {
	return fmt.Sprintf("%s: positions %d to %d: %s", l.File, l.From, l.To, l.Reason)
}

// Replay calls fn for the snapshot's records, with the snapshot's position, and
// then for every record behind it. Data is valid only during the call. An error
// of fn ends it. Damage is skipped and named in Recovery.
func (j *Journal) Replay(fn func(Position, Record) error) (Recovery, error) {
	rec := j.found
	rec.Lost = append([]Loss(nil), j.found.Lost...)
	r := &reader{Journal: j, fn: fn, rec: &rec}
	j.mu.Lock()
	snap := j.files.snap
	j.mu.Unlock()
	if snap.name != "" {
		if err := r.snapshot(snap); err != nil {
			return rec, err
		}
	}
	r.from = snap.at
	err := r.segments(true)
	for _, l := range rec.Lost {
		j.met.lost(int64(l.To - l.From))
		j.log.Error("journal lost records", "file", l.File, "from", l.From, "to", l.To, "reason", l.Reason)
	}
	return rec, err
}

// ReplayFrom calls fn for every record behind from that is still in a segment
// and is on disk, as Replay does. What was removed before from's place is not
// reported: compare with Stats.First.
func (j *Journal) ReplayFrom(from Position, fn func(Position, Record) error) (Recovery, error) {
	var rec Recovery
	r := &reader{Journal: j, fn: fn, rec: &rec, from: from}
	err := r.segments(false)
	return rec, err
}

// reader is one replay.
type reader struct {
	*Journal
	from Position
	fn   func(Position, Record) error
	rec  *Recovery
}

// segments reads the segments behind from; whole says that none may be missing
// in front.
func (r *reader) segments(whole bool) error {
	from, rec := r.from, r.rec
	r.filesMu.RLock()
	defer r.filesMu.RUnlock()
	r.mu.Lock()
	segs := make([]segment, len(r.segs))
	for i, s := range r.segs {
		segs[i] = *s
		segs[i].end = min(s.end, r.disk.synced)
	}
	r.mu.Unlock()
	rec.End = max(rec.End, from)
	if whole && len(segs) > 0 && segs[0].prevEnd > from {
		rec.Lost = append(rec.Lost, Loss{File: segmentPrefix + "*", From: from, To: segs[0].prevEnd, Reason: "missing"})
	}
	for i := range segs {
		s := &segs[i]
		if s.end <= from || s.end <= s.first {
			continue
		}
		if err := r.segment(s); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) segment(s *segment) error {
	from, rec := r.from, r.rec
	name := segmentName(s.number)
	lose := func(a, b Position, reason string) {
		if a = max(a, from); a < b {
			rec.Lost = append(rec.Lost, Loss{File: name, From: a, To: b, Reason: reason})
		}
	}
	if s.lost {
		lose(s.first, s.end, s.check)
		return nil
	}
	f, err := r.fs.Open(name, false)
	if err != nil {
		lose(s.first, s.end, rootCause(err).Error())
		return nil
	}
	defer f.Close()
	_, err = newScanner(f, s.header, s.size).walk(s.end, false, func(p Position, kind uint8, data []byte) error {
		if p <= from || kind > MaxKind {
			return nil
		}
		rec.Records++
		rec.End = p
		return r.fn(p, Record{Kind: kind, Data: data})
	}, func(sp span) { lose(sp.from, sp.to, sp.reason) })
	return err
}

func (r *reader) snapshot(snap snapshot) error {
	rec := r.rec
	rec.Snapshot = snap.at
	f, err := r.fs.Open(snap.name, false)
	if err != nil {
		rec.Lost = append(rec.Lost, Loss{File: snap.name, To: Position(snap.size), Reason: rootCause(err).Error()})
		return nil
	}
	defer f.Close()
	sc := newScanner(f, snap.header, snap.size)
	complete := false
	_, err = sc.walk(sc.position(snap.size), false, func(_ Position, kind uint8, data []byte) error {
		if kind > MaxKind {
			complete = complete || kind == kindEnd
			return nil
		}
		rec.SnapshotRecords++
		return r.fn(snap.at, Record{Kind: kind, Data: data})
	}, func(sp span) {
		rec.Lost = append(rec.Lost, Loss{File: snap.name, From: sp.from - snap.at, To: sp.to - snap.at, Reason: sp.reason})
	})
	if err == nil && !complete {
		rec.Lost = append(rec.Lost, Loss{File: snap.name, From: Position(snap.size), To: Position(snap.size), Reason: errNoEnd.Error()})
	}
	return err
}

var errNoEnd = errors.New("the end is missing")
