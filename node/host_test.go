package node

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/collectors/series"
	"github.com/fenghuo-mesh/fenghuo/node/config"
	"github.com/fenghuo-mesh/fenghuo/node/lab"
)

// testHost is a node in virtual time with its files and its receivers, which
// are named by the path of their URL.
type testHost struct {
	t    *testing.T
	dir  string
	conf *config.Config
	n    *Node
	now  func() time.Time // nil: the machine's

	mu    sync.Mutex // guards all following
	dead  map[string]int
	muted bool // the node that is being killed: what it sends is lost
	told  []string
}

const oneReceiver = `
route: {receiver: hook, group_by: [alertname], group_wait: 1s, group_interval: 5s, repeat_interval: 4h}
receivers: [{name: hook, webhook_configs: [{url: "http://test/hook"}]}]
`

func startHost(t *testing.T, am string, change func(*config.Config)) *testHost {
	h := &testHost{t: t, dir: t.TempDir(), conf: config.Default(), dead: map[string]int{}}
	h.write("alertmanager.yml", am)
	c := h.conf
	c.Node.Name, c.Node.DataDir, c.HTTP.Listen, c.Host.Enabled = "n1", filepath.Join(h.dir, "data"), "", false
	c.Alertmanager.ConfigFile = filepath.Join(h.dir, "alertmanager.yml")
	c.Disk.MinFree, c.Journal.SegmentSize = 16<<20, 1<<20
	if change != nil {
		change(c)
	}
	h.start()
	t.Cleanup(func() { _ = h.n.Stop(context.Background()) })
	return h
}

func (h *testHost) write(name, text string) {
	require.NoError(h.t, os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o600))
}

func (h *testHost) start() {
	n, err := New(Options{Config: h.conf, Transport: h, Out: io.Discard, Now: h.now})
	require.NoError(h.t, err)
	require.NoError(h.t, n.Start(context.Background()))
	h.n = n
}

func (h *testHost) restart() {
	require.NoError(h.t, h.n.Stop(context.Background()))
	h.start()
}

// kill goes on with what the disk held at this moment.
func (h *testHost) kill() {
	synctest.Wait()
	next := h.t.TempDir()
	require.NoError(h.t, lab.CopyData(h.conf.Node.DataDir, next))
	h.mu.Lock()
	h.muted = true
	h.mu.Unlock()
	require.NoError(h.t, h.n.Stop(context.Background()))
	h.mu.Lock()
	h.muted = false
	h.mu.Unlock()
	c := *h.conf
	c.Node.DataDir = next
	h.conf = &c
	h.start()
}

// RoundTrip is every receiver.
func (h *testHost) RoundTrip(r *http.Request) (*http.Response, error) {
	var n lab.Notice
	if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	status := http.StatusOK
	if s := h.dead[strings.TrimPrefix(r.URL.Path, "/")]; s != 0 {
		status = s
	} else if !h.muted {
		h.told = append(h.told, lab.Describe(&n))
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
}

// answer makes a receiver answer with a status from now on; 0: it lives.
func (h *testHost) answer(receiver string, status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dead[receiver] = status
}

// heard returns what receivers were told since the last call.
func (h *testHost) heard() []string {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	told := h.told
	h.told = nil
	return told
}

// call sends a request and returns status and body.
func (h *testHost) call(method, path, body string) (int, []byte) {
	r := httptest.NewRequest(method, path, bytes.NewReader([]byte(body)))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.n.Handler().ServeHTTP(w, r)
	return w.Code, w.Body.Bytes()
}

func (h *testHost) ok(method, path, body string) []byte {
	h.t.Helper()
	code, b := h.call(method, path, body)
	require.Equal(h.t, 2, code/100, "%s %s: %d %s", method, path, code, b)
	return b
}

func (h *testHost) get(path string, into any) {
	h.t.Helper()
	require.NoError(h.t, json.Unmarshal(h.ok(http.MethodGet, path, ""), into))
}

func (h *testHost) fire(nameAndHost ...string) {
	h.ok(http.MethodPost, "/api/v2/alerts", string(lab.AlertBody(lab.Labels(nameAndHost), time.Now(), time.Hour)))
}

func (h *testHost) resolve(nameAndHost ...string) {
	h.ok(http.MethodPost, "/api/v2/alerts", string(lab.AlertBody(lab.Labels(nameAndHost), time.Now(), 0)))
}

// measure stores one sample now.
func (h *testHost) measure(value float64, nameAndLabels ...string) {
	_, err := h.n.samples.db.Append(context.Background(), []series.Sample{{
		Labels: labels.FromStrings(nameAndLabels...), T: time.Now().UnixMilli(), V: value,
	}})
	require.NoError(h.t, err)
}

// measureFor stores a value every 15 seconds.
func (h *testHost) measureFor(d time.Duration, value float64, nameAndLabels ...string) {
	for ; d > 0; d -= 15 * time.Second {
		h.measure(value, nameAndLabels...)
		time.Sleep(15 * time.Second)
	}
}
