//go:build !linux

package journal

import (
	"errors"
	"os"
)

// syncFile is FlushFileBuffers on Windows and F_FULLFSYNC on macOS.
func syncFile(f *os.File) error { return f.Sync() }

func allocate(*os.File, int64, int64) error { return errors.ErrUnsupported }
