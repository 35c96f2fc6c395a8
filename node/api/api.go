// Package api owns the node's HTTP face as a whole: which handler answers which
// path, and what holds for all of them: limits, time-outs, metrics, errors.
//
// The faces themselves live below: v1 (our own), am (Alertmanager's), prom
// (Prometheus's).
package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenghuo-mesh/fenghuo/node/api/limit"
	"github.com/fenghuo-mesh/fenghuo/node/api/problem"
)

// Defaults of Options.
const (
	DefaultTimeout = 30 * time.Second
	// HeaderTimeout is how long a client may take for the head of a request,
	// IdleTimeout how long a connection may wait for the next one.
	HeaderTimeout = 10 * time.Second
	IdleTimeout   = 2 * time.Minute
	// MaxHeaderBytes bounds the head of a request.
	MaxHeaderBytes = 64 << 10
)

// Lifecycle answers how the node is and takes the order to read its files
// again. Safe for concurrent use.
type Lifecycle interface {
	// Ready returns nil once the node serves, else the reason why it doesn't.
	Ready() error
	// Reload reads configuration and rules again; on an error nothing changed.
	Reload(ctx context.Context) error
}

// Mount is a handler and the pattern (of http.ServeMux) under which it answers.
type Mount struct {
	Pattern string
	Handler http.Handler
	// Streams says that answers have no end: no time-out, no place at the gate.
	Streams bool
}

// Options is what the HTTP face needs. Lifecycle is required.
type Options struct {
	// Mounts are the faces and doors of the node. Patterns must not clash.
	Mounts []Mount
	// Lifecycle is behind /-/ready and /-/reload.
	Lifecycle Lifecycle
	// Metrics answers GET /metrics; nil: there is none.
	Metrics http.Handler
	// RoutePrefix stands before all paths, as "/fenghuo"; "" is none.
	RoutePrefix string
	// AnyReload lets POST /-/reload come from anywhere; else from this host only.
	AnyReload bool
	// Profiling serves /debug/pprof/.
	Profiling bool
	// Timeout bounds a request from its first to its last byte; 0 is
	// DefaultTimeout. Streams are not bounded.
	Timeout time.Duration
	// MaxReads bounds the GET requests that run at once; more get 503. 0 is
	// GOMAXPROCS or 8, whichever is larger, as in Alertmanager.
	MaxReads int
	// PerClient bounds the requests a second of one client address; 0 is no
	// bound. Burst is how many may come at once; 0 is PerClient.
	PerClient float64
	Burst     int
	// Now is the clock; nil is time.Now.
	Now        func() time.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

func (o *Options) complete() error {
	switch {
	case o.Lifecycle == nil:
		return errors.New("api: Lifecycle is missing")
	case o.RoutePrefix != "" && (o.RoutePrefix[0] != '/' || strings.HasSuffix(o.RoutePrefix, "/")):
		return fmt.Errorf("api: RoutePrefix %q: want a leading and no trailing slash", o.RoutePrefix)
	case o.Timeout < 0:
		return fmt.Errorf("api: Timeout %v: negative", o.Timeout)
	case o.MaxReads < 0:
		return fmt.Errorf("api: MaxReads %d: negative", o.MaxReads)
	case o.PerClient < 0:
		return fmt.Errorf("api: PerClient %v: negative", o.PerClient)
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.MaxReads == 0 {
		o.MaxReads = max(runtime.GOMAXPROCS(0), 8)
	}
	if o.Burst == 0 {
		o.Burst = int(o.PerClient)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// API is the node's HTTP face. Safe for concurrent use.
type API struct {
	o       Options
	mux     *http.ServeMux
	errors  problem.Table
	gate    *limit.Gate
	clients *limit.Clients
	origin  *http.CrossOriginProtection
	metrics metrics
}

// New assembles the face.
func New(o Options) (*API, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	a := &API{
		o: o, mux: http.NewServeMux(), errors: problem.Default(), gate: limit.NewGate(o.MaxReads),
		origin: http.NewCrossOriginProtection(), metrics: newMetrics(),
	}
	if o.PerClient > 0 {
		a.clients = limit.NewClients(o.PerClient, o.Burst)
	}
	if o.Registerer != nil {
		for _, c := range a.metrics.all() {
			if err := o.Registerer.Register(c); err != nil {
				return nil, fmt.Errorf("api: %w", err)
			}
		}
	}
	for _, m := range o.Mounts {
		if err := a.mount(m); err != nil {
			return nil, err
		}
	}
	a.own()
	return a, nil
}

// mount registers a handler; a clash of patterns is an error, not a panic.
func (a *API) mount(m Mount) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("api: pattern %q: %v", m.Pattern, r)
		}
	}()
	if m.Handler == nil {
		return fmt.Errorf("api: pattern %q: no handler", m.Pattern)
	}
	h := m.Handler
	if !m.Streams {
		h = a.bounded(h)
	}
	a.mux.Handle(m.Pattern, h)
	return nil
}

// front is what a browser sees that knows only the address.
const front = `Fenghuo node

/v1/status      how the node is
/v1/alerts      what fires
/v1/incidents   what people see
/v1/events      what happens, as it happens
/openapi.yaml   all of this API
/api/v2/alerts  the same alerts, as Alertmanager shows them
/api/v1/query   PromQL, as Prometheus answers it
/metrics        the node's own metrics
/-/healthy  /-/ready
`

// own registers what belongs to no face.
func (a *API) own() {
	a.mux.Handle("/", problem.NotFound(a.mux))
	a.mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, front) })
	a.mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "OK\n") })
	a.mux.HandleFunc("GET /-/ready", a.ready)
	a.mux.HandleFunc("POST /-/reload", a.reload)
	if a.o.Metrics != nil {
		a.mux.Handle("GET /metrics", a.o.Metrics)
	}
	if a.o.Profiling {
		a.mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		a.mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		a.mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		a.mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		a.mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
}

// Configure sets the time-outs and bounds that belong to the server.
func Configure(s *http.Server) {
	s.ReadHeaderTimeout, s.IdleTimeout, s.MaxHeaderBytes = HeaderTimeout, IdleTimeout, MaxHeaderBytes
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	// A failed write means that nobody listens any more.
	_, _ = w.Write([]byte(text))
}

func (a *API) ready(w http.ResponseWriter, _ *http.Request) {
	if err := a.o.Lifecycle.Ready(); err != nil {
		plain(w, http.StatusServiceUnavailable, err.Error()+"\n")
		return
	}
	plain(w, http.StatusOK, "OK\n")
}

func (a *API) reload(w http.ResponseWriter, r *http.Request) {
	if !a.o.AnyReload && !local(r) {
		problem.WriteStatus(w, http.StatusForbidden, "reload is taken from this host only")
		return
	}
	if err := a.o.Lifecycle.Reload(r.Context()); err != nil {
		plain(w, http.StatusInternalServerError, fmt.Sprintf("failed to reload config: %v\n", err))
		return
	}
	w.WriteHeader(http.StatusOK)
}

// local says whether a request comes from this host and wasn't passed on by a
// proxy on it.
func local(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback() && r.Header.Get("X-Forwarded-For") == "" && r.Header.Get("Forwarded") == ""
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p := a.o.RoutePrefix; p != "" {
		path, ok := strings.CutPrefix(r.URL.Path, p)
		if !ok || path != "" && path[0] != '/' {
			problem.WriteStatus(w, http.StatusNotFound, "paths begin with "+p)
			return
		}
		inner, url := *r, *r.URL
		url.Path, url.RawPath = path, strings.TrimPrefix(url.RawPath, p)
		inner.URL = &url
		r = &inner
	}
	start := a.o.Now()
	out := &recorder{ResponseWriter: w}
	a.metrics.inFlight.Inc()
	defer func() {
		a.metrics.inFlight.Dec()
		if v := recover(); v != nil {
			a.broke(out, r, v)
		}
		a.metrics.observe(r, out.status, a.o.Now().Sub(start))
	}()
	if a.refuse(out, r, start) {
		return
	}
	a.mux.ServeHTTP(out, r)
}

// refuse answers what doesn't reach a handler.
func (a *API) refuse(w http.ResponseWriter, r *http.Request, now time.Time) bool {
	if a.clients != nil && !a.clients.Allow(r.RemoteAddr, now) {
		a.metrics.refused.WithLabelValues("rate").Inc()
		a.errors.Write(w, problem.Errorf(problem.ErrRate, "more than %g requests a second", a.o.PerClient))
		return true
	}
	if err := a.origin.Check(r); err != nil {
		a.metrics.refused.WithLabelValues("origin").Inc()
		problem.WriteStatus(w, http.StatusForbidden, "a page of another origin can't do this: "+err.Error())
		return true
	}
	return false
}

// bounded wraps a handler whose answers have an end.
func (a *API) bounded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leave, ok := a.gate.Enter(r.Method)
		if !ok {
			a.metrics.refused.WithLabelValues("concurrency").Inc()
			a.errors.Write(w, problem.Errorf(problem.ErrUnavailable, "limit of concurrent GET requests reached (%d), try again later", a.gate.Size()))
			return
		}
		defer leave()
		// Deadlines of a connection are the machine's time, whatever Options.Now
		// says. Not every writer knows them (in tests none does); the context
		// bounds the work in any case.
		end := time.Now().Add(a.o.Timeout)
		control := http.NewResponseController(w)
		_ = control.SetReadDeadline(end)
		_ = control.SetWriteDeadline(end.Add(a.o.Timeout))
		ctx, cancel := context.WithTimeout(r.Context(), a.o.Timeout)
		defer cancel()
		inner := r.WithContext(ctx)
		inner.Body = http.MaxBytesReader(w, r.Body, limit.MaxBodyBytes)
		h.ServeHTTP(w, inner)
		r.Pattern = inner.Pattern
	})
}

// broke answers for a handler that panicked.
func (a *API) broke(w *recorder, r *http.Request, v any) {
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(v)
	}
	a.metrics.refused.WithLabelValues("panic").Inc()
	a.o.Logger.Error("handler of a request panicked", "method", r.Method, "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
	if w.status == 0 {
		problem.WriteStatus(w, http.StatusInternalServerError, "internal error; the node's log has it")
	}
}

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 || w.status < 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush implements http.Flusher.
func (w *recorder) Flush() {
	// A writer that can't flush has nothing to push.
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}

// metrics count requests by pattern, never by path: paths come from outside.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	refused  *prometheus.CounterVec
	inFlight prometheus.Gauge
}

func newMetrics() metrics {
	m := metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fenghuo_http_requests_total", Help: "Requests answered, by handler and status.",
		}, []string{"handler", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "fenghuo_http_request_duration_seconds", Help: "Time from the first byte of a request to the last of its answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5, 30},
		}, []string{"handler"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fenghuo_http_refused_total", Help: "Requests that reached no handler or broke one, by reason.",
		}, []string{"reason"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fenghuo_http_requests_in_flight", Help: "Requests being served, streams included.",
		}),
	}
	for _, reason := range []string{"rate", "origin", "concurrency", "panic"} {
		m.refused.WithLabelValues(reason)
	}
	return m
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.requests, m.duration, m.refused, m.inFlight}
}

func (m *metrics) observe(r *http.Request, status int, took time.Duration) {
	handler := r.Pattern
	if handler == "" || handler == "/" {
		handler = "none"
	}
	if status == 0 {
		status = http.StatusOK
	}
	m.requests.WithLabelValues(handler, strconv.Itoa(status)).Inc()
	m.duration.WithLabelValues(handler).Observe(took.Seconds())
}
