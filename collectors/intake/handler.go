package intake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
)

// Paths that the handler serves.
const (
	// Path is the prefix of /v1/ingest/{source}/{key}.
	Path = "/v1/ingest/"
	// EnqueuePath is that of PagerDuty's Events API v2, whose key is in the body.
	EnqueuePath = "/v2/enqueue"
)

// enqueueSource takes what comes to EnqueuePath.
const enqueueSource = "pagerduty_events_v2"

var (
	// errUnknown: there is no source of this name.
	errUnknown = errors.New("no such source")
	// errMethod: the source doesn't send by this method.
	errMethod = errors.New("method not allowed")
	// errRate: more requests than the integration may send.
	errRate = errors.New("too many requests")
)

// Options configure a Handler.
type Options struct {
	// Sources are all kinds of senders; see package catalog.
	Sources []Source
	// Sink takes the alerts.
	Sink Sink
	// Control, where set, is told about messages that are no alerts: somebody
	// acknowledged an alert at its source, a subscription wants to be
	// confirmed. It must not block.
	Control func(ctx context.Context, from *alert.Origin, tenant string, c Control)
	// Node and Datacenter become part of each alert's origin.
	Node, Datacenter string
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// MaxBody and MaxUnpacked bound bodies, in bytes. Defaults DefaultMaxBody
	// and DefaultMaxUnpacked.
	MaxBody, MaxUnpacked int64
	// MaxLarge is how many bodies over 256 KiB may be in work at once; each
	// takes up to MaxBody + MaxUnpacked + 40 MiB. Default 4.
	MaxLarge int
	// Logger gets what an operator should know. Default: none.
	Logger *slog.Logger
	// Registerer gets the metrics; nil: none.
	Registerer prometheus.Registerer
}

// Handler is the door for alerts over HTTP, and what listeners deliver to. Safe
// for concurrent use.
type Handler struct {
	o       Options
	m       metrics
	sources map[string]Source
	large   gate
	applyMu sync.Mutex // one Apply at a time
	table   atomic.Pointer[table]
}

// table is the integrations in force. It is never changed, only replaced.
type table struct {
	byName map[string]*door
	bySign map[digest]*door // by key or token; nil where a token isn't unique
}

// New makes a handler without integrations: it refuses everything until Apply.
func New(o Options) (*Handler, error) {
	if o.Sink == nil {
		return nil, errors.New("intake: Sink is missing")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxBody <= 0 {
		o.MaxBody = DefaultMaxBody
	}
	if o.MaxUnpacked <= 0 {
		o.MaxUnpacked = DefaultMaxUnpacked
	}
	if o.MaxLarge <= 0 {
		o.MaxLarge = 4
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	h := &Handler{o: o, m: newMetrics(o.Registerer), sources: map[string]Source{}, large: make(gate, o.MaxLarge)}
	for _, s := range o.Sources {
		h.sources[s.Name] = s
	}
	h.table.Store(&table{})
	return h, nil
}

// Apply puts integrations in force instead of those before. With an error,
// which names the integration and the field, nothing changes.
func (h *Handler) Apply(integrations []Integration) error {
	h.applyMu.Lock()
	defer h.applyMu.Unlock()
	if len(integrations) > maxIntegrations {
		return fmt.Errorf("%w: %d of them, at most %d", ErrIntegration, len(integrations), maxIntegrations)
	}
	before := h.table.Load()
	t := &table{byName: map[string]*door{}, bySign: map[digest]*door{}}
	for i, in := range integrations {
		d, err := h.build(in, before.byName[in.Name])
		if err != nil {
			return fmt.Errorf("integration %d (%q): %w", i, in.Name, err)
		}
		if t.byName[d.Name] != nil {
			return fmt.Errorf("integration %d (%q): name: %w: there twice", i, in.Name, ErrIntegration)
		}
		t.byName[d.Name] = d
		if d.Key != "" {
			k := digestOf("key", d.Source, d.Key)
			if t.bySign[k] != nil {
				return fmt.Errorf("integration %d (%q): key: %w: another integration of source %s has it", i, in.Name, ErrIntegration, d.Source)
			}
			t.bySign[k] = d
		}
		for kind, secret := range map[string]string{"token": d.Token, "basic": basicSecret(d.BasicUser, d.BasicPassword)} {
			if secret == "" {
				continue
			}
			k := digestOf(kind, d.Source, secret)
			if _, twice := t.bySign[k]; twice {
				t.bySign[k] = nil
				continue
			}
			t.bySign[k] = d
		}
	}
	h.table.Store(t)
	return nil
}

func basicSecret(user, password string) string {
	if password == "" {
		return ""
	}
	return user + ":" + password
}

// ServeHTTP implements http.Handler for Path and EnqueuePath.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	source, key, tail := route(r.URL.Path)
	src, known := h.sources[source]
	if !known {
		h.refused("other", errUnknown)
		problem(w, http.StatusNotFound, errUnknown)
		return
	}
	if probe, ok := src.Probes[tail]; ok && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		send(w, Response{Status: http.StatusOK, ContentType: "application/json", Body: []byte(probe)})
		return
	}
	s := &slot{g: h.large}
	defer s.free()
	d, req, err := h.enter(w, r, target{src, key, tail}, s)
	var res Result
	out := Outcome{Err: err}
	if err == nil {
		req, res, out = h.deliver(r.Context(), d, []Request{req})
	} else {
		h.refused(source, err)
		out.Status = status(err)
	}
	h.answer(w, src, d, exchange{req, res, out})
}

// target is where a request goes.
type target struct {
	src       Source
	key, tail string
}

// exchange is a request and what became of it.
type exchange struct {
	req Request
	res Result
	out Outcome
}

// route takes a path apart: /v1/ingest/{source}[/{key}[/tail...]].
func route(path string) (source, key, tail string) {
	if path == EnqueuePath {
		return enqueueSource, "", EnqueuePath
	}
	rest, ok := strings.CutPrefix(path, Path)
	if !ok {
		return "", "", ""
	}
	source, rest, _ = strings.Cut(rest, "/")
	key, tail, ok = strings.Cut(rest, "/")
	if ok && tail != "" {
		tail = "/" + tail
	}
	return source, key, tail
}

// enter checks everything about a request but its meaning, in the order of
// what it costs, and reads its body.
func (h *Handler) enter(w http.ResponseWriter, r *http.Request, at target, s *slot) (*door, Request, error) {
	if err := methods(w, r, at.src); err != nil {
		return nil, Request{}, err
	}
	if at.tail != "" && at.tail != "/" && !at.src.hasTail(at.tail) {
		return nil, Request{}, fmt.Errorf("%w: path %.64q", errUnknown, at.tail)
	}
	creds := credentialsOf(r)
	keyed, inBody := at.src.Decoder.(Keyed)
	d := h.find(at, creds)
	inBody = inBody && at.key == "" && d == nil
	if d == nil && !inBody {
		return nil, Request{}, ErrUnauthorized
	}
	if d != nil {
		if err := h.admit(d, r); err != nil {
			return d, Request{}, err
		}
	}
	limit := h.o.MaxBody
	if d != nil && d.MaxBody > 0 {
		limit = min(limit, d.MaxBody)
	}
	wire, err := readBody(r.Context(), r, limit, s)
	if err != nil {
		return d, Request{}, err
	}
	req := Request{
		Method: r.Method, ContentType: r.Header.Get("Content-Type"), Header: clean(r.Header), Query: r.URL.Query(),
		ReceivedAt: h.o.Now(), Peer: peer(r.RemoteAddr),
	}
	req.Query.Del(queryToken)
	if !inBody {
		if err := d.HMAC.Verify(r.Header, wire, req.ReceivedAt); err != nil {
			return d, req, err
		}
	}
	if req.Body, err = unpack(r.Context(), r.Header.Get("Content-Encoding"), wire, h.o.MaxUnpacked, s); err != nil {
		return d, req, err
	}
	if inBody {
		if d, err = h.findKeyed(keyed, at, req, r); err != nil {
			return d, req, err
		}
		if err := d.HMAC.Verify(r.Header, wire, req.ReceivedAt); err != nil {
			return d, req, err
		}
	}
	req.Zone = d.Zone
	return d, req, nil
}

func methods(w http.ResponseWriter, r *http.Request, src Source) error {
	allowed := src.Methods
	if len(allowed) == 0 {
		allowed = []string{http.MethodPost}
	}
	if slices.Contains(allowed, r.Method) {
		return nil
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	return fmt.Errorf("%w: %s; %s is", errMethod, r.Method, strings.Join(allowed, ", "))
}

// find returns the integration a request may use, or nil. Why it may not is
// nobody's business.
func (h *Handler) find(at target, c credentials) *door {
	t := h.table.Load()
	if at.key != "" {
		if d := t.bySign[digestOf("key", at.src.Name, at.key)]; d != nil && d.shows(c) {
			return d
		}
		return nil
	}
	for _, token := range c.tokens() {
		if token == "" {
			continue
		}
		// The token names the integration; where it asks for Basic too, that
		// must be shown beside.
		if d := t.bySign[digestOf("token", at.src.Name, token)]; d != nil && d.shows(c) {
			return d
		}
		if d := t.bySign[digestOf("key", at.src.Name, token)]; d != nil && d.shows(c) {
			return d
		}
	}
	if c.basic {
		if d := t.bySign[digestOf("basic", at.src.Name, basicSecret(c.user, c.password))]; d != nil && d.shows(c) {
			return d
		}
	}
	return nil
}

// findKeyed finds the integration by the key in the body.
func (h *Handler) findKeyed(keyed Keyed, at target, req Request, r *http.Request) (*door, error) {
	key, err := keyed.Key(req)
	if err != nil {
		return nil, err
	}
	at.key = key
	d := h.find(at, credentialsOf(r))
	if d == nil || key == "" {
		return nil, ErrUnauthorized
	}
	return d, h.admit(d, r)
}

// admit checks where a known sender comes from, and how often.
func (h *Handler) admit(d *door, r *http.Request) error {
	if !d.allows(peer(r.RemoteAddr)) {
		return fmt.Errorf("%w: not from this address", ErrForbidden)
	}
	if d.limiter != nil && !d.limiter.AllowN(h.o.Now(), 1) {
		return fmt.Errorf("%w: more than %g a second", errRate, d.Rate)
	}
	return nil
}

// clean copies headers without what is secret.
func clean(h http.Header) http.Header {
	out := h.Clone()
	for _, n := range []string{"Authorization", "Cookie", "Proxy-Authorization", headerToken} {
		out.Del(n)
	}
	return out
}

func peer(addr string) string {
	if host, _, err := net.SplitHostPort(addr); err == nil {
		return host
	}
	return addr
}

// maxReported is how many refused alerts an answer lists.
const maxReported = 20

// answer writes what became of a request.
func (h *Handler) answer(w http.ResponseWriter, src Source, d *door, x exchange) {
	dec := src.Decoder
	if d != nil {
		dec = d.decoder
	}
	if after := retryAfter(x.out.Status); after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(after/time.Second)))
	}
	if x.out.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="fenghuo"`)
	}
	if rep, ok := dec.(Replier); ok {
		if resp, ok := rep.Reply(x.req, x.res, x.out); ok {
			send(w, resp)
			return
		}
	}
	if x.out.Err != nil {
		problem(w, x.out.Status, x.out.Err)
		return
	}
	body, err := json.Marshal(reportOf(x))
	if err != nil {
		problem(w, http.StatusInternalServerError, err)
		return
	}
	send(w, Response{Status: x.out.Status, ContentType: "application/json", Body: append(body, '\n')})
}

// report is the default answer.
type report struct {
	Status    string     `json:"status"`
	Accepted  int        `json:"accepted"`
	Filtered  int        `json:"filtered,omitempty"`
	Truncated int        `json:"truncated,omitempty"`
	Control   string     `json:"control,omitempty"`
	Refused   int        `json:"refused,omitempty"`
	Rejected  []rejected `json:"rejected,omitempty"` // the first of the refused
}

type rejected struct {
	Index  int    `json:"index"`
	Reason string `json:"reason"`
}

func reportOf(x exchange) report {
	r := report{Status: "ok", Accepted: x.out.Accepted, Filtered: x.out.Filtered, Truncated: x.res.Truncated, Refused: len(x.out.Rejected)}
	if x.out.Status != http.StatusOK {
		r.Status = "refused"
	}
	if x.res.Control != nil {
		r.Control = string(x.res.Control.Type)
	}
	for _, rej := range x.out.Rejected[:min(len(x.out.Rejected), maxReported)] {
		r.Rejected = append(r.Rejected, rejected{rej.Index, rej.Err.Error()})
	}
	return r
}

// problem answers with a problem document (RFC 9457).
func problem(w http.ResponseWriter, status int, err error) {
	body, _ := json.Marshal(struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail,omitempty"`
	}{http.StatusText(status), status, err.Error()})
	send(w, Response{Status: status, ContentType: "application/problem+json", Body: append(body, '\n')})
}

func send(w http.ResponseWriter, r Response) {
	hd := w.Header()
	if r.ContentType != "" {
		hd.Set("Content-Type", r.ContentType)
	}
	hd.Set("Cache-Control", "no-store")
	hd.Set("X-Content-Type-Options", "nosniff")
	hd.Set("Content-Length", strconv.Itoa(len(r.Body)))
	w.WriteHeader(r.Status)
	_, _ = w.Write(r.Body) // a failed write means that nobody listens any more
}
