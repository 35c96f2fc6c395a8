package lab_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/node/lab"
)

// mountSmall mounts a file system of the given size and skips where it can't.
func mountSmall(t *testing.T, mebibytes int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mebibytes)); err != nil {
		t.Skipf("a small file system is needed, which only root may mount: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// fill takes all the space there is, like another process that went wrong.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	name := filepath.Join(dir, "other")
	f, err := os.Create(name)
	require.NoError(t, err)
	defer f.Close()
	for size := 1 << 20; size >= 4096; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	return func() { require.NoError(t, os.Remove(name)) }
}

// sender posts distinct alerts as fast as it is answered and notes what was
// accepted, what was refused, and every answer that is neither.
type sender struct {
	url     string
	next    atomic.Int64
	refused atomic.Int64

	mu    sync.Mutex // guards all following
	acked []int64
	wrong []string
}

func (s *sender) run(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		id := s.next.Add(1)
		body, _ := json.Marshal([]any{map[string]any{
			"labels":      map[string]string{"alertname": "Full", "id": fmt.Sprint(id)},
			"annotations": map[string]string{"text": strings.Repeat("x", 2000)},
			"endsAt":      time.Now().Add(time.Hour).Format(time.RFC3339Nano),
		}})
		resp, err := http.Post(s.url+"/api/v2/alerts", "application/json", bytes.NewReader(body))
		if err != nil {
			s.note("%v", err)
			return
		}
		var problem struct {
			Title  string `json:"title"`
			Status int    `json:"status"`
		}
		switch {
		case resp.StatusCode == http.StatusOK:
			s.mu.Lock()
			s.acked = append(s.acked, id)
			s.mu.Unlock()
		case resp.StatusCode != http.StatusServiceUnavailable, resp.Header.Get("Retry-After") == "":
			s.note("%s, Retry-After %q", resp.Status, resp.Header.Get("Retry-After"))
		case resp.Header.Get("Content-Type") != "application/problem+json" || json.NewDecoder(resp.Body).Decode(&problem) != nil || problem.Status != 503:
			s.note("503 as %s: %+v", resp.Header.Get("Content-Type"), problem)
		default:
			s.refused.Add(1)
			<-time.After(5 * time.Millisecond)
		}
		resp.Body.Close()
	}
}

func (s *sender) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wrong = append(s.wrong, fmt.Sprintf(format, args...)); len(s.wrong) > 10 {
		s.wrong = s.wrong[:10]
	}
}

func (s *sender) accepted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.acked)
}

// While another process fills the disk, several times and under load, intake
// answers a clear 503, everything else goes on, and nothing that was answered
// 200 is lost.
func TestFullDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("real time: not with -short")
	}
	bin, disk, hook := lab.Build(t), mountSmall(t, 160), lab.NewReceiver(t)
	args := writeConfig(t, hook.URL, "group_wait: 0s, group_interval: 1s, repeat_interval: 1h")
	dir := filepath.Dir(args[1])
	rules := filepath.Join(dir, "rules.yml")
	require.NoError(t, os.WriteFile(rules, []byte("groups: [{name: g, interval: 1s, rules: [{alert: Always, expr: 'vector(1)', labels: {id: rule}}]}]\n"), 0o600))
	require.NoError(t, os.WriteFile(args[1], fmt.Appendf(nil, `
host: {enabled: false}
disk: {min_free: 16MiB}
journal: {segment_size: 1MiB, max_bytes: 96MiB, keep: 4MiB}
rules: {files: [%q]}
`, rules), 0o600))
	args[3] = filepath.Join(disk, "data")
	p := lab.Start(t, bin, args...)
	s := &sender{url: p.URL}
	stop := make(chan struct{})
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() { s.run(stop) })
	}
	lab.Eventually(t, 20*time.Second, func() error {
		if s.accepted() < 50 {
			return fmt.Errorf("%d accepted", s.accepted())
		}
		return nil
	})
	for round := range 3 {
		free := fill(t, disk)
		before := s.refused.Load()
		lab.Eventually(t, 60*time.Second, func() error {
			if n := s.refused.Load() - before; n < 20 {
				return fmt.Errorf("round %d: %d refused, %d accepted", round, n, s.accepted())
			}
			return nil
		})
		for _, path := range []string{"/api/v2/alerts?filter=id%3D%221%22", "/v1/status", "/-/healthy", "/api/v1/rules", "/metrics"} {
			_, err := p.Get(path)
			require.NoError(t, err, "round %d: with a full disk", round)
		}
		var status struct {
			Degraded []string `json:"degraded"`
		}
		b, err := p.Get("/v1/status")
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(b, &status))
		require.NotEmpty(t, status.Degraded, "a full disk is said: %s", b)
		free()
		accepted := s.accepted()
		lab.Eventually(t, 60*time.Second, func() error {
			if n := s.accepted() - accepted; n < 20 {
				return fmt.Errorf("round %d: there is room again, and %d accepted: %v", round, n, s.wrong)
			}
			return nil
		})
	}
	close(stop)
	senders.Wait()
	require.Empty(t, s.wrong)
	rule := 0
	for _, n := range hook.Notices() {
		if n.Alerts[0].Labels["id"] == "rule" {
			rule++
		}
	}
	require.Equal(t, 1, rule, "the rule's alert is told once")
	p.Kill()
	p = lab.Start(t, bin, args...)
	have := held(t, p)
	for _, id := range s.acked {
		require.True(t, have[fmt.Sprint(id)], "alert %d was answered 200 and is gone", id)
	}
	t.Logf("%d accepted, %d refused, all accepted there", len(s.acked), s.refused.Load())
}

// held are the ids of the alerts a node holds.
func held(t *testing.T, p *lab.Process) map[string]bool {
	t.Helper()
	b, err := p.Get("/api/v2/alerts")
	require.NoError(t, err)
	var alerts []struct {
		Labels map[string]string `json:"labels"`
	}
	require.NoError(t, json.Unmarshal(b, &alerts))
	have := map[string]bool{}
	for _, a := range alerts {
		have[a.Labels["id"]] = true
	}
	return have
}
