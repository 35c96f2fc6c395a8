package prom

import (
	"context"
	"time"

	"github.com/fenghuo-mesh/fenghuo/collectors/metadata"
	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

// Querier answers PromQL and questions about series. *series.DB is one; so is a querier over the whole mesh.
// Errors are those of package series.
type Querier interface {
	Instant(ctx context.Context, expr string, at time.Time, o series.QueryOptions) (series.Result, error)
	Range(ctx context.Context, expr string, w series.Window, o series.QueryOptions) (series.Result, error)
	Series(ctx context.Context, s series.Selection) (sets []series.Labels, warnings []string, err error)
	LabelNames(ctx context.Context, s series.Selection) (names, warnings []string, err error)
	LabelValues(ctx context.Context, name string, s series.Selection) (values, warnings []string, err error)
}

var _ Querier = (*series.DB)(nil)

// Rules lists the rule groups in the order they are shown. What it returns is not changed by the caller.
type Rules interface {
	RuleGroups() []RuleGroup
}

// Targets lists what is scraped.
type Targets interface {
	Targets() (active []Target, dropped []DroppedTarget)
}

// Metadata lists what is known of metrics: one entry for each distinct type, help and unit of a name, in any order.
type Metadata interface {
	Metadata() []metadata.Metric
}

// RuleGroup is one group of a rule file.
type RuleGroup struct {
	Name           string
	File           string
	Interval       time.Duration
	Limit          int           // 0: none
	EvaluationTime time.Duration // of the last evaluation
	LastEvaluation time.Time     // zero: never
	Rules          []Rule
}

// Kinds of rules.
const (
	KindAlerting  = "alerting"
	KindRecording = "recording"
)

// States of an alerting rule and of an alert; an alert is never inactive.
const (
	StateInactive = "inactive"
	StatePending  = "pending"
	StateFiring   = "firing"
)

// Health of a rule.
const (
	HealthUnknown = "unknown"
	HealthOK      = "ok"
	HealthBad     = "err"
)

// Rule is one rule with its state.
type Rule struct {
	Kind           string // KindAlerting or KindRecording
	Name           string // the alert's name, or the recorded metric's
	Query          string
	Labels         map[string]string
	Health         string // "" means HealthUnknown
	LastError      string
	EvaluationTime time.Duration
	LastEvaluation time.Time

	// Of alerting rules only.
	State         string // "" means StateInactive
	For           time.Duration
	KeepFiringFor time.Duration
	Annotations   map[string]string
	Alerts        []Alert
}

// Alert is one active alert of a rule.
type Alert struct {
	Labels          map[string]string // alertname included
	Annotations     map[string]string
	State           string // StatePending or StateFiring
	ActiveAt        time.Time
	KeepFiringSince time.Time // zero: the condition holds
	Value           float64
}

// Target is one scraped endpoint.
type Target struct {
	DiscoveredLabels   map[string]string
	Labels             map[string]string
	ScrapePool         string
	ScrapeURL          string
	GlobalURL          string // "" means ScrapeURL
	LastError          string
	LastScrape         time.Time
	LastScrapeDuration time.Duration
	Health             string // "up", "down" or "unknown"
	ScrapeInterval     time.Duration
	ScrapeTimeout      time.Duration
}

// DroppedTarget is one that relabelling dropped.
type DroppedTarget struct {
	DiscoveredLabels map[string]string
	ScrapePool       string
}

// BuildInfo is the answer of /api/v1/status/buildinfo.
type BuildInfo struct {
	// Version is the Prometheus version whose language and API this is; clients choose features by it.
	Version   string `json:"version"`
	Revision  string `json:"revision"`
	Branch    string `json:"branch"`
	BuildUser string `json:"buildUser"`
	BuildDate string `json:"buildDate"`
	GoVersion string `json:"goVersion"`
	// Fenghuo is this program's own version.
	Fenghuo string `json:"fenghuoVersion,omitempty"`
}

// RuntimeInfo is the answer of /api/v1/status/runtimeinfo.
type RuntimeInfo struct {
	StartTime           time.Time `json:"startTime"`
	CWD                 string    `json:"CWD"`
	Hostname            string    `json:"hostname"`
	ServerTime          time.Time `json:"serverTime"`
	ReloadConfigSuccess bool      `json:"reloadConfigSuccess"`
	LastConfigTime      time.Time `json:"lastConfigTime"`
	CorruptionCount     int64     `json:"corruptionCount"`
	GoroutineCount      int       `json:"goroutineCount"`
	GOMAXPROCS          int       `json:"GOMAXPROCS"`
	GOMEMLIMIT          int64     `json:"GOMEMLIMIT"`
	GOGC                string    `json:"GOGC"`
	GODEBUG             string    `json:"GODEBUG"`
	StorageRetention    string    `json:"storageRetention"`
}
