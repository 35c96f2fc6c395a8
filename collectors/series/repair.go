package series

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/fenghuo-mesh/fenghuo/collectors/disk"
)

// asideDir holds what could not be read, below Options.Dir, for people to look at. Only the latest damage is kept.
const asideDir = "aside"

// headDirs are the parts of the head on disk: the write-ahead log, the out-of-order log and the mapped chunks.
var headDirs = [...]string{"wal", "wbl", "chunks_head"}

// openRepaired opens the database. Blocks that don't open are moved aside first: upstream would refuse to start for
// most of them, would skip one without meta.json for ever, so that its bytes escape every limit, and leaks goroutines
// when it refuses. Torn logs upstream cuts itself; where it can't read the head at all, the head is moved aside.
// The error is one that moving files doesn't cure.
func openRepaired(o Options, reg prometheus.Registerer, m *metrics) (*tsdb.DB, error) {
	if err := setAsideBlocks(o, m, opensAsBlock); err != nil {
		return nil, err
	}
	base, first := tsdb.Open(o.Dir, o.upstream, reg, databaseOptions(o), nil)
	if first == nil {
		return base, nil
	}
	if !damaged(first) {
		return nil, first
	}
	o.Logger.Warn("sample store did not open", "error", first)
	if err := setAsideHead(o, m, "it could not be read, samples of the last two to three hours are lost"); err != nil {
		return nil, errors.Join(first, err)
	}
	// Without a registerer: the failed attempt has registered its metrics already.
	base, err := tsdb.Open(o.Dir, o.upstream, nil, databaseOptions(o), nil)
	if err != nil {
		return nil, errors.Join(first, err)
	}
	return base, nil
}

// damaged tells an error of the files' content from one of the directory: no permission, no space.
// Moving files aside would only make the latter worse.
func damaged(err error) bool { return !errors.Is(err, os.ErrPermission) && !disk.Full(err) }

// setAsideBlocks moves every block that check refuses.
func setAsideBlocks(o Options, m *metrics, check func(o Options, dir string) error) error {
	entries, err := os.ReadDir(o.Dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list blocks: %w", err)
	}
	for _, e := range entries {
		if !e.IsDir() || !isBlockName(e.Name()) {
			continue
		}
		dir := filepath.Join(o.Dir, e.Name())
		fault := check(o, dir)
		if fault == nil {
			continue
		}
		span := blockSpan(dir)
		if err := setAside(o, e.Name()); err != nil {
			return err
		}
		m.repairs.WithLabelValues("block").Inc()
		o.Logger.Error("block of samples moved aside: its samples are lost", "block", e.Name(), "span", span, "error", fault)
	}
	return nil
}

func readMeta(dir string) (meta tsdb.BlockMeta, err error) {
	b, err := os.ReadFile(filepath.Join(dir, "meta.json"))
	if err != nil {
		return meta, fmt.Errorf("block without meta.json: %w", err)
	}
	if err := json.Unmarshal(b, &meta); err != nil {
		return meta, fmt.Errorf("block's meta.json: %w", err)
	}
	return meta, nil
}

// blockSpan says in words which time a block covers.
func blockSpan(dir string) string {
	meta, err := readMeta(dir)
	if err != nil {
		return "unknown"
	}
	return time.UnixMilli(meta.MinTime).UTC().Format(time.RFC3339) + " to " + time.UnixMilli(meta.MaxTime).UTC().Format(time.RFC3339)
}

// isBlockName says whether a directory is named as blocks are: by a ULID of 26 characters.
func isBlockName(name string) bool {
	return len(name) == 26 && strings.Trim(name, "0123456789ABCDEFGHJKMNPQRSTVWXYZ") == ""
}

// opensAsBlock is the check of a block that upstream could use.
func opensAsBlock(o Options, dir string) error {
	b, err := tsdb.OpenBlock(o.upstream, dir, nil, nil)
	if err != nil {
		return fmt.Errorf("open block: %w", err)
	}
	if err := b.Close(); err != nil {
		return fmt.Errorf("close block: %w", err)
	}
	return nil
}

// setAsideHead moves the parts of the head and logs why.
func setAsideHead(o Options, m *metrics, lost string) error {
	for _, part := range headDirs {
		if err := setAside(o, part); err != nil {
			return err
		}
	}
	m.repairs.WithLabelValues("head").Inc()
	o.Logger.Error("sample store moved its head aside", "lost", lost, "to", filepath.Join(o.Dir, asideDir))
	return nil
}

// setAsideFuture moves the head and the blocks that reach into the future, as they would keep samples of the true time out.
func setAsideFuture(o Options, m *metrics, newest int64) error {
	o.Logger.Error("sample store holds samples of the future: the clock was set back",
		"newest", time.UnixMilli(newest).UTC(), "now", o.Now().UTC())
	limit := o.Now().Add(o.MaxAhead + time.Minute).UnixMilli()
	err := setAsideBlocks(o, m, func(_ Options, dir string) error {
		meta, err := readMeta(dir)
		if err != nil {
			return err
		}
		if end := blockEnd(meta); end > limit {
			return fmt.Errorf("samples up to %v", time.UnixMilli(end).UTC())
		}
		return nil
	})
	if err != nil {
		return err
	}
	return setAsideHead(o, m, "samples written under the wrong clock and up to three hours before are lost")
}

// blockEnd is a time that the newest sample of a block reaches at least, in Unix milliseconds.
// A block of late samples is named by its whole two hours, which may not be over yet.
func blockEnd(meta tsdb.BlockMeta) int64 {
	if meta.Compaction.FromOutOfOrder() {
		return meta.MinTime
	}
	return meta.MaxTime
}

// setAside moves one entry of the store's directory below aside, in place of an older one of that name.
func setAside(o Options, name string) error {
	from := filepath.Join(o.Dir, name)
	if _, err := os.Lstat(from); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err := os.MkdirAll(filepath.Join(o.Dir, asideDir), 0o750); err != nil {
		return fmt.Errorf("set %s aside: %w", name, err)
	}
	to := filepath.Join(o.Dir, asideDir, name)
	if err := os.RemoveAll(to); err != nil {
		return fmt.Errorf("set %s aside: %w", name, err)
	}
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("set %s aside: %w", name, err)
	}
	return nil
}
