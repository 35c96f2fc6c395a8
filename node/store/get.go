package store

import (
	"context"
	"errors"
	"math"
	"slices"

	"github.com/dgraph-io/badger/v4"
)

// readChunk reads and decodes a chunk; one that can't be is counted.
func (s *Store) readChunk(txn *badger.Txn, seq uint64, parts int) (*chunk, error) {
	var stored []byte
	for p := range parts {
		item, err := txn.Get(partKey(seq, p))
		if err == nil {
			err = item.Value(func(b []byte) error { stored = append(stored, b...); return nil })
		}
		if errors.Is(err, badger.ErrKeyNotFound) {
			s.met.damaged.Inc()
			return nil, errDamaged
		}
		if err != nil {
			return nil, err
		}
	}
	c, err := decodeChunk(seq, stored)
	if err != nil {
		s.met.damaged.Inc()
		s.log.Warn("history has a damaged chunk", "chunk", seq, "error", err)
	}
	return c, err
}

// Get returns the newest version of a document.
func (s *Store) Get(ctx context.Context, id string) (doc Doc, found bool, err error) {
	if err := ctx.Err(); err != nil {
		return Doc{}, false, err
	}
	s.reopen()
	err = s.use(func(db *badger.DB) error {
		sr := &search{s: s, below: cursor{top: math.MaxUint64, docs: maxChunkDocs}}
		defer sr.begin(db).Discard()
		if sr.open != nil {
			if doc, found = lastOf(sr.open, id); found {
				return nil
			}
		}
		return sr.get(id, &doc, &found)
	})
	return doc, found, err
}

func (sr *search) get(id string, doc *Doc, found *bool) error {
	want := hashID(id)
	var inside error
	err := eachSmall(sr.txn, 'i', true, func(seq uint64, b []byte) bool {
		if len(b) == 0 || !contains(b[1:], want) {
			return true
		}
		c, err := sr.s.readChunk(sr.txn, seq, sr.parts(seq))
		switch {
		case errors.Is(err, errDamaged):
			return true
		case err != nil:
			inside = err
			return false
		}
		*doc, *found = lastOf(c, id)
		return !*found
	})
	return errors.Join(err, inside)
}

// contains searches sorted hashes.
func contains(b []byte, want uint64) bool {
	lo, hi := 0, len(b)/8
	for lo < hi {
		mid := (lo + hi) / 2
		if le.Uint64(b[8*mid:]) < want {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo < len(b)/8 && le.Uint64(b[8*lo:]) == want
}

func lastOf(c *chunk, id string) (Doc, bool) {
	for i, held := range slices.Backward(c.ids) {
		if string(held) == id {
			return c.doc(i), true
		}
	}
	return Doc{}, false
}
