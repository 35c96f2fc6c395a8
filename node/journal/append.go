package journal

import (
	"context"
	"fmt"
	"time"
)

const (
	// askEvery is how often a full or failed disk is tried again.
	askEvery = time.Second
	// prepareWait is how long Append waits for a segment that is just being
	// allocated.
	prepareWait = 250 * time.Millisecond
	// keepBuffer is the largest buffer kept between groups.
	keepBuffer = 4 << 20
)

// segment is one file of the log.
type segment struct {
	header
	file  File     // nil once it is complete
	end   Position // of its last record
	size  int64    // of the file
	seed  uint32
	lost  bool   // its header is damaged: nothing of it can be read
	check string // why, if lost
}

func (s *segment) offset(p Position) int64 { return headerArea + int64(p-s.first) }
func (s *segment) room() int64             { return s.size - s.offset(s.end) }

// chunk is a run of bytes for one segment within a group.
type chunk struct {
	seg    *segment
	at     int64 // file offset
	lo, hi int   // in group.buf
}

// group is what one sync covers.
type group struct {
	buf    []byte
	chunks []chunk
	end    Position
	done   chan struct{} // closed when its fate is known
}

func (g *group) reset() {
	if cap(g.buf) > keepBuffer {
		g.buf = nil
	}
	g.buf, g.chunks, g.done = g.buf[:0], g.chunks[:0], make(chan struct{})
}

// groupPair: one gathers while the other is written.
type groupPair struct {
	gathering group
	writing   group
}

// Append takes recs as one: they will stand in the log one behind the other, in
// one segment. It buffers and returns at once with the position of the last one
// (it waits for at most 250 ms if the next segment is just being allocated). They
// are on disk only when Wait says so. With no recs it returns End.
func (j *Journal) Append(recs ...Record) (Position, error) {
	size := int64(markBytes)
	for i := range recs {
		r := &recs[i]
		if r.Kind > MaxKind {
			return 0, fmt.Errorf("journal: record %d: kind %d is above %d", i, r.Kind, MaxKind)
		}
		if len(r.Data) > MaxRecordBytes {
			return 0, j.refused("too_large", fmt.Errorf("%w: record %d has %d bytes, the limit is %d", ErrTooLarge, i, len(r.Data), MaxRecordBytes))
		}
		size += recordOverhead + int64(len(r.Data))
	}
	if limit := j.opts.SegmentBytes - headerArea; size > limit {
		return 0, j.refused("too_large", fmt.Errorf("%w: %d bytes in one batch, a segment holds %d", ErrTooLarge, size, limit))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(recs) == 0 {
		return j.end, nil
	}
	if err := j.makeRoom(size); err != nil {
		return 0, err
	}
	g, seg, start := &j.groups.gathering, j.files.active, j.end
	if len(g.chunks) == 0 || g.chunks[len(g.chunks)-1].seg != seg {
		g.chunks = append(g.chunks, chunk{seg: seg, at: seg.offset(j.end), lo: len(g.buf), hi: len(g.buf)})
		g.buf = appendMark(g.buf, seg.seed, j.end, j.disk.synced)
		j.end += markBytes
	}
	for i := range recs {
		r := &recs[i]
		g.buf = appendRecord(g.buf, seg.seed, j.end, r.Kind, r.Data)
		j.end += Position(recordOverhead + len(r.Data))
	}
	j.took(int64(j.end - start))
	j.met.appended(len(recs), int(j.end-start))
	signal(j.wake)
	return j.end, nil
}

// took records that n bytes were added to the gathering group.
func (j *Journal) took(n int64) {
	g := &j.groups.gathering
	g.chunks[len(g.chunks)-1].hi = len(g.buf)
	g.end, j.files.active.end = j.end, j.end
	j.files.since += n
}

// makeRoom sees to it that the active segment has room for size bytes. It is
// called with mu held and may release it for a while.
func (j *Journal) makeRoom(size int64) error {
	var deadline <-chan time.Time
	for {
		switch {
		case j.disk.closed:
			return ErrClosed
		case j.disk.relay, j.disk.failed != nil:
			j.askDisk()
			return j.refused("failed", j.failure())
		case len(j.groups.gathering.buf) > 0 && int64(len(j.groups.gathering.buf))+size > int64(j.opts.MaxPendingBytes):
			return j.refused("busy", ErrBusy)
		case j.files.active != nil && j.files.active.room() >= size:
			return nil
		case j.files.spare != nil:
			j.activate()
			continue
		case j.files.preparing == nil:
			if j.files.noRoom == nil || j.opts.Now().Sub(j.files.tried) >= askEvery {
				j.askForSegment()
			}
			if j.files.preparing == nil || j.files.noRoom != nil {
				return j.refused("full", j.files.noRoom)
			}
		case j.files.noRoom != nil: // being tried again: don't hold up the caller
			return j.refused("full", j.files.noRoom)
		}
		if deadline == nil {
			t := time.NewTimer(prepareWait)
			defer t.Stop()
			deadline = t.C
		}
		ready := j.files.preparing
		j.mu.Unlock()
		select {
		case <-ready:
			j.mu.Lock()
		case <-deadline:
			j.mu.Lock()
			return j.refused("busy", fmt.Errorf("%w: the next segment is not ready", ErrBusy))
		}
	}
}

// activate makes the spare segment the one that Append fills, and puts its
// header in front of what will be written to it.
func (j *Journal) activate() {
	seg := j.files.spare
	j.files.spare = nil
	j.begin(seg, j.end)
	g := &j.groups.gathering
	lo := len(g.buf)
	g.buf = append(g.buf, make([]byte, headerArea)...)
	seg.put(g.buf[lo:])
	g.chunks = append(g.chunks, chunk{seg: seg, lo: lo})
	j.took(0)
	j.askForSegment()
}

// begin gives a prepared segment its identity and makes it the active one. mu is
// held.
func (j *Journal) begin(seg *segment, first Position) {
	prevEnd := first
	if first == j.files.resumed {
		prevEnd = j.files.prevEnd
	}
	seg.magic, seg.salt = segmentMagic, newSalt()
	seg.first, seg.prevEnd, seg.synced, seg.end = first, prevEnd, j.disk.synced, first
	seg.seed = seg.header.seed()
	j.segs = append(j.segs, seg)
	j.files.active = seg
}

// Wait returns nil when everything up to p is on disk. It returns ErrFailed when
// the disk refused it (it may be written later: Wait again, or append the same
// again), ErrClosed when the journal was stopped before, or ctx's error.
func (j *Journal) Wait(ctx context.Context, p Position) error {
	for {
		j.mu.Lock()
		var done chan struct{}
		switch {
		case p <= j.disk.synced:
			j.mu.Unlock()
			return nil
		case p > j.end:
			end := j.end
			j.mu.Unlock()
			return fmt.Errorf("journal: wait for position %d: the last one is %d", p, end)
		case j.disk.failed != nil:
			j.askDisk()
			err := j.failure()
			j.mu.Unlock()
			return err
		case p <= j.groups.writing.end:
			done = j.groups.writing.done
		default:
			done = j.groups.gathering.done
		}
		j.mu.Unlock()
		select {
		case <-done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (j *Journal) failure() error {
	if j.disk.failed != nil {
		return j.disk.failed
	}
	return ErrFailed
}

// askDisk has a failed disk tried again, at most once a second.
func (j *Journal) askDisk() {
	if j.disk.failed != nil && !j.disk.relay && j.opts.Now().Sub(j.disk.tried) >= askEvery {
		signal(j.wake)
	}
}

// askForSegment has the preparer allocate the next segment. mu is held.
func (j *Journal) askForSegment() {
	if j.disk.closed || j.files.spare != nil || j.files.preparing != nil {
		return
	}
	j.files.preparing = make(chan struct{})
	signal(j.wantSeg)
}

// superfluous says whether the snapshot holds all of segment i. mu is held.
func (j *Journal) superfluous(i int) bool {
	s := j.segs[i]
	return s != j.files.active && s.file == nil && i+1 < len(j.segs) && max(s.end, j.segs[i+1].prevEnd) <= j.files.snap.at
}

// refused counts a refusal.
func (j *Journal) refused(reason string, err error) error {
	j.met.refusal(reason)
	return err
}

// signal sets a flag for a goroutine without waiting for it.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
