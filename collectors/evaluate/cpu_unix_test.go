//go:build unix

package evaluate

import (
	"syscall"
	"time"
)

// cpuTime is what this process has used of all processors, the garbage
// collector's work included.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
