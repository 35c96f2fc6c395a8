package service

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestLockIsNoLink: whoever may write in the directory can't have another file
// overwritten by the node.
func TestLockIsNoLink(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "other")
	require.NoError(t, os.WriteFile(other, []byte("precious"), 0o600))
	if err := os.Symlink(other, filepath.Join(dir, lockName)); err != nil {
		t.Skip("no links here: ", err)
	}
	_, err := LockDir(dir)
	require.ErrorContains(t, err, "not a regular file")
	b, err := os.ReadFile(other)
	require.NoError(t, err)
	require.Equal(t, "precious", string(b))
}

func TestLockExcludesInOneProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	l, err := LockDir(dir)
	require.NoError(t, err)
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Zero(t, info.Mode().Perm()&0o077, "others can't look in")

	_, err = LockDir(dir)
	require.ErrorIs(t, err, ErrLocked)
	require.ErrorContains(t, err, dir)
	require.ErrorContains(t, err, "process "+strconv.Itoa(os.Getpid()))
	require.ErrorContains(t, err, "since 20")

	require.NoError(t, l.Unlock())
	require.NoError(t, l.Unlock(), "twice")
	l, err = LockDir(dir)
	require.NoError(t, err)
	require.NoError(t, l.Unlock())
}

// TestLockEndsWithItsProcess locks in a child that is killed: nothing is left
// behind that keeps the next one out.
func TestLockEndsWithItsProcess(t *testing.T) {
	dir := os.Getenv("FENGHUO_TEST_LOCK_DIR")
	if dir != "" { // the child
		l, err := LockDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Unlock() // never reached, but it keeps l from being collected
		os.Stdout.WriteString("locked\n")
		select {}
	}

	dir = t.TempDir()
	child := exec.Command(os.Args[0], "-test.run=^TestLockEndsWithItsProcess$")
	child.Env = append(os.Environ(), "FENGHUO_TEST_LOCK_DIR="+dir)
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "locked\n", line)

	_, err = LockDir(dir)
	require.ErrorIs(t, err, ErrLocked)
	require.ErrorContains(t, err, "process "+strconv.Itoa(child.Process.Pid))

	require.NoError(t, child.Process.Kill())
	require.Error(t, child.Wait())
	l, err := LockDir(dir)
	require.NoError(t, err)
	require.NoError(t, l.Unlock())
}

func TestLockFileOfStrangers(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "binary": "\x00\xff\n\x1b[31m", "long": strings.Repeat("pid 1\n", 10000), "negative": "pid -5\n", "words": "pid x\nhost \x1b[2J\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l, err := LockDir(dir)
			require.NoError(t, err)
			defer l.Unlock()
			require.NoError(t, os.WriteFile(filepath.Join(dir, lockName), []byte(text), 0o600))
			_, err = LockDir(dir)
			require.ErrorIs(t, err, ErrLocked)
			require.NotContains(t, err.Error(), "\x1b", "no escape sequence reaches a terminal")
			require.Less(t, len(err.Error()), 500+len(dir))
		})
	}
}

func TestLockErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := LockDir(file)
	require.Error(t, err)
	require.NotErrorIs(t, err, ErrLocked)
}

// recorder stands in for the service manager.
type recorder struct {
	mu   sync.Mutex
	got  []string
	fail error
}

func (r *recorder) send(m string) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, m)
	return true, r.fail
}

func (r *recorder) count(m string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, g := range r.got {
		if g == m {
			n++
		}
	}
	return n
}

func TestNotify(t *testing.T) {
	var r recorder
	n, err := NewNotifier(Options{Send: r.send})
	require.NoError(t, err)
	n.Notify(Ready, "listening on\n127.0.0.1:7948")
	n.Notify(Stopping, "")
	n.Notify(Reloading, "")
	require.Equal(t, "READY=1\nSTATUS=listening on 127.0.0.1:7948", r.got[0])
	require.Equal(t, "STOPPING=1", r.got[1])
	require.True(t, strings.HasPrefix(r.got[2], "RELOADING=1"))

	r.fail = errors.New("gone")
	n.Notify(Ready, "") // a manager that is gone stops nobody
}

func TestWatchdogBeatsWhileHealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		var mu sync.Mutex
		var sick error
		n, err := NewNotifier(Options{Send: r.send, Watchdog: 10 * time.Second, Healthy: func(context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			return sick
		}})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { require.NoError(t, n.Run(ctx)) })

		time.Sleep(29 * time.Second)
		require.Equal(t, 6, r.count("WATCHDOG=1"), "at once, then twice in ten seconds")
		mu.Lock()
		sick = errors.New("hung")
		mu.Unlock()
		time.Sleep(time.Minute)
		require.Equal(t, 6, r.count("WATCHDOG=1"))
		mu.Lock()
		sick = nil
		mu.Unlock()
		time.Sleep(5 * time.Second)
		require.Equal(t, 7, r.count("WATCHDOG=1"))
		cancel()
		wg.Wait()
	})
}

// TestSocket speaks to a real socket, as systemd offers one.
func TestSocket(t *testing.T) {
	if _, err := os.Stat("/proc/self"); err != nil {
		t.Skip("sockets of this kind are Linux's")
	}
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	require.NoError(t, err)
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "30000000")
	n, err := NewNotifier(Options{})
	require.NoError(t, err)
	require.Equal(t, 15*time.Second, n.every)
	n.Notify(Ready, "")
	buf := make([]byte, 100)
	k, err := conn.Read(buf)
	require.NoError(t, err)
	require.Equal(t, "READY=1", string(buf[:k]))
}

func TestEnvironment(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "many")
	_, err := NewNotifier(Options{})
	require.Error(t, err)
	_, err = NewNotifier(Options{Watchdog: -1})
	require.ErrorContains(t, err, "Watchdog")

	t.Setenv("WATCHDOG_USEC", "")
	n, err := NewNotifier(Options{})
	require.NoError(t, err)
	require.NoError(t, n.Run(t.Context()), "nobody wants a sign of life: no loop")
	n.Notify(Ready, "")
}

func TestCheckNoticesARemovedDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	l, err := LockDir(dir)
	require.NoError(t, err)
	defer l.Unlock()
	require.NoError(t, l.Check())
	if err := os.RemoveAll(dir); err != nil {
		t.Skip("this system doesn't remove files in use")
	}
	require.ErrorIs(t, l.Check(), ErrGone)
	other, err := LockDir(dir)
	require.NoError(t, err)
	defer other.Unlock()
	require.ErrorIs(t, l.Check(), ErrGone, "another directory lies there")
	require.NoError(t, other.Check())
}
