package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// collectChunks bounds how many chunks one Collect removes: a clock that jumps
// ahead must not cost the whole history at once.
const collectChunks = 256

// Collect removes the oldest chunks, at most 256 a call, while they are older
// than Options.Retention or the history is larger than Options.MaxBytes allows. It
// also keeps the ballast and tries to open an absent database. Call it every few
// minutes.
func (s *Store) Collect(ctx context.Context) error {
	s.reopen()
	s.guard.keep()
	err := s.use(func(db *badger.DB) error {
		s.mu.Lock()
		over := s.bytes - (s.opts.MaxBytes - s.opts.MaxBytes/4)
		s.mu.Unlock()
		old, err := s.oldest(db, over)
		if err != nil {
			return err
		}
		for len(old) > 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := s.guard.check(); err != nil {
				return err
			}
			n := min(16, len(old))
			if err := s.remove(db, old[:n]); err != nil {
				return err
			}
			old = old[n:]
		}
		return nil
	})
	switch {
	case errors.Is(err, ErrFull):
		s.met.refusedFull.Inc()
	case err != nil && !errors.Is(err, ErrAbsent):
		err = fmt.Errorf("store: collect: %w", err)
	}
	return err
}

// aged is a chunk that may go.
type aged struct {
	seq   uint64
	parts int
	size  int64
}

// oldest lists the chunks that have to go, oldest first.
func (s *Store) oldest(db *badger.DB, over int64) ([]aged, error) {
	limit := s.opts.Now().Add(-s.opts.Retention).UnixMilli()
	var old []aged
	err := db.View(func(txn *badger.Txn) error {
		return eachMeta(txn, false, func(seq uint64, m *meta, size int) bool {
			if over <= 0 && m.written >= limit || len(old) >= collectChunks {
				return false
			}
			a := aged{seq, m.parts, footprint(m, size)}
			over -= a.size
			old = append(old, a)
			return true
		})
	})
	return old, err
}

func (s *Store) remove(db *badger.DB, old []aged) error {
	s.mu.Lock()
	s.at.written = s.opts.Now()
	s.mu.Unlock()
	err := db.Update(func(txn *badger.Txn) error {
		for _, a := range old {
			for _, k := range [][]byte{key('m', a.seq), key('i', a.seq)} {
				if err := txn.Delete(k); err != nil {
					return err
				}
			}
			for p := range a.parts {
				if err := txn.Delete(partKey(a.seq, p)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range old {
		s.chunks--
		s.bytes -= a.size
	}
	s.met.removed.Add(float64(len(old)))
	return nil
}
