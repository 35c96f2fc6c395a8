package journal

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// syncFile is fdatasync: like fsync it flushes a changed size, but not times.
func syncFile(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err != unix.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}

func allocate(f *os.File, _, to int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), 0, 0, to)
		switch {
		case err == unix.EINTR:
			continue
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
			return fmt.Errorf("fallocate: %w", errors.ErrUnsupported)
		}
		return os.NewSyscallError("fallocate", err)
	}
}
