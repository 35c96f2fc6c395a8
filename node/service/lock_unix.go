//go:build unix

package service

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// errHeld is what the system says of a lock somebody else has.
var errHeld = unix.EWOULDBLOCK

// errNoRoom is what the system says of a full disk.
var errNoRoom error = unix.ENOSPC

// lock takes the whole file, without waiting. flock belongs to the open file
// and not to the process, so two nodes in one process exclude each other too.
func lock(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func unlock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_UN) }
