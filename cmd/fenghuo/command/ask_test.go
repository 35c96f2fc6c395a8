package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	v1 "github.com/fenghuo-mesh/fenghuo/node/api/v1"
)

// stub is a node that answers from a table and remembers what it was asked.
type stub struct {
	answers map[string]any // "METHOD path" -> what to answer
	asked   []string
	query   url.Values
	body    map[string]any
}

func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := r.Method + " " + r.URL.Path
	s.asked = append(s.asked, key)
	s.query, s.body = r.URL.Query(), nil
	// Bodies are not always there.
	_ = json.NewDecoder(r.Body).Decode(&s.body)
	if next := s.query.Get("cursor"); next != "" {
		key += "?" + next
	}
	answer, ok := s.answers[key]
	if !ok {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintf(w, `{"title":"Not Found","status":404,"detail":"no %s"}`, r.URL.Path)
		return
	}
	if text, ok := answer.(string); ok {
		status := 200
		if n, rest, ok := strings.Cut(text, " "); ok && len(n) == 3 {
			fmt.Sscan(n, &status)
			text = rest
		}
		w.Header().Set("Retry-After", "5")
		w.WriteHeader(status)
		fmt.Fprint(w, text)
		return
	}
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		panic(err)
	}
}

// ago is a time that far before now; tests compare in whole minutes.
func ago(d time.Duration) time.Time { return time.Now().Add(-d) }

func newStub() *stub {
	disk := v1.Alert{
		ID: "f211c63173a8ce83-mwun5z1c", Fingerprint: "f211c63173a8ce83", Tenant: "default", Name: "磁盘满", Status: "firing", Priority: "P1",
		Resource: "db-01", Service: "orders", Summary: "磁盘 /data 已用 97%,请尽快清理", Labels: map[string]string{"alertname": "磁盘满", "host": "db-01"},
		Annotations: map[string]string{"runbook": "http://wiki/disk"}, StartsAt: ago(150*time.Minute + 30*time.Second),
		Timing: v1.Timing{Count: 12, ReceivedAt: ago(150*time.Minute + 30*time.Second)}, Origin: v1.Origin{Source: "prometheus_v2"}, Receivers: []string{"ops"},
	}
	evil := v1.Alert{
		ID: "37194ab01d6dabf2-mwun4oqo", Fingerprint: "37194ab01d6dabf2", Name: "Evil\x1b[31m\u202e", Status: "firing", Priority: "P3", Muted: true, SilencedBy: []string{"s1"},
		Summary: strings.Repeat("long ", 40), StartsAt: ago(80*time.Hour + 30*time.Minute), Labels: map[string]string{"alertname": "Evil"},
	}
	inc := v1.Incident{ID: "01K000000000000000000000AA", Title: "orders: 磁盘满", Status: "open", Priority: "P1", Worst: "P0", Active: 2, Rollups: 1, OnsetAt: ago(150*time.Minute + 30*time.Second)}
	return &stub{answers: map[string]any{
		"GET /v1/alerts":    v1.AlertList{Alerts: []v1.Alert{disk}, Total: 2, Next: "c1"},
		"GET /v1/alerts?c1": v1.AlertList{Alerts: []v1.Alert{evil}, Total: 2},
		"GET /v1/alerts/f211c63173a8ce83": v1.AlertDetail{Alert: disk, TrailDropped: 3, Trail: []v1.TrailEvent{
			{At: ago(150*time.Minute + 30*time.Second), Kind: "received", Subject: "prometheus_v2"},
			{At: ago(150*time.Minute + 10*time.Second), Kind: "sent", Subject: "ops/webhook/0", Detail: "first notification"},
		}},
		"GET /v1/search":    v1.SearchResult{Alerts: []v1.Alert{disk}, Next: "c9", Partial: "the store is being rebuilt"},
		"GET /v1/incidents": v1.IncidentList{Incidents: []v1.Incident{inc}, Total: 1},
		"GET /v1/incidents/01K000000000000000000000AA": v1.IncidentDetail{Incident: inc, Total: 3, Alerts: []v1.Alert{disk}, Members: []v1.Member{{Name: "磁盘满", Service: "orders", Evidence: "same service", OnsetAt: ago(3 * time.Hour)}}},
		"GET /v1/silences":          v1.SilenceList{Silences: []v1.Silence{{ID: "s1", State: "active", Matchers: []string{`a="b"`}, EndsAt: ago(-150*time.Minute - 30*time.Second), CreatedBy: "me", Comment: "why"}}},
		"POST /v1/silences":         v1.SilenceID{ID: "s2"},
		"POST /v1/silences/preview": v1.Preview{Alerts: []v1.Alert{disk}, Total: 2, Firing: 9},
		"DELETE /v1/silences/s1":    struct{}{},
		"GET /v1/status":            v1.Status{Node: "n1", Version: "0.1.0", GoVersion: "go1.26", Ready: true, StartedAt: ago(26*time.Hour + 30*time.Minute), Firing: 2, Degraded: []string{"store: disk full"}, Parts: []v1.Part{{Name: "journal", State: "ok", Numbers: map[string]float64{"bytes": 4096, "age_seconds": 1.5}}}},
		"GET /api/v1/query":         `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up","job":"b"},"value":[1764000000.5,"1"]},{"metric":{"__name__":"up","job":"a"},"value":[1764000000,"NaN"]}]},"warnings":["partial"]}`,
		"GET /api/v1/query_range":   `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"up"},"values":[[1764000000,"1"],[1764000060,"0"]]}]}}`,
	}}
}

// play runs one command line against the stub.
func play(t *testing.T, s http.Handler, args ...string) (string, error) {
	t.Helper()
	server := httptest.NewServer(s)
	defer server.Close()
	t.Setenv(serverVariable, server.URL)
	root := &cobra.Command{Use: "fenghuo", SilenceUsage: true, SilenceErrors: true}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %w", errUsage, err) })
	root.AddCommand(newAlertsCommand(), newIncidentsCommand(), newSilencesCommand(), newQueryCommand(), newStatusCommand())
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	err := root.Execute()
	text := strings.ReplaceAll(out.String(), server.URL, "http://node")
	// Times, and with them the width of their columns, differ from zone to zone.
	text = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d( [A-Z0-9+-]{2,6})?`).ReplaceAllString(text, "<time>")
	return regexp.MustCompile(`  +`).ReplaceAllString(text, "  "), err
}

// TestOutputs compares what is printed with testdata/ask.txt, but for the width
// of columns. UPDATE=1 in the environment rewrites the file.
func TestOutputs(t *testing.T) {
	want, err := os.ReadFile(filepath.Join("testdata", "ask.txt"))
	require.NoError(t, err)
	var got strings.Builder
	for line := range strings.Lines(string(want)) {
		command, ok := strings.CutPrefix(line, "$ fenghuo ")
		if !ok {
			continue
		}
		out, err := play(t, newStub(), strings.Split(strings.TrimSpace(command), " ")...)
		require.NoError(t, err, command)
		got.WriteString(line + out)
	}
	if os.Getenv("UPDATE") != "" {
		require.NoError(t, os.WriteFile(filepath.Join("testdata", "ask.txt"), []byte(got.String()), 0o644))
		return
	}
	require.Equal(t, string(want), got.String())
}

func TestQueriesSent(t *testing.T) {
	s := newStub()
	_, err := play(t, s, "alerts", "-f", `a="b"`, "-f", `c=~"d,e"`, "-p", "P0,P1", "--state", "all", "--muted", "true", "-q", "disk full", "--limit", "7", "--sort", "name",
		"--tenant", "t", "--source", "s", "--service", "v", "--resource", "r", "--incident", "i")
	require.NoError(t, err)
	require.Equal(t, url.Values{
		"filter": {`a="b"`, `c=~"d,e"`}, "priority": {"P0", "P1"}, "state": {"all"}, "muted": {"true"}, "q": {"disk full"}, "limit": {"7"}, "sort": {"name"},
		"tenant": {"t"}, "source": {"s"}, "service": {"v"}, "resource": {"r"}, "incident": {"i"},
	}, s.query)

	_, err = play(t, s, "silences", "add", "a=b", "c=d", "-d", "2h", "-c", "why", "-a", "me")
	require.NoError(t, err)
	require.Equal(t, map[string]any{"matchers": []any{"a=b", "c=d"}, "duration": "2h", "comment": "why", "created_by": "me"}, s.body)

	s.asked = nil
	_, err = play(t, s, "silences", "add", "a=b", "--preview")
	require.NoError(t, err)
	require.Equal(t, []string{"POST /v1/silences/preview"}, s.asked)

	_, err = play(t, s, "query", "up", "--start", "1h", "--step", "5m")
	require.NoError(t, err)
	require.Equal(t, "300", s.query.Get("step"))
	require.Equal(t, "up", s.query.Get("query"))
}

func TestErrors(t *testing.T) {
	s := newStub()
	s.answers["GET /v1/incidents"] = `503 {"title":"Service Unavailable","status":503,"detail":"the node is starting"}`
	s.answers["GET /v1/silences"] = `422 {"detail":"validation failed","errors":[{"message":"expected number","location":"query.limit"}]}`
	s.answers["GET /api/v1/query"] = `400 {"status":"error","errorType":"bad_data","error":"1:4: parse error"}`
	s.answers["GET /v1/status"] = `200 <html>hello</html>`
	for _, c := range []struct {
		args  string
		usage bool
		want  string
	}{
		{"alerts show", true, "accepts 1 arg"},
		{"alerts lst", true, `did you mean "list"?`},
		{"alerts one two", true, `takes no argument "one"`},
		{"alerts --output xml", true, `--output "xml": want table, wide or json`},
		{"alerts --nope", true, "unknown flag"},
		{"alerts --server ftp://x", true, "want http://HOST:PORT"},
		{"alerts show nothing", false, "no /v1/alerts/nothing (status 404)"},
		{"incidents", false, "the node is starting (status 503); try again in 5s"},
		{"silences", false, "validation failed: limit: expected number (status 422)"},
		{"silences add", true, "requires at least 1 arg"},
		{"silences add a=b", true, "--comment is required"},
		{"silences add a=b -c x -d soon", true, `--duration "soon"`},
		{"silences expire none", false, "silence none: no /v1/silences/none"},
		{"query up(", false, "1:4: parse error (status 400)"},
		{"query up --start 1h --time 2h", true, "--time and --start: give one of them"},
		{"query up --end 1h", true, "need --start"},
		{"query up --start 1h --end 2h", true, "--start is not before --end"},
		{"query up --time noon", true, `--time: time "noon"`},
		{"query up --start 1h --step 0s", true, "--step"},
		{"status", false, "is it a Fenghuo node?"},
	} {
		_, err := play(t, s, strings.Split(c.args, " ")...)
		require.ErrorContains(t, err, c.want, c.args)
		require.Equal(t, c.usage, errors.Is(err, errUsage), "%s: %v", c.args, err)
	}
	_, err := play(t, s, "alerts", "--server", "127.0.0.1:1")
	require.ErrorContains(t, err, "Is a node running there?")
}

func TestJSONIsWhole(t *testing.T) {
	for _, args := range []string{"alerts --all", "alerts show f211c63173a8ce83", "incidents", "silences", "status", "query up", "silences add a=b -c x", "silences expire s1", "alerts history"} {
		out, err := play(t, newStub(), append(strings.Split(args, " "), "-o", "json")...)
		require.NoError(t, err, args)
		require.True(t, json.Valid([]byte(out)), "%s: %s", args, out)
	}
}

func TestWidth(t *testing.T) {
	require.Equal(t, 4, width("烽火"))
	require.Equal(t, 5, width("a烽火"))
	require.Equal(t, 1, width("e\u0301"))
	require.Equal(t, 2, width("🔥"))
	require.Equal(t, 6, width("\uff0c\uff01。"))
	require.Equal(t, "烽…", cut("烽火台", 4))
	require.Equal(t, "烽火", cut("烽火", 4))
	require.Equal(t, "a b\ufffd[1m", printable("a\nb\x1b[1m"))
}

func TestTableLinesUp(t *testing.T) {
	tb := &table{head: []string{"NAME", "X"}}
	tb.add("烽火", "1")
	tb.add("abc", "")
	var out bytes.Buffer
	require.NoError(t, tb.print(&out))
	require.Equal(t, "NAME  X\n烽火  1\nabc   -\n", out.String())
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 45 * time.Second: "45s", 5 * time.Minute: "5m", 5*time.Minute + 7*time.Second: "5m7s", 42 * time.Minute: "42m",
		2*time.Hour + 5*time.Minute: "2h5m", 25 * time.Hour: "1d1h", 96 * time.Hour: "4d", 300 * time.Hour: "12d",
	} {
		require.Equal(t, want, age(d))
	}
}
