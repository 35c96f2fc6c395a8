package lab_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/node/lab"
)

// scratch overwrites the middle of a file.
func scratch(t *testing.T, name string, at, n int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	_, err = f.WriteAt([]byte(strings.Repeat("\xa5", int(n))), at)
	require.NoError(t, err)
}

func only(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.NotEmpty(t, files, pattern)
	return files[0]
}

// A node whose files are damaged starts, says what it lost, and takes alerts.
func TestDamagedFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("real time: not with -short")
	}
	bin := lab.Build(t)
	for name, c := range map[string]struct {
		harm func(t *testing.T, data string)
		says []string // any of them, in the log
	}{
		"journal segment": {func(t *testing.T, data string) {
			scratch(t, only(t, filepath.Join(data, "journal", "segment-*")), 4096+600, 64)
		}, []string{"lost", "damaged"}},
		"journal header": {func(t *testing.T, data string) {
			scratch(t, only(t, filepath.Join(data, "journal", "segment-*")), 0, 4096)
		}, []string{"lost", "damaged", "unreadable"}},
		"history manifest": {func(t *testing.T, data string) {
			scratch(t, filepath.Join(data, "history", "db", "MANIFEST"), 0, 8)
		}, []string{"history can't be opened"}},
		"series log": {func(t *testing.T, data string) {
			scratch(t, only(t, filepath.Join(data, "series", "wal", "0*")), 0, 4096)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hook := lab.NewReceiver(t)
			args := writeConfig(t, hook.URL, "group_wait: 0s, group_interval: 1s, repeat_interval: 1h")
			p := lab.Start(t, bin, args...)
			for i := range 20 {
				require.NoError(t, p.Post("/api/v2/alerts", body(t, i, 1, time.Now().Add(time.Hour))))
			}
			p.Kill()
			c.harm(t, args[3])
			p = lab.Start(t, bin, args...)
			said := len(c.says) == 0
			for _, text := range c.says {
				said = said || strings.Contains(p.Log(), text)
			}
			require.True(t, said, "none of %q in:\n%s", c.says, p.Log())
			require.NoError(t, p.Post("/api/v2/alerts", body(t, 100, 5, time.Now().Add(time.Hour))))
			have := held(t, p)
			t.Logf("%d alerts of 25 left after damage to the %s", len(have), name)
			for line := range strings.SplitSeq(p.Log(), "\n") {
				if strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") {
					t.Log(line)
				}
			}
			p.Kill()
			p = lab.Start(t, bin, args...)
			require.Equal(t, have, held(t, p), "what it took after the damage is safe")
		})
	}
}

// The history is complete after kills, whatever the store had gathered.
func TestHistoryOverKills(t *testing.T) {
	if testing.Short() {
		t.Skip("real time: not with -short")
	}
	bin := lab.Build(t)
	args := writeConfig(t, lab.NewReceiver(t).URL, "group_wait: 0s, group_interval: 1s, repeat_interval: 1h")
	const lives, each = 4, 40
	for life := range lives {
		p := lab.Start(t, bin, args...)
		for i := range each {
			id := life*each + i
			require.NoError(t, p.Post("/api/v2/alerts", body(t, id, 1, time.Now().Add(time.Hour))))
			if i%2 == 0 {
				require.NoError(t, p.Post("/api/v2/alerts", body(t, id, 1, time.Now())))
			}
		}
		p.Kill()
	}
	p := lab.Start(t, bin, args...)
	lab.Eventually(t, 10*time.Second, func() error {
		ended, all := 0, map[string]bool{}
		for cursor := ""; ; {
			path := "/v1/search?limit=50&from=400d"
			if cursor != "" {
				path += "&cursor=" + cursor
			}
			b, err := p.Get(path)
			if err != nil {
				return err
			}
			var page struct {
				Alerts []struct {
					ID     string `json:"id"`
					Status string `json:"status"`
				} `json:"alerts"`
				Next string `json:"next"`
			}
			require.NoError(t, json.Unmarshal(b, &page))
			for _, a := range page.Alerts {
				require.False(t, all[a.ID], "%s is on two pages", a.ID)
				if all[a.ID] = true; a.Status == "resolved" {
					ended++
				}
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
		if len(all) != lives*each || ended != lives*each/2 {
			return fmt.Errorf("%d of %d found, %d of %d ended", len(all), lives*each, ended, lives*each/2)
		}
		return nil
	})
}

// Nobody can start a second node on a data directory; where nothing can be
// written, a node says so and ends.
func TestDirectoryNotUsable(t *testing.T) {
	bin := lab.Build(t)
	args := writeConfig(t, "http://127.0.0.1:1/", "group_wait: 0s")
	lab.Start(t, bin, args...)
	second := exec.Command(bin, append([]string{"agent", "--http", lab.FreeAddress(t)}, args...)...)
	out, err := second.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "data directory")

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	args[3] = filepath.Join(file, "data")
	out, err = exec.Command(bin, append([]string{"agent", "--http", lab.FreeAddress(t)}, args...)...).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "data directory")
}

// SIGTERM lets what is under way finish: who was answered 200 finds the alert
// in the next life, and nobody's connection is cut in the middle.
func TestTerminateDrains(t *testing.T) {
	if testing.Short() {
		t.Skip("real time: not with -short")
	}
	bin, hook := lab.Build(t), lab.NewReceiver(t)
	args := writeConfig(t, hook.URL, "group_wait: 0s, group_interval: 1s, repeat_interval: 1h")
	p := lab.Start(t, bin, args...)
	acked := make(chan []int)
	go func() { // ends when the node refuses
		var ids []int
		for i := 0; p.Post("/api/v2/alerts", body(t, i, 1, time.Now().Add(time.Hour))) == nil; i++ {
			ids = append(ids, i)
		}
		acked <- ids
	}()
	lab.Eventually(t, 10*time.Second, func() error {
		if n := len(hook.Notices()); n < 20 {
			return fmt.Errorf("%d told", n)
		}
		return nil
	})
	p.Terminate(t)
	ids := <-acked
	p = lab.Start(t, bin, args...)
	have := held(t, p)
	for _, id := range ids {
		require.True(t, have[fmt.Sprint(id)], "alert %d was answered 200 and is gone", id)
	}
	lab.Eventually(t, 10*time.Second, func() error {
		told := map[string]int{}
		for _, n := range hook.Notices() {
			for _, a := range n.Alerts {
				told[a.Labels["id"]]++
			}
		}
		for _, id := range ids {
			if told[fmt.Sprint(id)] != 1 {
				return fmt.Errorf("alert %d told %d times over a regular stop", id, told[fmt.Sprint(id)])
			}
		}
		return nil
	})
}
