//go:build !unix && !windows

package journal

func syncDir(string) error { return nil }

func isNoSpace(error) bool { return false }
