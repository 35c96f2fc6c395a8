package v1

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/node/api/problem"
)

// Heartbeat is how often a silent stream says that it lives.
const Heartbeat = 15 * time.Second

// Bounds of a stream.
const (
	eventsAtOnce = 64               // happenings written before the feed is asked again
	writeTimeout = 10 * time.Second // a follower that doesn't read is dropped
	retryMillis  = 2000             // when a follower shall come back
)

// Event is what one message of GET /v1/events carries.
type Event struct {
	Kind     Kind      `json:"kind" enum:"alert.began,alert.updated,alert.ended,incident.opened,incident.updated,incident.closed,notice.sent,notice.failed,silence.created,silence.updated,silence.expired,resync" doc:"What happened; also the message's event field. resync: messages were lost, read the state anew."`
	At       time.Time `json:"at,omitzero" doc:"When it happened."`
	Alert    *Alert    `json:"alert,omitempty" doc:"The alert after it; without receivers and what mutes it."`
	Incident *Incident `json:"incident,omitempty" doc:"The incident after it."`
	Silence  *Silence  `json:"silence,omitempty" doc:"The silence after it."`
	Subject  string    `json:"subject,omitempty" doc:"Receiver of a notice."`
	Detail   string    `json:"detail,omitempty" doc:"The reason, for people."`
}

// eventCalls streams what happens.
type eventCalls struct{ *API }

// register adds the stream: a plain handler, since it has no end, and its
// description.
func (a eventCalls) register(s *site) {
	registry := s.huma.OpenAPI().Components.Schemas
	one := func(name, text, kind string) *huma.Param {
		return &huma.Param{Name: name, In: kind, Description: text, Schema: &huma.Schema{Type: huma.TypeString}}
	}
	op := operation(http.MethodGet, "/v1/events", "events", "node", "What happens, as it happens")
	op.Description = "Server-sent events (text/event-stream). Each message has an id; send the last one seen as Last-Event-ID to go on behind it. " +
		"A follower that is too slow, or comes back too late, gets a message of kind resync: it must read the state anew. " +
		"A comment comes every 15 seconds while nothing happens. At most 64 streams are served at once."
	op.Parameters = []*huma.Param{
		one("kind", "Only kinds that begin so, as alert. or notice.failed; repeat it for several.", "query"),
		one("tenant", "Only alerts, incidents and silences of this business line.", "query"),
		one("last_event_id", "Like the header, for clients that can't set one.", "query"),
		one("Last-Event-ID", "id of the last message seen.", "header"),
	}
	op.Parameters[0].Schema = &huma.Schema{Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeString}}
	failure := &huma.Response{Description: "Error", Content: map[string]*huma.MediaType{
		problem.ContentType: {Schema: &huma.Schema{Ref: "#/components/schemas/ErrorModel"}},
	}}
	op.Responses = map[string]*huma.Response{
		"200": {Description: "The stream; the data of each message is an Event.", Content: map[string]*huma.MediaType{
			"text/event-stream": {Schema: registry.Schema(reflect.TypeFor[Event](), true, "Event")},
		}},
		"400": failure, "503": failure,
	}
	op.Errors = nil
	s.huma.OpenAPI().AddOperation(&op)
	s.mux.HandleFunc("GET /v1/events", a.events)
}

// wish is which happenings a follower wants.
type wish struct {
	kinds  []string
	tenant string
	lastID string
}

func parseWish(r *http.Request) (w wish, err error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return w, problem.Errorf(problem.ErrInvalid, "query: %w", err)
	}
	for name, v := range values {
		switch name {
		case "kind":
			w.kinds = v
		case "tenant":
			w.tenant = v[0]
		case "last_event_id":
			w.lastID = v[0]
		default:
			return w, problem.Errorf(problem.ErrInvalid, "unknown query parameter %.60q", name)
		}
	}
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		w.lastID = id
	}
	if len(w.kinds) > maxKinds || len(w.lastID) > 64 {
		return w, problem.Errorf(problem.ErrInvalid, "kind or last_event_id: too long")
	}
	return w, nil
}

// wants says whether a happening is asked for.
func (w *wish) wants(h *Happening) bool {
	if len(w.kinds) > 0 && !slices.ContainsFunc(w.kinds, func(k string) bool { return strings.HasPrefix(string(h.Kind), k) }) {
		return false
	}
	switch {
	case w.tenant == "":
		return true
	case h.Alert != nil:
		return h.Alert.Tenant == w.tenant
	case h.Incident != nil:
		return h.Incident.Tenant == w.tenant
	case h.Silence != nil:
		return h.Silence.Tenant == w.tenant
	}
	return true
}

func (a eventCalls) events(w http.ResponseWriter, r *http.Request) {
	want, err := parseWish(r)
	if err != nil {
		a.errors.Write(w, err)
		return
	}
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", "text/event-stream")
		return
	}
	fo, lost, ok := a.o.Feed.follow(want.lastID)
	if !ok {
		a.errors.Write(w, problem.Errorf(problem.ErrUnavailable, "%d streams are open already, or the node is stopping", MaxFollowers))
		return
	}
	defer fo.leave()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold messages back
	out := &stream{w: w, control: http.NewResponseController(w), now: a.now}
	// Writers without deadlines exist in tests only.
	_ = out.control.SetReadDeadline(time.Time{})
	out.buf = fmt.Appendf(out.buf, "retry: %d\n\n", retryMillis)
	if lost {
		out.message("", &Happening{Kind: Resync})
	}
	beat := time.NewTicker(Heartbeat)
	defer beat.Stop()
	for out.send() == nil {
		happened, first, lost := fo.take(eventsAtOnce)
		if lost {
			out.message(a.o.Feed.id(first-1), &Happening{Kind: Resync})
			continue
		}
		if len(happened) > 0 {
			for i := range happened {
				if want.wants(&happened[i]) {
					out.message(a.o.Feed.id(first+uint64(i)), &happened[i])
				}
			}
			continue
		}
		select {
		case <-r.Context().Done():
			return
		case <-a.o.Feed.closed:
			return
		case <-fo.wake:
		case <-beat.C:
			out.buf = append(out.buf, ": alive\n\n"...)
		}
	}
}

// stream writes messages.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	now     func() alert.Time
	buf     []byte
	begun   bool
}

// message gathers one message.
func (s *stream) message(id string, h *Happening) {
	e := Event{Kind: h.Kind, At: h.At.Std(), Subject: h.Subject, Detail: h.Detail}
	now := s.now()
	if h.Alert != nil {
		shown := FromAlert(h.Alert, nil, now)
		e.Alert = &shown
	}
	if h.Incident != nil {
		shown := FromIncident(h.Incident)
		e.Incident = &shown
	}
	if h.Silence != nil {
		shown := fromSilence(h.Silence, now)
		e.Silence = &shown
	}
	data, err := json.Marshal(e)
	if err != nil {
		panic(err) // wire types always have a form
	}
	if id != "" {
		s.buf = fmt.Appendf(s.buf, "id: %s\n", id)
	}
	s.buf = fmt.Appendf(s.buf, "event: %s\ndata: %s\n\n", h.Kind, data)
}

// send writes what was gathered.
func (s *stream) send() error {
	if len(s.buf) == 0 && s.begun {
		return nil
	}
	s.begun = true
	// A follower that doesn't read must not hold the stream for ever.
	_ = s.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := s.w.Write(s.buf); err != nil {
		return err
	}
	s.buf = s.buf[:0]
	return s.control.Flush()
}
