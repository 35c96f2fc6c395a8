package store

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
)

// ErrFull means that the disk has too little free space for badger to write
// safely. Nothing was written; it ends by itself.
var ErrFull = errors.New("store: too little free space")

// guard keeps badger away from a full disk.
type guard struct {
	dir     string
	limit   uint64 // free bytes below which nothing is written
	ballast int64  // size of the ballast file
	free    func(string) (uint64, error)
	log     *slog.Logger

	mu   sync.Mutex
	low  bool // refusing
	held bool // the ballast is there
}

func (g *guard) path() string { return filepath.Join(g.dir, "ballast") }

// check says whether badger may write now. Once space has run short it stays so
// until there is room for the ballast again.
func (g *guard) check() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	free, err := g.free(g.dir)
	if err != nil {
		return fmt.Errorf("%w: free space of %s: %w", ErrFull, g.dir, err)
	}
	if free < g.limit {
		g.drop()
		if !g.low {
			g.low = true
			g.log.Error("history is not written: too little free space", "dir", g.dir, "free", free, "limit", g.limit)
		}
		return ErrFull
	}
	if !g.low {
		return nil
	}
	if free < g.limit+uint64(g.ballast) || !g.take() {
		return ErrFull
	}
	g.low = false
	g.log.Info("history is written again", "dir", g.dir, "free", free)
	return nil
}

// roomToOpen is check for a database that isn't open, with the ballast given up
// first: opening writes little.
func (g *guard) roomToOpen() error {
	if g.check() == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if free, err := g.free(g.dir); err != nil || free < g.limit {
		return ErrFull
	}
	return nil
}

// keep makes the ballast if there is ample room for it.
func (g *guard) keep() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held || g.low {
		return
	}
	if free, err := g.free(g.dir); err == nil && free >= g.limit+uint64(g.ballast) {
		g.take()
	}
}

// take makes the ballast file. mu is held.
func (g *guard) take() bool {
	if g.held || g.ballast <= 0 {
		return true
	}
	if info, err := os.Stat(g.path()); err == nil && info.Size() == g.ballast {
		g.held = true
		return true
	}
	err := g.write()
	if err != nil {
		g.log.Warn("history can't make its ballast file", "error", err)
		g.drop()
		return false
	}
	g.held = true
	return true
}

// write fills the ballast file; it must take real space.
func (g *guard) write() error {
	f, err := os.OpenFile(g.path(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = allocate(f, g.ballast)
	if errors.Is(err, errors.ErrUnsupported) {
		err = nil
		block := make([]byte, 256<<10)
		for off := int64(0); off < g.ballast && err == nil; off += int64(len(block)) {
			_, err = f.WriteAt(block[:min(int64(len(block)), g.ballast-off)], off)
		}
	}
	return errors.Join(err, f.Close())
}

// drop gives the ballast up. mu is held.
func (g *guard) drop() {
	if err := os.Remove(g.path()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		g.log.Warn("history can't remove its ballast file", "error", err)
		return
	}
	g.held = false
}

func (g *guard) isLow() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.low
}
