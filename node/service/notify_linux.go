package service

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// monotonic is the time a reload began, which units of Type=notify-reload
// want with RELOADING. Without it the manager would take the reload for an
// earlier one.
func monotonic() string {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return ""
	}
	return fmt.Sprintf("\nMONOTONIC_USEC=%d", ts.Nano()/1000)
}
