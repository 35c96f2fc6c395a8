package prom

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

// CompatibleVersion is the Prometheus release whose engine and API this is.
const CompatibleVersion = "3.16.0"

const (
	// maxFormBytes bounds a POSTed form.
	maxFormBytes = 1 << 20
	// maxMatchers bounds the match[] of one request: each is a walk of the index.
	maxMatchers = 100
	// maxPoints is Prometheus's bound of a range query's points per series.
	maxPoints = 11000
)

// Options configure New. Only Querier is required; a nil interface or function gets an empty answer.
type Options struct {
	Querier  Querier
	Rules    Rules
	Targets  Targets
	Metadata Metadata

	// Build is shown as is; an empty Version becomes CompatibleVersion, an empty GoVersion the runtime's.
	Build BuildInfo
	// Started and Hostname are shown by runtimeinfo.
	Started  time.Time
	Hostname string
	// Runtime returns the answer of runtimeinfo; nil: what this package knows of itself.
	Runtime func() RuntimeInfo
	// Config returns the running configuration as YAML, without secrets.
	Config func() string
	// Flags returns the command line flags and their values, without secrets.
	Flags func() map[string]string
	// TSDB returns the state of the sample store with its largest cardinalities.
	TSDB func(limit int) series.Status
	// Ready returns nil once the node answers questions; until then every call but /-/healthy answers 503. Nil: always ready.
	Ready func() error

	// Logger receives internal errors. Nil discards.
	Logger *slog.Logger
	// Registerer receives the request counter. Nil skips it.
	Registerer prometheus.Registerer
	// Now is the clock: time.Now.
	Now func() time.Time
}

// API serves the endpoints. It may be used by any number of requests at once.
type API struct {
	o        Options
	mux      *http.ServeMux
	buffers  sync.Pool // of *stream
	requests *prometheus.CounterVec
}

// New builds the handler. It serves absolute paths (/api/v1/..., /-/healthy, /-/ready).
func New(o Options) (*API, error) {
	if o.Querier == nil {
		return nil, errors.New("prom: Querier is missing")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Build.Version == "" {
		o.Build.Version = CompatibleVersion
	}
	if o.Build.GoVersion == "" {
		o.Build.GoVersion = runtime.Version()
	}
	a := &API{o: o, requests: prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "fenghuo", Subsystem: "prom", Name: "requests_total", Help: "Requests to the Prometheus API, by endpoint and error type.",
	}, []string{"endpoint", "error"})}
	if o.Registerer != nil {
		if err := o.Registerer.Register(a.requests); err != nil {
			return nil, fmt.Errorf("prom: register metrics: %w", err)
		}
	}
	a.buffers.New = func() any { return &stream{buf: make([]byte, 0, flushAt+flushAt/8)} }
	a.mux = http.NewServeMux()
	a.Register(a.mux)
	return a, nil
}

// ServeHTTP serves all endpoints, for callers without a mux of their own.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// endpoint answers one request: what writes the data, what to warn of, or what went wrong.
type endpoint func(*http.Request) (answer, *apiError)

// answer is a successful outcome.
type answer struct {
	data            func(*stream) // writes the value of "data"; called once, after the status line is decided
	warnings, infos []string
}

// Register adds the endpoints to a mux.
func (a *API) Register(mux *http.ServeMux) {
	for path, e := range map[string]endpoint{
		"query":           a.query,
		"query_range":     a.queryRange,
		"query_exemplars": a.queryExemplars,
		"format_query":    a.formatQuery,
		"parse_query":     a.parseQuery,
		"series":          a.series,
		"labels":          a.labelNames,
	} {
		mux.Handle("GET /api/v1/"+path, a.handler(path, e))
		mux.Handle("POST /api/v1/"+path, a.handler(path, e))
	}
	for path, e := range map[string]endpoint{
		"label/{name}/values": a.labelValues,
		"rules":               a.rules,
		"alerts":              a.alerts,
		"metadata":            a.metadata,
		"targets":             a.targets,
		"status/buildinfo":    a.buildInfo,
		"status/runtimeinfo":  a.runtimeInfo,
		"status/config":       a.config,
		"status/flags":        a.flags,
		"status/tsdb":         a.tsdb,
	} {
		mux.Handle("GET /api/v1/"+path, a.handler(path, e))
	}
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) {
		plain(w, http.StatusOK, "Prometheus Server is Healthy.\n")
	})
	mux.HandleFunc("GET /-/ready", func(w http.ResponseWriter, _ *http.Request) {
		if err := a.ready(); err != nil {
			plain(w, http.StatusServiceUnavailable, "Service Unavailable: "+err.Error()+"\n")
			return
		}
		plain(w, http.StatusOK, "Prometheus Server is Ready.\n")
	})
}

func (a *API) ready() error {
	if a.o.Ready == nil {
		return nil
	}
	return a.o.Ready()
}

// handler parses the form, runs the endpoint and writes the envelope.
func (a *API) handler(name string, e endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := a.buffers.Get().(*stream)
		s.reset(w, acceptsGzip(r))
		defer func() {
			s.release()
			a.buffers.Put(s)
		}()
		ans, fail := a.run(w, r, e)
		kind := ""
		if fail != nil {
			kind = fail.kind
			s.failure(fail)
		} else {
			s.success(ans)
		}
		a.requests.WithLabelValues(name, kind).Inc()
		if err := s.finish(); err != nil && r.Context().Err() == nil {
			a.o.Logger.Debug("prometheus api: writing an answer failed", "endpoint", name, "error", err)
		}
	})
}

func (a *API) run(w http.ResponseWriter, r *http.Request, e endpoint) (answer, *apiError) {
	if err := a.ready(); err != nil {
		return answer{}, &apiError{kindUnavailable, err}
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxFormBytes)
	if err := r.ParseForm(); err != nil {
		return answer{}, &apiError{kindBadData, fmt.Errorf("error parsing form values: %w", err)}
	}
	if n := len(r.Form["match[]"]); n > maxMatchers {
		return answer{}, &apiError{kindBadData, fmt.Errorf("%d match[] parameters exceed %d", n, maxMatchers)}
	}
	return e(r)
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}
