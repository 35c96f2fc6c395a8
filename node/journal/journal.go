package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Position is a place in the endless log, in bytes. That of a record is the
// place behind its last byte: "up to p" includes the record whose position is p.
// Positions only grow; 0 is before every record.
type Position uint64

// Record is one entry of the log.
type Record struct {
	Kind uint8  // the caller's, 0 to MaxKind
	Data []byte // at most MaxRecordBytes; Append copies it
}

// Errors of Append and Wait. After any of them from Append nothing was taken.
var (
	// ErrFull means that there is no room: the disk is full, the free space is
	// below Options.MinFreeBytes, or the journal has reached Options.MaxBytes. It
	// ends by itself.
	ErrFull = errors.New("journal: no room")
	// ErrBusy means that the disk is too slow for what is being appended.
	ErrBusy = errors.New("journal: disk too slow")
	// ErrFailed means that the disk refused to write. It is tried again when
	// asked, at most once a second.
	ErrFailed = errors.New("journal: disk failed")
	// ErrTooLarge means that a record or a batch can never fit.
	ErrTooLarge = errors.New("journal: too large")
	// ErrClosed means that Stop was called.
	ErrClosed = errors.New("journal: closed")
)

// Bounds of Options.SegmentBytes.
const (
	minSegmentBytes = headerArea + 4096
	maxSegmentBytes = 1 << 30
)

// Options configure a Journal.
type Options struct {
	// Dir is the journal's own directory; made if missing.
	Dir string
	// SegmentBytes is the size of one segment file, 8 KiB to 1 GiB; default 8 MiB.
	// Two segments are allocated at any time. A batch must fit into one.
	SegmentBytes int64
	// MaxBytes bounds segments and snapshot together; default 4 GiB. Append keeps
	// it by ErrFull; only a snapshot that is being written may go above it. It must
	// allow for the largest snapshot and at least three segments.
	MaxBytes int64
	// KeepBytes is how much of what a snapshot has made superfluous is kept for
	// ReplayFrom; default 64 MiB, negative: nothing. When there is no room, it goes
	// first.
	KeepBytes int64
	// MinFreeBytes is the free space of the file system below which no segment
	// is allocated and no snapshot written; default 32 MiB, negative: none.
	MinFreeBytes int64
	// MaxPendingBytes bounds what is appended but not yet written; default 32 MiB.
	MaxPendingBytes int
	// FirstPosition is a position that new records must lie behind, e.g. what an
	// index built from this journal holds; the journal may have been lost.
	FirstPosition Position
	// FS replaces the disk; for tests.
	FS FS
	// Logger may be nil.
	Logger *slog.Logger
	// Registerer may be nil.
	Registerer prometheus.Registerer
	// Now is the clock; default time.Now. Only differences count.
	Now func() time.Time
}

func (o *Options) setDefaults() error {
	def := func(v *int64, d int64) {
		switch {
		case *v == 0:
			*v = d
		case *v < 0:
			*v = 0
		}
	}
	def(&o.SegmentBytes, 8<<20)
	def(&o.MaxBytes, 4<<30)
	def(&o.KeepBytes, 64<<20)
	def(&o.MinFreeBytes, 32<<20)
	if o.MaxPendingBytes <= 0 {
		o.MaxPendingBytes = 32 << 20
	}
	if o.SegmentBytes < minSegmentBytes || o.SegmentBytes > maxSegmentBytes {
		return fmt.Errorf("journal: SegmentBytes: %d is not between %d and %d", o.SegmentBytes, minSegmentBytes, maxSegmentBytes)
	}
	if o.MaxBytes < 3*o.SegmentBytes {
		return fmt.Errorf("journal: MaxBytes: %d is less than three segments of %d", o.MaxBytes, o.SegmentBytes)
	}
	if o.Dir == "" && o.FS == nil {
		return errors.New("journal: Dir: is empty")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// Journal is an open log. All methods may be called concurrently.
type Journal struct {
	opts  Options
	fs    FS
	log   *slog.Logger
	met   *metrics
	found Recovery // what Open found; Replay adds to it

	wake     chan struct{} // to the committer: something gathered, or a retry asked for
	wantSeg  chan struct{} // to the preparer
	stopping chan struct{}
	wg       sync.WaitGroup
	stopOnce sync.Once
	snapMu   sync.Mutex   // one snapshot at a time
	filesMu  sync.RWMutex // read-held while files are being read, so that none is removed

	mu     sync.Mutex // guards all following
	segs   []*segment // oldest first; the last one is active if active isn't nil
	files  fileSet
	end    Position // of the last record taken
	disk   diskState
	groups groupPair
}

// fileSet is what Journal.mu guards about files.
type fileSet struct {
	active    *segment // where Append puts records; nil if there is none
	spare     *segment // prepared, not yet used; nil if there is none
	preparing chan struct{}
	noRoom    error     // why there is no spare
	tried     time.Time // when noRoom was set
	number    uint64    // of the newest segment file
	prevEnd   Position  // where the log ended when it was opened
	resumed   Position  // where this life began, at or behind prevEnd
	snap      snapshot
	since     int64 // bytes appended since snap
}

// diskState is what Journal.mu guards about writing.
type diskState struct {
	synced  Position
	relay   bool  // the committer is moving to a new segment
	failed  error // set while the disk refuses to write
	tried   time.Time
	closed  bool
	drained chan struct{} // closed when the committer has ended
}

// Open opens or makes the journal in opts.Dir. It fails only if the directory
// can't be read at all, if a newer version wrote it (ErrNewer), or if opts are
// wrong: damage is reported by Replay, a full disk by Append.
func Open(opts Options) (*Journal, error) {
	if err := opts.setDefaults(); err != nil {
		return nil, err
	}
	if opts.FS == nil {
		disk, err := newDiskFS(opts.Dir)
		if err != nil {
			return nil, err
		}
		opts.FS = disk
	}
	j := &Journal{
		opts:     opts,
		fs:       opts.FS,
		log:      opts.Logger,
		wake:     make(chan struct{}, 1),
		wantSeg:  make(chan struct{}, 1),
		stopping: make(chan struct{}),
	}
	j.disk.drained = make(chan struct{})
	j.groups.writing.done, j.groups.gathering.done = make(chan struct{}), make(chan struct{})
	keep := &keeper{j}
	if err := (&loader{Journal: j, keeper: *keep}).load(); err != nil {
		return nil, err
	}
	var err error
	if j.met, err = newMetrics(opts.Registerer, j); err != nil {
		return nil, err
	}
	j.mu.Lock()
	j.askForSegment()
	j.mu.Unlock()
	j.wg.Go((&committer{Journal: j, keeper: keep}).loop)
	j.wg.Go(keep.loop)
	return j, nil
}

// End is the position of the last record taken by Append.
func (j *Journal) End() Position {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.end
}

// Stats describe a journal at one moment.
type Stats struct {
	First         Position // the oldest position that ReplayFrom can start from
	End           Position // of the last record taken
	Synced        Position // everything up to it is on disk
	Segments      int
	DiskBytes     int64 // segments, also the unused part of the newest, and snapshot
	SnapshotAt    Position
	SnapshotBytes int64
	Full          error // why Append answers ErrFull once the present segment is full; else nil
	Failed        error // why Append answers ErrFailed; else nil
}

// Stats returns the present figures.
func (j *Journal) Stats() Stats {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := Stats{
		First:         j.end,
		End:           j.end,
		Synced:        j.disk.synced,
		Segments:      len(j.segs),
		DiskBytes:     j.diskBytes(),
		SnapshotAt:    j.files.snap.at,
		SnapshotBytes: j.files.snap.size,
		Full:          j.files.noRoom,
		Failed:        j.disk.failed,
	}
	if len(j.segs) > 0 {
		s.First = j.segs[0].first
	}
	return s
}

// NeedsSnapshot says that a snapshot would be worth its cost: more was appended
// since the last one than 64 MiB and than its size, or the journal is about to
// reach MaxBytes.
func (j *Journal) NeedsSnapshot() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.files.since > max(64<<20, j.files.snap.size) {
		return true
	}
	return j.files.since > 0 && j.diskBytes()+2*j.opts.SegmentBytes > j.opts.MaxBytes
}

func (j *Journal) diskBytes() int64 {
	n := j.files.snap.size
	for _, s := range j.segs {
		n += s.size
	}
	if j.files.spare != nil {
		n += j.files.spare.size
	}
	return n
}

// Stop writes and syncs what was appended and returns when all goroutines have
// ended, or ctx is done: then a hanging disk holds them. Later calls of Append
// return ErrClosed.
func (j *Journal) Stop(ctx context.Context) error {
	j.stopOnce.Do(func() {
		j.mu.Lock()
		j.disk.closed = true
		j.mu.Unlock()
		close(j.stopping)
	})
	select {
	case <-j.disk.drained:
	case <-ctx.Done():
		return fmt.Errorf("journal: stop: %w", ctx.Err())
	}
	j.wg.Wait()
	j.met.unregister(j.opts.Registerer)
	j.mu.Lock()
	defer j.mu.Unlock()
	if spare := j.files.spare; spare != nil {
		spare.file.Close() // stays on disk for the next life
		j.files.spare = nil
	}
	return j.disk.failed
}
