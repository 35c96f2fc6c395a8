package intake

import (
	"crypto/sha256"
	"sync"
	"time"
)

// How much a recent remembers: two generations of so many deliveries, each
// filled for so long at most. That is 2 x 1 MiB per integration at its worst.
const (
	generationSize = 32_768
	generationAge  = 6 * time.Hour
)

// recent remembers the deliveries of late, so that a repeat is one. The zero
// recent is ready; it is safe for concurrent use.
type recent struct {
	mu       sync.Mutex // guards all following
	now, old map[[16]byte]struct{}
	since    time.Time
}

func mark(id string) [16]byte {
	sum := sha256.Sum256([]byte(id))
	return [16]byte(sum[:16])
}

// has says whether a delivery came before.
func (r *recent) has(id string) bool {
	k := mark(id)
	r.mu.Lock()
	defer r.mu.Unlock()
	_, a := r.now[k]
	_, b := r.old[k]
	return a || b
}

// add remembers a delivery.
func (r *recent) add(id string, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now == nil || len(r.now) >= generationSize || at.Sub(r.since) > generationAge {
		r.old, r.now, r.since = r.now, map[[16]byte]struct{}{}, at
	}
	r.now[mark(id)] = struct{}{}
}
