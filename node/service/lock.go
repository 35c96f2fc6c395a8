// Package service owns what a node owes the machine it runs on: that one
// process at a time uses a data directory, and that the service manager knows
// whether the node is ready, reloading, stopping or hung.
package service

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ErrLocked says that another process uses the data directory. The error that
// wraps it names the directory and the process.
var ErrLocked = errors.New("data directory is in use")

// lockName is the file in the data directory that is locked. It stays when the
// node ends: removing it would let two processes lock two files of one name.
const lockName = "LOCK"

// maxOwner bounds what is read of a lock file: anyone may have written it.
const maxOwner = 1024

// Lock holds a data directory. The system lets go of it when the process ends,
// however it ends, so no stale lock is ever in the way. Keep the Lock for as
// long as the directory is used: one that is collected is one let go of.
type Lock struct {
	dir string
	f   *os.File
}

// LockDir makes the directory if it is missing, readable by its owner only,
// and takes it for this process. It fails with ErrLocked while another process,
// or another node of this one, holds it.
func LockDir(dir string) (*Lock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	path := filepath.Join(dir, lockName)
	// A link would have another file overwritten: the lock names its owner.
	if i, err := os.Lstat(path); err == nil && !i.Mode().IsRegular() {
		return nil, fmt.Errorf("data directory: %s is not a regular file", path)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := lock(f); err != nil {
		owner := readOwner(f)
		f.Close()
		if errors.Is(err, errHeld) {
			return nil, fmt.Errorf("%s: %w by %s", dir, ErrLocked, owner)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	l := &Lock{dir: dir, f: f}
	// Who holds the directory is for the message of the next one who tries; a
	// full disk must not keep the node from starting.
	if err := l.writeOwner(); err != nil && !noRoom(err) {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), l.Unlock())
	}
	return l, nil
}

// ErrGone: the locked directory is no longer where it was.
var ErrGone = errors.New("the data directory was removed or replaced")

// Check says whether the directory is still the one that was locked: what is
// written to one that was removed under a running node is lost.
func (l *Lock) Check() error {
	have, err := os.Stat(filepath.Join(l.dir, lockName))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	held, err := l.f.Stat()
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	if !os.SameFile(have, held) {
		return fmt.Errorf("%w: another %s lies there", ErrGone, lockName)
	}
	return nil
}

// Unlock lets go of the directory. A second call does nothing.
func (l *Lock) Unlock() error {
	if l.f == nil {
		return nil
	}
	f := l.f
	l.f = nil
	return errors.Join(unlock(f), f.Close())
}

func (l *Lock) writeOwner() error {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	text := fmt.Sprintf("pid %d\nhost %s\nsince %s\n", os.Getpid(), host, time.Now().UTC().Format(time.RFC3339))
	if err := l.f.Truncate(0); err != nil {
		return err
	}
	_, err = l.f.WriteAt([]byte(text), 0)
	return err
}

// readOwner says who holds a locked file, as far as its text can be trusted.
func readOwner(f *os.File) string {
	buf := make([]byte, maxOwner)
	n, err := f.ReadAt(buf, 0)
	if n == 0 && err != nil {
		return "another process"
	}
	var pid int
	var rest []string
	for line := range strings.Lines(string(buf[:n])) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch key {
		case "pid":
			pid, _ = strconv.Atoi(value) // 0 is shown as another process
		case "host", "since":
			rest = append(rest, key+" "+strconv.Quote(value))
		}
	}
	who := "another process"
	if pid > 0 {
		who = "process " + strconv.Itoa(pid)
	}
	if len(rest) > 0 {
		who += " (" + strings.ReplaceAll(strings.Join(rest, ", "), `"`, "") + ")"
	}
	return who
}

func noRoom(err error) bool {
	var p *fs.PathError
	return errors.As(err, &p) && errNoRoom != nil && errors.Is(p.Err, errNoRoom)
}
