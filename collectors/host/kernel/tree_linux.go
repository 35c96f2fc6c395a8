package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/fenghuo-mesh/fenghuo/collectors/host/metric"
)

// tree reads the kernel's files. It is used by many collectors at once and holds no state.
type tree struct {
	proc, sys, root string
}

// maxFileBytes bounds one file; /proc/net/udp of a busy server is the largest.
const maxFileBytes = 8 << 20

// read returns a file's content with bare system calls: a tick opens hundreds of files of a few bytes, and os.File would
// ask about each of them and try to poll it.
func read(path string) (string, error) {
	fd, err := retry(func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return "", &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd) // opened for reading
	buf := make([]byte, 512)
	n := 0
	for n < maxFileBytes {
		if n == len(buf) {
			buf = append(buf, make([]byte, 3*len(buf))...)
		}
		got, err := retry(func() (int, error) { return unix.Read(fd, buf[n:]) })
		if err != nil {
			return "", &fs.PathError{Op: "read", Path: path, Err: err}
		}
		if got == 0 {
			break
		}
		n += got
	}
	return string(buf[:n]), nil
}

func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// readProc reads a file that every Linux has.
func (t *tree) readProc(name string) (string, error) { return read(filepath.Join(t.proc, name)) }

// optional reads a file whose absence means that the kernel lacks the feature or has it switched off.
func (t *tree) optional(path string) (string, error) {
	s, err := read(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errors.ErrUnsupported) {
		return "", fmt.Errorf("%w: %w", metric.ErrUnavailable, err)
	}
	return s, err
}

// line reads a file of one line; "" if it can't be read.
func line(path string) string {
	s, err := read(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(s)
}

// lineNumber reads a file of one decimal or 0x number.
func lineNumber(path string) (float64, bool) {
	s, err := read(path)
	if err != nil {
		return 0, false
	}
	return parseNumber(strings.TrimSpace(s))
}

func parseNumber(s string) (float64, bool) {
	if hex, ok := strings.CutPrefix(s, "0x"); ok {
		n, err := strconv.ParseUint(hex, 16, 64)
		return float64(n), err == nil
	}
	v, err := strconv.ParseFloat(s, 64)
	return v, err == nil
}

// fields splits a line into at most len(into) words without taking memory and returns how many there are.
func fields(line string, into []string) int {
	n := 0
	for n < len(into) {
		line = strings.TrimLeft(line, " \t")
		if line == "" {
			break
		}
		end := strings.IndexAny(line, " \t")
		if end < 0 {
			end = len(line)
		}
		into[n] = line[:end]
		line = line[end:]
		n++
	}
	return n
}

// must adds a word as a number and says which one is none.
func must(b *metric.Batch, m *metric.Metric, word string, values ...string) error {
	v, err := strconv.ParseFloat(word, 64)
	if err != nil {
		return fmt.Errorf("%s: %w", m.Name, err)
	}
	b.Add(m, v, values...)
	return nil
}

// names lists a directory without asking for each entry.
func names(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close() // opened for reading
	return d.Readdirnames(-1)
}
