package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Sample is a value at a time, as Prometheus's API writes it.
type Sample struct {
	At    time.Time
	Value string // a number, NaN, +Inf, -Inf; the text of a string
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *Sample) UnmarshalJSON(b []byte) error {
	var seconds float64
	pair := []any{&seconds, &s.Value}
	if err := json.Unmarshal(b, &pair); err != nil {
		return fmt.Errorf("sample: %w", err)
	}
	s.At = time.UnixMilli(int64(seconds * 1000))
	return nil
}

// Series is one series of a result.
type Series struct {
	Metric map[string]string `json:"metric"`
	Value  Sample            `json:"value"`  // of a vector
	Values []Sample          `json:"values"` // of a matrix
}

// Result is the answer to a PromQL query.
type Result struct {
	Type     string // vector, matrix, scalar, string
	Series   []Series
	Single   Sample // of a scalar or string
	Warnings []string
	Raw      json.RawMessage // the answer as it came
}

// envelope is the frame of Prometheus's API.
type envelope struct {
	Status    string   `json:"status"`
	ErrorType string   `json:"errorType"`
	Error     string   `json:"error"`
	Warnings  []string `json:"warnings"`
	Data      struct {
		ResultType string          `json:"resultType"`
		Result     json.RawMessage `json:"result"`
	} `json:"data"`
}

// Query evaluates a PromQL expression at one time; the zero time is now.
func (c *Client) Query(ctx context.Context, expr string, at time.Time) (Result, error) {
	v := url.Values{"query": {expr}}
	if !at.IsZero() {
		v.Set("time", seconds(at))
	}
	return c.promQL(ctx, "/api/v1/query", v)
}

// QueryRange evaluates a PromQL expression from start to end, every step.
func (c *Client) QueryRange(ctx context.Context, expr string, start, end time.Time, step time.Duration) (Result, error) {
	return c.promQL(ctx, "/api/v1/query_range", url.Values{
		"query": {expr}, "start": {seconds(start)}, "end": {seconds(end)}, "step": {strconv.FormatFloat(step.Seconds(), 'f', -1, 64)},
	})
}

func seconds(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64) }

func (c *Client) promQL(ctx context.Context, path string, v url.Values) (r Result, err error) {
	if err = c.do(ctx, call{http.MethodGet, path, v, nil, &r.Raw}); err != nil {
		return r, err
	}
	var e envelope
	if err = json.Unmarshal(r.Raw, &e); err != nil {
		return r, fmt.Errorf("answer of %s: %w", c.base, err)
	}
	r.Type, r.Warnings = e.Data.ResultType, e.Warnings
	into := any(&r.Series)
	if r.Type == "scalar" || r.Type == "string" {
		into = &r.Single
	}
	if err = json.Unmarshal(e.Data.Result, into); err != nil {
		return r, fmt.Errorf("answer of %s: %w", c.base, err)
	}
	return r, nil
}
