package series

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/fileutil"
	"github.com/prometheus/prometheus/util/compression"

	"github.com/fenghuo-mesh/fenghuo/collectors/disk"
)

// DB is the sample store of one host. All methods may be called concurrently.
type DB struct {
	opts    Options
	engine  *promql.Engine
	gate    *gate
	guard   *guard
	metrics *metrics
	lock    fileutil.Releaser // keeps other processes out, also while the database is swapped

	// appending lets one batch in at a time, so that MaxSeries is exact. It is taken after mu.
	appending sync.Mutex

	// mu guards the fields below. Whoever uses the database holds it for reading, so that it can be swapped or closed.
	mu     sync.RWMutex
	base   *tsdb.DB             // nil once closed, and after a reopening that failed
	closed bool                 // Close was called
	reg    *prometheus.Registry // base's own metrics, read for Status only
	life   context.Context      // ends when base is about to be swapped or closed; queries end with it
	cancel context.CancelFunc
}

// Open opens or makes the store in o.Dir.
// Damage doesn't keep it from opening: torn logs are cut, unreadable blocks and logs are moved to Dir/aside, and the
// loss is logged. It fails if the directory can't be used or another process holds it.
func Open(o Options) (*DB, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, fmt.Errorf("series: register metrics: %w", err)
	}
	d := &DB{opts: o, metrics: m, gate: newGate(o.MaxConcurrent, o.MaxQueued)}
	d.guard = newGuard(o, m)
	if err := d.own(); err != nil {
		m.unregister()
		return nil, fmt.Errorf("series: open %s: %w", o.Dir, err)
	}
	step := o.SubqueryStep.Milliseconds()
	d.engine = promql.NewEngine(promql.EngineOpts{
		Logger:                   o.upstream,
		MaxSamples:               o.MaxSamples,
		Timeout:                  o.QueryTimeout,
		LookbackDelta:            o.Lookback,
		NoStepSubqueryIntervalFn: func(int64) int64 { return step },
		EnableAtModifier:         true,
		EnableNegativeOffset:     true,
		EnablePerStepStats:       true,
		EnableQueryCost:          true,
		Parser:                   NewParser(),
	})
	d.engine.SetQueryLimits(uint64(o.MaxQuerySeries), uint64(o.MaxSamplesRead), 0)
	m.watch(d)
	return d, nil
}

// own locks the directory and opens the database in it.
func (d *DB) own() error {
	if err := os.MkdirAll(d.opts.Dir, 0o750); err != nil {
		return err
	}
	lock, _, err := fileutil.Flock(filepath.Join(d.opts.Dir, "lock"))
	if err != nil {
		return fmt.Errorf("lock the directory, which one process may use at a time: %w", err)
	}
	if err := d.attach(); err != nil {
		return errors.Join(err, lock.Release())
	}
	d.lock = lock
	return nil
}

// attach opens the database, repairing what stands in the way. The caller holds mu or is alone.
func (d *DB) attach() error {
	reg := prometheus.NewRegistry()
	base, err := openRepaired(d.opts, reg, d.metrics)
	if err != nil {
		return err
	}
	if ahead := futureOf(base, d.opts); ahead > 0 && !d.opts.Volatile {
		if err := base.Close(); err != nil {
			return fmt.Errorf("close database with samples of the future: %w", err)
		}
		if err := setAsideFuture(d.opts, d.metrics, ahead); err != nil {
			return err
		}
		reg = prometheus.NewRegistry()
		if base, err = openRepaired(d.opts, reg, d.metrics); err != nil {
			return err
		}
	}
	// Compaction is driven by Run, which looks at the disk first.
	base.DisableCompactions()
	d.base, d.reg = base, reg
	d.life, d.cancel = context.WithCancel(context.Background())
	return nil
}

// databaseOptions are upstream's options sized for one host; options.go and doc.go say why.
func databaseOptions(o Options) *tsdb.Options {
	t := tsdb.DefaultOptions()
	t.StripeSize = stripes
	t.WALSegmentSize = walSegment
	t.WALCompression = compression.Snappy
	t.WALReplayConcurrency = 1
	t.HeadChunksWriteBufferSize = chunkWriteBuffer
	t.HeadChunksWriteQueueSize = 0
	t.MinBlockDuration = minBlock.Milliseconds()
	t.MaxBlockDuration = maxBlock.Milliseconds()
	t.MaxBlockChunkSegmentSize = chunkSegment
	t.RetentionDuration = o.Retention.Milliseconds()
	t.MaxBytes = o.MaxBytes
	t.OutOfOrderTimeWindow = o.OutOfOrder.Milliseconds()
	t.FloatChunkEncoding = chunkenc.EncXOR
	t.EnableExemplarStorage = false
	t.NoLockfile = true // own holds a lock of its own
	if o.Volatile {
		t.WALSegmentSize = -1
		t.RetentionDuration = 0
		t.MaxBytes = 0
	}
	return t
}

// enter read-locks the database and returns it with the function that unlocks.
// It fails with ErrClosed, or with ErrStorage after a reopening that failed, which Maintain tries again.
func (d *DB) enter() (*tsdb.DB, func(), error) {
	d.mu.RLock()
	if d.base != nil {
		return d.base, d.mu.RUnlock, nil
	}
	defer d.mu.RUnlock()
	if d.closed {
		return nil, nil, ErrClosed
	}
	return nil, nil, fmt.Errorf("%w: the store could not be reopened yet", ErrStorage)
}

// Run compacts and watches the disk once a minute until ctx ends; then it returns nil.
// What fails is logged, counted and tried again.
func (d *DB) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := d.Maintain(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, ErrClosed) {
				d.opts.Logger.Error("sample store maintenance failed", "error", err)
			}
		}
	}
}

// Maintain does what Run does once a minute: it looks at the disk, mends the log after a failed write, moves samples
// of the future aside after the clock was set back, and writes the head's full two-hour ranges into blocks.
// A node calls Run; tests and tools with a clock of their own call Maintain.
func (d *DB) Maintain(ctx context.Context) error {
	base, leave, err := d.enter()
	if errors.Is(err, ErrStorage) {
		return d.reopen(func() error { return nil })
	}
	if err != nil {
		return err
	}
	d.guard.measure(base)
	torn := d.guard.torn()
	room := d.guard.roomToCompact()
	ahead := futureOf(base, d.opts)
	leave()

	switch {
	case torn && room:
		return d.mend(ctx)
	case ahead > 0 && !d.opts.Volatile:
		return d.reopen(func() error { return setAsideFuture(d.opts, d.metrics, ahead) })
	case !room:
		d.metrics.compactions.WithLabelValues("skipped").Inc()
		return nil
	}
	return d.compact(ctx)
}

func (d *DB) compact(ctx context.Context) error {
	base, leave, err := d.enter()
	if err != nil {
		return err
	}
	defer leave()
	before := base.Head().MinTime()
	if err := base.Compact(ctx); err != nil {
		d.metrics.compactions.WithLabelValues("failed").Inc()
		return fmt.Errorf("compact: %w", err)
	}
	if base.Head().MinTime() != before {
		d.metrics.compactions.WithLabelValues("done").Inc()
		releaseMemory()
	}
	return nil
}

// mend puts the store right after a failed write. The log may end in half a record, behind which nothing can be read
// back, and upstream's repair cuts the last whole record too. But memory still has everything: it is written to a
// block, and the log begins anew. Appends are refused meanwhile.
func (d *DB) mend(ctx context.Context) error {
	base, leave, err := d.enter()
	if err != nil {
		return err
	}
	saved, err := saveHead(ctx, base)
	leave()
	switch {
	case saved:
	case disk.Full(err), ctx.Err() != nil:
		return fmt.Errorf("mend the log: %w", err) // and try again
	default:
		d.opts.Logger.Error("sample store could not save its head to a block: the torn log will be cut", "error", err)
	}
	return d.reopen(func() error {
		if !saved {
			return nil
		}
		for _, part := range headDirs {
			if err := os.RemoveAll(filepath.Join(d.opts.Dir, part)); err != nil {
				return fmt.Errorf("begin a new log: %w", err)
			}
		}
		return nil
	})
}

// saveHead writes the whole head to blocks and says whether it is safe there.
func saveHead(ctx context.Context, base *tsdb.DB) (bool, error) {
	h := base.Head()
	newest := h.MaxTime()
	// Upstream also cuts the log, which may fail on the torn record after the block is written.
	err := base.CompactHead(tsdb.NewRangeHead(h, h.MinTime(), newest))
	if !slices.ContainsFunc(base.Blocks(), func(b *tsdb.Block) bool { return b.MaxTime() > newest }) {
		return false, err
	}
	if err := base.CompactOOOHead(ctx); err != nil {
		return false, err
	}
	return true, nil
}

// reopen closes the database, lets mend work on its files, and opens it again.
// Queries under way end with an error; calls that come meanwhile wait.
func (d *DB) reopen(mend func() error) error {
	d.mu.RLock()
	d.cancel()
	d.mu.RUnlock()

	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return ErrClosed
	}
	var closeErr error
	if d.base != nil {
		// A log that could not be written can't be flushed either: what matters is that the files are let go.
		closeErr = d.base.Close()
		d.base = nil
	}
	if err := mend(); err != nil {
		return errors.Join(err, closeErr)
	}
	if err := d.attach(); err != nil {
		return errors.Join(fmt.Errorf("reopen: %w", err), closeErr)
	}
	d.guard.mended()
	d.opts.Logger.Info("sample store reopened")
	return nil
}

// Close ends all queries and closes the store. Later calls give ErrClosed; a second Close does nothing.
func (d *DB) Close() error {
	d.mu.RLock()
	d.cancel()
	d.mu.RUnlock()

	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	err := d.engine.Close()
	if d.base != nil {
		err = errors.Join(d.base.Close(), err)
		d.base = nil
	}
	err = errors.Join(err, d.lock.Release())
	d.metrics.unregister()
	if err != nil {
		return fmt.Errorf("series: close: %w", err)
	}
	return nil
}
