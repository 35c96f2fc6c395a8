//go:build linux || darwin || freebsd

package series

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// freeBytes is the space an unprivileged process may still use.
func freeBytes(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

// noSpaceErrors are the errors of a write to a full disk.
func noSpaceErrors() []error { return []error{unix.ENOSPC, unix.EDQUOT} }
