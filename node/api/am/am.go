// Package am owns the Alertmanager face: API v2 exactly as Alertmanager 0.34
// speaks it, so that Prometheus, amtool, Grafana and karma work unchanged
// against a node.
package am

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/node/api/limit"
	"github.com/fenghuo-mesh/fenghuo/node/api/problem"
	"github.com/fenghuo-mesh/fenghuo/node/api/silences"
)

// Sink takes the alerts of one request into the node. accepted alerts are
// durable when it returns; rejected ones are named by their index. With an
// error nothing was taken. Options.Errors says which errors mean that trying
// again may help. Safe for concurrent use.
type Sink interface {
	Accept(ctx context.Context, alerts []*alert.Alert) (rejected []Rejection, err error)
}

// Rejection is one alert that the sink refused.
type Rejection struct {
	Index int
	Err   error
	// Busy says that there is no room just now, rather than a fault in the alert.
	Busy bool
}

// View is an alert as it stands at the time of asking. Nothing in it is
// changed; alerts may share its slices.
type View struct {
	Alert       *alert.Alert
	Receivers   []string // names, in order of the routes
	SilencedBy  []string // IDs of silences
	InhibitedBy []string // fingerprints of alerts
}

// Group is an aggregation group of a route.
type Group struct {
	Labels      label.Set
	RouteLabels label.Set
	Receiver    string
	// MutedBy names the time intervals that mute the whole group.
	MutedBy []string
	Alerts  []View
}

// Alerts answers what fires. Resolved alerts are never returned. The status is
// computed at the time of asking. Safe for concurrent use.
type Alerts interface {
	// Alerts returns the alerts that match, in any order.
	Alerts(ctx context.Context, ms label.Matchers) ([]View, error)
	// Groups returns the aggregation groups with the alerts that match, in any
	// order; groups in which none matches are left out.
	Groups(ctx context.Context, ms label.Matchers) ([]Group, error)
}

// Receiver is a configured receiver.
type Receiver struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels,omitempty"`
}

// Peer is a member of the cluster as API v2 shows it.
type Peer struct {
	Name    string `json:"name"`
	Address string `json:"address"`
}

// Status is what API v2 says about the node.
type Status struct {
	// Config is the configuration in Alertmanager's format, secrets left out.
	Config string
	// ClusterName is the node's own name in the cluster, ClusterStatus is ready,
	// settling or disabled, Peers includes the node itself.
	ClusterName   string
	ClusterStatus string
	Peers         []Peer
	// Version, Revision, Branch, BuildUser, BuildDate and GoVersion describe the
	// program. amtool warns where the major and minor of Version differ from its own.
	Version, Revision, Branch, BuildUser, BuildDate, GoVersion string
	// Started is when the node started.
	Started time.Time
}

// Node answers what is configured. Safe for concurrent use.
type Node interface {
	Receivers() []Receiver
	Status() Status
}

// Options is what the face needs. All interfaces are required.
type Options struct {
	Sink     Sink
	Alerts   Alerts
	Silences silences.Store
	Node     Node
	// Tenant owns what is posted and is all that is shown; "" is
	// alert.DefaultTenant.
	Tenant string
	// Errors maps the node's errors to status codes, before the defaults.
	Errors problem.Table
	// Origin is what alerts posted here say about where they came from.
	Origin *alert.Origin
	// Now is the clock; nil is time.Now.
	Now        func() time.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

func (o *Options) validate() error {
	switch {
	case o.Sink == nil:
		return errors.New("am: Sink is missing")
	case o.Alerts == nil:
		return errors.New("am: Alerts is missing")
	case o.Silences == nil:
		return errors.New("am: Silences is missing")
	case o.Node == nil:
		return errors.New("am: Node is missing")
	case o.Origin == nil:
		return errors.New("am: Origin is missing")
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

// API serves API v2. Safe for concurrent use.
type API struct {
	o        Options
	errors   problem.Table
	bodies   limit.Bodies
	decoders sync.Pool // *decoder
	buffers  sync.Pool // *[]byte
	refused  *prometheus.CounterVec
	mux      *http.ServeMux
}

// New builds the face.
func New(o Options) (*API, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	a := &API{
		o:      o,
		errors: slices.Concat(o.Errors, problem.Table{{Err: ErrMalformed, Status: http.StatusBadRequest}}, silences.Errors(), problem.Default()),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fenghuo_alertmanager_api_refused_total",
			Help: "What Alertmanager's API refused: whole bodies (malformed, too_large, unavailable) and single alerts (invalid).",
		}, []string{"reason"}),
		mux: http.NewServeMux(),
	}
	for _, reason := range []string{"malformed", "too_large", "unavailable", "invalid"} {
		a.refused.WithLabelValues(reason)
	}
	if o.Registerer != nil {
		if err := o.Registerer.Register(a.refused); err != nil {
			return nil, fmt.Errorf("am: %w", err)
		}
	}
	a.mux.Handle("/", problem.NotFound(a.mux))
	a.mux.HandleFunc("POST /api/v2/alerts", a.postAlerts)
	a.mux.HandleFunc("GET /api/v2/alerts", a.getAlerts)
	a.mux.HandleFunc("GET /api/v2/alerts/groups", a.getGroups)
	a.mux.HandleFunc("GET /api/v2/silences", a.getSilences)
	a.mux.HandleFunc("POST /api/v2/silences", a.postSilence)
	a.mux.HandleFunc("GET /api/v2/silence/{id}", a.getSilence)
	a.mux.HandleFunc("DELETE /api/v2/silence/{id}", a.deleteSilence)
	a.mux.HandleFunc("GET /api/v2/status", a.getStatus)
	a.mux.HandleFunc("GET /api/v2/receivers", a.getReceivers)
	return a, nil
}

// ServeHTTP implements http.Handler for paths below /api/v2/.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }
