package lab_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/node/lab"
)

// writeConfig makes a data directory with an alertmanager.yml that tells the
// receiver at once, alert by alert, and returns the node's arguments.
func writeConfig(t *testing.T, url, timers string) []string {
	t.Helper()
	dir := t.TempDir()
	am := filepath.Join(dir, "alertmanager.yml")
	require.NoError(t, os.WriteFile(am, fmt.Appendf(nil, `
route: {receiver: hook, group_by: ['...'], %s}
receivers:
- name: hook
  webhook_configs: [{url: %q}]
`, timers, url), 0o600))
	conf := filepath.Join(dir, "fenghuo.yml")
	require.NoError(t, os.WriteFile(conf, []byte("host: {enabled: false}\n"), 0o600))
	return []string{"--config", conf, "--data", filepath.Join(dir, "data"), "--alertmanager-config", am, "--name", "n1"}
}

func body(t *testing.T, from, n int, ends time.Time) []byte {
	t.Helper()
	var list []map[string]any
	for i := range n {
		list = append(list, map[string]any{
			"labels":      map[string]string{"alertname": "Kill", "id": fmt.Sprint(from + i), "severity": "critical"},
			"annotations": map[string]string{"summary": "number"},
			"startsAt":    "2026-01-01T00:00:00Z", "endsAt": ends.Format(time.RFC3339Nano),
		})
	}
	b, err := json.Marshal(list)
	require.NoError(t, err)
	return b
}

// Of all alerts answered 200 every one is there after kill -9, whoever was told
// of a begin is told of the end, and nobody gets a second "first
// notification".
func TestKillLoop(t *testing.T) {
	bin := lab.Build(t)
	hook := lab.NewReceiver(t)
	args := writeConfig(t, hook.URL, "group_wait: 0s, group_interval: 1s, repeat_interval: 1h")
	const batch = 5
	var mu sync.Mutex
	var acked []int
	next := 0
	for range 6 {
		p := lab.Start(t, bin, args...)
		stop := make(chan struct{})
		var posters sync.WaitGroup
		for range 4 {
			posters.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					mu.Lock()
					from := next
					next += batch
					mu.Unlock()
					if p.Post("/api/v2/alerts", body(t, from, batch, time.Now().Add(time.Hour))) == nil {
						mu.Lock()
						for i := range batch {
							acked = append(acked, from+i)
						}
						mu.Unlock()
					}
					<-time.After(5 * time.Millisecond)
				}
			})
		}
		<-time.After(200*time.Millisecond + time.Duration(rand.Int64N(int64(500*time.Millisecond))))
		p.Kill()
		close(stop)
		posters.Wait()
	}
	require.NotEmpty(t, acked)

	p := lab.Start(t, bin, args...)
	b, err := p.Get("/api/v2/alerts")
	require.NoError(t, err)
	var have []struct {
		Labels map[string]string `json:"labels"`
	}
	require.NoError(t, json.Unmarshal(b, &have))
	there := map[string]bool{}
	for _, a := range have {
		there[a.Labels["id"]] = true
	}
	for _, id := range acked {
		require.True(t, there[fmt.Sprint(id)], "alert %d was answered 200 and is gone", id)
	}
	t.Logf("%d alerts acknowledged over 6 kills, all there", len(acked))
	told := func(status string) (first, any map[string]int) {
		first, any = map[string]int{}, map[string]int{}
		for _, n := range hook.Notices() {
			for _, a := range n.Alerts {
				if a.Status == status {
					any[a.Labels["id"]]++
					if n.Reason == "first notification" {
						first[a.Labels["id"]]++
					}
				}
			}
		}
		return first, any
	}
	lab.Eventually(t, 30*time.Second, func() error {
		_, any := told("firing")
		for _, id := range acked {
			if any[fmt.Sprint(id)] == 0 {
				return fmt.Errorf("alert %d not told", id)
			}
		}
		return nil
	})
	first, any := told("firing")
	for id, n := range first {
		require.LessOrEqual(t, n, 1, "%d first notifications of alert %s", n, id)
	}
	repeats := 0
	for _, n := range any {
		repeats += n - 1
	}
	t.Logf("%d notices were sent once more because a kill hid their outcome", repeats)

	// Everything ends; the node dies before it can tell, and tells then.
	for from := 0; from < next; from += 100 {
		require.NoError(t, p.Post("/api/v2/alerts", body(t, from, min(100, next-from), time.Now())))
	}
	p.Kill()
	p = lab.Start(t, bin, args...)
	lab.Eventually(t, 30*time.Second, func() error {
		_, begun := told("firing")
		_, ended := told("resolved")
		for id := range begun {
			if ended[id] == 0 {
				return fmt.Errorf("alert %s: begin told, end not", id)
			}
		}
		return nil
	})
	n := len(hook.Notices())
	p.Kill()
	lab.Start(t, bin, args...)
	<-time.After(2500 * time.Millisecond) // longer than group_interval
	require.Len(t, hook.Notices(), n, "told again after a restart")
}
