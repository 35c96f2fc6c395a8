//go:build linux || darwin || freebsd

package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Free returns the bytes that an unprivileged process may still write to the
// file system of a directory; math.MaxInt64 where the system doesn't say.
func Free(dir string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return uint64(max(0, int64(st.Bavail))) * uint64(st.Bsize), nil
}

// Full tells a full disk or quota from a broken one.
func Full(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }
