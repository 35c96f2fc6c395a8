package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenghuo-mesh/fenghuo/collectors/disk"
)

// Errors of a Store.
var (
	// ErrAbsent means that there is no history: the database could not be opened,
	// for want of space or because the disk is broken. It is tried again.
	ErrAbsent = errors.New("store: no history")
	// ErrClosed means that Stop was called.
	ErrClosed = errors.New("store: closed")
	// ErrCursor means that a cursor isn't one of this store.
	ErrCursor = errors.New("store: bad cursor")
)

const (
	reopenEvery = 10 * time.Second
	minLimit    = 64 << 20
	closeBytes  = 16 << 20 // what closing may write: the memtable, a table or two
)

// Options configure a Store.
type Options struct {
	// Dir is the store's own directory; made if missing.
	Dir string
	// Retention is how long documents are kept, counted from when they were
	// put; default 30 days.
	Retention time.Duration
	// MaxBytes bounds the database; default 1 GiB, at least 16 MiB. A quarter of it
	// is left for what badger has not yet merged away.
	MaxBytes int64
	// MinFreeBytes is the free space of the file system below which nothing is
	// written; default and recommended minimum 64 MiB.
	MinFreeBytes int64
	// BallastBytes is the size of the file that is given up when space runs
	// short; default 64 MiB, negative: none.
	BallastBytes int64
	// FreeSpace says how many bytes may still be written; default asks the system.
	FreeSpace func(dir string) (uint64, error)
	// Logger may be nil.
	Logger *slog.Logger
	// Registerer may be nil.
	Registerer prometheus.Registerer
	// Now is the clock; default time.Now.
	Now func() time.Time
}

func (o *Options) setDefaults() error {
	if o.Dir == "" {
		return errors.New("store: Dir: is empty")
	}
	if o.Retention == 0 {
		o.Retention = 30 * 24 * time.Hour
	}
	if o.Retention < 0 {
		return fmt.Errorf("store: Retention: %s is negative", o.Retention)
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 1 << 30
	}
	if o.MaxBytes < 16<<20 {
		return fmt.Errorf("store: MaxBytes: %d is less than 16 MiB", o.MaxBytes)
	}
	if o.MinFreeBytes <= 0 {
		o.MinFreeBytes = minLimit
	}
	switch {
	case o.BallastBytes == 0:
		o.BallastBytes = 64 << 20
	case o.BallastBytes < 0:
		o.BallastBytes = 0
	}
	if o.FreeSpace == nil {
		o.FreeSpace = disk.Free
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// Store is the history. All methods may be called concurrently; Put and Flush
// wait for each other.
type Store struct {
	opts  Options
	log   *slog.Logger
	guard *guard
	met   *metrics

	stopping chan struct{}
	wg       sync.WaitGroup
	stopOnce sync.Once
	stopErr  error

	life sync.RWMutex // held for reading while db is used, for writing to open and close it
	mu   sync.Mutex   // guards all following
	db   *badger.DB   // nil while absent
	why  error        // why db is nil
	at   struct {
		tried   time.Time // when opening was last tried
		opened  time.Time
		written time.Time // when badger was last written to
		settled bool      // this life has shown that the database works
	}
	closed  bool
	rebuilt bool
	next    uint64 // sequence of the next chunk
	chunks  int
	bytes   int64  // stored, all chunks with their summaries
	indexed uint64 // on disk
	pending uint64 // with what is gathered
	gather  builder
}

// Open opens or makes the history in opts.Dir. It fails only on wrong options
// and metrics that are taken: a database that can't be opened leaves the store
// absent.
func Open(opts Options) (*Store, error) {
	if err := opts.setDefaults(); err != nil {
		return nil, err
	}
	s := &Store{
		opts:     opts,
		log:      opts.Logger,
		stopping: make(chan struct{}),
		guard: &guard{
			dir: opts.Dir, limit: uint64(opts.MinFreeBytes), ballast: opts.BallastBytes,
			free: opts.FreeSpace, log: opts.Logger,
		},
	}
	var err error
	if s.met, err = newMetrics(opts.Registerer, s); err != nil {
		return nil, err
	}
	s.reopen()
	s.wg.Go(s.watch)
	return s, nil
}

// watch gives up the ballast when space runs short: while badger may be merging
// it looks every 20 ms, else once a second.
func (s *Store) watch() {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-s.stopping:
			return
		case <-t.C:
		}
		s.mu.Lock()
		busy := s.db != nil && s.opts.Now().Sub(s.at.written) < 10*time.Second
		lives := s.db != nil && s.opts.Now().Sub(s.at.opened) >= settleTime
		s.mu.Unlock()
		if lives {
			s.settle()
		}
		_ = s.guard.check() // it acts; who writes asks again
		if busy {
			t.Reset(20 * time.Millisecond)
		} else {
			t.Reset(time.Second)
		}
	}
}

// use runs f with the open database, protected against what a damaged one does to
// the goroutine that reads it.
func (s *Store) use(f func(db *badger.DB) error) error {
	s.life.RLock()
	defer s.life.RUnlock()
	s.mu.Lock()
	db, err := s.db, error(nil)
	if db == nil {
		err = s.absence()
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return protect(func() error { return f(db) })
}

// Rebuilt says that the history on disk was lost and begun anew in this life.
func (s *Store) Rebuilt() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rebuilt
}

// Indexed is the journal position up to which documents are on disk; after a
// crash the caller puts again from there on. (Badger does not sync: after a power
// cut it may be less than it was.)
func (s *Store) Indexed() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.indexed
}

// Stats describe a store at one moment.
type Stats struct {
	Chunks   int
	Bytes    int64  // of chunks and summaries, as stored
	Gathered int    // documents not yet written
	Indexed  uint64 // on disk
	Pending  uint64 // with what is gathered
	Absent   error  // why there is no history; else nil
	Full     bool   // nothing is written for want of space
}

// Stats returns the present figures.
func (s *Store) Stats() Stats {
	full := s.guard.isLow()
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{
		Chunks: s.chunks, Bytes: s.bytes, Gathered: s.gather.times.docs,
		Indexed: s.indexed, Pending: s.pending, Absent: s.why, Full: full,
	}
}

// Stop writes what is gathered, if there is room, closes the database and
// returns when all goroutines have ended. On a full disk the database is left
// open instead, because closing it would write: it recovers as from a crash.
func (s *Store) Stop(ctx context.Context) error {
	s.stopOnce.Do(func() {
		err := s.Flush(ctx)
		if errors.Is(err, ErrFull) || errors.Is(err, ErrAbsent) {
			err = nil // put again in the next life
		}
		close(s.stopping)
		s.wg.Wait()
		s.life.Lock()
		defer s.life.Unlock()
		s.mu.Lock()
		db := s.db
		s.db, s.closed = nil, true
		s.mu.Unlock()
		s.met.unregister(s.opts.Registerer)
		if db != nil {
			err = errors.Join(err, s.closeDB(db))
		}
		s.stopErr = err
	})
	return s.stopErr
}

func (s *Store) closeDB(db *badger.DB) error {
	if s.guard.roomToOpen() != nil {
		if free, err := s.guard.free(s.opts.Dir); err != nil || free < closeBytes {
			s.log.Warn("history is left open: closing it would write to a full disk")
			return nil
		}
	}
	if err := protect(db.Close); err != nil {
		return fmt.Errorf("store: close: %w", err)
	}
	s.settle()
	return nil
}
