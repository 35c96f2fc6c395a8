package store

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/dgraph-io/badger/v4"
)

const (
	// searchChunks bounds how many chunks one Search reads.
	searchChunks = 128
	// MaxLimit is the highest Limit of a Query.
	MaxLimit = 1000
)

// Query says what to look for.
type Query struct {
	// From and To are Unix milliseconds, both included: a document is found if
	// it was open at any moment between. To 0 means no end.
	From, To int64
	// All are tokens that a document must have, every one.
	All []uint64
	// Limit is 1 to MaxLimit; 0 means 100.
	Limit int
	// Cursor is what the page before returned; empty for the first.
	Cursor string
}

// place orders documents: newest first by start, then by when they were put.
type place struct {
	start int64
	seq   uint64
	index int
}

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.start, q.start), cmp.Compare(p.seq, q.seq), cmp.Compare(p.index, q.index))
}

// cursor is where a search goes on: below its place, among the chunks that
// there were when it began.
type cursor struct {
	place
	top  uint64 // the newest chunk then
	docs int    // how many documents that one had
}

func (c cursor) String() string {
	b := binary.AppendVarint([]byte{formatVersion}, c.start)
	for _, v := range []uint64{c.seq, uint64(c.index), c.top, uint64(c.docs)} {
		b = binary.AppendUvarint(b, v)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func parseCursor(s string) (c cursor, err error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) < 6 || len(b) > 64 || b[0] != formatVersion {
		return c, ErrCursor
	}
	var n int
	c.start, n = binary.Varint(b[1:])
	if n <= 0 {
		return c, ErrCursor
	}
	b = b[1+n:]
	var index, docs uint64
	for _, v := range []*uint64{&c.seq, &index, &c.top, &docs} {
		if *v, n = binary.Uvarint(b); n <= 0 {
			return c, ErrCursor
		}
		b = b[n:]
	}
	if index > maxChunkDocs || docs > maxChunkDocs {
		return c, ErrCursor
	}
	c.index, c.docs = int(index), int(docs)
	return c, nil
}

// hit is a document that matches.
type hit struct {
	place
	hash uint64
	doc  Doc
	old  bool // there is a newer version
}

// candidate is a chunk that may hold hits.
type candidate struct {
	maxStart int64
	seq      uint64
	parts    int
}

// search is one call of Search.
type search struct {
	s     *Store
	txn   *badger.Txn
	q     Query
	keep  func(Doc) bool
	below cursor
	open  *chunk   // what is gathered and not yet written; nil if nothing
	hash  []uint64 // IDs of the newest chunk of the view, sorted; nil: not yet read
	cands []candidate
	hits  []hit // newest first
}

// Search returns the newest versions of the documents that match q and that keep
// (nil: all) accepts, newest first by Start, and the cursor of the next page, empty
// at the end. It reads a bounded number of chunks: a page may be short, or empty,
// and still have a next one. Pages show the history as it was at the first one;
// only what is removed meanwhile is missing. keep may be called for documents that
// are not returned, and must not keep their slices.
func (s *Store) Search(ctx context.Context, q Query, keep func(Doc) bool) (docs []Doc, next string, err error) {
	if q.Limit == 0 {
		q.Limit = 100
	}
	if q.Limit < 0 || q.Limit > MaxLimit {
		return nil, "", fmt.Errorf("store: Limit: %d is not between 1 and %d", q.Limit, MaxLimit)
	}
	if q.To == 0 {
		q.To = math.MaxInt64
	}
	below := cursor{place: place{math.MaxInt64, math.MaxUint64, maxChunkDocs}, top: math.MaxUint64, docs: maxChunkDocs}
	if q.Cursor != "" {
		if below, err = parseCursor(q.Cursor); err != nil {
			return nil, "", err
		}
	}
	s.reopen()
	err = s.use(func(db *badger.DB) error {
		sr := &search{s: s, q: q, keep: keep, below: below}
		defer sr.begin(db).Discard()
		docs, next, err = sr.page(ctx)
		return err
	})
	return docs, next, err
}

// begin takes one view of what is written and what is gathered.
func (sr *search) begin(db *badger.DB) *badger.Txn {
	s := sr.s
	s.mu.Lock()
	defer s.mu.Unlock()
	sr.txn = db.NewTransaction(false)
	if sr.below.top > s.next {
		sr.below.top, sr.below.docs = s.next, s.gather.times.docs
	}
	if s.gather.times.docs > 0 && s.next == sr.below.top {
		if c, err := parseChunk(s.next, s.gather.raw(nil)); err == nil {
			c.cut(sr.below.docs)
			sr.open = c
		}
	}
	return sr.txn
}

// page collects hits until enough of them are final: nothing newer can come from
// the chunks not yet read.
func (sr *search) page(ctx context.Context) ([]Doc, string, error) {
	if err := sr.findCandidates(); err != nil {
		return nil, "", err
	}
	if sr.open != nil {
		sr.scan(sr.open)
	}
	var docs []Doc
	budget := searchChunks
	for {
		bound := sr.bound()
		final := sr.final(bound)
		if len(sr.cands) > 0 && budget > 0 && final < 2*(sr.q.Limit-len(docs)) {
			if err := ctx.Err(); err != nil {
				return nil, "", err
			}
			budget--
			if err := sr.readNext(); err != nil {
				return nil, "", err
			}
			continue
		}
		if err := sr.hideOld(sr.hits[:final]); err != nil {
			return nil, "", err
		}
		for _, h := range sr.hits[:final] {
			if h.old {
				continue
			}
			docs = append(docs, h.doc)
			if len(docs) == sr.q.Limit {
				return docs, sr.cursorAt(h.place), nil
			}
		}
		sr.hits = sr.hits[final:]
		switch {
		case len(sr.cands) == 0:
			return docs, "", nil
		case budget == 0:
			return docs, sr.cursorAt(bound), nil
		}
	}
}

func (sr *search) cursorAt(p place) string {
	return cursor{p, sr.below.top, sr.below.docs}.String()
}

// bound is a place above everything in the chunks not yet read.
func (sr *search) bound() place {
	if len(sr.cands) == 0 {
		return place{math.MinInt64, 0, 0}
	}
	c := sr.cands[0]
	return place{c.maxStart, c.seq, maxChunkDocs}
}

// final sorts the hits and counts those that are above bound.
func (sr *search) final(bound place) int {
	slices.SortFunc(sr.hits, func(a, b hit) int { return b.compare(a.place) })
	n, _ := slices.BinarySearchFunc(sr.hits, bound, func(h hit, p place) int {
		if h.compare(p) >= 0 {
			return -1
		}
		return 1
	})
	return n
}

// findCandidates lists the chunks that may hold hits, the newest by start first.
func (sr *search) findCandidates() error {
	below, q := sr.below, sr.q
	err := eachMeta(sr.txn, true, func(seq uint64, m *meta, _ int) bool {
		if seq > below.top || m.minStart > q.To || m.maxEnd < q.From {
			return true
		}
		limit := min(q.To, below.start)
		if limit == below.start && seq > below.seq && limit > math.MinInt64 {
			limit-- // what it has at that start lies above the cursor
		}
		start, ok := m.maxStart(limit)
		if !ok {
			return true
		}
		for _, t := range q.All {
			if !mayHave(m.bloom, t) {
				return true
			}
		}
		sr.cands = append(sr.cands, candidate{start, seq, m.parts})
		return true
	})
	slices.SortFunc(sr.cands, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.maxStart, a.maxStart), cmp.Compare(b.seq, a.seq))
	})
	return err
}

func (sr *search) readNext() error {
	cand := sr.cands[0]
	sr.cands = sr.cands[1:]
	c, err := sr.s.readChunk(sr.txn, cand.seq, cand.parts)
	if errors.Is(err, errDamaged) {
		return nil // counted
	}
	if err != nil {
		return err
	}
	if cand.seq == sr.below.top {
		c.cut(sr.below.docs)
	}
	sr.scan(c)
	return nil
}

// scan adds a chunk's hits.
func (sr *search) scan(c *chunk) {
	for i := range c.ids {
		p := place{c.starts[i], c.seq, i}
		if p.compare(sr.below.place) >= 0 || c.starts[i] > sr.q.To || c.ends[i] != 0 && c.ends[i] < sr.q.From {
			continue
		}
		if !c.hasAll(i, sr.q.All) || !c.newest(i) {
			continue
		}
		d := c.doc(i)
		if sr.keep != nil && !sr.keep(d) {
			continue
		}
		sr.hits = append(sr.hits, hit{place: p, hash: hashID(d.ID), doc: d})
	}
}

// hideOld marks the hits whose ID is in a newer chunk.
func (sr *search) hideOld(hits []hit) error {
	if len(hits) == 0 {
		return nil
	}
	order := make([]*hit, len(hits))
	oldest := uint64(math.MaxUint64)
	for i := range hits {
		order[i] = &hits[i]
		oldest = min(oldest, hits[i].seq)
	}
	slices.SortFunc(order, func(a, b *hit) int { return cmp.Compare(a.hash, b.hash) })
	mark := func(seq uint64, n int, at func(int) uint64) {
		i, k := 0, 0
		for i < len(order) && k < n {
			switch h := order[i]; {
			case h.hash < at(k):
				i++
			case h.hash > at(k):
				k++
			default:
				h.old = h.old || h.seq < seq
				i++
			}
		}
	}
	if sr.open != nil {
		hashes := sr.open.hashes()
		mark(sr.open.seq, len(hashes), func(k int) uint64 { return hashes[k] })
	}
	return eachSmall(sr.txn, 'i', true, func(seq uint64, b []byte) bool {
		if seq <= oldest {
			return false
		}
		switch {
		case seq > sr.below.top || len(b) == 0:
		case seq == sr.below.top: // it may have grown since the first page
			hashes := sr.topHashes()
			mark(seq, len(hashes), func(k int) uint64 { return hashes[k] })
		default:
			b = b[1:]
			mark(seq, len(b)/8, func(k int) uint64 { return le.Uint64(b[8*k:]) })
		}
		return true
	})
}

// topHashes are the IDs that the newest chunk of the view had at the first page.
func (sr *search) topHashes() []uint64 {
	if sr.hash != nil {
		return sr.hash
	}
	sr.hash = []uint64{}
	if c, err := sr.s.readChunk(sr.txn, sr.below.top, sr.parts(sr.below.top)); err == nil {
		c.cut(sr.below.docs)
		sr.hash = c.hashes()
	}
	return sr.hash
}

// parts is how many parts a chunk has; 0 if it isn't there.
func (sr *search) parts(seq uint64) int {
	parts := 0
	if item, err := sr.txn.Get(key('m', seq)); err == nil {
		_ = item.Value(func(b []byte) error { m, _ := decodeMeta(b); parts = m.parts; return nil })
	}
	return parts
}
