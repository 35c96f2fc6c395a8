// Package lab runs real binaries against real sockets, disks and signals. It
// is for tests only.
package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Build compiles the program once for a test and returns its path.
func Build(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "fenghuo")
	cmd := exec.Command("go", "build", "-o", bin, "github.com/fenghuo-mesh/fenghuo/cmd/fenghuo")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return bin
}

// Process is a running node.
type Process struct {
	URL  string
	cmd  *exec.Cmd
	log  *logBuffer
	done chan struct{}
}

// logBuffer keeps the end of what a process says.
type logBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.b.Len() > 1<<20 {
		l.b.Reset()
	}
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// FreeAddress returns a loopback address nobody listens on.
func FreeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// Start runs a node and waits until it is ready. The test's end kills it.
func Start(t *testing.T, bin string, args ...string) *Process {
	t.Helper()
	addr := FreeAddress(t)
	return launch(t, "http://"+addr, exec.Command(bin, append([]string{"agent", "--http", addr}, args...)...))
}

// launch starts a program that answers /-/ready at a URL.
func launch(t *testing.T, url string, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{URL: url, cmd: cmd, log: &logBuffer{}, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	require.NoError(t, p.cmd.Start())
	go func() { // ends with the process
		_ = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("log of %s:\n%s", p.URL, tail(p.log.String(), 60))
		}
	})
	Eventually(t, 20*time.Second, func() error {
		select {
		case <-p.done:
			t.Fatalf("%s ended:\n%s", cmd.Path, p.log.String())
		default:
		}
		_, err := p.Get("/-/ready")
		return err
	})
	return p
}

// Kill is kill -9. It returns when the process is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Terminate sends SIGTERM and waits for the process to end by itself.
func (p *Process) Terminate(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(os.Interrupt))
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		t.Fatal("the node doesn't stop")
	}
}

// Log is what the process has said.
func (p *Process) Log() string { return p.log.String() }

// Pid is the process's ID.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Get fetches a path; anything but 200 is an error.
func (p *Process) Get(path string) ([]byte, error) {
	return p.do(http.MethodGet, path, "", nil)
}

// Post sends a body; anything but 2xx is an error.
func (p *Process) Post(path string, body []byte) error {
	_, err := p.do(http.MethodPost, path, "application/json", body)
	return err
}

// Call sends a request with a JSON body; anything but 2xx is an error.
func (p *Process) Call(method, path string, body []byte) ([]byte, error) {
	return p.do(method, path, "application/json", body)
}

func (p *Process) do(method, path, kind string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, p.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %d %s", method, path, resp.StatusCode, b)
	}
	return b, err
}

// Eventually tries until f succeeds.
func Eventually(t *testing.T, within time.Duration, f func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still failing after %s: %v", within, err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

func tail(s string, lines int) string {
	all := strings.Split(s, "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Notice is one webhook a Receiver was sent.
type Notice struct {
	At       time.Time
	Receiver string `json:"receiver"`
	Status   string `json:"status"`
	Reason   string `json:"notification_reason"`
	GroupKey string `json:"groupKey"`
	Alerts   []struct {
		Status string            `json:"status"`
		Labels map[string]string `json:"labels"`
	} `json:"alerts"`
}

// Receiver records webhooks. Below its URL are as many receivers as there are
// paths.
type Receiver struct {
	URL string

	mu      sync.Mutex // guards all following
	notices []Notice
	mood    Mood
}

// Mood is how receivers answer, by path; "" stands for those not named: a
// status, Hang or Drop. Where there is none it is 200.
type Mood map[string]int

// Answers that are none.
const (
	Hang = -1 // the notification arrives, the answer never does
	Drop = -2 // not even the notification arrives
)

// ParseMood reads an answer of a scenario.
func ParseMood(text string) (int, error) {
	switch text {
	case "hang":
		return Hang, nil
	case "drop":
		return Drop, nil
	}
	return strconv.Atoi(text)
}

// Of is the answer of the receiver at a path.
func (m Mood) Of(path string) int {
	if status := m[strings.TrimPrefix(path, "/")]; status != 0 {
		return status
	}
	if status := m[""]; status != 0 {
		return status
	}
	return http.StatusOK
}

// NewReceiver starts one on loopback; it ends with the test.
func NewReceiver(t *testing.T) *Receiver {
	r := &Receiver{mood: Mood{}}
	srv := httptest.NewServer(r)
	t.Cleanup(func() {
		srv.CloseClientConnections() // some may hang
		srv.Close()
	})
	r.URL = srv.URL
	return r
}

// Answer sets the answers from now on of the receiver at URL/name, "" for all
// that are not named.
func (r *Receiver) Answer(name string, status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mood[name] = status
}

// ServeHTTP implements http.Handler.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	n := Notice{At: time.Now()}
	if err := json.NewDecoder(req.Body).Decode(&n); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	status := r.mood.Of(req.URL.Path)
	if status/100 == 2 || status == Hang {
		r.notices = append(r.notices, n)
	}
	r.mu.Unlock()
	if status < 0 {
		<-req.Context().Done()
		return
	}
	w.WriteHeader(status)
}

// CopyData copies a node's data directory as a killed process leaves it.
func CopyData(from, to string) error {
	return filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		case d.Name() == "ballast" || !d.Type().IsRegular():
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	})
}

// Notices returns what has arrived.
func (r *Receiver) Notices() []Notice {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Notice{}, r.notices...)
}
