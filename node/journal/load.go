package journal

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
)

// loader reads what an earlier life left behind; it is used by Open alone.
type loader struct {
	*Journal
	keeper keeper
}

// load reads what an earlier life left behind.
func (l *loader) load() error {
	infos, err := l.fs.List()
	if err != nil {
		return fmt.Errorf("journal: list directory: %w", err)
	}
	slices.SortFunc(infos, func(a, b FileInfo) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	if err := l.loadSnapshots(infos); err != nil {
		return err
	}
	var unused []FileInfo
	for _, info := range infos {
		number, ok := parseName(info.Name, segmentPrefix)
		if !ok {
			continue
		}
		l.files.number = max(l.files.number, number)
		seg, err := l.loadSegment(info, number)
		switch {
		case errors.Is(err, ErrNewer):
			return err
		case errors.Is(err, errNoHeader):
			unused = append(unused, info)
		default:
			l.segs = append(l.segs, seg)
		}
	}
	l.findEnds()
	l.reuse(unused)
	end := max(l.files.prevEnd, l.files.snap.at)
	l.files.prevEnd = end
	l.end = max(end, l.opts.FirstPosition)
	l.disk.synced, l.files.resumed = l.end, l.end
	if end > l.files.snap.at {
		l.files.since = int64(end - l.files.snap.at)
		if len(l.segs) > 0 {
			l.files.since = min(l.files.since, int64(end-l.segs[0].first))
		}
	}
	return nil
}

// loadSegment reads the header of a segment. One with a damaged header is
// returned as lost; errNoHeader means that nothing in it was ever acknowledged.
func (l *loader) loadSegment(info FileInfo, number uint64) (*segment, error) {
	damaged := func(err error) (*segment, error) {
		return &segment{header: header{number: number}, size: info.Size, lost: true, check: rootCause(err).Error()}, nil
	}
	f, err := l.fs.Open(info.Name, false)
	if err != nil {
		return damaged(err)
	}
	defer f.Close()
	h, err := readHeader(f, segmentMagic)
	switch {
	case errors.Is(err, ErrNewer):
		return nil, fmt.Errorf("%s: %w", info.Name, err)
	case errors.Is(err, errNoHeader) && !hasMark(f, info.Size):
		return nil, err
	case err != nil:
		return damaged(err)
	}
	if h.number != number || h.prevEnd > h.first || h.first > 1<<62 || (len(l.segs) > 0 && h.first < l.segs[len(l.segs)-1].first) {
		return damaged(errBadHeader)
	}
	return &segment{header: h, size: info.Size, end: h.first, seed: h.seed()}, nil
}

// hasMark says whether a file without a header has a mark among what may be its
// records: then it had been synced, so its header is lost and not unwritten.
// Without the header no checksum can be checked.
func hasMark(f io.ReaderAt, size int64) bool {
	r := bufio.NewReader(io.NewSectionReader(f, headerArea, max(size-headerArea, 0)))
	for {
		b, err := r.Peek(recordOverhead)
		if err != nil {
			return false
		}
		n := int(le.Uint32(b))
		if n == 0 || n > MaxRecordBytes+1 {
			return false
		}
		if b[8] == kindMark && 8+n == markBytes {
			return true
		}
		if _, err := r.Discard(8 + n); err != nil {
			return false
		}
	}
}

// findEnds sets where each segment ends: where the next one says, or, for the
// last one, where its records end.
func (l *loader) findEnds() {
	for i, s := range l.segs {
		if s.lost { // it begins where the one before ends, for want of better
			if i > 0 {
				s.first = l.segs[i-1].first + Position(max(0, l.segs[i-1].size-headerArea))
			}
			s.end = s.first + Position(max(0, s.size-headerArea))
			s.prevEnd = s.first
		}
	}
	for i, s := range l.segs {
		if i+1 == len(l.segs) {
			if !s.lost {
				l.findEnd(s)
			}
			l.files.prevEnd = s.end
			return
		}
		s.end = l.segs[i+1].prevEnd
		if s.lost {
			s.first = min(s.first, s.end)
		}
	}
}

// findEnd reads the last segment to its end and makes sure that what it read
// is on disk: a life that was killed may have written without syncing, and after a
// failed sync even a page that reads well may not be there.
func (l *loader) findEnd(s *segment) {
	f, err := l.fs.Open(segmentName(s.number), false)
	if err != nil {
		s.lost, s.check = true, rootCause(err).Error()
		return
	}
	defer f.Close()
	sc := newScanner(f, s.header, s.size)
	proven := s.first // by the newest mark
	torn := int64(0)
	s.end, _ = sc.walk(sc.position(s.size), true, func(_ Position, kind uint8, data []byte) error {
		if kind == kindMark && len(data) == 8 {
			proven = max(proven, Position(le.Uint64(data)))
		}
		return nil
	}, func(sp span) {
		if sp.torn {
			torn += int64(sp.to - sp.from)
		}
	})
	l.found.TornBytes += torn
	if err := rewriteTail(f, s, proven); err != nil {
		l.log.Warn("journal can't secure the end of the last segment", "segment", s.number, "error", err)
		return
	}
	if used := s.offset(s.end); torn == 0 && used < s.size {
		if err := f.Resize(used); err == nil {
			s.size = used
		}
	}
}

// rewriteTail writes what no mark proves once more, in place, and syncs it.
func rewriteTail(f File, s *segment, proven Position) error {
	from, to := int64(0), s.offset(s.end)
	if proven > s.first && proven <= s.end {
		from = s.offset(proven)
	}
	buf := make([]byte, min(to-from, 256<<10))
	for from < to {
		b := buf[:min(int64(len(buf)), to-from)]
		if _, err := f.ReadAt(b, from); err != nil {
			return err
		}
		if _, err := f.WriteAt(b, from); err != nil {
			return err
		}
		from += int64(len(b))
	}
	return f.Sync()
}

// reuse takes one prepared file as the spare and removes the others.
func (l *loader) reuse(unused []FileInfo) {
	newest := uint64(0)
	if n := len(l.segs); n > 0 {
		newest = l.segs[n-1].number
	}
	for _, info := range unused {
		number, _ := parseName(info.Name, segmentPrefix)
		if l.files.spare == nil && number > newest && info.Size == l.opts.SegmentBytes {
			if f, err := l.openUnused(info.Name); err == nil {
				l.files.spare = &segment{header: header{number: number}, file: f, size: info.Size}
				continue
			}
		}
		l.keeper.discard(info.Name)
	}
}

// openUnused opens a prepared file and makes sure that it stays: the life that
// made it may have ended in the middle.
func (l *loader) openUnused(name string) (File, error) {
	f, err := l.fs.Open(name, false)
	if err != nil {
		return nil, err
	}
	if err = f.Sync(); err == nil {
		err = l.fs.SyncDir()
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// loadSnapshots finds the newest snapshot and removes what is left over.
func (l *loader) loadSnapshots(infos []FileInfo) error {
	for _, info := range slices.Backward(infos) {
		at, ok := parseName(info.Name, snapshotPrefix)
		if !ok {
			if info.Name == snapshotTmp {
				l.keeper.discard(info.Name)
			}
			continue
		}
		if l.files.snap.name != "" {
			l.keeper.discard(info.Name)
			continue
		}
		h, err := l.snapshotHeader(info.Name)
		switch {
		case errors.Is(err, ErrNewer):
			return fmt.Errorf("%s: %w", info.Name, err)
		case err != nil || uint64(h.first) != at:
			l.found.Lost = append(l.found.Lost, Loss{File: info.Name, To: Position(info.Size), Reason: errBadHeader.Error()})
			continue
		}
		l.files.snap = snapshot{header: h, name: info.Name, at: h.first, size: info.Size}
	}
	return nil
}

func (l *loader) snapshotHeader(name string) (header, error) {
	f, err := l.fs.Open(name, false)
	if err != nil {
		return header{}, err
	}
	defer f.Close()
	return readHeader(f, snapshotMagic)
}
