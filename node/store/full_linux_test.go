package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const childEnv = "FENGHUO_STORE_CHILD"

// TestFullDiskDoesNotKill lets another writer fill the disk again and again
// under load. The load runs in a child process, because what a full disk does to
// badger (SIGBUS) can't be caught.
func TestFullDiskDoesNotKill(t *testing.T) {
	if dir := os.Getenv(childEnv); dir != "" {
		child(t, dir)
		return
	}
	if os.Getuid() != 0 {
		t.Skip("needs root to mount a tmpfs")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=280m"); err != nil {
		t.Skipf("can't mount a tmpfs: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })

	cmd := exec.Command(os.Args[0], "-test.run=^TestFullDiskDoesNotKill$", "-test.v")
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	cmd.Stdout, cmd.Stderr = out, out
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	count := func(word string) int {
		b, _ := os.ReadFile(out.Name())
		return strings.Count(string(b), word)
	}
	wait := func(word string, more int) {
		t.Helper()
		defer func() {
			if t.Failed() {
				b, _ := os.ReadFile(out.Name())
				t.Logf("waited for %d times %q; the child's last words: %q", more, word, b[max(0, len(b)-300):])
			}
		}()
		require.Eventually(t, func() bool {
			select {
			case err := <-ended:
				b, _ := os.ReadFile(out.Name())
				t.Fatalf("the child died: %v\n%.3000s", err, b)
			default:
			}
			return count(word) >= more
		}, 60*time.Second, 10*time.Millisecond)
	}
	for range 3 {
		wait("written\n", count("written\n")+20)
		full := count("full\n")
		fill(t, filepath.Join(dir, "filler"))
		wait("full\n", full+5)
		require.NoError(t, os.Remove(filepath.Join(dir, "filler")))
	}
	wait("written\n", count("written\n")+20)
	fill(t, filepath.Join(dir, "filler")) // it must be able to stop, and to start, too
	wait("full\n", count("full\n")+1)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "stop"), nil, 0o600))
	require.NoError(t, <-ended)
	s := start(t, Options{Dir: filepath.Join(dir, "store")})
	_, _, err = s.Get(t.Context(), "x")
	require.ErrorIs(t, err, ErrAbsent)
	require.NoError(t, s.Stop(t.Context()))
	require.NoError(t, os.Remove(filepath.Join(dir, "filler")))
	s = start(t, Options{Dir: filepath.Join(dir, "store")})
	require.False(t, s.Rebuilt())
	require.Positive(t, s.Indexed())
	require.NoError(t, s.Stop(t.Context()))
}

// fill writes until the disk is full, and keeps at it for a while: the ballast
// is taken too.
func fill(t *testing.T, name string) {
	f, err := os.Create(name)
	require.NoError(t, err)
	defer f.Close()
	block := make([]byte, 256<<10)
	var end time.Time // set when the disk is full
	for end.IsZero() || time.Now().Before(end) {
		if _, err := f.Write(block); err != nil {
			require.ErrorIs(t, err, unix.ENOSPC)
			if end.IsZero() {
				end = time.Now().Add(200 * time.Millisecond)
			}
			block = block[:max(len(block)/2, 4096)]
		}
	}
}

// child puts as fast as it can until told to stop.
func child(t *testing.T, dir string) {
	s, err := Open(Options{Dir: filepath.Join(dir, "store")})
	require.NoError(t, err)
	data := make([]byte, 3000)
	x := uint64(time.Now().UnixNano())
	for i := uint64(1); ; i++ {
		if _, err := os.Stat(filepath.Join(dir, "stop")); err == nil {
			break
		}
		docs := make([]Doc, 40)
		for k := range docs {
			for b := range data {
				x = x*6364136223846793005 + 1442695040888963407
				data[b] = byte(x >> 56)
			}
			docs[k] = Doc{ID: fmt.Sprint(i, "-", k), Start: int64(i), Data: data}
		}
		err := s.Put(context.Background(), i, docs)
		if err == nil {
			err = s.Flush(context.Background())
		}
		switch {
		case err == nil:
			fmt.Print("written\n")
		case errors.Is(err, ErrFull):
			fmt.Print("full\n")
			if _, _, err := s.Search(context.Background(), Query{Limit: 10}, nil); err != nil {
				t.Fatalf("search: %v", err)
			}
		default:
			t.Fatalf("put: %v", err)
		}
		if s.Stats().Bytes > 40<<20 { // leave the disk to the other writer
			s.opts.MaxBytes = 16 << 20
			if err := s.Collect(context.Background()); err != nil && !errors.Is(err, ErrFull) {
				t.Fatalf("collect: %v", err)
			}
		}
	}
	require.NoError(t, s.Stop(context.Background()))
}
