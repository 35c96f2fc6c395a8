package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

const (
	dbName    = "db"
	asideName = "db.broken"
	triesName = "opening" // how often in a row opening did not end well
	// A process that dies this soon after it opened the database may have died of
	// it: badger's merges begin at once, and nobody can catch what they die of. Any
	// process dies now and then; only many such deaths in a row are held against
	// the database.
	maxTries   = 10
	settleTime = 3 * time.Second
)

var (
	errLocked = errors.New("another process uses it")
	errFormat = errors.New("damaged, or of a newer format")
)

// tiny is badger at its smallest, 2 to 8 MB of memory. Values never reach the
// value log, so it needs no collection of its own.
func tiny(dir string) badger.Options {
	return badger.DefaultOptions(dir).
		WithSyncWrites(false).
		WithMemTableSize(2 << 20).WithNumMemtables(2).
		WithNumLevelZeroTables(2).WithNumLevelZeroTablesStall(6).WithNumCompactors(2).
		WithCompression(options.None).WithBlockCacheSize(0).WithIndexCacheSize(1 << 20).
		WithValueThreshold(192 << 10).WithValueLogFileSize(1 << 20).
		WithBaseTableSize(2 << 20).WithBaseLevelSize(8 << 20).
		WithDetectConflicts(false).WithMetricsEnabled(false).WithNumGoroutines(1).WithLogger(nil)
}

// protect turns a panic, also one of a memory fault in a mapped file, into an
// error.
func protect(f func() error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(old)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("store: badger panicked: %v", p)
		}
	}()
	return f()
}

// reopen opens the database if there is none. It is tried again at most every
// ten seconds.
func (s *Store) reopen() {
	s.mu.Lock()
	now := s.opts.Now()
	skip := s.closed || s.db != nil || !s.at.tried.IsZero() && now.Sub(s.at.tried) < reopenEvery
	if !skip {
		s.at.tried = now
	}
	s.mu.Unlock()
	if skip {
		return
	}
	s.life.Lock()
	defer s.life.Unlock()
	err := s.openFirst()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && (s.why == nil || s.why.Error() != err.Error()) {
		s.log.Error("there is no history", "dir", s.opts.Dir, "error", err)
	}
	if s.why = err; err == nil {
		s.at.opened = s.opts.Now()
		s.at.settled = false
		s.log.Info("history is open", "chunks", s.chunks, "bytes", s.bytes, "indexed", s.indexed)
	}
}

// openFirst opens the database, or a fresh one in its place.
func (s *Store) openFirst() error {
	dir := filepath.Join(s.opts.Dir, dbName)
	if err := os.MkdirAll(s.opts.Dir, 0o700); err != nil {
		return err
	}
	if err := s.guard.roomToOpen(); err != nil {
		return err
	}
	var err error
	if readTries(s.opts.Dir) >= maxTries {
		err = fmt.Errorf("the last %d openings did not end well", maxTries)
	} else {
		s.setTries(readTries(s.opts.Dir) + 1)
		err = s.openDB(dir)
	}
	if err == nil {
		s.guard.keep()
		return nil
	}
	if errors.Is(err, errLocked) {
		s.setTries(0)
		return err
	}
	s.log.Error("history can't be opened, a new one is begun", "error", err, "kept", asideName)
	aside := filepath.Join(s.opts.Dir, asideName)
	if err := os.RemoveAll(aside); err != nil {
		return err
	}
	if err := os.Rename(dir, aside); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	s.setTries(1)
	if err := s.openDB(dir); err != nil {
		return err
	}
	s.met.rebuilds.Inc()
	s.mu.Lock()
	s.rebuilt = true
	s.mu.Unlock()
	s.guard.keep()
	return nil
}

func (s *Store) openDB(dir string) error {
	return protect(func() error {
		db, err := badger.Open(tiny(dir))
		if err != nil {
			if strings.Contains(err.Error(), "Another process is using") { // badger has no value for it
				return fmt.Errorf("%w: %w", errLocked, err)
			}
			return err
		}
		if err := s.loadState(db); err != nil {
			return errors.Join(err, db.Close())
		}
		s.mu.Lock()
		s.db = db
		s.mu.Unlock()
		return nil
	})
}

// loadState reads what is indexed and counts the chunks.
func (s *Store) loadState(db *badger.DB) error {
	var indexed, next uint64
	var bytes int64
	chunks := 0
	err := db.View(func(txn *badger.Txn) error {
		item, err := txn.Get([]byte("s"))
		if err == nil {
			err = item.Value(func(b []byte) error {
				if len(b) < 9 || b[0] != formatVersion {
					return errFormat
				}
				indexed = le.Uint64(b[1:])
				return nil
			})
		}
		if err != nil && !errors.Is(err, badger.ErrKeyNotFound) {
			return err
		}
		return eachMeta(txn, false, func(seq uint64, m *meta, size int) bool {
			next = seq + 1
			chunks++
			bytes += footprint(m, size)
			return true
		})
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.indexed, s.chunks, s.bytes = indexed, chunks, bytes
	s.next = max(next, 1)
	s.gather.reset()
	s.pending = indexed
	return nil
}

// footprint is what a chunk takes on disk, with its small keys.
func footprint(m *meta, metaSize int) int64 {
	return int64(m.bytes + metaSize + 8*m.docs + 64*(m.parts+2))
}

// readTries is how often in a row opening did not end well.
func readTries(dir string) int {
	b, err := os.ReadFile(filepath.Join(dir, triesName))
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return n
}

func (s *Store) setTries(n int) {
	name := filepath.Join(s.opts.Dir, triesName)
	err := os.Remove(name)
	if n > 0 {
		err = os.WriteFile(name, []byte(strconv.Itoa(n)), 0o600)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.log.Warn("history can't note that it is being opened", "error", err)
	}
}

// settle notes that this life of the database went well.
func (s *Store) settle() {
	s.mu.Lock()
	was := s.at.settled
	s.at.settled = true
	s.mu.Unlock()
	if !was {
		s.setTries(0)
	}
}

func key(kind byte, seq uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{kind}, seq)
}

func partKey(seq uint64, part int) []byte {
	return binary.BigEndian.AppendUint16(key('c', seq), uint16(part))
}

// eachMeta calls fn for every summary, oldest or newest first, until it returns
// false. The filter is valid only during the call. Unreadable ones are skipped.
func eachMeta(txn *badger.Txn, newestFirst bool, fn func(seq uint64, m *meta, size int) bool) error {
	return eachSmall(txn, 'm', newestFirst, func(seq uint64, b []byte) bool {
		m, ok := decodeMeta(b)
		return !ok || fn(seq, &m, len(b))
	})
}

// eachSmall calls fn for every key of a kind that is followed by a sequence.
func eachSmall(txn *badger.Txn, kind byte, newestFirst bool, fn func(seq uint64, b []byte) bool) error {
	it := txn.NewIterator(badger.IteratorOptions{Reverse: newestFirst, PrefetchValues: false})
	defer it.Close()
	start := []byte{kind}
	if newestFirst {
		start = key(kind, 1<<64-1)
	}
	for it.Seek(start); it.ValidForPrefix([]byte{kind}); it.Next() {
		item := it.Item()
		k := item.Key()
		if len(k) != 9 {
			continue
		}
		seq, more := binary.BigEndian.Uint64(k[1:]), false
		if err := item.Value(func(b []byte) error { more = fn(seq, b); return nil }); err != nil {
			return err
		}
		if !more {
			return nil
		}
	}
	return nil
}
