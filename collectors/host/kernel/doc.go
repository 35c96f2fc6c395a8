// Package kernel owns the host metrics of Linux that come from /proc, /sys and system calls, and those of systemd. It is
// empty on other systems.
package kernel
