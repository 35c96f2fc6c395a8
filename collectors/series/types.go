package series

import (
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Labels, Label and Matcher are upstream's, under names that other packages can use without importing it.
type (
	// Labels is an immutable label set, sorted by name.
	Labels = labels.Labels
	// Label is one name and value.
	Label = labels.Label
	// Matcher is one condition of a selector.
	Matcher = labels.Matcher
)

// LabelsOf returns the label set of name, value, name, value... It panics if their number is odd.
func LabelsOf(namesAndValues ...string) Labels { return labels.FromStrings(namesAndValues...) }

// Sample is one measured value of one series.
type Sample struct {
	// Labels identify the series; __name__ is the metric's name. They are sorted by name, as labels.Labels always are.
	Labels labels.Labels
	// T is the time of the measurement in Unix milliseconds.
	T int64
	// V is the value. A Prometheus staleness marker (value.StaleNaN) ends the series at T.
	V float64
}

// Appended says what became of the samples of one Append.
// The fields add up to the length of the batch.
type Appended struct {
	// Stored were accepted, including late ones inside the out-of-order window.
	Stored int
	// OutOfOrder were older than the newest sample of their series while no out-of-order window was open.
	OutOfOrder int
	// Duplicate had the time of a stored sample of their series, with another value.
	// (A repeat with the same value is a no-op and counts as Stored.)
	Duplicate int
	// TooOld were older than the out-of-order window allows.
	TooOld int
	// TooNew were further ahead of the clock than Options.MaxAhead.
	TooNew int
	// OverLimit would have opened a series beyond Options.MaxSeries.
	OverLimit int
	// Invalid had no name, malformed or oversized labels.
	Invalid int
}

// Refused is the number of samples that were not stored.
func (a Appended) Refused() int {
	return a.OutOfOrder + a.Duplicate + a.TooOld + a.TooNew + a.OverLimit + a.Invalid
}

// Add returns the sums of a and b.
func (a Appended) Add(b Appended) Appended {
	return Appended{
		Stored: a.Stored + b.Stored, OutOfOrder: a.OutOfOrder + b.OutOfOrder, Duplicate: a.Duplicate + b.Duplicate,
		TooOld: a.TooOld + b.TooOld, TooNew: a.TooNew + b.TooNew, OverLimit: a.OverLimit + b.OverLimit, Invalid: a.Invalid + b.Invalid,
	}
}

// Type is the type of an expression or of a result, in Prometheus's words.
type Type string

// The four types of PromQL.
const (
	TypeVector Type = "vector"
	TypeMatrix Type = "matrix"
	TypeScalar Type = "scalar"
	TypeString Type = "string"
)

// Point is one value of a series at one time.
type Point struct {
	T int64 // Unix milliseconds
	V float64
}

// Series is a run of points with one label set.
type Series struct {
	Labels labels.Labels
	Points []Point // ascending in T
}

// Result is the outcome of a query. Only the field that Type names is meaningful.
// Everything in it belongs to the caller.
type Result struct {
	Type   Type
	Vector []Sample // TypeVector, in the engine's order (sort() and topk() decide it); T is the evaluation time
	Matrix []Series // TypeMatrix, sorted by labels
	Scalar Point    // TypeScalar
	String string   // TypeString; its time is Scalar.T

	// Warnings and Infos are the engine's annotations, e.g. "metric might not be a counter", with positions.
	Warnings []string
	Infos    []string
	// Stats is set if QueryOptions.Stats was.
	Stats *QueryStats
}

// QueryOptions adjust one query. The zero value is the engine's defaults.
type QueryOptions struct {
	// Timeout shortens Options.QueryTimeout; it can't lengthen it. 0 means the default.
	Timeout time.Duration
	// Lookback overrides Options.Lookback: how old the newest sample of a series may be and still count. 0 means the default.
	Lookback time.Duration
	// Limit keeps only the first Limit series of a result and adds a warning if there were more. 0 means all.
	Limit int
	// Stats asks for Result.Stats; PerStep adds the samples of each step.
	Stats, PerStep bool
	// Own marks an evaluation by this node itself (its rules): it doesn't queue behind people's queries.
	// The caller bounds how many of its own run at a time.
	Own bool
}

// Window is the time range of a range query. Start and End are inclusive; Step must be positive.
type Window struct {
	Start, End time.Time
	Step       time.Duration
}

// Selection picks series for the metadata calls.
type Selection struct {
	// Matchers are series selectors such as `up{job="node"}`; a series is selected if any of them matches it.
	Matchers []string
	// Start and End bound the time in which the series must have samples, inclusive. Zero means unbounded.
	Start, End time.Time
	// Limit is the highest number of entries returned; 0 means all.
	Limit int
}

// QueryStats tell what a query cost, with the JSON of Prometheus's stats parameter.
type QueryStats struct {
	Timings QueryTimings `json:"timings"`
	Samples QuerySamples `json:"samples"`
}

// QueryTimings are the phases of a query in seconds.
type QueryTimings struct {
	EvalTotalTime        float64 `json:"evalTotalTime"`
	ResultSortTime       float64 `json:"resultSortTime"`
	QueryPreparationTime float64 `json:"queryPreparationTime"`
	InnerEvalTime        float64 `json:"innerEvalTime"`
	ExecQueueTime        float64 `json:"execQueueTime"`
	ExecTotalTime        float64 `json:"execTotalTime"`
}

// QuerySamples count the samples and series of a query.
type QuerySamples struct {
	TotalQueryableSamplesPerStep []StepCount `json:"totalQueryableSamplesPerStep,omitempty"`
	TotalQueryableSamples        int64       `json:"totalQueryableSamples"`
	SamplesReadPerStep           []StepCount `json:"samplesReadPerStep,omitempty"`
	SamplesRead                  int64       `json:"samplesRead"`
	SeriesTouched                int64       `json:"seriesTouched"`
	PeakSamples                  int         `json:"peakSamples"`
}

// StepCount is a number of samples at one step.
type StepCount struct {
	T int64 // Unix milliseconds
	N int64
}

// MarshalJSON writes [seconds, count].
func (c StepCount) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "[%v,%d]", strconv.FormatFloat(float64(c.T)/1000, 'f', -1, 64), c.N), nil
}

// NameCount is one row of a cardinality table.
type NameCount struct {
	Name  string `json:"name"`
	Value uint64 `json:"value"`
}

// Status is the state of the store. Times are Unix milliseconds, 0 if there is no sample yet.
type Status struct {
	HeadSeries     uint64
	HeadChunks     int64
	HeadLabelPairs int
	HeadMinTime    int64
	HeadMaxTime    int64
	MinTime        int64 // oldest sample kept, blocks included
	Blocks         int
	BlockBytes     int64
	HeadBytes      int64 // WAL, out-of-order log and mapped head chunks
	Full           bool  // appends are refused because the disk, or the store's share of it, is full

	SeriesByMetric     []NameCount // top cardinalities, largest first
	ValuesByLabel      []NameCount
	MemoryByLabel      []NameCount
	SeriesByLabelValue []NameCount
}
