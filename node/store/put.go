package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// Put adds docs and notes that everything up to the journal position upTo has
// been put. They are found at once, and written when a chunk is full or Flush is
// called. After ErrFull the same call may be made again: a document that was added
// twice is found once. After any other error, or when documents were left out in the
// meantime, put again from Indexed on.
func (s *Store) Put(ctx context.Context, upTo uint64, docs []Doc) error {
	for i := range docs {
		if err := docs[i].check(); err != nil {
			return err
		}
	}
	s.reopen()
	s.mu.Lock()
	if s.db == nil {
		defer s.mu.Unlock()
		return s.absence()
	}
	for i := range docs {
		if s.gather.full() {
			s.mu.Unlock()
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := s.flush(); err != nil {
				return err
			}
			s.mu.Lock()
			if s.gather.full() { // another writer was faster
				s.mu.Unlock()
				return s.Put(ctx, upTo, docs[i:])
			}
		}
		s.gather.add(&docs[i])
	}
	s.pending = max(s.pending, upTo)
	s.mu.Unlock()
	s.met.docs.Add(float64(len(docs)))
	return nil
}

// absence is why there is no database. mu is held.
func (s *Store) absence() error {
	if s.closed {
		return ErrClosed
	}
	s.met.absentAsked.Inc()
	return fmt.Errorf("%w: %w", ErrAbsent, s.why)
}

// Flush writes what is gathered. Call it before a journal snapshot removes what
// it was built from.
func (s *Store) Flush(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.reopen()
	return s.flush()
}

func (s *Store) flush() error {
	err := s.use(func(db *badger.DB) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.gather.times.docs == 0 && s.pending == s.indexed {
			return nil
		}
		if err := s.guard.check(); err != nil {
			return err
		}
		return s.writeChunk(db)
	})
	switch {
	case errors.Is(err, ErrFull):
		s.met.refusedFull.Inc()
	case err != nil && !errors.Is(err, ErrAbsent) && !errors.Is(err, ErrClosed):
		s.met.writeErrors.Inc()
		err = fmt.Errorf("store: write: %w", err)
	}
	return err
}

// writeChunk writes the gathered documents, and with them up to where the
// journal is indexed. Parts come first: a chunk exists when its summary does. mu is
// held.
func (s *Store) writeChunk(db *badger.DB) error {
	s.at.written = s.opts.Now()
	b, seq := &s.gather, s.next
	state := le.AppendUint64([]byte{formatVersion}, s.pending)
	if b.times.docs == 0 {
		err := db.Update(func(txn *badger.Txn) error { return txn.Set([]byte("s"), state) })
		if err == nil {
			s.indexed = s.pending
		}
		return err
	}
	b.scratch = b.raw(b.scratch[:0])
	b.stored = encodeChunk(b.stored, seq, b.scratch)
	stored := b.stored
	m := meta{span: b.times, written: s.opts.Now().UnixMilli(), bytes: len(stored), bloom: b.bloom.fold(), starts: packStarts(b.starts)}
	for rest := stored; len(rest) > partBytes; rest = stored[m.parts*partBytes:] {
		if err := s.guard.check(); err != nil {
			return err
		}
		part := partKey(seq, m.parts)
		if err := db.Update(func(txn *badger.Txn) error { return txn.Set(part, rest[:partBytes]) }); err != nil {
			return err
		}
		m.parts++
	}
	last := stored[m.parts*partBytes:]
	m.parts++
	summary := encodeMeta(&m)
	err := db.Update(func(txn *badger.Txn) error {
		return errors.Join(
			txn.Set(partKey(seq, m.parts-1), last),
			txn.Set(key('i', seq), sortedHashes(b.hashes)),
			txn.Set(key('m', seq), summary),
			txn.Set([]byte("s"), state),
		)
	})
	if err != nil {
		return err
	}
	s.next++
	s.chunks++
	s.bytes += footprint(&m, len(summary))
	s.indexed = s.pending
	b.reset()
	return nil
}
