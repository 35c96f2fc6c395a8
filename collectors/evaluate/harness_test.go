package evaluate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/collectors/evaluate/rulefile"
	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

func at(seconds int) time.Time { return time.Unix(1_700_000_000+int64(seconds), 0).UTC() }

// store opens a sample store that forgets.
func store(t testing.TB) *series.DB {
	t.Helper()
	db, err := series.Open(series.Options{Dir: t.TempDir(), Volatile: true, MaxAhead: 100 * 365 * 24 * time.Hour})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// put stores samples written as `metric{label="value"} 1`, one a line.
func put(t testing.TB, db Appender, when time.Time, lines ...string) {
	t.Helper()
	batch := make([]series.Sample, 0, len(lines))
	for _, l := range lines {
		i := strings.LastIndexByte(l, ' ')
		ls, err := series.NewParser().ParseMetric(l[:i])
		require.NoError(t, err)
		var v float64
		if l[i+1:] == "stale" {
			v = math.Float64frombits(value.StaleNaN)
		} else {
			_, err = fmt.Sscan(l[i+1:], &v)
			require.NoError(t, err)
		}
		batch = append(batch, series.Sample{Labels: ls, T: when.UnixMilli(), V: v})
	}
	done, err := db.Append(t.Context(), batch)
	require.NoError(t, err)
	require.Zero(t, done.Refused(), "%+v", done)
}

// ask returns the result of an instant query as lines, sorted.
func ask(t testing.TB, db Querier, expr string, when time.Time) []string {
	t.Helper()
	res, err := db.Instant(t.Context(), expr, when, series.QueryOptions{})
	require.NoError(t, err)
	out := []string{}
	for _, s := range res.Vector {
		out = append(out, fmt.Sprint(s.Labels, " ", s.V))
	}
	slices.Sort(out)
	return out
}

// groupOf makes the only group of a rule file at work.
func groupOf(t testing.TB, file string, o Options) *Group {
	t.Helper()
	specs, issues := rulefile.ParseFile("rules.yml", []byte(file), 15*time.Second)
	require.Empty(t, rulefile.Errors(issues), "%v", issues)
	require.Len(t, specs, 1)
	e, err := newEnv(o)
	require.NoError(t, err)
	g := newGroup(specs[0], e)
	g.SkipRestore()
	return g
}

func options(db *series.DB) Options { return Options{Querier: db, Appender: db} }

// failing is a store that fails on demand.
type failing struct {
	*series.DB
	query, write bool
}

var errTest = errors.New("test: broken")

func (f *failing) Instant(ctx context.Context, expr string, when time.Time, o series.QueryOptions) (series.Result, error) {
	if f.query {
		return series.Result{}, errTest
	}
	return f.DB.Instant(ctx, expr, when, o)
}

func (f *failing) Append(ctx context.Context, batch []series.Sample) (series.Appended, error) {
	if f.write {
		return series.Appended{}, errTest
	}
	return f.DB.Append(ctx, batch)
}

// receiver records what is reported.
type receiver struct {
	mu       sync.Mutex
	reports  map[string][]*alert.Alert
	calls    []string // "seconds group: names"
	retained []string
	begin    time.Time
	fail     bool
}

func (r *receiver) Report(_ context.Context, group string, firing []*alert.Alert) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail {
		return errTest
	}
	if r.reports == nil {
		r.reports = map[string][]*alert.Alert{}
	}
	r.reports[group] = firing
	names := make([]string, 0, len(firing))
	for _, a := range firing {
		names = append(names, a.Name())
	}
	r.calls = append(r.calls, fmt.Sprintf("%d %s: %s", int(time.Since(r.begin).Seconds()), group, strings.Join(names, ",")))
	return nil
}

func (r *receiver) Retain(_ context.Context, groups []string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail {
		return errTest
	}
	r.retained = append(r.retained, strings.Join(groups, " "))
	return nil
}

func (r *receiver) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.calls
	r.calls = nil
	return out
}
