package series

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenghuo-mesh/fenghuo/collectors/disk"
)

const (
	// minBlock is the span of the head's chunks and of the smallest block.
	// Twice as much would double what a restart replays and what the head keeps in memory.
	minBlock = 2 * time.Hour
	// maxBlock is the span of the largest block. Retention deletes whole blocks, so it is kept far below the retention.
	maxBlock = 24 * time.Hour
	// walSegment is the size of a write-ahead log segment. Each open segment's pages and each replay's reader are sized by it.
	walSegment = 1 << 20
	// chunkWriteBuffer is the buffer of the head's chunk file writer; upstream's default is 4 MiB.
	chunkWriteBuffer = 64 << 10
	// chunkSegment is the size of a block's chunk files. A compaction sets that much aside on disk before it writes,
	// so upstream's 512 MiB would need as much free; a day of 1,000 series is 11 to 18 MB.
	chunkSegment = 16 << 20
	// stripes shard the head's series map. Upstream's default of 16,384 costs 2.5 MB before the first sample.
	stripes = 256
)

// Options configure Open. Zero fields take the default named beside them.
type Options struct {
	// Dir is the directory of the store. It is made if it is missing and must have no other user. Required.
	Dir string
	// Retention is how long samples are kept: 9 d, that is eight days for comparisons with last week and one block,
	// because whole blocks are deleted. At least 1 h.
	Retention time.Duration
	// MaxBytes bounds blocks, write-ahead log and head chunks together: 512 MiB. The oldest blocks are deleted first.
	// The log may take half of it (see ErrFull). At least 16 MiB.
	MaxBytes int64
	// MaxSeries is the highest number of series in the head, that is with samples in the last two to three hours: 100,000.
	MaxSeries int
	// MinFreeBytes is the free disk space below which appends are refused: 64 MiB. Compaction needs as much again.
	// Negative switches the check off.
	MinFreeBytes int64
	// OutOfOrder is how late a sample may come, compared with the newest one: 10 min, for remote_write's retries. Negative means never.
	OutOfOrder time.Duration
	// MaxAhead is how far ahead of the clock a sample may be: 10 min. One sample of the far future would make the
	// store refuse everything before it.
	MaxAhead time.Duration

	// QueryTimeout ends a query: 30 s.
	QueryTimeout time.Duration
	// MaxSamples is the highest number of samples one query may hold in memory at a time: 5,000,000 (16 bytes each).
	MaxSamples int
	// MaxQuerySeries is the highest number of series one query may touch, summed over its selectors: 200,000.
	MaxQuerySeries int
	// MaxSamplesRead is the highest number of samples one query may read: 200,000,000, about 10 s of one core.
	MaxSamplesRead int64
	// MaxConcurrent is how many queries run at once: 4. The node's own rules are not counted.
	MaxConcurrent int
	// MaxQueued is how many queries wait for a place: 64.
	MaxQueued int
	// Lookback is how old the newest sample of a series may be and still count: 5 min.
	Lookback time.Duration
	// SubqueryStep is the step of a subquery that names none: 15 s, the resolution of the host's own samples.
	SubqueryStep time.Duration

	// Volatile leaves out the write-ahead log and the disk check: nothing survives Close.
	// It is for rule tests and benchmarks, whose Dir is temporary; MaxSeries still binds.
	Volatile bool

	// Logger receives what the store and the database below it have to say. Nil discards it.
	Logger *slog.Logger
	// Registerer receives the store's metrics. Nil skips them.
	Registerer prometheus.Registerer
	// Now is the clock: time.Now.
	Now func() time.Time
	// FreeBytes returns the free space of the file system that holds a directory. Default: the operating system's.
	FreeBytes func(dir string) (int64, error)

	upstream *slog.Logger // Logger for the database, a level lower
}

func (o Options) withDefaults() (Options, error) {
	o.Retention = or(o.Retention, 9*24*time.Hour)
	o.MaxBytes = or(o.MaxBytes, 512<<20)
	o.MaxSeries = or(o.MaxSeries, 100_000)
	o.MinFreeBytes = or(o.MinFreeBytes, 64<<20)
	o.OutOfOrder = max(0, or(o.OutOfOrder, 10*time.Minute))
	o.MaxAhead = or(o.MaxAhead, 10*time.Minute)
	o.QueryTimeout = or(o.QueryTimeout, 30*time.Second)
	o.MaxSamples = or(o.MaxSamples, 5_000_000)
	o.MaxQuerySeries = or(o.MaxQuerySeries, 200_000)
	o.MaxSamplesRead = or(o.MaxSamplesRead, 200_000_000)
	o.MaxConcurrent = or(o.MaxConcurrent, 4)
	o.MaxQueued = or(o.MaxQueued, 64)
	o.Lookback = or(o.Lookback, 5*time.Minute)
	o.SubqueryStep = or(o.SubqueryStep, 15*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.upstream = slog.New(calm{o.Logger.Handler()})
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.FreeBytes == nil {
		o.FreeBytes = func(dir string) (int64, error) {
			free, err := disk.Free(dir)
			return int64(min(free, math.MaxInt64)), err
		}
	}
	return o, o.validate()
}

func (o Options) validate() error {
	switch {
	case o.Dir == "":
		return fmt.Errorf("series: Dir is empty")
	case o.Retention < time.Hour:
		return fmt.Errorf("series: Retention %v is below 1h", o.Retention)
	case o.MaxBytes < 16<<20:
		return fmt.Errorf("series: MaxBytes %d is below 16 MiB", o.MaxBytes)
	case o.MaxSeries < 0:
		return fmt.Errorf("series: MaxSeries %d is negative", o.MaxSeries)
	case o.OutOfOrder > time.Hour:
		return fmt.Errorf("series: OutOfOrder %v is above 1h", o.OutOfOrder)
	case o.MaxAhead < 0:
		return fmt.Errorf("series: MaxAhead %v is negative", o.MaxAhead)
	case o.QueryTimeout < 0:
		return fmt.Errorf("series: QueryTimeout %v is negative", o.QueryTimeout)
	case o.MaxSamples < 0 || o.MaxQuerySeries < 0 || o.MaxSamplesRead < 0:
		return fmt.Errorf("series: MaxSamples, MaxQuerySeries or MaxSamplesRead is negative")
	case o.MaxConcurrent < 0 || o.MaxQueued < 0:
		return fmt.Errorf("series: MaxConcurrent or MaxQueued is negative")
	case o.Lookback < time.Millisecond:
		return fmt.Errorf("series: Lookback %v is below 1ms", o.Lookback)
	case o.SubqueryStep < time.Millisecond:
		return fmt.Errorf("series: SubqueryStep %v is below 1ms", o.SubqueryStep)
	}
	return nil
}

// or returns v, or def if v is zero.
func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// calm hands on upstream's records with their infos as debug: it tells of each step of each start and compaction.
type calm struct{ to slog.Handler }

func (c calm) level(l slog.Level) slog.Level {
	if l == slog.LevelInfo {
		return slog.LevelDebug
	}
	return l
}

// Enabled implements slog.Handler.
func (c calm) Enabled(ctx context.Context, l slog.Level) bool { return c.to.Enabled(ctx, c.level(l)) }

// Handle implements slog.Handler.
func (c calm) Handle(ctx context.Context, r slog.Record) error {
	r.Level = c.level(r.Level)
	return c.to.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (c calm) WithAttrs(attrs []slog.Attr) slog.Handler { return calm{c.to.WithAttrs(attrs)} }

// WithGroup implements slog.Handler.
func (c calm) WithGroup(name string) slog.Handler { return calm{c.to.WithGroup(name)} }
