//go:build !linux && !darwin && !freebsd && !windows

package journal

import "errors"

func freeBytes(string) (uint64, error) { return 0, errors.ErrUnsupported }
