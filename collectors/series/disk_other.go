//go:build !linux && !darwin && !freebsd && !windows

package series

import "math"

// freeBytes can't be known here: the disk is taken as never full.
func freeBytes(string) (int64, error) { return math.MaxInt64, nil }

// noSpaceErrors are the errors of a write to a full disk.
func noSpaceErrors() []error { return nil }
