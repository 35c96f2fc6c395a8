package prom

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"

	"github.com/fenghuo-mesh/fenghuo/collectors/metadata"
	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

// maxStatusLimit is Prometheus's bound of the rows of a cardinality table.
const maxStatusLimit = 10000

// valueAnswer answers with anything encoding/json writes; for small answers only.
func valueAnswer(v any) (answer, *apiError) {
	b, err := marshal(v)
	if err != nil {
		return answer{}, &apiError{kindInternal, err}
	}
	return answer{data: func(s *stream) { s.raw(string(b)) }}, nil
}

// value writes a small value whose type can't fail to encode.
func (s *stream) value(v any) {
	b, err := marshal(v)
	if err != nil {
		b = []byte("null")
	}
	s.raw(string(b))
}

// marshal encodes without escaping HTML: operators such as >= stay readable.
func marshal(v any) ([]byte, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	return []byte(strings.TrimSuffix(b.String(), "\n")), nil
}

func (a *API) buildInfo(*http.Request) (answer, *apiError) { return valueAnswer(a.o.Build) }

func (a *API) runtimeInfo(*http.Request) (answer, *apiError) {
	if a.o.Runtime != nil {
		return valueAnswer(a.o.Runtime())
	}
	info := RuntimeInfo{
		StartTime: a.o.Started.UTC(), LastConfigTime: a.o.Started.UTC(), Hostname: a.o.Hostname,
		ServerTime: a.o.Now().UTC(), ReloadConfigSuccess: true, GoroutineCount: runtime.NumGoroutine(),
		GOMAXPROCS: runtime.GOMAXPROCS(0), GOMEMLIMIT: debug.SetMemoryLimit(-1), GOGC: os.Getenv("GOGC"), GODEBUG: os.Getenv("GODEBUG"),
	}
	return valueAnswer(info)
}

func (a *API) config(*http.Request) (answer, *apiError) {
	yaml := ""
	if a.o.Config != nil {
		yaml = a.o.Config()
	}
	return answer{data: func(s *stream) {
		s.raw(`{"yaml":`)
		s.str(yaml)
		s.raw(`}`)
	}}, nil
}

func (a *API) flags(*http.Request) (answer, *apiError) {
	var flags map[string]string
	if a.o.Flags != nil {
		flags = a.o.Flags()
	}
	return answer{data: func(s *stream) { s.mapping(flags) }}, nil
}

func (a *API) tsdb(r *http.Request) (answer, *apiError) {
	limit := 10
	if v := r.Form.Get("limit"); v != "" {
		var err error
		if limit, err = strconv.Atoi(v); err != nil || limit < 1 {
			return answer{}, &apiError{kindBadData, errors.New("limit must be a positive number")}
		}
		if limit > maxStatusLimit {
			return answer{}, &apiError{kindBadData, fmt.Errorf("limit must not exceed %d", maxStatusLimit)}
		}
	}
	var st series.Status
	if a.o.TSDB != nil {
		st = a.o.TSDB(limit)
	}
	minTime, maxTime := st.HeadMinTime, st.HeadMaxTime
	if st.HeadSeries == 0 {
		minTime, maxTime = math.MaxInt64, math.MinInt64 // as Prometheus says of an empty head
	}
	return valueAnswer(map[string]any{
		"headStats": map[string]any{
			"numSeries": st.HeadSeries, "numLabelPairs": st.HeadLabelPairs, "chunkCount": st.HeadChunks,
			"minTime": minTime, "maxTime": maxTime,
		},
		"seriesCountByMetricName":     orEmpty(st.SeriesByMetric),
		"labelValueCountByLabelName":  orEmpty(st.ValuesByLabel),
		"memoryInBytesByLabelName":    orEmpty(st.MemoryByLabel),
		"seriesCountByLabelValuePair": orEmpty(st.SeriesByLabelValue),
	})
}

// orEmpty keeps a missing list from being written as null.
func orEmpty[T any](v []T) []T {
	if v == nil {
		return []T{}
	}
	return v
}

// metadata answers with the types and helps of metrics, sorted, so that pages don't change from one call to the next.
func (a *API) metadata(r *http.Request) (answer, *apiError) {
	limits := map[string]int{"limit": -1, "limit_per_metric": -1}
	for name := range limits {
		if v := r.Form.Get(name); v != "" {
			n, err := strconv.Atoi(v)
			if err != nil {
				return answer{}, &apiError{kindBadData, fmt.Errorf("%s must be a number", name)}
			}
			limits[name] = n
		}
	}
	var all []metadata.Metric
	if a.o.Metadata != nil {
		all = slices.Clone(a.o.Metadata.Metadata())
	}
	slices.SortFunc(all, func(x, y metadata.Metric) int {
		return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.Type, y.Type), cmp.Compare(x.Help, y.Help), cmp.Compare(x.Unit, y.Unit))
	})
	all = slices.Compact(all)
	if metric := r.Form.Get("metric"); metric != "" {
		all = slices.DeleteFunc(all, func(m metadata.Metric) bool { return m.Name != metric })
	}
	return answer{data: func(s *stream) { writeMetadata(s, all, limits["limit"], limits["limit_per_metric"]) }}, nil
}

// metadata writes {name: [{type, help, unit}...]...} of entries sorted by name.
func writeMetadata(s *stream, all []metadata.Metric, limit, perMetric int) {
	s.raw(`{`)
	names, inName := 0, 0
	for i, m := range all {
		if i == 0 || all[i-1].Name != m.Name {
			if limit >= 0 && names == limit {
				break
			}
			if names > 0 {
				s.raw(`],`)
			}
			names++
			inName = 0
			s.str(m.Name)
			s.raw(`:[`)
		}
		if perMetric > 0 && inName >= perMetric {
			continue
		}
		if inName > 0 {
			s.raw(`,`)
		}
		inName++
		s.raw(`{"type":`)
		s.str(or(m.Type, metadata.Unknown))
		s.field("unit", false)
		s.str(m.Unit)
		s.field("help", false)
		s.str(m.Help)
		s.raw(`}`)
	}
	if names > 0 {
		s.raw(`]`)
	}
	s.raw(`}`)
}

func (a *API) targets(r *http.Request) (answer, *apiError) {
	state, pool := strings.ToLower(r.Form.Get("state")), r.Form.Get("scrapePool")
	var active []Target
	var dropped []DroppedTarget
	if a.o.Targets != nil {
		active, dropped = a.o.Targets.Targets()
	}
	counts := map[string]int{}
	for _, t := range active {
		counts[t.ScrapePool] += 0
	}
	for _, t := range dropped {
		counts[t.ScrapePool]++
	}
	anyState := state == "" || state == "any"
	keep := func(p string, shown bool) bool { return shown && (pool == "" || p == pool) }
	var shown []Target
	for _, t := range active {
		if keep(t.ScrapePool, anyState || state == "active") {
			shown = append(shown, t)
		}
	}
	var shownDropped []DroppedTarget
	for _, t := range dropped {
		if keep(t.ScrapePool, anyState || state == "dropped") {
			shownDropped = append(shownDropped, t)
		}
	}
	slices.SortStableFunc(shown, func(x, y Target) int { return cmp.Compare(x.ScrapePool, y.ScrapePool) })
	slices.SortStableFunc(shownDropped, func(x, y DroppedTarget) int { return cmp.Compare(x.ScrapePool, y.ScrapePool) })
	return answer{data: func(s *stream) {
		s.raw(`{"activeTargets":`)
		writeList(s, shown, writeTarget)
		s.field("droppedTargets", false)
		writeList(s, shownDropped, writeDropped)
		s.field("droppedTargetCounts", false)
		if anyState || state == "dropped" {
			s.value(counts)
		} else {
			s.raw(`null`)
		}
		s.raw(`}`)
	}}, nil
}

func writeTarget(s *stream, t Target) {
	s.raw(`{"discoveredLabels":`)
	s.mapping(t.DiscoveredLabels)
	s.field("labels", false)
	s.mapping(t.Labels)
	for _, f := range [...]struct{ name, value string }{
		{"scrapePool", t.ScrapePool}, {"scrapeUrl", t.ScrapeURL}, {"globalUrl", or(t.GlobalURL, t.ScrapeURL)}, {"lastError", t.LastError},
	} {
		s.field(f.name, false)
		s.str(f.value)
	}
	s.field("lastScrape", false)
	s.time(t.LastScrape)
	s.field("lastScrapeDuration", false)
	s.seconds(t.LastScrapeDuration)
	for _, f := range [...]struct{ name, value string }{
		{"health", or(t.Health, "unknown")},
		{"scrapeInterval", model.Duration(t.ScrapeInterval).String()},
		{"scrapeTimeout", model.Duration(t.ScrapeTimeout).String()},
	} {
		s.field(f.name, false)
		s.str(f.value)
	}
	s.raw(`}`)
}

func writeDropped(s *stream, t DroppedTarget) {
	s.raw(`{"discoveredLabels":`)
	s.mapping(t.DiscoveredLabels)
	s.field("scrapePool", false)
	s.str(t.ScrapePool)
	s.raw(`}`)
}
