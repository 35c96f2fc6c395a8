package lab

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The load of the intake benchmark: distinct alerts of 8 labels and 2
// annotations, about 420 bytes of JSON each, as a Prometheus sends them.
const (
	LoadBatch   = 64
	LoadClients = 8
)

func loadAlert(i int, now time.Time) map[string]any {
	host := fmt.Sprintf("host-%05d", i%5000)
	name := "Alert" + strconv.Itoa(i%50)
	return map[string]any{
		"labels": map[string]string{
			"alertname": name, "id": strconv.Itoa(i), "severity": []string{"critical", "warning", "info"}[i%3],
			"dc": "dc" + strconv.Itoa(i%3), "team": "team" + strconv.Itoa(i%20), "service": "svc" + strconv.Itoa(i%100),
			"host": host, "instance": host + ".example.net:9100",
		},
		"annotations":  map[string]string{"summary": "value out of range on " + host, "runbook": "https://runbooks.example.net/" + name},
		"startsAt":     now.Format(time.RFC3339Nano),
		"endsAt":       now.Add(2 * time.Hour).Format(time.RFC3339Nano),
		"generatorURL": "http://prometheus.example.net/graph?g0.expr=x",
	}
}

// LoadBodies makes the requests that carry the alerts first, first+1... n of
// them in all.
func LoadBodies(t testing.TB, first, n int) [][]byte {
	t.Helper()
	now := time.Now()
	var bodies [][]byte
	for i := 0; i < n; i += LoadBatch {
		var list []map[string]any
		for j := i; j < min(i+LoadBatch, n); j++ {
			list = append(list, loadAlert(first+j, now))
		}
		b, err := json.Marshal(list)
		require.NoError(t, err)
		bodies = append(bodies, b)
	}
	return bodies
}

// Client asks one server over kept connections.
type Client struct {
	url  string
	http *http.Client
}

// NewClient returns a client of a server.
func NewClient(url string) *Client {
	return &Client{url, &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: LoadClients}, Timeout: time.Minute}}
}

// Close ends the connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Post sends one body of alerts; anything but 200 is an error.
func (c *Client) Post(body []byte) error {
	resp, err := c.http.Post(c.url+"/api/v2/alerts", "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	return drain(resp)
}

// Get fetches a path and says how long that took and how many bytes came.
func (c *Client) Get(path string) (time.Duration, int64, error) {
	begin := time.Now()
	resp, err := c.http.Get(c.url + path)
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, resp.Status)
	}
	return time.Since(begin), n, err
}

func drain(resp *http.Response) error {
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %.200s", resp.Status, b)
	}
	return err
}

// Load sends all bodies from LoadClients clients at once and returns how long
// each answer took.
func Load(t testing.TB, url string, bodies [][]byte) []time.Duration {
	t.Helper()
	c := NewClient(url)
	defer c.Close()
	took := make([]time.Duration, len(bodies))
	errs := make([]error, LoadClients)
	var next atomic.Int64
	var wg sync.WaitGroup
	for w := range LoadClients {
		wg.Go(func() {
			for errs[w] == nil {
				k := int(next.Add(1)) - 1
				if k >= len(bodies) {
					return
				}
				begin := time.Now()
				errs[w] = c.Post(bodies[k])
				took[k] = time.Since(begin)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	return took
}
