package api

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

type fakeLife struct {
	notReady, reload error
	reloads          int
}

func (f *fakeLife) Ready() error { return f.notReady }

func (f *fakeLife) Reload(context.Context) error {
	f.reloads++
	return f.reload
}

func ask(h http.Handler, method, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	r.RemoteAddr = "127.0.0.1:4711"
	for i := 0; i < len(header); i += 2 {
		if header[i] == "RemoteAddr" {
			r.RemoteAddr = header[i+1]
			continue
		}
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestLifecycle(t *testing.T) {
	life := &fakeLife{}
	a, err := New(Options{Lifecycle: life, Metrics: http.NotFoundHandler(), Profiling: true})
	require.NoError(t, err)
	require.Equal(t, "OK\n", ask(a, "GET", "/-/healthy").Body.String())
	require.Equal(t, 200, ask(a, "HEAD", "/-/healthy").Code)
	require.Contains(t, ask(a, "GET", "/").Body.String(), "/v1/status")
	require.Equal(t, 200, ask(a, "GET", "/-/ready").Code)
	life.notReady = errors.New("journal: being read")
	w := ask(a, "GET", "/-/ready")
	require.Equal(t, 503, w.Code)
	require.Equal(t, "journal: being read\n", w.Body.String())

	require.Equal(t, 200, ask(a, "POST", "/-/reload").Code)
	require.Equal(t, 200, ask(a, "POST", "/-/reload", "RemoteAddr", "[::1]:9").Code)
	require.Equal(t, 403, ask(a, "POST", "/-/reload", "RemoteAddr", "192.0.2.1:9").Code)
	require.Equal(t, 403, ask(a, "POST", "/-/reload", "X-Forwarded-For", "192.0.2.1").Code)
	require.Equal(t, 403, ask(a, "POST", "/-/reload", "Sec-Fetch-Site", "cross-site").Code)
	require.Equal(t, 2, life.reloads)
	life.reload = errors.New("line 3: unknown field")
	w = ask(a, "POST", "/-/reload")
	require.Equal(t, 500, w.Code)
	require.Equal(t, "failed to reload config: line 3: unknown field\n", w.Body.String())
	require.Equal(t, 200, ask(a, "GET", "/debug/pprof/cmdline").Code)

	w = ask(a, "GET", "/-/reload")
	require.Equal(t, 405, w.Code)
	require.Equal(t, "POST", w.Header().Get("Allow"))
	require.JSONEq(t, `{"title":"Method Not Allowed","status":405,"detail":"GET is not possible here; POST is"}`, w.Body.String())
	w = ask(a, "GET", "/nothing")
	require.Equal(t, 404, w.Code)
	require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
}

func TestGate(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	reg := prometheus.NewRegistry()
	a, err := New(Options{
		Lifecycle: &fakeLife{}, MaxReads: 1, Registerer: reg,
		Mounts: []Mount{{Pattern: "/slow", Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				close(entered)
				<-release
			}
		})}},
	})
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ask(a, "GET", "/slow")
	}()
	<-entered
	w := ask(a, "GET", "/slow")
	require.Equal(t, 503, w.Code)
	require.Equal(t, "5", w.Header().Get("Retry-After"))
	require.Equal(t, 200, ask(a, "POST", "/slow").Code)
	require.Equal(t, 200, ask(a, "GET", "/-/healthy").Code)
	close(release)
	<-done
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP fenghuo_http_requests_total Requests answered, by handler and status.
# TYPE fenghuo_http_requests_total counter
fenghuo_http_requests_total{code="200",handler="/slow"} 2
fenghuo_http_requests_total{code="503",handler="/slow"} 1
fenghuo_http_requests_total{code="200",handler="GET /-/healthy"} 1
# HELP fenghuo_http_refused_total Requests that reached no handler or broke one, by reason.
# TYPE fenghuo_http_refused_total counter
fenghuo_http_refused_total{reason="concurrency"} 1
fenghuo_http_refused_total{reason="origin"} 0
fenghuo_http_refused_total{reason="panic"} 0
fenghuo_http_refused_total{reason="rate"} 0
`), "fenghuo_http_requests_total", "fenghuo_http_refused_total"))
}

func TestRate(t *testing.T) {
	now := time.Unix(1000, 0)
	a, err := New(Options{Lifecycle: &fakeLife{}, PerClient: 2, Now: func() time.Time { return now }})
	require.NoError(t, err)
	for range 2 {
		require.Equal(t, 200, ask(a, "GET", "/-/healthy").Code)
	}
	w := ask(a, "GET", "/-/healthy")
	require.Equal(t, 429, w.Code)
	require.Equal(t, "1", w.Header().Get("Retry-After"))
	require.Equal(t, 200, ask(a, "GET", "/-/healthy", "RemoteAddr", "192.0.2.1:1").Code)
	now = now.Add(time.Second)
	require.Equal(t, 200, ask(a, "GET", "/-/healthy").Code)
}

func TestPanic(t *testing.T) {
	a, err := New(Options{Lifecycle: &fakeLife{}, Mounts: []Mount{
		{Pattern: "/bad", Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("oops") })},
		{Pattern: "/abort", Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })},
	}})
	require.NoError(t, err)
	w := ask(a, "GET", "/bad")
	require.Equal(t, 500, w.Code)
	require.NotContains(t, w.Body.String(), "oops")
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { ask(a, "GET", "/abort") })
}

// TestSlowClient: a body that doesn't come ends with the time-out.
func TestSlowClient(t *testing.T) {
	got := make(chan error, 1)
	a, err := New(Options{Lifecycle: &fakeLife{}, Timeout: 50 * time.Millisecond, Mounts: []Mount{
		{Pattern: "/read", Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, err := io.ReadAll(r.Body)
			got <- err
		})},
	}})
	require.NoError(t, err)
	s := httptest.NewUnstartedServer(a)
	Configure(s.Config)
	s.Start()
	defer s.Close()
	r, w := io.Pipe()
	defer w.Close()
	go func() {
		resp, err := http.Post(s.URL+"/read", "text/plain", r)
		if err == nil {
			resp.Body.Close()
		}
	}()
	require.Error(t, <-got)
}

// TestDeadlineEndsWithItsRequest: a stream that follows a bounded request on
// one connection isn't cut off by that one's deadline. net/http takes it back.
func TestDeadlineEndsWithItsRequest(t *testing.T) {
	const timeout = 20 * time.Millisecond
	a, err := New(Options{Lifecycle: &fakeLife{}, Timeout: timeout, Mounts: []Mount{
		{Pattern: "/bounded", Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})},
		{Pattern: "/stream", Streams: true, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			<-time.After(4 * timeout)
			_, _ = io.WriteString(w, "late")
		})},
	}})
	require.NoError(t, err)
	s := httptest.NewUnstartedServer(a)
	connections := 0
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections++
		}
	}
	s.Start()
	defer s.Close()
	for _, path := range []string{"/bounded", "/stream"} {
		resp, err := s.Client().Get(s.URL + path)
		require.NoError(t, err)
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, path == "/stream", string(b) == "late")
	}
	require.Equal(t, 1, connections)
}

func TestRoutePrefix(t *testing.T) {
	a, err := New(Options{Lifecycle: &fakeLife{}, RoutePrefix: "/foo"})
	require.NoError(t, err)
	require.Equal(t, 200, ask(a, "GET", "/foo/-/healthy").Code)
	require.Equal(t, 404, ask(a, "GET", "/-/healthy").Code)
	require.Equal(t, 404, ask(a, "GET", "/foobar/-/healthy").Code)
}

func TestOptions(t *testing.T) {
	for want, o := range map[string]Options{
		"api: Lifecycle is missing":                                                     {},
		`api: RoutePrefix "foo": want a leading and no trailing slash`:                  {Lifecycle: &fakeLife{}, RoutePrefix: "foo"},
		"api: Timeout -1ns: negative":                                                   {Lifecycle: &fakeLife{}, Timeout: -1},
		"api: MaxReads -1: negative":                                                    {Lifecycle: &fakeLife{}, MaxReads: -1},
		"api: PerClient -1: negative":                                                   {Lifecycle: &fakeLife{}, PerClient: -1},
		`api: pattern "/x": no handler`:                                                 {Lifecycle: &fakeLife{}, Mounts: []Mount{{Pattern: "/x"}}},
		`api: pattern "GETT OUT": parsing "GETT OUT": at offset 5: host/path missing /`: {Lifecycle: &fakeLife{}, Mounts: []Mount{{Pattern: "GETT OUT", Handler: http.NotFoundHandler()}}},
	} {
		_, err := New(o)
		require.EqualError(t, err, want)
	}
}
