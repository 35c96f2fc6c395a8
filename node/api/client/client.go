// Package client owns the Go client of a node's HTTP API, version 1, and of its
// PromQL endpoint.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	v1 "github.com/fenghuo-mesh/fenghuo/node/api/v1"
)

// DefaultServer is where a node listens.
const DefaultServer = "http://127.0.0.1:7948"

// Bounds and defaults.
const (
	DefaultTimeout = 30 * time.Second
	maxAnswer      = 256 << 20 // bytes of an answer; more is an error
)

// Options says which node to ask, and how.
type Options struct {
	// Server is the node's base URL; "" is DefaultServer. A path in it stands
	// before all paths. Without a scheme it is http.
	Server string
	// HTTP is the client to use; nil is one with DefaultTimeout.
	HTTP *http.Client
	// UserAgent names the program; "" is "fenghuo-client".
	UserAgent string
}

// Client asks one node. Safe for concurrent use.
type Client struct {
	base  *url.URL
	http  *http.Client
	agent string
}

// New makes a client; it doesn't connect.
func New(o Options) (*Client, error) {
	server := o.Server
	if server == "" {
		server = DefaultServer
	}
	if !strings.Contains(server, "://") {
		server = "http://" + server
	}
	base, err := url.Parse(server)
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	if base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, fmt.Errorf("server %q: want http://HOST:PORT or https://HOST:PORT", o.Server)
	}
	c := &Client{base: base, http: o.HTTP, agent: o.UserAgent}
	if c.http == nil {
		c.http = &http.Client{Timeout: DefaultTimeout}
	}
	if c.agent == "" {
		c.agent = "fenghuo-client"
	}
	return c, nil
}

// Server is the URL of the node that is asked.
func (c *Client) Server() string { return c.base.String() }

// Error is an answer of the node that says no.
type Error struct {
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Errors []struct {
		Message  string `json:"message"`
		Location string `json:"location"`
	} `json:"errors"`
	// RetryAfter is when to try again, as far as the node said so.
	RetryAfter time.Duration `json:"-"`
}

// Error says what the node said.
func (e *Error) Error() string {
	text := e.Detail
	if text == "" {
		text = e.Title
	}
	for i, d := range e.Errors {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		text += sep + strings.TrimPrefix(strings.TrimPrefix(d.Location, "query."), "body.") + ": " + d.Message
	}
	return fmt.Sprintf("%s (status %d)", text, e.Status)
}

// IsNotFound says whether an error means that there is no such thing.
func IsNotFound(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusNotFound
}

// call is one request: in is sent as JSON (nil: nothing), the answer is read
// into out (nil: there is none).
type call struct {
	method, path string
	query        url.Values
	in, out      any
}

func (c *Client) do(ctx context.Context, to call) error {
	method, path, in, out := to.method, to.path, to.in, to.out
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
		body = bytes.NewReader(b)
	}
	u := c.base.JoinPath(path)
	u.RawQuery = to.query.Encode()
	r, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	r.Header.Set("User-Agent", c.agent)
	r.Header.Set("Accept", "application/json, application/problem+json")
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return fmt.Errorf("asking %s: %w", c.base, reason(err))
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("answer of %s: %w", c.base, err)
	case len(b) > maxAnswer:
		return fmt.Errorf("answer of %s: larger than %d bytes", c.base, maxAnswer)
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return failure(resp, b)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("answer of %s to %s %s is not what was asked for; is it a Fenghuo node? %w", c.base, method, path, err)
	}
	return nil
}

// reason leaves the method and URL out, which url.Error repeats.
func reason(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// failure reads a problem document, or whatever else a server says.
func failure(resp *http.Response, body []byte) error {
	e := &Error{}
	var prom envelope // Prometheus's API says it its own way
	if json.Unmarshal(body, &prom) == nil && prom.Error != "" {
		e.Title, e.Detail = prom.ErrorType, prom.Error
	} else if json.Unmarshal(body, e) != nil || e.Detail == "" && e.Title == "" {
		text := strings.TrimSpace(string(body[:min(len(body), 200)]))
		e = &Error{Title: http.StatusText(resp.StatusCode), Detail: text}
	}
	e.Status = resp.StatusCode
	if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
		e.RetryAfter = time.Duration(n) * time.Second
	}
	return e
}

// AlertFilter selects alerts; empty fields select everything.
type AlertFilter struct {
	Matchers                                []string // Alertmanager's syntax; all must match
	Priorities                              []string // P0 to P4; any may be
	Tenant, Source, Service, Resource, Text string
}

func (f *AlertFilter) values() url.Values {
	v := url.Values{}
	many(v, "filter", f.Matchers)
	many(v, "priority", f.Priorities)
	one(v, "tenant", f.Tenant)
	one(v, "source", f.Source)
	one(v, "service", f.Service)
	one(v, "resource", f.Resource)
	one(v, "q", f.Text)
	return v
}

func one(v url.Values, name, value string) {
	if value != "" {
		v.Set(name, value)
	}
}

func many(v url.Values, name string, values []string) {
	if len(values) > 0 {
		v[name] = values
	}
}

// Page is where a page begins and how long it is.
type Page struct {
	Limit  int // 0: the node's default
	Cursor string
}

func (p Page) add(v url.Values) {
	if p.Limit > 0 {
		v.Set("limit", strconv.Itoa(p.Limit))
	}
	one(v, "cursor", p.Cursor)
}

// AlertQuery selects alerts that the node holds.
type AlertQuery struct {
	AlertFilter
	Page
	State    string // firing, resolved, all; "" is firing
	Muted    string // any, true, false
	Incident string // ID
	Sort     string // newest, oldest, priority, updated, name
}

// Alerts returns one page of alerts.
func (c *Client) Alerts(ctx context.Context, q AlertQuery) (out v1.AlertList, err error) {
	v := q.values()
	q.add(v)
	one(v, "state", q.State)
	one(v, "muted", q.Muted)
	one(v, "incident", q.Incident)
	one(v, "sort", q.Sort)
	err = c.do(ctx, call{http.MethodGet, "/v1/alerts", v, nil, &out})
	return out, err
}

// Alert returns an alert, by ID or fingerprint, with its why-trail.
func (c *Client) Alert(ctx context.Context, id string) (out v1.AlertDetail, err error) {
	err = c.do(ctx, call{http.MethodGet, "/v1/alerts/" + url.PathEscape(id), nil, nil, &out})
	return out, err
}

// SearchQuery selects episodes of the history.
type SearchQuery struct {
	AlertFilter
	Page
	From, To string // RFC 3339, Unix seconds, or a time ago like 2h; "" is the node's default
}

// Search returns one page of the history.
func (c *Client) Search(ctx context.Context, q SearchQuery) (out v1.SearchResult, err error) {
	v := q.values()
	q.add(v)
	one(v, "from", q.From)
	one(v, "to", q.To)
	err = c.do(ctx, call{http.MethodGet, "/v1/search", v, nil, &out})
	return out, err
}

// IncidentQuery selects incidents.
type IncidentQuery struct {
	Page
	State, Tenant, Sort string // open, closed, all; "" is open
	Priorities          []string
}

// Incidents returns one page of incidents.
func (c *Client) Incidents(ctx context.Context, q IncidentQuery) (out v1.IncidentList, err error) {
	v := url.Values{}
	q.add(v)
	one(v, "state", q.State)
	one(v, "tenant", q.Tenant)
	one(v, "sort", q.Sort)
	many(v, "priority", q.Priorities)
	err = c.do(ctx, call{http.MethodGet, "/v1/incidents", v, nil, &out})
	return out, err
}

// Incident returns an incident with what it consists of.
func (c *Client) Incident(ctx context.Context, id string) (out v1.IncidentDetail, err error) {
	err = c.do(ctx, call{http.MethodGet, "/v1/incidents/" + url.PathEscape(id), nil, nil, &out})
	return out, err
}

// Silences returns the silences in the given states (none: active and pending)
// that have the given matchers.
func (c *Client) Silences(ctx context.Context, states, matchers []string, tenant string) (out v1.SilenceList, err error) {
	v := url.Values{}
	many(v, "state", states)
	many(v, "filter", matchers)
	one(v, "tenant", tenant)
	err = c.do(ctx, call{http.MethodGet, "/v1/silences", v, nil, &out})
	return out, err
}

// Silence returns one silence.
func (c *Client) Silence(ctx context.Context, id string) (out v1.Silence, err error) {
	err = c.do(ctx, call{http.MethodGet, "/v1/silences/" + url.PathEscape(id), nil, nil, &out})
	return out, err
}

// CreateSilence creates a silence and returns its ID.
func (c *Client) CreateSilence(ctx context.Context, s v1.NewSilence) (string, error) {
	var out v1.SilenceID
	err := c.do(ctx, call{http.MethodPost, "/v1/silences", nil, s, &out})
	return out.ID, err
}

// ChangeSilence changes a silence and returns the ID it has now.
func (c *Client) ChangeSilence(ctx context.Context, id string, s v1.NewSilence) (string, error) {
	var out v1.SilenceID
	err := c.do(ctx, call{http.MethodPut, "/v1/silences/" + url.PathEscape(id), nil, s, &out})
	return out.ID, err
}

// ExpireSilence ends a silence now.
func (c *Client) ExpireSilence(ctx context.Context, id string) error {
	return c.do(ctx, call{http.MethodDelete, "/v1/silences/" + url.PathEscape(id), nil, nil, nil})
}

// Preview says what a silence would silence now.
func (c *Client) Preview(ctx context.Context, p v1.PreviewRequest) (out v1.Preview, err error) {
	err = c.do(ctx, call{http.MethodPost, "/v1/silences/preview", nil, p, &out})
	return out, err
}

// Rules returns the rule groups.
func (c *Client) Rules(ctx context.Context) (out v1.RuleList, err error) {
	err = c.do(ctx, call{http.MethodGet, "/v1/rules", nil, nil, &out})
	return out, err
}

// Status says how the node is.
func (c *Client) Status(ctx context.Context) (out v1.Status, err error) {
	err = c.do(ctx, call{http.MethodGet, "/v1/status", nil, nil, &out})
	return out, err
}
