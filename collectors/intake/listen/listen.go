// Package listen owns the ports for senders that don't speak HTTP: datagrams
// and framed streams, each bounded in connections, messages and memory.
//
// A listener knows no protocol. It cuts messages off the wire, as the
// catalog's Protocol says, and delivers them for one integration. Back
// pressure is the transport's own: a stream isn't read while the node is busy,
// a datagram that finds the queue full is dropped and counted.
package listen

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
)

// Deliverer takes messages; *intake.Handler is one.
type Deliverer interface {
	// Deliver takes messages of a source for an integration and may answer the
	// last one.
	Deliver(ctx context.Context, integration, source string, reqs []intake.Request) (intake.Response, bool, error)
	// Allows says whether a peer may send at all.
	Allows(integration, peer string) bool
}

// Options configure a Listener.
type Options struct {
	// Protocol is what is spoken; see package catalog.
	Protocol intake.Protocol
	// Address is where to listen, host:port.
	Address string
	// Integration is whose rules hold for what arrives.
	Integration string
	// Deliverer takes the messages.
	Deliverer Deliverer
	// TLS, where set, is spoken on TCP.
	TLS *tls.Config
	// MaxMessage bounds a message, in bytes. Default 64 KiB; 1 MiB for
	// protocols with answers.
	MaxMessage int
	// MaxConns is how many connections may be open, a quarter of them of one
	// peer. Default 256; 64 for protocols with answers.
	MaxConns int
	// Queue is how many messages may wait for delivery. Default 2,048 for UDP;
	// for TCP twice MaxConns, over all connections.
	Queue int
	// Idle is how long a connection may be silent. Default 15 min; 30 s for
	// protocols with answers.
	Idle time.Duration
	// FrameTimeout is how long one message may take to arrive. Default 30 s.
	FrameTimeout time.Duration
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Metrics count; nil: nobody asks.
	Metrics *Metrics
	// Logger gets what an operator should know. Default: none.
	Logger *slog.Logger
}

// Bounds of one delivery.
const (
	maxBatch       = 512
	maxBatchBytes  = 1 << 20
	deliverTimeout = 10 * time.Second
	// udpPatience is how long datagrams wait for a node that is busy.
	udpPatience = 5 * time.Second
	firstRetry  = 100 * time.Millisecond
	lastRetry   = 2 * time.Second
)

// Listener is one port. Listen may be called before Run to learn the port;
// both at most once.
type Listener struct {
	o       Options
	packets *net.UDPConn
	stream  net.Listener

	mu    sync.Mutex // guards all following
	conns int
	peers map[string]int
}

// New checks the options and makes a listener that isn't bound yet.
func New(o Options) (*Listener, error) {
	switch {
	case o.Deliverer == nil:
		return nil, errors.New("listen: Deliverer is missing")
	case o.Integration == "":
		return nil, errors.New("listen: Integration is missing")
	case o.Protocol.Network != "udp" && o.Protocol.Network != "tcp":
		return nil, fmt.Errorf("listen: Protocol.Network %q: want udp or tcp", o.Protocol.Network)
	case o.Protocol.Network == "tcp" && o.Protocol.Frame == nil:
		return nil, fmt.Errorf("listen: protocol %s has no framing", o.Protocol.Name)
	case o.TLS != nil && o.Protocol.Network != "tcp":
		return nil, errors.New("listen: TLS needs TCP")
	}
	dialog := o.Protocol.Dialog
	setDefault(&o.MaxMessage, pick(dialog, 1<<20, 64<<10))
	setDefault(&o.MaxConns, pick(dialog, 64, 256))
	setDefault(&o.Queue, pick(o.Protocol.Network == "udp", 2048, 2*o.MaxConns))
	setDefault(&o.Idle, pick(dialog, 30*time.Second, 15*time.Minute))
	setDefault(&o.FrameTimeout, 30*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	return &Listener{o: o, peers: map[string]int{}}, nil
}

func pick[T any](cond bool, a, b T) T {
	if cond {
		return a
	}
	return b
}

func setDefault[T int | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// Listen binds the address.
func (l *Listener) Listen() error {
	if l.o.Protocol.Network == "udp" {
		addr, err := net.ResolveUDPAddr("udp", l.o.Address)
		if err != nil {
			return fmt.Errorf("%s: %w", l.o.Protocol.Name, err)
		}
		if l.packets, err = net.ListenUDP("udp", addr); err != nil {
			return fmt.Errorf("%s: %w", l.o.Protocol.Name, err)
		}
		// A larger buffer in the kernel outlives bursts; systems may refuse it.
		_ = l.packets.SetReadBuffer(4 << 20)
		return nil
	}
	ln, err := net.Listen("tcp", l.o.Address)
	if err != nil {
		return fmt.Errorf("%s: %w", l.o.Protocol.Name, err)
	}
	if l.o.TLS != nil {
		ln = tls.NewListener(ln, l.o.TLS)
	}
	l.stream = ln
	return nil
}

// Addr is where it listens; nil before Listen.
func (l *Listener) Addr() net.Addr {
	switch {
	case l.packets != nil:
		return l.packets.LocalAddr()
	case l.stream != nil:
		return l.stream.Addr()
	}
	return nil
}

// Close gives a bound port back that Run was never called for.
func (l *Listener) Close() error {
	switch {
	case l.packets != nil:
		return l.packets.Close()
	case l.stream != nil:
		return l.stream.Close()
	}
	return nil
}

// Run serves until ctx ends; then it delivers what it has taken, ends every
// goroutine and connection, and returns nil. It binds the address where Listen
// wasn't called.
func (l *Listener) Run(ctx context.Context) error {
	if l.Addr() == nil {
		if err := l.Listen(); err != nil {
			return err
		}
	}
	l.o.Logger.Info("listening", "protocol", l.o.Protocol.Name, "address", l.Addr().String(), "integration", l.o.Integration)
	if l.packets != nil {
		return l.runPackets(ctx)
	}
	return l.runStream(ctx)
}

// request makes a message a request.
func (l *Listener) request(msg []byte, peer string) intake.Request {
	return intake.Request{Method: pick(l.packets != nil, "UDP", "TCP"), Body: msg, ReceivedAt: l.o.Now(), Peer: peer}
}

// deliver hands a batch on. While the node is busy it tries again until
// patience or ctx ends; patience 0 waits for ctx alone. What can't be
// delivered is counted as lost.
func (l *Listener) deliver(ctx context.Context, batch []intake.Request, patience time.Duration) (intake.Response, bool) {
	began, wait := l.o.Now(), firstRetry
	for {
		one, cancel := context.WithTimeout(context.WithoutCancel(ctx), deliverTimeout)
		resp, ok, err := l.o.Deliverer.Deliver(one, l.o.Integration, l.o.Protocol.Source, batch)
		cancel()
		if !errors.Is(err, intake.ErrBusy) && !errors.Is(err, intake.ErrUnavailable) {
			return resp, ok // other refusals are counted where they are made
		}
		if ctx.Err() != nil || patience > 0 && l.o.Now().Sub(began) >= patience {
			l.o.Metrics.dropped.WithLabelValues(l.o.Protocol.Name, "busy").Add(float64(len(batch)))
			return resp, ok
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
		wait = min(2*wait, lastRetry)
	}
}

func (l *Listener) drop(reason string) {
	l.o.Metrics.dropped.WithLabelValues(l.o.Protocol.Name, reason).Inc()
}

// address is a peer's address without port, IPv4 in its own form.
func address(a net.Addr) string {
	if ap, err := netip.ParseAddrPort(a.String()); err == nil {
		return ap.Addr().Unmap().String()
	}
	return a.String()
}

// Metrics count what listeners take. One serves all listeners of a node.
type Metrics struct {
	messages, dropped *prometheus.CounterVec
	conns             *prometheus.GaugeVec
}

// NewMetrics makes and registers them; a nil registerer is none.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fenghuo_listen_messages_total", Help: "Messages taken off the wire, by protocol.",
		}, []string{"protocol"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fenghuo_listen_dropped_total", Help: "Messages and connections dropped, by protocol and reason.",
		}, []string{"protocol", "reason"}),
		conns: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "fenghuo_listen_connections", Help: "Open connections, by protocol.",
		}, []string{"protocol"}),
	}
	if reg != nil {
		reg.MustRegister(m.messages, m.dropped, m.conns)
	}
	return m
}
