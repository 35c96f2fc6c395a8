//go:build !unix

package journal

// syncDir does nothing: NTFS journals its directories.
func syncDir(string) error { return nil }
