package prom

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/common/model"

	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

// Bounds of times, as Prometheus writes them when a client asks for everything.
var (
	minTime = time.Unix(math.MinInt64/1000+62135596801, 0).UTC()
	maxTime = time.Unix(math.MaxInt64/1000-62135596801, 999999999).UTC()
)

// parseTime reads Unix seconds with a fraction, or RFC 3339.
func parseTime(s string) (time.Time, error) {
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		sec, frac := math.Modf(f)
		if !(sec >= float64(minTime.Unix()) && sec <= float64(maxTime.Unix())) { // NaN too
			return time.Time{}, fmt.Errorf("cannot parse %q to a valid timestamp", s)
		}
		frac = math.Round(frac*1000) / 1000
		return time.Unix(int64(sec), int64(frac*float64(time.Second))).UTC(), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, nil
	}
	// Go's parser knows no years beyond 9999, but clients send these two.
	switch s {
	case minTime.Format(time.RFC3339Nano):
		return minTime, nil
	case maxTime.Format(time.RFC3339Nano):
		return maxTime, nil
	}
	return time.Time{}, fmt.Errorf("cannot parse %q to a valid timestamp", s)
}

// timeParam reads an optional time.
func timeParam(r *http.Request, name string, otherwise time.Time) (time.Time, *apiError) {
	v := r.Form.Get(name)
	if v == "" {
		return otherwise, nil
	}
	t, err := parseTime(v)
	if err != nil {
		return time.Time{}, badParam(name, fmt.Errorf("invalid time value for '%s': %w", name, err))
	}
	return t, nil
}

// parseDuration reads seconds with a fraction, or Prometheus's units such as 1h30m.
func parseDuration(s string) (time.Duration, error) {
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		ns := f * float64(time.Second)
		if !(ns < float64(math.MaxInt64) && ns > float64(math.MinInt64)) { // NaN too
			return 0, fmt.Errorf("cannot parse %q to a valid duration. It overflows int64", s)
		}
		return time.Duration(ns), nil
	}
	if d, err := model.ParseDuration(s); err == nil {
		return time.Duration(d), nil
	}
	return 0, fmt.Errorf("cannot parse %q to a valid duration", s)
}

// limitParam reads an optional limit; 0 means none.
func limitParam(r *http.Request) (int, *apiError) {
	v := r.Form.Get("limit")
	if v == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(v)
	if err == nil && n < 0 {
		err = errors.New("limit must be non-negative")
	}
	if err != nil {
		return 0, badParam("limit", err)
	}
	return n, nil
}

// optionsParams reads what query and query_range have in common.
func optionsParams(r *http.Request) (o series.QueryOptions, fail *apiError) {
	if o.Limit, fail = limitParam(r); fail != nil {
		return o, fail
	}
	if v := r.Form.Get("timeout"); v != "" {
		d, err := parseDuration(v)
		if err == nil && d <= 0 {
			err = fmt.Errorf("timeout must be positive, got %s", d)
		}
		if err != nil {
			return o, badParam("timeout", err)
		}
		o.Timeout = d
	}
	if v := r.Form.Get("lookback_delta"); v != "" {
		d, err := parseDuration(v)
		if err != nil {
			return o, &apiError{kindBadData, fmt.Errorf("error parsing lookback delta duration: %w", err)}
		}
		o.Lookback = max(d, 0)
	}
	switch r.Form.Get("stats") {
	case "":
	case "all":
		o.Stats, o.PerStep = true, true
	default:
		o.Stats = true
	}
	return o, nil
}

// selectionParams reads what series, labels and label values have in common.
func selectionParams(r *http.Request) (s series.Selection, fail *apiError) {
	if s.Limit, fail = limitParam(r); fail != nil {
		return s, fail
	}
	if s.Start, fail = timeParam(r, "start", time.Time{}); fail != nil {
		return s, fail
	}
	if s.End, fail = timeParam(r, "end", time.Time{}); fail != nil {
		return s, fail
	}
	if !s.End.IsZero() && s.End.Before(s.Start) {
		return s, badParam("end", errors.New("end timestamp must not be before start time"))
	}
	s.Matchers = r.Form["match[]"]
	return s, nil
}
