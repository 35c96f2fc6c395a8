// Package v1 owns the node's own HTTP API, version 1: alerts with the reasons
// for what became of them, incidents, silences, rules, history, status, and a
// stream of what happens. Its description is docs/openapi.yaml, made from the
// code here and served at /openapi.json and /openapi.yaml.
//
// Fields and paths of version 1 are only ever added. A client must ignore
// fields it doesn't know.
package v1

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/incident"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/trail"
	"github.com/fenghuo-mesh/fenghuo/node/api/problem"
	"github.com/fenghuo-mesh/fenghuo/node/api/silences"
)

// Standing is how an alert stands at the time of asking.
type Standing struct {
	Receivers   []string // names, in order of the routes
	SilencedBy  []string // IDs of silences
	InhibitedBy []string // fingerprints of alerts
	MutedBy     []string // names of time intervals
	Incident    string   // ID of the incident it belongs to
}

// Alerts answers about the alerts this node holds in memory. Safe for
// concurrent use.
type Alerts interface {
	// Held returns the alerts that match, in any order: all that fire, and those
	// that ended lately.
	Held(ctx context.Context, ms label.Matchers) ([]*alert.Alert, error)
	// Standing says how each of the alerts stands, in the same order.
	Standing(ctx context.Context, alerts []*alert.Alert) ([]Standing, error)
	// Episode returns an alert by its ID with its why-trail, also one that is
	// only in the history. The error wraps problem.ErrNotFound if there is none.
	Episode(ctx context.Context, id string) (*alert.Alert, trail.Log, error)
}

// HistoryQuery selects episodes from the history.
type HistoryQuery struct {
	// From and To bound the time in which an episode was active: it began before
	// To and hadn't ended at From.
	From, To alert.Time
	// Matchers are those of Keep that are about labels; an index may use them.
	Matchers label.Matchers
	// Keep says whether an episode is asked for. It must be called for each one
	// that the index offers.
	Keep func(*alert.Alert) bool
	// Limit is how many to return, Cursor where the page before ended.
	Limit  int
	Cursor string
}

// HistoryPage is one page of an answer, newest onset first.
type HistoryPage struct {
	Alerts []*alert.Alert
	// Next is the cursor of the next page, "" after the last.
	Next string
	// Partial says why the answer may lack something, in words; "" if it doesn't.
	Partial string
}

// History answers about what has been. Safe for concurrent use.
type History interface {
	// Search returns a page. The error wraps problem.ErrInvalid for a bad cursor,
	// problem.ErrUnavailable where the history can't be read just now.
	Search(ctx context.Context, q HistoryQuery) (HistoryPage, error)
}

// Incidents answers about incidents, open ones and lately closed ones. Safe for
// concurrent use.
type Incidents interface {
	// Incidents returns all that are known, in any order.
	Incidents(ctx context.Context) ([]*incident.Incident, error)
	// Incident returns one; the error wraps problem.ErrNotFound if there is none.
	Incident(ctx context.Context, id string) (*incident.Incident, error)
}

// Node answers about the node itself. Safe for concurrent use.
type Node interface {
	// Status says how the node is. Uptime and Now are filled in by this package.
	Status(ctx context.Context) (Status, error)
	// Rules returns the rule groups in the order of their files.
	Rules(ctx context.Context) ([]RuleGroup, error)
}

// Options is what the API needs. The interfaces and Feed are required.
type Options struct {
	Alerts    Alerts
	History   History
	Incidents Incidents
	Silences  silences.Store
	Node      Node
	// Feed is what GET /v1/events shows.
	Feed *Feed
	// Tenant owns silences whose author names none; "" is alert.DefaultTenant.
	Tenant string
	// Errors maps the node's errors to status codes, before the defaults.
	Errors problem.Table
	// Now is the clock; nil is time.Now.
	Now    func() time.Time
	Logger *slog.Logger
}

func (o *Options) complete() error {
	switch {
	case o.Alerts == nil:
		return errors.New("v1: Alerts is missing")
	case o.History == nil:
		return errors.New("v1: History is missing")
	case o.Incidents == nil:
		return errors.New("v1: Incidents is missing")
	case o.Silences == nil:
		return errors.New("v1: Silences is missing")
	case o.Node == nil:
		return errors.New("v1: Node is missing")
	case o.Feed == nil:
		return errors.New("v1: Feed is missing")
	}
	if o.Tenant == "" {
		o.Tenant = alert.DefaultTenant
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// API serves version 1. Safe for concurrent use.
type API struct {
	o      Options
	errors problem.Table
	// built is made at the first request: most nodes are never asked, and the
	// description costs memory.
	built func() *site
}

// site is the API once it is built.
type site struct {
	mux  *http.ServeMux
	huma huma.API
}

// New makes the API.
func New(o Options) (*API, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	a := &API{o: o, errors: slices.Concat(o.Errors, silences.Errors(), problem.Default())}
	a.built = sync.OnceValue(a.build)
	return a, nil
}

// Version is the version of the API as its description names it.
const Version = "1.0.0"

func (a *API) build() *site {
	s := &site{mux: http.NewServeMux()}
	const prefix = "#/components/schemas/"
	s.huma = humago.New(s.mux, huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Fenghuo", Version: Version,
				Description: "The HTTP API of a Fenghuo node: alerts with the reasons for what became of them, incidents, silences, " +
					"rules, history, status and a stream of events. Errors are problem documents (RFC 9457). Unknown query parameters are refused. " +
					"Times are RFC 3339 in UTC.",
				License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			},
			Components: &huma.Components{Schemas: huma.NewMapRegistry(prefix, huma.DefaultSchemaNamer)},
		},
		Formats: huma.DefaultFormats, DefaultFormat: "application/json",
		RejectUnknownQueryParameters: true,
	})
	alertCalls{a}.register(s.huma)
	incidentCalls{a}.register(s.huma)
	silenceCalls{a}.register(s.huma)
	nodeCalls{a}.register(s.huma)
	eventCalls{a}.register(s)
	s.mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, r *http.Request) {
		a.describe(w, r, "application/vnd.oai.openapi+json;version=3.1", s.huma.OpenAPI().MarshalJSON)
	})
	s.mux.HandleFunc("GET /openapi.yaml", func(w http.ResponseWriter, r *http.Request) {
		a.describe(w, r, "application/vnd.oai.openapi;version=3.1", s.huma.OpenAPI().YAML)
	})
	s.mux.Handle("/", problem.NotFound(s.mux))
	return s
}

func (a *API) describe(w http.ResponseWriter, r *http.Request, contentType string, marshal func() ([]byte, error)) {
	b, err := marshal()
	if err != nil {
		a.o.Logger.Error("description of the API could not be written", "path", r.URL.Path, "err", err)
		problem.WriteStatus(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	// A failed write means that nobody listens any more.
	_, _ = w.Write(b)
}

// OpenAPI returns the API's description as YAML.
func (a *API) OpenAPI() ([]byte, error) {
	b, err := a.built().huma.OpenAPI().YAML()
	if err != nil {
		return nil, fmt.Errorf("describing the API: %w", err)
	}
	return b, nil
}

// ServeHTTP implements http.Handler for /v1/, /openapi.json and /openapi.yaml.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	a.built().mux.ServeHTTP(w, r)
}

// fail turns an error of the node into the answer for it.
func (a *API) fail(err error) error {
	e := a.errors.Find(err)
	if e.Status >= http.StatusInternalServerError && e.Status != http.StatusServiceUnavailable {
		a.o.Logger.Error("request to API v1 failed", "err", err)
	}
	out := huma.NewError(e.Status, err.Error())
	if e.Retry == 0 {
		return out
	}
	h := http.Header{}
	problem.SetRetry(h, e.Retry)
	return huma.ErrorWithHeaders(out, h)
}

func (a *API) now() alert.Time { return alert.At(a.o.Now()) }

// operation describes one call.
func operation(method, path, id, tag, summary string) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: method, Path: path, Tags: []string{tag}, Summary: summary,
		Errors: []int{http.StatusBadRequest, http.StatusServiceUnavailable},
	}
}
