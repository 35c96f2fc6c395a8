package journal

import (
	"errors"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"slices"
	"sync"
	"syscall"
)

var errCrashed = errors.New("the machine is off")

// memFS is a directory in memory that tells what a program sees from what would
// survive a power cut.
type memFS struct {
	mu      sync.Mutex
	files   map[string]*memFile // what the program sees
	durable map[string]*memFile // the directory as it is on disk
	ops     []func(map[string]*memFile)
	fail    func(op, name string) error // called before every operation; may be nil
	free    uint64
	off     bool
}

type memFile struct {
	fs   *memFS
	name string
	cur  []byte
	dur  []byte
	pend []memWrite
}

// memWrite is a write, or with data == nil a change of size to off.
type memWrite struct {
	off  int64
	data []byte
}

func newMemFS() *memFS {
	return &memFS{files: map[string]*memFile{}, durable: map[string]*memFile{}, free: 1 << 40}
}

func (m *memFS) step(op, name string) error {
	if m.off {
		return errCrashed
	}
	if m.fail != nil {
		if err := m.fail(op, name); err != nil {
			m.off = m.off || errors.Is(err, errCrashed)
			return err
		}
	}
	return nil
}

func (m *memFS) change(op func(map[string]*memFile)) {
	op(m.files)
	m.ops = append(m.ops, op)
}

func (m *memFS) Open(name string, create bool) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	op := "open"
	if create {
		op = "create"
	}
	if err := m.step(op, name); err != nil {
		return nil, err
	}
	f := m.files[name]
	switch {
	case create && f != nil:
		return nil, os.ErrExist
	case create:
		f = &memFile{fs: m, name: name}
		m.change(func(d map[string]*memFile) { d[name] = f })
	case f == nil:
		return nil, os.ErrNotExist
	}
	return f, nil
}

func (m *memFS) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.step("remove", name); err != nil {
		return err
	}
	if m.files[name] == nil {
		return os.ErrNotExist
	}
	m.change(func(d map[string]*memFile) { delete(d, name) })
	return nil
}

func (m *memFS) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.step("rename", from); err != nil {
		return err
	}
	if m.files[from] == nil {
		return os.ErrNotExist
	}
	m.change(func(d map[string]*memFile) {
		if f := d[from]; f != nil {
			d[to] = f
			delete(d, from)
		}
	})
	return nil
}

func (m *memFS) List() ([]FileInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var l []FileInfo
	for name, f := range m.files {
		l = append(l, FileInfo{name, int64(len(f.cur))})
	}
	return l, m.step("list", "")
}

func (m *memFS) SyncDir() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.step("syncdir", ""); err != nil {
		return err
	}
	for _, op := range m.ops {
		op(m.durable)
	}
	m.ops = nil
	return nil
}

func (m *memFS) Free() (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.free, nil
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.step("read", f.name); err != nil {
		return 0, err
	}
	if off >= int64(len(f.cur)) {
		return 0, io.EOF
	}
	n := copy(p, f.cur[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (w memWrite) apply(b []byte) []byte {
	if w.data == nil {
		if int64(len(b)) > w.off {
			return b[:w.off:w.off]
		}
		return append(b, make([]byte, w.off-int64(len(b)))...)
	}
	if need := int(w.off) + len(w.data); need > len(b) {
		b = append(b, make([]byte, need-len(b))...)
	}
	copy(b[w.off:], w.data)
	return b
}

func (f *memFile) put(op string, w memWrite) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	was := f.fs.off
	err := f.fs.step(op, f.name)
	if err == nil || errors.Is(err, errCrashed) && !was { // a crash in the middle may leave some of it
		f.cur = w.apply(f.cur)
		f.pend = append(f.pend, w)
	}
	return err
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	return len(p), f.put("write", memWrite{off, slices.Clone(p)})
}
func (f *memFile) Resize(size int64) error { return f.put("resize", memWrite{off: size}) }
func (f *memFile) Close() error            { return nil }

func (f *memFile) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	err := f.fs.step("sync", f.name)
	if err == nil {
		for _, w := range f.pend {
			f.dur = w.apply(f.dur)
		}
	}
	if !errors.Is(err, errCrashed) {
		f.pend = nil // after an error the pages count as clean and are never written
	}
	return err
}

// killed is the directory after the process was killed and started again.
func (m *memFS) killed() *memFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.off = true
	n := newMemFS()
	twin := map[*memFile]*memFile{}
	for _, dir := range []map[string]*memFile{m.files, m.durable} {
		for _, f := range dir {
			if twin[f] == nil {
				twin[f] = &memFile{fs: n, name: f.name, cur: slices.Clone(f.cur), dur: slices.Clone(f.dur), pend: slices.Clone(f.pend)}
			}
		}
	}
	for name, f := range m.files {
		n.files[name] = twin[f]
	}
	// What the directory has on disk is taken as it is: the pending operations
	// become one, which keeps their order of all or nothing.
	for name, f := range m.durable {
		n.durable[name] = twin[f]
	}
	view := maps.Clone(n.files)
	n.ops = []func(map[string]*memFile){func(d map[string]*memFile) {
		clear(d)
		maps.Copy(d, view)
	}}
	return n
}

// cut is the directory after a power cut. pick(n) returns a number from 0 to
// n-1: it decides what of the unsynced got through.
func (m *memFS) cut(pick func(int) int) *memFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.off = true
	dir := maps.Clone(m.durable)
	for _, op := range m.ops[:pick(len(m.ops)+1)] {
		op(dir)
	}
	n := newMemFS()
	for _, name := range slices.Sorted(maps.Keys(dir)) {
		f := dir[name]
		b := slices.Clone(f.dur)
		for _, w := range f.pend {
			b = w.cut(pick).apply(b)
		}
		nf := &memFile{fs: n, name: name, cur: b, dur: slices.Clone(b)}
		n.files[name], n.durable[name] = nf, nf
	}
	return n
}

// cut is what a power cut leaves of a write: all, nothing, a part, or some of its
// sectors.
func (w memWrite) cut(pick func(int) int) memWrite {
	if w.data == nil {
		return w
	}
	switch pick(4) {
	case 0:
		return w
	case 1:
		return memWrite{off: w.off, data: []byte{}}
	case 2:
		return memWrite{off: w.off, data: w.data[:pick(len(w.data)+1)]}
	}
	out := memWrite{off: w.off, data: slices.Clone(w.data)}
	for lo := int64(0); lo < int64(len(w.data)); {
		hi := min(int64(len(w.data)), (w.off+lo)/512*512+512-w.off)
		if pick(2) == 0 {
			clear(out.data[lo:hi]) // as if the place had held zeros
		}
		lo = hi
	}
	return out
}

var (
	errNoSpc = &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
	errIO    = &os.PathError{Op: "sync", Path: "x", Err: syscall.EIO}
)

func crcOf(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }
