package journal

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

// status is what stands at an offset of a file.
type status uint8

const (
	isRecord status = iota
	isEnd           // a length of zero, or the end of the file
	isDamage        // bytes that are no record of this file and position
)

// maxSearchBytes bounds the checksums one search for the next good record may
// compute, so that hostile bytes can't keep a start busy.
const maxSearchBytes = 1 << 30

// scanner reads the records of one file through a window.
type scanner struct {
	src   io.ReaderAt
	seed  uint32
	first Position // of the byte at headerArea
	end   int64    // offset behind which nothing is read

	win    []byte
	winOff int64
	budget int64
}

func newScanner(src io.ReaderAt, h header, end int64) *scanner {
	return &scanner{src: src, seed: h.seed(), first: h.first, end: end, budget: maxSearchBytes}
}

func (s *scanner) position(off int64) Position { return s.first + Position(off-headerArea) }

// view returns n bytes at off, fewer at the end of the file. They are valid
// until the next call.
func (s *scanner) view(off int64, n int) ([]byte, error) {
	n = int(min(int64(n), s.end-off))
	if n <= 0 {
		return nil, nil
	}
	if off >= s.winOff && off+int64(n) <= s.winOff+int64(len(s.win)) {
		return s.win[off-s.winOff:][:n], nil
	}
	want := max(n, 256<<10)
	if cap(s.win) < want {
		s.win = make([]byte, want)
	}
	want = int(min(int64(want), s.end-off))
	got, err := s.src.ReadAt(s.win[:want], off)
	if err != nil && err != io.EOF {
		s.win = s.win[:0]
		return nil, err
	}
	if got < want && off+int64(got) < s.end {
		s.end = off + int64(got) // the file is shorter than was thought
	}
	s.win, s.winOff = s.win[:got], off
	return s.win[:min(n, got)], nil
}

// next reads the record at off. data is valid until the next call.
func (s *scanner) next(off int64) (kind uint8, data []byte, after int64, st status, err error) {
	b, err := s.view(off, recordOverhead)
	if err != nil {
		return 0, nil, 0, isDamage, err
	}
	if len(b) < recordOverhead {
		for _, c := range b {
			if c != 0 {
				return 0, nil, 0, isDamage, nil
			}
		}
		return 0, nil, 0, isEnd, nil
	}
	size := int64(le.Uint32(b))
	switch {
	case size == 0 && le.Uint32(b[4:]) == 0 && b[8] == 0:
		return 0, nil, 0, isEnd, nil
	case size == 0, size > MaxRecordBytes+1, off+8+size > s.end:
		return 0, nil, 0, isDamage, nil
	}
	b, err = s.view(off, int(8+size))
	if err != nil {
		return 0, nil, 0, isDamage, err
	}
	if int64(len(b)) < 8+size || checksum(s.seed, s.position(off), b) != le.Uint32(b[4:]) {
		return 0, nil, 0, isDamage, nil
	}
	return b[8], b[recordOverhead:], off + 8 + size, isRecord, nil
}

// search finds the first good record at or behind off.
func (s *scanner) search(off int64) (int64, bool) {
	for off < s.end && s.budget > 0 {
		b, err := s.view(off, 64<<10)
		if err != nil {
			off += 4096 // an unreadable block
			continue
		}
		if len(b) < recordOverhead {
			return 0, false
		}
		for i := 0; i+recordOverhead <= len(b); i++ {
			size := int64(le.Uint32(b[i:]))
			at := off + int64(i)
			if size == 0 || size > MaxRecordBytes+1 || at+8+size > s.end {
				continue
			}
			s.budget -= size + 32
			if s.budget <= 0 {
				return 0, false
			}
			if _, _, _, st, err := s.next(at); err == nil && st == isRecord {
				return at, true
			}
			if b, err = s.view(off, 64<<10); err != nil { // next may have moved the window
				break
			}
		}
		off += int64(max(len(b)-recordOverhead+1, 1))
	}
	return 0, false
}

// span is one stretch of a file without good records.
type span struct {
	from, to Position
	torn     bool // nothing of it was ever acknowledged
	reason   string
}

// walk calls fn for every record that ends at or before limit, and hole for
// every stretch that isn't readable. In the last file of a journal (last) what
// stands behind a stretch counts only if a mark proves that the stretch had been
// synced; otherwise the stretch is a torn tail and walk ends there. In other
// files everything up to limit had been synced. It returns the position where the
// good part ends.
func (s *scanner) walk(limit Position, last bool, fn func(Position, uint8, []byte) error, hole func(span)) (Position, error) {
	off := int64(headerArea)
	for s.position(off) < limit {
		kind, data, after, st, rerr := s.next(off)
		if st == isRecord {
			if s.position(after) > limit {
				break // void: the next file begins here
			}
			off = after
			if err := fn(s.position(off), kind, data); err != nil {
				return s.position(off), err
			}
			continue
		}
		next, found := s.search(off)
		found = found && s.position(next) < limit && (!last || s.provesSynced(next, s.position(off)))
		if !found {
			if rest := s.tail(off, limit, last, rerr); rest.to > rest.from {
				hole(rest)
			}
			return s.position(off), nil
		}
		hole(span{from: s.position(off), to: s.position(next), reason: damageReason(st, rerr)})
		off = next
	}
	return s.position(off), nil
}

// provesSynced looks from off on for a mark that says that more than at had been
// synced.
func (s *scanner) provesSynced(off int64, at Position) bool {
	for {
		kind, data, after, st, _ := s.next(off)
		if st != isRecord {
			if after, st2 := s.search(off + 1); st2 {
				off = after
				continue
			}
			return false
		}
		if kind == kindMark && len(data) == 8 && Position(le.Uint64(data)) > at {
			return true
		}
		off = after
	}
}

// tail describes what stands from off on, where no good record follows.
func (s *scanner) tail(off int64, limit Position, last bool, rerr error) span {
	if !last {
		return span{from: s.position(off), to: limit, reason: damageReason(isDamage, rerr)}
	}
	end := off // behind the last byte that isn't zero
	for at := off; at < s.end; {
		b, err := s.view(at, 64<<10)
		if err != nil || len(b) == 0 {
			break
		}
		for i, c := range slices.Backward(b) {
			if c != 0 {
				end = at + int64(i) + 1
				break
			}
		}
		at += int64(len(b))
	}
	return span{from: s.position(off), to: s.position(end), torn: true, reason: damageReason(isDamage, rerr)}
}

func damageReason(st status, err error) string {
	switch {
	case err != nil:
		return fmt.Sprintf("cannot be read: %v", rootCause(err))
	case st == isEnd:
		return "zeros where records were"
	}
	return "bad checksum"
}

// rootCause drops the path, which Recovery names itself.
func rootCause(err error) error {
	for {
		u := errors.Unwrap(err)
		if u == nil {
			return err
		}
		err = u
	}
}
