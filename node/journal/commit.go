package journal

import "fmt"

// committer is the goroutine that writes: nobody else touches a segment in use.
type committer struct {
	*Journal
	keeper *keeper
}

// loop writes and syncs what gathers.
func (c *committer) loop() {
	defer close(c.disk.drained)
	var writing *segment // the segment written last, still open
	for {
		stop := false
		select {
		case <-c.stopping:
			stop = true
		case <-c.wake:
		}
		c.mu.Lock()
		failed := c.disk.failed != nil
		retry := failed && (stop || c.opts.Now().Sub(c.disk.tried) >= askEvery)
		g := &c.groups.writing
		if !failed && len(c.groups.gathering.chunks) > 0 {
			c.groups.writing, c.groups.gathering = c.groups.gathering, c.groups.writing
			c.groups.gathering.reset()
		} else {
			g = nil
		}
		c.mu.Unlock()
		if g != nil {
			var err error
			if writing, err = c.write(g, writing); err != nil {
				c.refuseAppends()
				writing = c.relay(err, writing)
			} else {
				c.settle(g)
			}
		} else if retry {
			c.refuseAppends()
			writing = c.relay(nil, writing)
		}
		if stop {
			c.closeFiles(writing)
			return
		}
	}
}

// write puts a group on disk. It returns the segment that is open at its end.
// A segment is synced before the one behind it is written, so that a file with a
// header proves that the one before is complete.
func (c *committer) write(g *group, open *segment) (*segment, error) {
	for _, part := range g.chunks {
		if open != nil && open != part.seg {
			if err := c.sync(open); err != nil {
				return open, err
			}
			c.seal(open)
		}
		open = part.seg
		if _, err := part.seg.file.WriteAt(g.buf[part.lo:part.hi], part.at); err != nil {
			return open, err
		}
	}
	return open, c.sync(open)
}

func (c *committer) sync(s *segment) error {
	start := c.opts.Now()
	err := s.file.Sync()
	c.met.synced(c.opts.Now().Sub(start), err)
	return err
}

// seal closes a complete segment.
func (c *committer) seal(s *segment) {
	if err := s.file.Close(); err != nil {
		c.log.Warn("journal can't close a segment", "segment", s.number, "error", err)
	}
	c.mu.Lock()
	s.file = nil
	c.mu.Unlock()
}

// settle tells the waiters of a written group.
func (c *committer) settle(g *group) {
	c.mu.Lock()
	c.disk.synced = max(c.disk.synced, g.end)
	more := len(c.groups.gathering.chunks) > 0
	close(g.done)
	g.chunks, g.buf = g.chunks[:0], g.buf[:0]
	c.mu.Unlock()
	if more {
		signal(c.wake)
	}
}

// refuseAppends freezes the gathering group while the log moves.
func (c *committer) refuseAppends() {
	c.mu.Lock()
	c.disk.relay = true
	c.mu.Unlock()
}

// relay writes what isn't on disk to new segments, at the same positions, after
// a write or sync failed with cause (nil: it is tried again). It returns the
// segment that is open at its end. No record is appended meanwhile.
func (c *committer) relay(cause error, open *segment) *segment {
	if cause != nil {
		c.log.Error("journal can't write, moving to a new segment", "error", cause)
	}
	c.mu.Lock()
	synced := c.disk.synced
	recs, err := c.unsynced(synced)
	stale := c.abandon(synced)
	c.mu.Unlock()
	if open != nil && open.file != nil {
		open.file.Close() // its pages aren't trusted, nor what closing says
		c.mu.Lock()
		open.file = nil
		c.mu.Unlock()
	}
	for _, s := range stale {
		if s.file != nil {
			s.file.Close()
		}
		c.keeper.discard(segmentName(s.number))
	}
	var active *segment
	for err == nil && len(recs.buf) > 0 {
		active, err = c.rewrite(&recs, active)
	}
	c.relayed(active, err)
	if active != nil && err == nil {
		return active
	}
	return nil
}

// run is a stretch of records that begins at position at.
type run struct {
	buf []byte
	at  Position
}

// unsynced returns the records behind synced that are still in memory, without
// headers. mu is held.
func (c *committer) unsynced(synced Position) (run, error) {
	recs := run{at: synced}
	for _, g := range []*group{&c.groups.writing, &c.groups.gathering} {
		for _, part := range g.chunks {
			b, at := g.buf[part.lo:part.hi], part.at
			if at == 0 {
				b, at = b[headerArea:], headerArea
			}
			first := part.seg.first + Position(at-headerArea)
			if first+Position(len(b)) <= synced {
				continue
			}
			if first < synced {
				b, first = b[synced-first:], synced
			}
			if len(recs.buf) == 0 {
				recs.at = first
			} else if recs.at+Position(len(recs.buf)) != first {
				return run{}, fmt.Errorf("journal: a gap at %d in memory", first)
			}
			recs.buf = append(recs.buf, b...)
		}
	}
	return recs, nil
}

// abandon takes segments that hold nothing synced off the list and cuts the
// last one that does. mu is held.
func (c *committer) abandon(synced Position) []*segment {
	var stale []*segment
	for len(c.segs) > 0 {
		last := c.segs[len(c.segs)-1]
		if last.file == nil || last.first < synced {
			last.end = min(last.end, synced)
			break
		}
		stale = append(stale, last)
		c.segs = c.segs[:len(c.segs)-1]
	}
	c.files.active = nil
	return stale
}

// rewrite puts as many of recs as one segment holds into a new one and syncs
// it. before is the segment rewritten last, nil for the first.
func (c *committer) rewrite(recs *run, before *segment) (*segment, error) {
	if before != nil {
		c.seal(before)
	}
	seg, err := c.takeSegment()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.begin(seg, recs.at)
	c.mu.Unlock()
	buf := make([]byte, headerArea, min(seg.size, int64(headerArea+len(recs.buf))))
	seg.put(buf)
	rest, at := recs.buf, recs.at
	for len(rest) > 0 {
		n := 8 + int(le.Uint32(rest))
		if int64(len(buf)+n) > seg.size {
			break
		}
		buf = appendRecord(buf, seg.seed, at, rest[8], rest[recordOverhead:n])
		rest, at = rest[n:], at+Position(n)
	}
	if _, err = seg.file.WriteAt(buf, 0); err == nil {
		err = c.sync(seg)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.segs = c.segs[:len(c.segs)-1]
		c.files.active = nil
		seg.file.Close()
		c.keeper.discard(segmentName(seg.number))
		return nil, err
	}
	seg.end, c.disk.synced = at, at
	recs.buf, recs.at = rest, at
	return seg, nil
}

// takeSegment returns a segment that is newer than all in use.
func (c *committer) takeSegment() (*segment, error) {
	c.mu.Lock()
	if ready := c.files.preparing; ready != nil {
		c.mu.Unlock()
		select {
		case <-ready:
		case <-c.stopping: // the preparer may have ended before it began
			c.mu.Lock()
			defer c.mu.Unlock()
			if seg := c.files.spare; seg != nil {
				c.files.spare = nil
				return seg, nil
			}
			return nil, ErrClosed
		}
		c.mu.Lock()
	}
	seg := c.files.spare
	c.files.spare = nil
	c.mu.Unlock()
	if seg != nil {
		return seg, nil
	}
	return c.keeper.newSegment()
}

// relayed ends a relay: err is nil if everything is on disk again.
func (c *committer) relayed(active *segment, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.disk.failed
	c.disk.relay, c.disk.tried = false, c.opts.Now()
	w, g := &c.groups.writing, &c.groups.gathering
	close(w.done)
	close(g.done)
	if err != nil {
		w.done, g.done = make(chan struct{}), make(chan struct{})
		c.disk.failed = fmt.Errorf("%w: %w", ErrFailed, err)
		if was == nil {
			c.log.Error("journal failed, new alerts will be refused", "error", err)
		}
		return
	}
	w.reset()
	g.reset()
	c.disk.failed, c.files.active = nil, active
	c.askForSegment()
	c.log.Info("journal writes again", "position", c.end)
}

// closeFiles ends the life of the open segment. The mark it puts behind the
// last record tells later damage to the last group from a torn tail; it claims
// that everything before was synced, so it is written only after that.
func (c *committer) closeFiles(open *segment) {
	if open == nil || open.file == nil {
		return
	}
	c.mu.Lock()
	sound := c.disk.failed == nil && c.disk.synced == c.end
	c.mu.Unlock()
	if sound {
		used := open.offset(open.end)
		if open.room() >= markBytes {
			mark := appendMark(nil, open.seed, open.end, open.end)
			if _, err := open.file.WriteAt(mark, used); err == nil {
				used += markBytes
			}
		}
		err := open.file.Resize(used)
		if err == nil {
			err = c.sync(open)
		}
		if err != nil {
			c.log.Warn("journal can't cut its last segment", "segment", open.number, "error", err)
		}
	}
	c.seal(open)
}
