package v1

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/incident"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/rollup"
	"github.com/fenghuo-mesh/fenghuo/aggregate/silence"
	"github.com/fenghuo-mesh/fenghuo/aggregate/trail"
	"github.com/fenghuo-mesh/fenghuo/node/api/problem"
)

var update = flag.Bool("update", false, "rewrite golden files")

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// fakeNode answers from plain lists.
type fakeNode struct {
	alerts    []*alert.Alert
	standing  map[label.Fingerprint]Standing
	trail     trail.Log
	past      []*alert.Alert
	query     HistoryQuery
	incidents []*incident.Incident
	book      *silence.Book
	ids       int
	err       error
}

func (f *fakeNode) Held(_ context.Context, ms label.Matchers) (out []*alert.Alert, err error) {
	for _, a := range f.alerts {
		if ms.Match(a.Labels) {
			out = append(out, a)
		}
	}
	return out, f.err
}

func (f *fakeNode) Standing(_ context.Context, alerts []*alert.Alert) ([]Standing, error) {
	out := make([]Standing, len(alerts))
	for i, a := range alerts {
		out[i] = f.standing[a.Labels.Fingerprint()]
	}
	return out, f.err
}

func (f *fakeNode) Episode(_ context.Context, id string) (*alert.Alert, trail.Log, error) {
	for _, a := range append(f.alerts, f.past...) {
		if a.ID() == id {
			return a, f.trail, f.err
		}
	}
	return nil, trail.Log{}, problem.Errorf(problem.ErrNotFound, "no alert %s", id)
}

func (f *fakeNode) Search(_ context.Context, q HistoryQuery) (p HistoryPage, err error) {
	f.query = q
	for _, a := range f.past {
		if q.Keep(a) && len(p.Alerts) < q.Limit {
			p.Alerts = append(p.Alerts, a)
		}
	}
	p.Next, p.Partial = "more", "the store is being rebuilt"
	return p, f.err
}

func (f *fakeNode) Incidents(context.Context) ([]*incident.Incident, error) {
	return f.incidents, f.err
}

func (f *fakeNode) Incident(_ context.Context, id string) (*incident.Incident, error) {
	for _, in := range f.incidents {
		if in.ID == id {
			return in, nil
		}
	}
	return nil, problem.Errorf(problem.ErrNotFound, "no incident %s", id)
}

func (f *fakeNode) Silences(_ context.Context, q silence.Filter) ([]silence.Silence, error) {
	return f.book.Query(q, alert.At(noon)), f.err
}

func (f *fakeNode) Silence(_ context.Context, id string) (silence.Silence, error) {
	if s, ok := f.book.Get(id); ok {
		return s, nil
	}
	return silence.Silence{}, silence.ErrNotFound
}

func (f *fakeNode) PutSilence(_ context.Context, s silence.Silence) (string, error) {
	f.ids++
	s, _, err := f.book.Put(s, fmt.Sprintf("00000000-0000-0000-0000-%012d", f.ids), alert.At(noon))
	return s.ID, err
}

func (f *fakeNode) ExpireSilence(_ context.Context, id string) error {
	_, _, err := f.book.Expire(id, alert.At(noon))
	return err
}

func (f *fakeNode) Status(context.Context) (Status, error) {
	return Status{
		Node: "n1", Version: "0.1.0", StartedAt: noon.Add(-90 * time.Second), Ready: true, Firing: 4, Incidents: 1,
		Degraded: []string{"store: disk full, history is not written"},
		Parts:    []Part{{Name: "journal", State: "ok", Numbers: map[string]float64{"bytes": 4096}}},
	}, f.err
}

func (f *fakeNode) Rules(context.Context) ([]RuleGroup, error) {
	return []RuleGroup{
		{Name: "host", File: "host.yml", IntervalSeconds: 15, Rules: []Rule{
			{Name: "HighLoad", Kind: "alerting", Query: "load > 1", ForSeconds: 60, State: "firing", Active: 1, Health: "ok", EvaluatedAt: noon},
			{Name: "load:avg", Kind: "recording", Query: "avg(load)", Health: "err", Error: "no data"},
		}},
		{Name: "empty", File: "host.yml"},
	}, f.err
}

// sample is alert number n of the fake.
func sample(n int) *alert.Alert {
	a := &alert.Alert{
		Tenant: "default", Labels: label.FromStrings("alertname", "Disk", "host", fmt.Sprintf("h%03d", n), "service", "db", "severity", "critical"),
		Annotations: label.FromStrings("summary", fmt.Sprintf("磁盘 %d is full", n)), GeneratorURL: "http://p/g",
		Origin:   &alert.Origin{Source: "prometheus_v2", Node: "n1", Datacenter: "east"},
		StartsAt: alert.At(noon.Add(-time.Duration(n) * time.Minute)), Priority: alert.Priority(n % 5), Count: uint32(n), Version: 7,
		ReceivedAt: alert.At(noon.Add(-time.Minute)), UpdatedAt: alert.At(noon.Add(-time.Second)), EndsAt: alert.At(noon.Add(time.Minute)), Timeout: true,
	}
	a.Onset = a.StartsAt
	return a
}

func newFake() *fakeNode {
	f := &fakeNode{book: silence.NewBook(silence.Options{}), standing: map[label.Fingerprint]Standing{}}
	for n := 1; n <= 4; n++ {
		f.alerts = append(f.alerts, sample(n))
	}
	ended := sample(5)
	ended.EndsAt = alert.At(noon.Add(-time.Second))
	other := sample(6)
	other.Tenant, other.Labels = "billing", label.FromStrings("alertname", "Latency", "app", "pay")
	other.EndsAt = 0
	other.Extra = &alert.Extra{ErrorCode: "E42", ExternalID: "77", DedupeKey: "k", Description: "payments are slow"}
	f.alerts = append(f.alerts, ended, other)
	old := sample(9)
	old.EndsAt = alert.At(noon.Add(-time.Hour))
	f.past = []*alert.Alert{old}
	f.standing[f.alerts[1].Labels.Fingerprint()] = Standing{Receivers: []string{"ops"}, SilencedBy: []string{"s1"}, Incident: "01K000000000000000000000AA"}
	f.trail = f.trail.Add(trail.Event{At: alert.At(noon), Kind: trail.Received, Subject: "prometheus_v2"}).
		Add(trail.Event{At: alert.At(noon), Kind: trail.Muted, Subject: "s1", Detail: "silenced by me: why not"})
	f.incidents = []*incident.Incident{{
		ID: "01K000000000000000000000AA", Tenant: "default", Title: "db: Disk", Onset: alert.At(noon.Add(-time.Hour)), Updated: alert.At(noon),
		Active: 4, Rollups: 1, Priority: alert.P1, Worst: alert.P0,
		Members: []incident.Member{{Key: rollup.KeyOf(f.alerts[0]), Onset: alert.At(noon), Name: "Disk", Service: "db", Evidence: "same service"}},
	}, {
		ID: "01K000000000000000000000BB", Tenant: "default", Title: "old", Onset: alert.At(noon.Add(-2 * time.Hour)), Updated: alert.At(noon),
		EndedAt: alert.At(noon), Priority: alert.P2, Worst: alert.P2,
	}}
	return f
}

func newAPI(t testing.TB, f *fakeNode) *API {
	t.Helper()
	a, err := New(Options{
		Alerts: f, History: f, Incidents: f, Silences: f, Node: f, Feed: NewFeed(8, 1), Now: func() time.Time { return noon },
	})
	require.NoError(t, err)
	return a
}

func do(h http.Handler, method, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	h.ServeHTTP(w, r)
	return w
}

// TestTranscripts plays testdata/*.txt: lines "> METHOD PATH [BODY]" and what
// is answered. -update writes the answers down.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			a := newAPI(t, newFake())
			var out strings.Builder
			for line := range strings.Lines(string(text)) {
				switch {
				case strings.HasPrefix(line, "#"):
					out.WriteString(line)
				case strings.HasPrefix(line, "> "):
					parts := strings.SplitN(strings.TrimSpace(line[2:]), " ", 3)
					w := do(a, parts[0], parts[1], strings.Join(parts[2:], ""))
					fmt.Fprintf(&out, "%s%d %s\n", line, w.Code, w.Header().Get("Content-Type"))
					if after := w.Header().Get("Retry-After"); after != "" {
						fmt.Fprintf(&out, "Retry-After: %s\n", after)
					}
					out.WriteString(indented(w.Body.Bytes()) + "\n")
				}
			}
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(out.String()), 0o644))
				return
			}
			require.Equal(t, string(text), out.String())
		})
	}
}

func indented(b []byte) string {
	var v any
	if len(b) == 0 || json.Unmarshal(b, &v) != nil {
		return string(b)
	}
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err)
	}
	return string(text) + "\n"
}

const described = "../../../docs/openapi.yaml"

// TestDescription keeps the checked-in description current.
func TestDescription(t *testing.T) {
	got, err := newAPI(t, newFake()).OpenAPI()
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.WriteFile(described, got, 0o644))
		return
	}
	want, err := os.ReadFile(described)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "run go test ./node/api/v1 -update")
}

func TestDescriptionIsServed(t *testing.T) {
	a := newAPI(t, newFake())
	w := do(a, "GET", "/openapi.json", "")
	require.Equal(t, 200, w.Code)
	var doc struct {
		OpenAPI    string
		Paths      map[string]map[string]struct{ Description, Summary string }
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct {
					Description string
					Ref         string `json:"$ref"`
				}
			}
		}
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &doc))
	require.Equal(t, "3.1.0", doc.OpenAPI)
	require.Contains(t, doc.Paths, "/v1/events")
	for name, s := range doc.Components.Schemas {
		for field, p := range s.Properties {
			require.True(t, p.Description != "" || p.Ref != "", "%s.%s has no description", name, field)
		}
	}
	kinds := doc.Components.Schemas["TrailEvent"].Properties["kind"].Description
	for _, k := range []trail.Kind{
		trail.Received, trail.Ended, trail.Expired, trail.Routed, trail.Waiting, trail.Muted,
		trail.Unmuted, trail.Claimed, trail.Sent, trail.Retried, trail.Failed, trail.NotSent, trail.Joined,
	} {
		require.Contains(t, kinds, string(k))
	}
	require.Equal(t, 200, do(a, "GET", "/openapi.yaml", "").Code)
}

func TestOptions(t *testing.T) {
	_, err := New(Options{})
	require.EqualError(t, err, "v1: Alerts is missing")
}

func TestUnavailable(t *testing.T) {
	f := newFake()
	f.err = problem.Errorf(problem.ErrUnavailable, "the history is being rebuilt")
	w := do(newAPI(t, f), "GET", "/v1/search", "")
	require.Equal(t, 503, w.Code)
	require.Equal(t, "5", w.Header().Get("Retry-After"))
	require.Contains(t, w.Body.String(), "the history is being rebuilt")
}

func BenchmarkBuild(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		newAPI(b, newFake()).built()
	}
}

func BenchmarkListOneOf100k(b *testing.B) {
	f := newFake()
	for n := range 100_000 {
		f.alerts = append(f.alerts, sample(n))
	}
	a := newAPI(b, f)
	b.ReportAllocs()
	for b.Loop() {
		if w := do(a, "GET", "/v1/alerts?limit=100&q=h777", ""); w.Code != 200 {
			b.Fatal(w.Body)
		}
	}
}
