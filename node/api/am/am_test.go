package am

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/silence"
	"github.com/fenghuo-mesh/fenghuo/node/api/problem"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// fakeNode keeps what it is given, in a map.
type fakeNode struct {
	views  []View
	groups []Group
	got    []*alert.Alert
	err    error
	reject func(*alert.Alert) error
	book   *silence.Book
	ids    int
	status Status
}

func (f *fakeNode) Accept(_ context.Context, alerts []*alert.Alert) (out []Rejection, err error) {
	if f.err != nil {
		return nil, f.err
	}
	for i, a := range alerts {
		if f.reject != nil {
			if err := f.reject(a); err != nil {
				out = append(out, Rejection{Index: i, Err: err, Busy: errors.Is(err, problem.ErrUnavailable)})
				continue
			}
		}
		f.got = append(f.got, a)
	}
	return out, nil
}

func (f *fakeNode) Alerts(_ context.Context, ms label.Matchers) ([]View, error) {
	var out []View
	for _, v := range f.views {
		if ms.Match(v.Alert.Labels) {
			out = append(out, v)
		}
	}
	return out, f.err
}

func (f *fakeNode) Groups(context.Context, label.Matchers) ([]Group, error) { return f.groups, f.err }

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

func (f *fakeNode) Receivers() []Receiver {
	return []Receiver{{Name: "ops", Labels: map[string]string{"team": "sre"}}, {Name: "db"}}
}

func (f *fakeNode) Status() Status { return f.status }

func newAPI(t testing.TB, f *fakeNode) *API {
	t.Helper()
	if f.book == nil {
		f.book = silence.NewBook(silence.Options{})
	}
	a, err := New(Options{
		Sink: f, Alerts: f, Silences: f, Node: f, Origin: &alert.Origin{Source: "prometheus_v2"},
		Now: func() time.Time { return noon },
	})
	require.NoError(t, err)
	return a
}

func do(a *API, method, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	a.ServeHTTP(w, r)
	return w
}

func firing(n int) *alert.Alert {
	a := &alert.Alert{
		Tenant:       "default",
		Labels:       label.FromStrings("alertname", "Disk", "host", fmt.Sprintf("h%05d", n), "job", "node"),
		Annotations:  label.FromStrings("summary", `say "hi" <&>`+"\x01\t\u2028火"),
		GeneratorURL: "http://p/g?a=b&c", StartsAt: alert.At(noon.Add(-time.Hour)), UpdatedAt: alert.At(noon),
		EndsAt: alert.At(noon.Add(4*time.Minute + 123456789)),
	}
	return a
}

func TestPost(t *testing.T) {
	f := &fakeNode{}
	a := newAPI(t, f)
	w := do(a, "POST", "/api/v2/alerts", `[{"labels":{"a":"b"}}]`)
	require.Equal(t, 200, w.Code)
	require.Empty(t, w.Body.String())
	require.Len(t, f.got, 1)

	f.got, f.reject = nil, func(a *alert.Alert) error {
		if a.Labels.Get("a") == "bad" {
			return alert.ErrTimes
		}
		return nil
	}
	w = do(a, "POST", "/api/v2/alerts", `[{"labels":{}},{"labels":{"a":"ok"}},{"labels":{"a":"bad"}},{"labels":{"a":"ok2"}}]`)
	require.Equal(t, 400, w.Code)
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	var text string
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &text))
	require.Equal(t, "alerts[0]: invalid label set: at least one non-empty label is required\nalerts[2]: start time must not be after end time", text)
	require.Len(t, f.got, 2)

	f.got, f.reject = nil, func(*alert.Alert) error { return fmt.Errorf("%w: too many", problem.ErrUnavailable) }
	w = do(a, "POST", "/api/v2/alerts", `[{"labels":{"a":"ok"}}]`)
	require.Equal(t, 503, w.Code)
	require.Equal(t, "5", w.Header().Get("Retry-After"))

	f.err = problem.Errorf(problem.ErrUnavailable, "disk full")
	w = do(a, "POST", "/api/v2/alerts", `[{"labels":{"a":"ok"}}]`)
	require.Equal(t, 503, w.Code)
	require.Equal(t, "5", w.Header().Get("Retry-After"))
	require.JSONEq(t, `{"title":"Service Unavailable","status":503,"detail":"disk full"}`, w.Body.String())

	w = do(a, "POST", "/api/v2/alerts", `[{"labels":{"a":"ok"}}, 7]`)
	require.Equal(t, 400, w.Code)
	require.Equal(t, `"alerts[1]: want object, got number (at byte 24)"`+"\n", w.Body.String())
	require.Empty(t, f.got)
}

func TestPostBounds(t *testing.T) {
	f := &fakeNode{}
	a := newAPI(t, f)
	post := func(body []byte, header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", "/api/v2/alerts", bytes.NewReader(body))
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		return w
	}
	zip := func(body []byte) []byte {
		var b bytes.Buffer
		z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
		require.NoError(t, err)
		_, err = z.Write(body)
		require.NoError(t, err)
		require.NoError(t, z.Close())
		return b.Bytes()
	}
	require.Equal(t, 200, post(zip([]byte(`[{"labels":{"a":"b"}}]`)), "Content-Encoding", "gzip").Code)
	require.Len(t, f.got, 1)
	bomb := zip(bytes.Repeat([]byte(" "), 21<<20))
	require.Less(t, len(bomb), 1<<20)
	require.Equal(t, 413, post(bomb, "Content-Encoding", "gzip").Code)
	require.Equal(t, 413, post(bytes.Repeat([]byte(" "), 21<<20)).Code)
	require.Equal(t, 400, post([]byte("no gzip"), "Content-Encoding", "gzip").Code)
	require.Equal(t, 400, post(zip([]byte(`[]`))[:20], "Content-Encoding", "gzip").Code)
	require.Equal(t, 415, post([]byte("[]"), "Content-Encoding", "br").Code)
	require.Equal(t, 415, post([]byte("[]"), "Content-Type", "text/plain").Code)
	require.Equal(t, 200, post([]byte("[]"), "Content-Type", "application/json; charset=utf-8").Code)
	require.Len(t, f.got, 1)
}

func TestGetAlerts(t *testing.T) {
	f := &fakeNode{views: []View{
		{Alert: firing(1), Receivers: []string{"ops"}},
		{Alert: firing(2), Receivers: []string{"ops", "db"}, SilencedBy: []string{"s1"}},
		{Alert: firing(3), Receivers: []string{"db"}, InhibitedBy: []string{"00000000000000aa"}},
	}}
	ended := firing(4)
	ended.EndsAt = alert.At(noon)
	f.views = append(f.views, View{Alert: ended})
	a := newAPI(t, f)
	hosts := func(query string) (out []string) {
		w := do(a, "GET", "/api/v2/alerts?"+query, "")
		require.Equal(t, 200, w.Code, "%s: %s", query, w.Body)
		var list []struct{ Labels map[string]string }
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &list))
		for _, e := range list {
			out = append(out, e.Labels["host"])
		}
		return out
	}
	require.ElementsMatch(t, []string{"h00001", "h00002", "h00003"}, hosts(""))
	require.ElementsMatch(t, []string{"h00002", "h00003"}, hosts("active=false"))
	require.ElementsMatch(t, []string{"h00001", "h00003"}, hosts("silenced=false"))
	require.ElementsMatch(t, []string{"h00001"}, hosts("silenced=false&inhibited=0"))
	require.ElementsMatch(t, []string{"h00001", "h00002"}, hosts("receiver=o.s&unprocessed=false"))
	require.ElementsMatch(t, []string{"h00001", "h00002"}, hosts("receiver_matchers=team%3Dsre"))
	require.ElementsMatch(t, []string{"h00002"}, hosts("filter=host%3D%22h00002%22&filter=alertname%3D~%22D.*%22"))
	require.ElementsMatch(t, []string{"h00001", "h00002", "h00003"}, hosts("filter=absent%3D%22%22"))
	require.Empty(t, hosts("filter=absent!%3D%22%22"))

	w := do(a, "GET", "/api/v2/alerts?filter=host%3Dh00002", "")
	require.Equal(t, `[{"annotations":{"summary":"say \"hi\" <&>\u0001\t`+"\u2028"+`火"},"endsAt":"2026-11-24T12:04:00.123Z",`+
		`"fingerprint":"`+firing(2).Labels.Fingerprint().String()+`","receivers":[{"name":"ops"},{"name":"db"}],"startsAt":"2026-11-24T11:00:00.000Z",`+
		`"status":{"inhibitedBy":[],"mutedBy":[],"silencedBy":["s1"],"state":"suppressed"},"updatedAt":"2026-11-24T12:00:00.000Z",`+
		`"generatorURL":"http://p/g?a=b&c","labels":{"alertname":"Disk","host":"h00002","job":"node"}}]`+"\n", w.Body.String())
	for query, want := range map[string]string{
		"filter=%3D":                    "invalid matcher",
		"filter=":                       "empty",
		"active=perhaps":                "active: want true or false",
		"receiver=(":                    "failed to parse receiver param",
		"receiver_matchers=%7B":         "failed to parse receiver_matchers param",
		"%zz":                           "query",
		strings.Repeat("filter=a&", 70): "70 matchers, at most 64",
	} {
		w := do(a, "GET", "/api/v2/alerts?"+query, "")
		require.Equal(t, 400, w.Code, query)
		var text string
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &text))
		require.Contains(t, text, want)
	}
}

func TestGetGroups(t *testing.T) {
	ended := firing(9)
	ended.EndsAt = alert.At(noon)
	host := func(n int) label.Set { return label.FromStrings("host", fmt.Sprint(n)) }
	f := &fakeNode{groups: []Group{
		{Labels: label.FromStrings("a", "1", "b", "2"), Receiver: "ops", Alerts: []View{{Alert: firing(2)}, {Alert: firing(1)}}},
		{Labels: host(2), Receiver: "ops", RouteLabels: label.FromStrings("tier", "1"), Alerts: []View{{Alert: firing(1), SilencedBy: []string{"s"}}}},
		{Labels: host(2), Receiver: "db", MutedBy: []string{"weekend"}, Alerts: []View{{Alert: firing(1)}}},
		{Labels: host(1), Receiver: "db", Alerts: []View{{Alert: ended}}},
	}}
	a := newAPI(t, f)
	type group struct {
		Labels, RouteLabels map[string]string
		Receiver            struct{ Name string }
		Alerts              []struct {
			Labels    map[string]string
			Receivers []struct{ Name string }
			Status    struct {
				State   string
				MutedBy []string
			}
		}
	}
	get := func(query string) (out []group) {
		w := do(a, "GET", "/api/v2/alerts/groups?"+query, "")
		require.Equal(t, 200, w.Code)
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &out))
		return out
	}
	all := get("")
	require.Len(t, all, 3)
	require.Equal(t, "db", all[0].Receiver.Name)
	require.Equal(t, []string{"weekend"}, all[0].Alerts[0].Status.MutedBy)
	require.Equal(t, "suppressed", all[0].Alerts[0].Status.State)
	require.Equal(t, map[string]string{"tier": "1"}, all[1].RouteLabels)
	require.Equal(t, map[string]string{"a": "1", "b": "2"}, all[2].Labels)
	require.Equal(t, "h00001", all[2].Alerts[0].Labels["host"])
	require.Len(t, all[2].Alerts[0].Receivers, 3)
	require.Len(t, get("muted=false"), 2)
	require.Len(t, get("silenced=false"), 2)
	require.Len(t, get("receiver=db"), 1)
}

func TestCompareSets(t *testing.T) {
	less := [][2]label.Set{
		{label.FromStrings("b", "1"), label.FromStrings("a", "1", "b", "2")},
		{label.FromStrings("b", "1"), label.FromStrings("a", "1")},
		{label.FromStrings("a", "1"), label.FromStrings("a", "2")},
	}
	for _, p := range less {
		require.Negative(t, compareSets(p[0], p[1]))
		require.Positive(t, compareSets(p[1], p[0]))
		require.Zero(t, compareSets(p[0], p[0]))
	}
}

func TestSilences(t *testing.T) {
	f := &fakeNode{}
	a := newAPI(t, f)
	const body = `{"matchers":[{"name":"host","value":"h1","isRegex":false},{"name":"job","value":"n.*","isRegex":true,"isEqual":false}],` +
		`"startsAt":"2026-11-24T12:00:00Z","endsAt":"2026-11-24T13:00:00Z","createdBy":"me","comment":"why not"}`
	w := do(a, "POST", "/api/v2/silences", body)
	require.Equal(t, 200, w.Code, w.Body.String())
	require.JSONEq(t, `{"silenceID":"00000000-0000-0000-0000-000000000001"}`, w.Body.String())
	shown := `{"id":"00000000-0000-0000-0000-000000000001","status":{"state":"active"},"updatedAt":"2026-11-24T12:00:00.000Z",` +
		`"comment":"why not","createdBy":"me","endsAt":"2026-11-24T13:00:00.000Z",` +
		`"matchers":[{"isEqual":true,"isRegex":false,"name":"host","value":"h1"},{"isEqual":false,"isRegex":true,"name":"job","value":"n.*"}],` +
		`"startsAt":"2026-11-24T12:00:00.000Z"}`
	w = do(a, "GET", "/api/v2/silence/00000000-0000-0000-0000-000000000001", "")
	require.Equal(t, shown+"\n", w.Body.String())
	require.Equal(t, "["+shown+"]\n", do(a, "GET", "/api/v2/silences", "").Body.String())
	require.Equal(t, "["+shown+"]\n", do(a, "GET", "/api/v2/silences?filter=host%3Dh1&expired=false", "").Body.String())
	require.Equal(t, "[]\n", do(a, "GET", "/api/v2/silences?filter=host%3Dh2", "").Body.String())
	require.Equal(t, "[]\n", do(a, "GET", "/api/v2/silences?active=false", "").Body.String())
	require.Equal(t, "[]\n", do(a, "GET", "/api/v2/silences?active=false&pending=false&expired=false", "").Body.String())
	for range 2 {
		w = do(a, "DELETE", "/api/v2/silence/00000000-0000-0000-0000-000000000001", "")
		require.Equal(t, 200, w.Code)
		require.Empty(t, w.Body.String())
	}
	require.Equal(t, 404, do(a, "DELETE", "/api/v2/silence/00000000-0000-0000-0000-000000000009", "").Code)
	require.Equal(t, 404, do(a, "GET", "/api/v2/silence/x", "").Code)
	for edit, want := range map[string]string{
		`"2026-11-24T13:00:00Z"->"2026-11-24T12:00:00Z"`: "Failed to create silence: start time must be before end time",
		`2026-11-24->2026-11-23`:                         "Failed to create silence: end time can't be in the past",
		`"comment":"why not"->"x":1`:                     "silence.comment is required",
		`"name":"host"->"name":""`:                       "invalid silence: invalid label matcher 0",
		`"value":"n.*"->"value":"("`:                     "invalid silence: invalid label matcher 1",
		`"value":"h1","isRegex":false},{"name":"job","value":"n.*","isRegex":true,"isEqual":false}->"value":"","isRegex":false}`: "invalid silence: at least one matcher must not match the empty string",
		`"isRegex":true->"isRegex":"yes"`: "silence.matchers.isRegex: got string",
		`"me"->7`:                         "silence.createdBy: got number",
		`"2026-11-24T12:00:00Z"->"noon"`:  "want a time like",
		`{"matchers"->{"id":"00000000-0000-0000-0000-000000000077","matchers"`: "silence not found",
		`}->`: "invalid character",
	} {
		from, to, _ := strings.Cut(edit, "->")
		w := do(a, "POST", "/api/v2/silences", strings.ReplaceAll(body, from, to))
		var text string
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &text), "%s: %s", edit, w.Body)
		require.Contains(t, text, want, edit)
		if want == "silence not found" {
			require.Equal(t, 404, w.Code)
		} else {
			require.Equal(t, 400, w.Code)
		}
	}
	require.Equal(t, 413, do(a, "POST", "/api/v2/silences", `"`+strings.Repeat("x", maxSilenceBytes)+`"`).Code)
}

func TestStatusAndReceivers(t *testing.T) {
	f := &fakeNode{status: Status{
		Config: "route:\n  receiver: ops\n", ClusterName: "n1", ClusterStatus: "ready", Started: noon,
		Peers: []Peer{{"n2", "10.0.0.2:7946"}, {"n1", "10.0.0.1:7946"}}, GoVersion: "go1.26",
	}}
	a := newAPI(t, f)
	require.Equal(t, `{"cluster":{"name":"n1","peers":[{"name":"n1","address":"10.0.0.1:7946"},{"name":"n2","address":"10.0.0.2:7946"}],"status":"ready"},`+
		`"config":{"original":"route:\n  receiver: ops\n"},"uptime":"2026-11-24T12:00:00.000Z",`+
		`"versionInfo":{"branch":"","buildDate":"","buildUser":"","goVersion":"go1.26","revision":"","version":""}}`+"\n", do(a, "GET", "/api/v2/status", "").Body.String())
	require.Equal(t, `[{"name":"ops","labels":{"team":"sre"}},{"name":"db"}]`+"\n", do(a, "GET", "/api/v2/receivers", "").Body.String())
	require.Equal(t, `[{"name":"ops","labels":{"team":"sre"}}]`+"\n", do(a, "GET", "/api/v2/receivers?receiver_matchers=team%3Dsre", "").Body.String())
	require.Equal(t, 400, do(a, "GET", "/api/v2/receivers?receiver_matchers=%3D", "").Code)
}

func TestOptions(t *testing.T) {
	_, err := New(Options{})
	require.EqualError(t, err, "am: Sink is missing")
}

func FuzzQuery(f *testing.F) {
	for _, q := range []string{"", "filter=a%3Db&active=false", "receiver=(", "receiver_matchers=a", "silenced=x"} {
		f.Add(q)
	}
	a := newAPI(f, &fakeNode{views: []View{{Alert: firing(1)}}})
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest("GET", "/api/v2/alerts", nil)
		r.URL.RawQuery = query
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		if w.Code != 200 && w.Code != 400 || !json.Valid(w.Body.Bytes()) {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	})
}

func BenchmarkGetAlerts(b *testing.B) {
	f := &fakeNode{}
	for i := range 10_000 {
		f.views = append(f.views, View{Alert: firing(i), Receivers: []string{"ops"}})
	}
	a := newAPI(b, f)
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		w.Body = nil
		a.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v2/alerts", nil))
		if w.Code != 200 {
			b.Fatal(w.Code)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10_000, "ns/alert")
}

func BenchmarkPost(b *testing.B) {
	f := &fakeNode{}
	a := newAPI(b, f)
	body := sampleBody(64)
	b.ReportAllocs()
	for b.Loop() {
		f.got = f.got[:0]
		w := httptest.NewRecorder()
		a.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/api/v2/alerts", bytes.NewReader(body)))
		if w.Code != 200 {
			b.Fatal(w.Code, w.Body)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/alert")
}
