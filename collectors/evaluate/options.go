package evaluate

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/rule"
	"github.com/fenghuo-mesh/fenghuo/collectors/evaluate/rulefile"
	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

// Querier answers PromQL at one time. *series.DB is one.
type Querier interface {
	// Instant evaluates expr at a time. The result belongs to the caller.
	Instant(ctx context.Context, expr string, at time.Time, o series.QueryOptions) (series.Result, error)
}

// Appender stores samples. *series.DB is one.
type Appender interface {
	// Append stores a batch and says what became of each sample.
	Append(ctx context.Context, batch []series.Sample) (series.Appended, error)
}

// Reporter takes what the rules find. It is told states, not events: calls may
// be repeated, and a call that failed is made good by the next one.
type Reporter interface {
	// Report takes the complete set of firing alerts of one rule group. What the
	// group reported before and doesn't now is resolved. group is a rulefile.Group's
	// Key. The alerts are immutable.
	Report(ctx context.Context, group string, firing []*alert.Alert) error
	// Retain says which groups there are: what others have reported is resolved.
	Retain(ctx context.Context, groups []string) error
}

var (
	_ Querier  = (*series.DB)(nil)
	_ Appender = (*series.DB)(nil)
)

// Bounds of evaluation.
const (
	// DefaultConcurrency is how many groups are evaluated at once. One is enough
	// for a host's rules; the second keeps a slow group from delaying the others.
	DefaultConcurrency = 2
	// DefaultMaxAlerts is the highest number of pending and firing alerts of one
	// rule whose group has no lower limit.
	DefaultMaxAlerts = 10_000
	// DefaultTemplateTimeout is how long the templates of one evaluation of one
	// rule may take together.
	DefaultTemplateTimeout = 10 * time.Second
)

// Options configure a Manager. Zero fields take the default named beside them.
type Options struct {
	// Querier and Appender are the samples. Required.
	Querier  Querier
	Appender Appender
	// Reporter takes the firing alerts; nil reports to nobody (rule tests).
	Reporter Reporter

	// ExternalURL is how people reach this node: in templates and generator
	// URLs. May be empty.
	ExternalURL string
	// ExternalLabels are added to alerts that don't have them, and are seen by
	// templates.
	ExternalLabels label.Set
	// Host are the labels of this host, on which parameters may depend.
	Host label.Set
	// Tenant owns alerts of rules that name no other: alert.DefaultTenant.
	Tenant string
	// Node and Datacenter are this host's names, for the alerts' origin.
	Node, Datacenter string

	// QueryOffset is how far in the past groups look that don't say: 0.
	QueryOffset time.Duration
	// Concurrency is how many groups are evaluated at once: DefaultConcurrency.
	Concurrency int
	// MaxAlerts bounds the alerts of one rule: DefaultMaxAlerts.
	MaxAlerts int
	// TemplateTimeout is for all templates of a rule's evaluation: DefaultTemplateTimeout.
	TemplateTimeout time.Duration
	// OutageTolerance is how old a pending state may be and still be taken up
	// again after a restart: rule.DefaultOutageTolerance.
	OutageTolerance time.Duration
	// ForGracePeriod is how long a pending alert waits at least after a restart:
	// rule.DefaultForGracePeriod.
	ForGracePeriod time.Duration

	// Now is the clock: time.Now.
	Now func() time.Time
	// Logger: nil discards.
	Logger *slog.Logger
	// Registerer receives the metrics; nil skips them.
	Registerer prometheus.Registerer
}

func (o Options) withDefaults() (Options, error) {
	o.Tenant = or(o.Tenant, alert.DefaultTenant)
	o.Concurrency = or(o.Concurrency, DefaultConcurrency)
	o.MaxAlerts = or(o.MaxAlerts, DefaultMaxAlerts)
	o.TemplateTimeout = or(o.TemplateTimeout, DefaultTemplateTimeout)
	o.OutageTolerance = or(o.OutageTolerance, rule.DefaultOutageTolerance)
	o.ForGracePeriod = or(o.ForGracePeriod, rule.DefaultForGracePeriod)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, o.validate()
}

func (o Options) validate() error {
	switch {
	case o.Querier == nil:
		return fmt.Errorf("evaluate: Querier is missing")
	case o.Appender == nil:
		return fmt.Errorf("evaluate: Appender is missing")
	case o.QueryOffset < 0:
		return fmt.Errorf("evaluate: QueryOffset %v is negative", o.QueryOffset)
	case o.Concurrency < 0:
		return fmt.Errorf("evaluate: Concurrency %d is negative", o.Concurrency)
	case o.MaxAlerts < 0:
		return fmt.Errorf("evaluate: MaxAlerts %d is negative", o.MaxAlerts)
	case o.TemplateTimeout < 0 || o.OutageTolerance < 0 || o.ForGracePeriod < 0:
		return fmt.Errorf("evaluate: TemplateTimeout, OutageTolerance or ForGracePeriod is negative")
	}
	if err := rulefile.CheckTenant(o.Tenant); err != nil {
		return fmt.Errorf("evaluate: Tenant: %w", err)
	}
	if _, err := url.Parse(o.ExternalURL); err != nil {
		return fmt.Errorf("evaluate: ExternalURL: %w", err)
	}
	return nil
}

// or returns v, or def if v is zero.
func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
