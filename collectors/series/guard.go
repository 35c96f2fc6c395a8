package series

import (
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/prometheus/tsdb"

	"github.com/fenghuo-mesh/fenghuo/collectors/disk"
)

// minTime stands for "since ever" in Unix milliseconds, with room for a lookback to be subtracted.
const minTime = math.MinInt64 / 2

// guard decides whether there is room to write.
type guard struct {
	dir       string
	minFree   int64 // <= 0: not checked
	maxLog    int64
	freeBytes func(string) (int64, error)
	logger    *slog.Logger
	metrics   *metrics

	mu     sync.Mutex // guards all following
	full   string     // why appends are refused; empty while they are not
	broken bool       // a write failed: the log may end in half a record
	free   int64
	log    int64 // size of the head on disk when it was last looked at
}

func newGuard(o Options, m *metrics) *guard {
	g := &guard{
		dir: o.Dir, minFree: o.MinFreeBytes, maxLog: o.MaxBytes / 2,
		freeBytes: o.FreeBytes, logger: o.Logger, metrics: m, free: math.MaxInt64,
	}
	if o.Volatile {
		g.minFree, g.maxLog = -1, math.MaxInt64
	}
	return g
}

// admit returns ErrFull while nothing may be written.
func (g *guard) admit() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.check()
	switch {
	case g.full != "":
		g.metrics.refused.WithLabelValues("full").Inc()
		return fmt.Errorf("%w: %s", ErrFull, g.full)
	case g.broken:
		g.metrics.refused.WithLabelValues("mending").Inc()
		return fmt.Errorf("%w: the log is being mended after a failed write", ErrFull)
	}
	return nil
}

// measure takes in the size of the head on disk, for which directories are listed, and looks at the disk.
func (g *guard) measure(base *tsdb.DB) {
	size := base.Head().Size()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.log = size
	g.check()
}

// check looks at the disk and enters or leaves the full state, logging each change once. The caller holds mu.
func (g *guard) check() {
	reason := ""
	if g.minFree > 0 {
		free, err := g.freeBytes(g.dir)
		if err != nil {
			// Not knowing is no reason to lose samples: a full disk will show in the write.
			free = math.MaxInt64
		}
		g.free = free
		limit := g.minFree
		if g.full != "" {
			limit += g.minFree / 8 // not to flap at the edge
		}
		if free < limit {
			reason = fmt.Sprintf("%d bytes free on disk, %d needed", free, limit)
		}
	}
	if reason == "" && g.log > g.maxLog {
		reason = fmt.Sprintf("log and head of %d bytes exceed half of MaxBytes", g.log)
	}
	switch {
	case reason != "" && g.full == "":
		g.logger.Error("sample store full: samples are refused, queries go on", "reason", reason)
		g.dropAside()
	case reason == "" && g.full != "":
		g.logger.Info("sample store has room again", "was", g.full)
	}
	g.full = reason
	g.metrics.setFull(reason != "")
}

// dropAside frees what earlier damage left behind: new samples are worth more than unreadable old ones.
func (g *guard) dropAside() {
	if err := os.RemoveAll(filepath.Join(g.dir, asideDir)); err != nil {
		g.logger.Warn("sample store could not remove set-aside data", "error", err)
	}
}

// writeFailed notes a failed write and returns the error of the Append. Appends are refused until the log is mended:
// it may end in half a record, and whatever came after that would be cut off at the next start.
func (g *guard) writeFailed(cause error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.broken {
		g.logger.Error("sample store failed to write: samples are refused until the log is mended", "error", cause)
	}
	g.broken = true
	g.metrics.refused.WithLabelValues("write_failed").Inc()
	if disk.Full(cause) {
		return fmt.Errorf("%w: %w", ErrFull, cause)
	}
	return fmt.Errorf("append: %w", cause)
}

func (g *guard) torn() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.broken
}

func (g *guard) mended() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.broken = false
}

func (g *guard) isFull() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.full != "" || g.broken
}

// roomToCompact says whether a compaction may start. It may use half of the reserve, because it ends by freeing more
// than it took, but it needs a chunk segment and an index.
func (g *guard) roomToCompact() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.minFree <= 0 || g.free >= max(g.minFree/2, chunkSegment+chunkSegment/4)
}

// releaseMemory gives what a compaction used back to the system at once.
// The runtime would do it in minutes, and the node's limit is on what it holds.
func releaseMemory() { debug.FreeOSMemory() }

// futureOf returns the newest sample's time in Unix milliseconds if it lies so far ahead of the clock that the clock
// must have been set back, else 0.
func futureOf(base *tsdb.DB, o Options) int64 {
	newest := int64(math.MinInt64)
	if h := base.Head(); h.NumSeries() > 0 {
		newest = h.MaxTime()
	}
	for _, b := range base.Blocks() {
		newest = max(newest, blockEnd(b.Meta()))
	}
	if newest > o.Now().Add(o.MaxAhead+time.Minute).UnixMilli() {
		return newest
	}
	return 0
}
