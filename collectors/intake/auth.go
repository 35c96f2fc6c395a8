package intake

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // old senders sign with it; it is used keyed
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Reasons to refuse a sender.
var (
	// ErrUnauthorized: no such key, or what it asks for wasn't shown. Which of
	// them is not told.
	ErrUnauthorized = errors.New("unknown key or missing credentials")
	// ErrForbidden: the sender is known but may not send this or from here.
	ErrForbidden = errors.New("forbidden")
)

// headerToken carries a token for senders that can't set Authorization.
const headerToken = "X-Mesh-Token"

// queryToken carries a token for senders that can set no header at all.
const queryToken = "token"

// credentials are what a request shows.
type credentials struct {
	bearer, mesh, query string
	user, password      string
	basic               bool
}

func credentialsOf(r *http.Request) credentials {
	c := credentials{mesh: r.Header.Get(headerToken), query: r.URL.Query().Get(queryToken)}
	if scheme, rest, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		c.bearer = strings.TrimSpace(rest)
	}
	c.user, c.password, c.basic = r.BasicAuth()
	return c
}

// tokens lists what may be a token.
func (c credentials) tokens() []string {
	return []string{c.bearer, c.mesh, c.query, c.password, c.user}
}

// digest hides a secret: tables are keyed and compared by it, so no comparison
// takes time by how much of a secret is right.
type digest [sha256.Size]byte

func digestOf(kind, source, secret string) digest {
	return sha256.Sum256([]byte(kind + "\x00" + source + "\x00" + secret))
}

func equal(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// shows says whether credentials satisfy an integration. The signature is
// checked later, when the body is there.
func (d *door) shows(c credentials) bool {
	if d.Token != "" {
		found := false
		for _, t := range c.tokens() {
			// No early end: the time tells nothing.
			found = equal(t, d.Token) || found
		}
		if !found {
			return false
		}
	}
	if d.BasicPassword != "" {
		return c.basic && equal(c.user, d.BasicUser) && equal(c.password, d.BasicPassword)
	}
	return true
}

// allows says whether the integration may be used from a peer.
func (d *door) allows(peer string) bool {
	if len(d.Allow) == 0 {
		return true
	}
	ip, err := netip.ParseAddr(peer)
	if err != nil {
		return false
	}
	for _, p := range d.Allow {
		if p.Contains(ip.Unmap().WithZone("")) {
			return true
		}
	}
	return false
}

func (s HMAC) hash() func() hash.Hash {
	switch strings.ToLower(s.Algorithm) {
	case "", "sha256":
		return sha256.New
	case "sha512":
		return sha512.New
	case "sha1":
		return sha1.New
	}
	return nil
}

// Verify checks the signature of a body as it came over the wire. It wraps
// ErrUnauthorized where there is none and ErrForbidden where it is wrong.
func (s HMAC) Verify(h http.Header, body []byte, now time.Time) error {
	if s.Secret == "" {
		return nil
	}
	shown := strings.TrimSpace(h.Get(s.Header))
	if shown == "" {
		return fmt.Errorf("%w: header %s is missing", ErrUnauthorized, s.Header)
	}
	if s.Prefix != "" {
		shown = strings.TrimPrefix(shown, s.Prefix)
	} else if name, rest, ok := strings.Cut(shown, "="); ok && rest != "" && strings.HasPrefix(name, "sha") {
		shown = rest
	}
	got, ok := signature(shown)
	if !ok {
		return fmt.Errorf("%w: header %s is neither hexadecimal nor base64", ErrForbidden, s.Header)
	}
	mac := hmac.New(s.hash(), []byte(s.Secret))
	if s.TimestampHeader != "" {
		stamp := strings.TrimSpace(h.Get(s.TimestampHeader))
		if err := s.fresh(stamp, now); err != nil {
			return err
		}
		mac.Write([]byte(stamp + ":"))
	}
	mac.Write(body)
	if !hmac.Equal(mac.Sum(nil), got) {
		return fmt.Errorf("%w: the signature in header %s is wrong", ErrForbidden, s.Header)
	}
	return nil
}

// fresh checks the age of a signed timestamp.
func (s HMAC) fresh(stamp string, now time.Time) error {
	if stamp == "" {
		return fmt.Errorf("%w: header %s is missing", ErrUnauthorized, s.TimestampHeader)
	}
	if s.MaxAge == 0 {
		return nil
	}
	secs, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return fmt.Errorf("%w: header %s is not a Unix time", ErrForbidden, s.TimestampHeader)
	}
	if age := now.Sub(time.Unix(secs, 0)); age > s.MaxAge || age < -s.MaxAge {
		return fmt.Errorf("%w: header %s is %s old, at most %s", ErrForbidden, s.TimestampHeader, age.Truncate(time.Second), s.MaxAge)
	}
	return nil
}

// signature decodes hexadecimal or base64.
func signature(s string) ([]byte, bool) {
	if b, err := hex.DecodeString(s); err == nil {
		return b, true
	}
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if b, err := enc.DecodeString(s); err == nil {
			return b, true
		}
	}
	return nil, false
}
