package ledger

import (
	"io"
	"os"
	"slices"
	"sync"

	"github.com/fenghuo-mesh/fenghuo/node/journal"
)

// memDisk is a directory in memory, as a process that is killed leaves it: what
// was written is there, synced or not.
type memDisk struct {
	mu    sync.Mutex // guards all following
	files map[string]*memFile
	free  uint64
}

type memFile struct {
	disk *memDisk
	data []byte
}

func newMemDisk() *memDisk { return &memDisk{files: map[string]*memFile{}, free: 1 << 40} }

// copy is the disk as it is now, for the next life.
func (d *memDisk) copy() *memDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := newMemDisk()
	for name, f := range d.files {
		n.files[name] = &memFile{n, slices.Clone(f.data)}
	}
	return n
}

func (d *memDisk) setFree(n uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.free = n
}

func (d *memDisk) Open(name string, create bool) (journal.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[name]
	switch {
	case create && f != nil:
		return nil, os.ErrExist
	case !create && f == nil:
		return nil, os.ErrNotExist
	case create:
		f = &memFile{disk: d}
		d.files[name] = f
	}
	return f, nil
}

func (d *memDisk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.files, name)
	return nil
}

func (d *memDisk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files[to] = d.files[from]
	delete(d.files, from)
	return nil
}

func (d *memDisk) List() ([]journal.FileInfo, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []journal.FileInfo
	for name, f := range d.files {
		out = append(out, journal.FileInfo{Name: name, Size: int64(len(f.data))})
	}
	return out, nil
}

func (d *memDisk) SyncDir() error { return nil }

func (d *memDisk) Free() (uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.free, nil
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if off >= int64(len(f.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if need := int(off) + len(p); need > len(f.data) {
		f.data = append(f.data, make([]byte, need-len(f.data))...)
	}
	return copy(f.data[off:], p), nil
}

func (f *memFile) Resize(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if n := int(size); n <= len(f.data) {
		f.data = f.data[:n]
	} else {
		f.data = append(f.data, make([]byte, n-len(f.data))...)
	}
	return nil
}

func (f *memFile) Sync() error  { return nil }
func (f *memFile) Close() error { return nil }

var _ journal.FS = (*memDisk)(nil)
