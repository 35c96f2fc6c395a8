//go:build !linux

package service

// monotonic is wanted by systemd only.
func monotonic() string { return "" }
