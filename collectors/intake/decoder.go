package intake

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
)

// Reasons why a request means nothing to its source's decoder, beside those of
// package document. They travel wrapped, with the place in front.
var (
	// ErrContent: well-formed, but not what this source sends.
	ErrContent = errors.New("not what this source sends")
	// ErrTooMany: more alerts in one body than allowed.
	ErrTooMany = errors.New("too many alerts")
	// ErrMediaType: the body is of a type or character set that isn't understood.
	ErrMediaType = errors.New("media type not understood")
)

// MaxAlerts is how many alerts one body may hold.
const MaxAlerts = 10_000

// Request is what a sender sent, over HTTP or otherwise. It is everything a
// decoder may look at.
type Request struct {
	// Method is the HTTP method; "UDP" or "TCP" where a listener took it.
	Method string
	// ContentType is the media type as sent, with parameters; may be empty.
	ContentType string
	// Header holds the HTTP headers; nil where there are none.
	Header http.Header
	// Query holds the URL's parameters, without credentials.
	Query url.Values
	// Body is the body, unpacked. Decoders don't keep it.
	Body []byte
	// ReceivedAt is "now" for the decoder.
	ReceivedAt time.Time
	// Zone is the zone of times that come without one; nil is Asia/Shanghai.
	Zone *time.Location
	// Peer is the sender's address without port; may be empty.
	Peer string
}

// chinaSeconds is China Standard Time's offset; it has had no summer time
// since 1991.
const chinaSeconds = 8 * 60 * 60

// Location returns the zone of times that come without one.
func (r *Request) Location() *time.Location {
	if r.Zone != nil {
		return r.Zone
	}
	return time.FixedZone("Asia/Shanghai", chinaSeconds)
}

// Event is one alert of a request: something began, goes on, or ended.
type Event struct {
	// Alert has Labels, StartsAt and EndsAt as far as they were told, Priority,
	// Annotations, GeneratorURL and Extra. EndsAt of a firing alert is when it
	// is taken to have ended unless repeated; of a resolved one when it ended.
	Alert *alert.Alert
	// Resolved says that the sender calls it ended.
	Resolved bool
	// Bare says that the sender told nothing but the dedupe key: everything
	// else is that of the open alert.
	Bare bool
	// Key is the dedupe key for people where Alert.Extra has none because it
	// derives from the labels.
	Key string
	// ID names the delivery where the sender numbers them: the same ID a second
	// time is a repeat, which changes nothing even if the alert has moved on.
	ID string
	// Marked says that the sender marked the message as an alert by itself, so
	// that a filter by priority doesn't drop it.
	Marked bool
	// Volatile names the annotations that the sender calls labels but that
	// change while the alert fires, so that they can't be part of its identity.
	Volatile []string
}

// ControlType is what a message means that is no alert.
type ControlType string

// The kinds of messages that neither fire nor resolve.
const (
	// ControlUpdate: somebody acknowledged, commented or changed something.
	ControlUpdate ControlType = "update"
	// ControlTest: somebody pressed a test button.
	ControlTest ControlType = "test"
	// ControlIgnored: the sender reports something that is no alert.
	ControlIgnored ControlType = "ignored"
)

// Control is a message about alerts or about the sender itself. Nothing fires
// or resolves by it.
type Control struct {
	Type ControlType
	// Action is what happened: acknowledge, comment... For ControlUpdate.
	Action string
	// DedupeKey names the alert it is about.
	DedupeKey string
	// User did it; Message is what he wrote.
	User, Message string
	// Time is when; 0: not told.
	Time alert.Time
	// Reason says why nothing fires, for ControlIgnored and ControlTest.
	Reason string
}

// Result is what a request means.
type Result struct {
	// Events are the alerts, in the body's order.
	Events []Event
	// Rejected are alerts of the body that can't be taken while others can. The
	// Index counts the body's alerts.
	Rejected []Rejection
	// Control is set where the message is no alert.
	Control *Control
	// Truncated is how many alerts the sender says it left out.
	Truncated int
	// Failed counts values that are no alerts and that the sender wants counted
	// as failed (Zabbix's sender protocol).
	Failed int
	// Echo is what the answer has to repeat, for a Replier.
	Echo string
}

// Decoder reads the requests of one source. Decode is a pure function of the
// request: no clock, no I/O, no memory. Safe for concurrent use.
type Decoder interface {
	Decode(Request) (Result, error)
}

// DecodeFunc is a Decoder that is only a function.
type DecodeFunc func(Request) (Result, error)

// Decode implements Decoder.
func (f DecodeFunc) Decode(r Request) (Result, error) { return f(r) }

// Outcome is what became of a request, as the answer reports it.
type Outcome struct {
	// Status is the HTTP status that will be answered.
	Status int
	// Accepted alerts are on disk.
	Accepted int
	// Rejected alerts were refused, by the decoder or by the node.
	Rejected []Rejection
	// Filtered alerts were below the integration's lowest priority.
	Filtered int
	// Err is why the request as a whole was refused; nil otherwise.
	Err error
	// Took is how long it took.
	Took time.Duration
}

// Response is an answer in the sender's own form.
type Response struct {
	Status      int
	ContentType string
	Body        []byte
}

// Replier is a Decoder whose sender wants answers of its own form, also to
// refusals. ok false leaves it to the handler. Reply is pure.
type Replier interface {
	Reply(Request, Result, Outcome) (r Response, ok bool)
}

// Keyed is a Decoder whose sender carries its key in the body.
type Keyed interface {
	// Key returns the key; an error means that the body isn't the source's.
	Key(Request) (string, error)
}
