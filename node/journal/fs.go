package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/fenghuo-mesh/fenghuo/collectors/disk"
)

// FS is the directory of a journal. Names are plain file names. Tests put a
// failing one in its place.
type FS interface {
	// Open opens a file for reading and writing. With create the file must not
	// exist yet.
	Open(name string, create bool) (File, error)
	Remove(name string) error
	// Rename replaces to, atomically.
	Rename(from, to string) error
	List() ([]FileInfo, error)
	// SyncDir makes creations, renames and removals durable.
	SyncDir() error
	// Free is how many bytes this process may still write to the file system;
	// errors.ErrUnsupported where that can't be known.
	Free() (uint64, error)
}

// File is one open file of an FS.
type File interface {
	io.ReaderAt
	io.WriterAt
	// Sync makes the data and the size durable.
	Sync() error
	// Resize cuts the file, or lengthens it by zeros for which space is really
	// taken.
	Resize(size int64) error
	Close() error
}

// FileInfo is one entry of FS.List.
type FileInfo struct {
	Name string
	Size int64
}

type diskFS struct{ dir string }

var (
	_ FS   = diskFS{}
	_ File = diskFile{}
)

func newDiskFS(dir string) (diskFS, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return diskFS{}, fmt.Errorf("journal: make directory: %w", err)
	}
	return diskFS{dir: dir}, nil
}

func (d diskFS) path(name string) string { return filepath.Join(d.dir, name) }

func (d diskFS) Open(name string, create bool) (File, error) {
	if create {
		f, err := os.OpenFile(d.path(name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil, err
		}
		return diskFile{f}, nil
	}
	f, err := os.OpenFile(d.path(name), os.O_RDWR, 0)
	if errors.Is(err, syscall.EROFS) || errors.Is(err, os.ErrPermission) {
		f, err = os.Open(d.path(name))
	}
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

func (d diskFS) Remove(name string) error     { return os.Remove(d.path(name)) }
func (d diskFS) Rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }
func (d diskFS) SyncDir() error               { return syncDir(d.dir) }
func (d diskFS) Free() (uint64, error)        { return disk.Free(d.dir) }

func (d diskFS) List() ([]FileInfo, error) {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return nil, err
	}
	var infos []FileInfo
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue // gone meanwhile, or not ours
		}
		infos = append(infos, FileInfo{Name: e.Name(), Size: info.Size()})
	}
	return infos, nil
}

type diskFile struct{ *os.File }

func (f diskFile) Sync() error { return syncFile(f.File) }

func (f diskFile) Resize(size int64) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if size <= info.Size() {
		return f.Truncate(size)
	}
	err = allocate(f.File, info.Size(), size)
	if errors.Is(err, errors.ErrUnsupported) {
		err = zeroFill(f.File, info.Size(), size)
	}
	return err
}

// zeroFill takes space by writing zeros: it works on every file system.
func zeroFill(f *os.File, from, to int64) error {
	zeros := make([]byte, 256<<10)
	for from < to {
		n, err := f.WriteAt(zeros[:min(int64(len(zeros)), to-from)], from)
		if err != nil {
			return err
		}
		from += int64(n)
	}
	return nil
}
