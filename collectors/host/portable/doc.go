// Package portable owns the host metrics that every system has, read with gopsutil, and the two collectors whose logic is
// the same everywhere: CPU times that never step back, and file systems of which one may hang.
package portable

import (
	"log/slog"
	"time"
)

// Options are what collectors need to know. All fields are required; package host fills them.
type Options struct {
	// ProcFS, SysFS and RootFS are where /proc, /sys and / are seen.
	ProcFS, SysFS, RootFS string
	// MountTimeout is how long a file system may take to answer before it counts as stuck.
	MountTimeout time.Duration
	Logger       *slog.Logger
	Now          func() time.Time
}
