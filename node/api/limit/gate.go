package limit

import (
	"container/list"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Gate bounds how many reading requests (GET, HEAD) run at once. Writing ones
// are bounded where they wait: in front of the disk.
type Gate struct{ slots chan struct{} }

// NewGate makes a gate for n requests.
func NewGate(n int) *Gate { return &Gate{make(chan struct{}, n)} }

// Enter takes a slot without waiting. leave gives it back; ok is false where
// none is free.
func (g *Gate) Enter(method string) (leave func(), ok bool) {
	if method != http.MethodGet && method != http.MethodHead {
		return func() {}, true
	}
	select {
	case g.slots <- struct{}{}:
		return func() { <-g.slots }, true
	default:
		return nil, false
	}
}

// Size is how many may run at once.
func (g *Gate) Size() int { return cap(g.slots) }

// maxClients bounds the clients that Clients remembers; the one that was quiet
// longest is forgotten first.
const maxClients = 10_000

// Clients bounds how often one client, told by its address, may ask. Safe for
// concurrent use.
type Clients struct {
	perSecond rate.Limit
	burst     int

	mu    sync.Mutex // guards all following
	byIP  map[string]*list.Element
	quiet *list.List // of *client, the latest first
}

type client struct {
	ip     string
	bucket *rate.Limiter
}

// NewClients allows each client perSecond requests a second, and burst at once.
func NewClients(perSecond float64, burst int) *Clients {
	return &Clients{perSecond: rate.Limit(perSecond), burst: max(1, burst), byIP: map[string]*list.Element{}, quiet: list.New()}
}

// Allow says whether the client at addr (host:port) may ask once more at now.
func (c *Clients) Allow(addr string, now time.Time) bool {
	ip, _, err := net.SplitHostPort(addr)
	if err != nil {
		ip = addr
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byIP[ip]
	if ok {
		c.quiet.MoveToFront(e)
	} else {
		if c.quiet.Len() >= maxClients {
			last := c.quiet.Back()
			delete(c.byIP, c.quiet.Remove(last).(*client).ip)
		}
		e = c.quiet.PushFront(&client{ip, rate.NewLimiter(c.perSecond, c.burst)})
		c.byIP[ip] = e
	}
	return e.Value.(*client).bucket.AllowN(now, 1)
}
