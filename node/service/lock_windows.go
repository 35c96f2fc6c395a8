package service

import (
	"os"

	"golang.org/x/sys/windows"
)

// errHeld is what the system says of a lock somebody else has.
var errHeld = windows.ERROR_LOCK_VIOLATION

// errNoRoom is what the system says of a full disk.
var errNoRoom error = windows.ERROR_DISK_FULL

// beyond is the place of the locked byte, far behind the text: locks are
// mandatory here, and the text must stay readable for the one who is refused.
const beyond = 1 << 20

// lock takes one byte of the file, without waiting.
func lock(f *os.File) error {
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0,
		&windows.Overlapped{Offset: beyond})
}

func unlock(f *os.File) error {
	return windows.UnlockFileEx(windows.Handle(f.Fd()), 0, 1, 0, &windows.Overlapped{Offset: beyond})
}
