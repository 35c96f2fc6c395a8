package intake

import (
	"bufio"
	"slices"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
)

// Source is a kind of sender: how its requests are read, and what holds for it
// unless an integration says otherwise. Package catalog lists all.
type Source struct {
	// Name is the kind, as it stands in URLs and in Origin.Source.
	Name string
	// Decoder reads its requests; nil where each integration brings its own.
	Decoder Decoder
	// Methods are the HTTP methods it uses; empty: POST.
	Methods []string
	// Tails are paths that its client appends to the URL it was given.
	Tails []string
	// Probes are answers to GET requests for such paths, by which clients look
	// who is there.
	Probes map[string]string
	// Hold says that it tells when its problems end (see Batch.Hold).
	Hold bool
	// Expiry is how long a report holds where an end is never told.
	Expiry time.Duration
	// Lowest is the lowest priority whose alerts are taken; what is less urgent
	// is counted and dropped. nil: all.
	Lowest *alert.Priority
}

func (s *Source) hasTail(tail string) bool { return slices.Contains(s.Tails, tail) }

// Protocol is a way in that isn't HTTP.
type Protocol struct {
	// Name as the configuration knows it: syslog_udp, zabbix_sender...
	Name string
	// Network is "udp" or "tcp".
	Network string
	// Source is the kind of sender that uses it.
	Source string
	// Frame cuts one message off a stream; nil for datagrams.
	Frame FrameFunc
	// Dialog says that the sender waits for an answer to each message.
	Dialog bool
}

// FrameFunc reads the next message of a stream, at most limit bytes. io.EOF
// means that the stream ended between messages; every other error ends it.
type FrameFunc func(r *bufio.Reader, limit int) ([]byte, error)
