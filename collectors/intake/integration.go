package intake

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

// ErrIntegration: an integration can't be applied as it is.
var ErrIntegration = errors.New("invalid integration")

// Integration is one configured sender: who it is, what it must show, and how
// its words are understood. Zero fields ask for nothing and change nothing.
type Integration struct {
	// Name is unique; it becomes Origin.Integration.
	Name string
	// Source is the kind of sender, one of the catalog's.
	Source string
	// Key is the last part of the URL, and a secret where nothing else is
	// asked. Unique per source. Empty: only a token or Basic leads here.
	Key string
	// Token must come as "Authorization: Bearer", X-Mesh-Token, ?token= or the
	// password of Basic.
	Token string
	// BasicUser and BasicPassword must come as "Authorization: Basic".
	BasicUser, BasicPassword string
	// HMAC is a signature of the body that must come.
	HMAC HMAC
	// Allow lists the networks the sender may come from; empty: any.
	Allow []netip.Prefix
	// Tenant owns the alerts; empty: the node's.
	Tenant string
	// Zone is that of times without one; nil: Asia/Shanghai.
	Zone *time.Location
	// AutoExpiry is how long a report holds; 0: as the source is.
	AutoExpiry time.Duration
	// Labels are added to each alert that doesn't have them.
	Labels map[string]string
	// Rate is how many requests a second may come, Burst how many at once on
	// top. Rate 0: any number.
	Rate  float64
	Burst int
	// MaxBody bounds a body as it comes, in bytes; 0: the handler's bound.
	MaxBody int64
	// Lowest is the lowest priority that is taken; nil: as the source is.
	Lowest *alert.Priority
	// Decoder replaces the source's, for sources whose integrations each bring
	// their own (generic); nil: the source's.
	Decoder Decoder
	// Ends says that a Decoder of its own tells when problems end.
	Ends bool
}

// HMAC is a signature of the body.
type HMAC struct {
	// Secret is the key both sides know; empty: no signature is asked.
	Secret string
	// Header holds the signature, hexadecimal or base64.
	Header string
	// Algorithm is sha256 (also where empty), sha512 or sha1.
	Algorithm string
	// Prefix stands in front of the signature; "sha256=" and its like are
	// understood without being named.
	Prefix string
	// TimestampHeader, where set, holds a Unix time that is signed with the
	// body: time + ":" + body, as Grafana does it.
	TimestampHeader string
	// MaxAge refuses older and newer timestamps; 0: any.
	MaxAge time.Duration
}

// door is an integration in force. It is never changed, but for what it keeps
// of others.
type door struct {
	Integration
	source  Source
	decoder Decoder
	origin  *alert.Origin
	labels  []label.Pair
	hold    bool
	expiry  time.Duration
	lowest  *alert.Priority
	limiter *rate.Limiter // nil: no limit
	seen    *recent
	others  sync.Map // source -> *door, for listeners that speak another
}

// maxIntegrations bounds the table of integrations.
const maxIntegrations = 10_000

// keyForm is what a key may be: it stands in a URL.
var keyForm = regexp.MustCompile(`^[A-Za-z0-9._~-]{1,128}$`)

// build checks an integration and puts it together with its source. before is
// the door of that name until now, or nil: it lends its memory.
func (h *Handler) build(in Integration, before *door) (*door, error) {
	src, ok := h.sources[in.Source]
	if !ok {
		return nil, fmt.Errorf("source: %w: %.64q is unknown", ErrIntegration, in.Source)
	}
	d := &door{
		Integration: in, source: src, decoder: in.Decoder, hold: src.Hold || in.Ends, expiry: src.Expiry, lowest: src.Lowest,
		origin: &alert.Origin{Source: in.Source, Integration: in.Name, Node: h.o.Node, Datacenter: h.o.Datacenter},
		seen:   &recent{},
	}
	if d.decoder == nil {
		d.decoder = src.Decoder
	}
	if err := d.check(); err != nil {
		return nil, err
	}
	for n, v := range in.Labels {
		d.labels = append(d.labels, label.Pair{Name: n, Value: v})
	}
	if _, err := label.New(append([]label.Pair{}, d.labels...)); err != nil {
		return nil, fmt.Errorf("labels: %w", err)
	}
	if in.AutoExpiry > 0 {
		d.expiry = in.AutoExpiry
	}
	if in.Lowest != nil {
		d.lowest = in.Lowest
	}
	if before != nil && before.Source == in.Source {
		d.seen = before.seen
	}
	if in.Rate > 0 {
		burst := max(in.Burst, int(in.Rate)+1)
		if before != nil && before.limiter != nil && before.Rate == in.Rate && before.Burst == in.Burst {
			d.limiter = before.limiter
		} else {
			d.limiter = rate.NewLimiter(rate.Limit(in.Rate), burst)
		}
	}
	return d, nil
}

func (d *door) check() error {
	bad := func(field, format string, args ...any) error {
		return fmt.Errorf("%s: %w: %s", field, ErrIntegration, fmt.Sprintf(format, args...))
	}
	switch {
	case d.Name == "":
		return bad("name", "missing")
	case d.decoder == nil:
		return bad("decoder", "a source of type %s needs a mapping", d.Source)
	case d.Key != "" && !keyForm.MatchString(d.Key):
		return bad("key", "letters, digits, '.', '_', '~' and '-' are wanted, 1 to 128 of them")
	case d.Key == "" && d.Token == "" && d.BasicPassword == "":
		return bad("key", "a key, a token or a password is needed to tell senders apart")
	case d.BasicUser != "" && d.BasicPassword == "", strings.Contains(d.BasicUser, ":"):
		return bad("basic", "a user without colon and a password are wanted")
	case d.AutoExpiry < 0:
		return bad("auto_expiry", "negative")
	case d.Rate < 0, d.Burst < 0:
		return bad("rate", "negative")
	case d.MaxBody < 0:
		return bad("max_body", "negative")
	case d.HMAC.Secret != "" && d.HMAC.Header == "":
		return bad("hmac.header", "missing")
	case d.HMAC.MaxAge > 0 && d.HMAC.TimestampHeader == "":
		return bad("hmac.max_age", "needs a timestamp header")
	}
	if d.HMAC.Secret != "" && d.HMAC.hash() == nil {
		return bad("hmac.algorithm", "%.16q; sha256, sha512 and sha1 are understood", d.HMAC.Algorithm)
	}
	return nil
}
