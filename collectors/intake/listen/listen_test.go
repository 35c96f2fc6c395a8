package listen_test

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/catalog"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/listen"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/zabbix"
)

type sink struct {
	mu     sync.Mutex
	err    error
	tried  int
	alerts []*alert.Alert
}

func (s *sink) Accept(_ context.Context, b intake.Batch) (intake.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tried++
	if s.err != nil {
		return intake.Receipt{}, s.err
	}
	s.alerts = append(s.alerts, b.Alerts...)
	return intake.Receipt{Accepted: len(b.Alerts)}, nil
}

func (s *sink) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *sink) attempts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tried
}

func (s *sink) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.alerts)
}

// start runs a listener of a protocol on a free port; stop ends it and checks
// that nothing of it is left.
func start(t *testing.T, protocol string, s *sink, change func(*listen.Options, *intake.Integration)) (addr string, reg *prometheus.Registry, stop func()) {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	h, err := intake.New(intake.Options{Sources: catalog.Sources(), Sink: s})
	require.NoError(t, err)
	reg = prometheus.NewRegistry()
	o := listen.Options{Address: "127.0.0.1:0", Integration: "in", Deliverer: h, Metrics: listen.NewMetrics(reg)}
	for _, p := range catalog.Protocols() {
		if p.Name == protocol {
			o.Protocol = p
		}
	}
	in := intake.Integration{Name: "in", Source: o.Protocol.Source, Key: "k"}
	if change != nil {
		change(&o, &in)
	}
	require.NoError(t, h.Apply([]intake.Integration{in}))
	l, err := listen.New(o)
	require.NoError(t, err)
	require.NoError(t, l.Listen())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		require.NoError(t, <-done)
		goleak.VerifyNone(t, leaks)
	}
	t.Cleanup(stop)
	return l.Addr().String(), reg, stop
}

func eventually(t *testing.T, cond func() bool) {
	t.Helper()
	require.Eventually(t, cond, 10*time.Second, 5*time.Millisecond)
}

func line(i int) string {
	return fmt.Sprintf("<131>1 2026-11-20T04:00:00Z host-%d app - E1 - it broke", i)
}

func TestSyslogUDP(t *testing.T) {
	s := &sink{}
	addr, reg, stop := start(t, "syslog_udp", s, func(o *listen.Options, _ *intake.Integration) { o.MaxMessage = 1024 })
	c, err := net.Dial("udp", addr)
	require.NoError(t, err)
	defer c.Close()
	for i := range 100 {
		_, err := c.Write([]byte(line(i)))
		require.NoError(t, err)
	}
	_, err = c.Write(bytes.Repeat([]byte("x"), 4096))
	require.NoError(t, err)
	_, err = c.Write([]byte("not syslog"))
	require.NoError(t, err)
	eventually(t, func() bool { return s.count() == 100 })
	eventually(t, func() bool {
		return testutil.CollectAndCount(reg, "fenghuo_listen_dropped_total") == 1
	})
	stop()
	require.Equal(t, 100, s.count())
}

func TestSyslogUDPWaitsForABusyNode(t *testing.T) {
	s := &sink{err: intake.ErrBusy}
	addr, _, stop := start(t, "syslog_udp", s, nil)
	c, err := net.Dial("udp", addr)
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Write([]byte(line(1)))
	require.NoError(t, err)
	eventually(t, func() bool { return s.attempts() > 1 })
	require.Zero(t, s.count())
	s.set(nil)
	eventually(t, func() bool { return s.count() == 1 })
	stop()
}

func TestSyslogTCP(t *testing.T) {
	s := &sink{}
	addr, _, stop := start(t, "syslog_tcp", s, nil)
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	for i := range 50 {
		_, err := fmt.Fprintf(c, "%s\n", line(i))
		require.NoError(t, err)
		m := line(i+50) + "\nsecond line"
		_, err = fmt.Fprintf(c, "%d %s", len(m), m)
		require.NoError(t, err)
	}
	eventually(t, func() bool { return s.count() == 100 })
	// The last line has no end: it counts when the sender closes.
	_, err = io.WriteString(c, line(1000))
	require.NoError(t, err)
	require.NoError(t, c.Close())
	eventually(t, func() bool { return s.count() == 101 })
	stop()
}

func TestSyslogTCPHoldsBackWhileBusy(t *testing.T) {
	s := &sink{err: intake.ErrUnavailable}
	addr, _, stop := start(t, "syslog_tcp", s, nil)
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	for i := range 200 {
		_, err := fmt.Fprintf(c, "%s\n", line(i))
		require.NoError(t, err)
	}
	eventually(t, func() bool { return s.attempts() > 1 })
	s.set(nil)
	eventually(t, func() bool { return s.count() == 200 })
	stop()
}

func TestBrokenStreamsEnd(t *testing.T) {
	s := &sink{}
	addr, reg, stop := start(t, "syslog_tcp", s, func(o *listen.Options, _ *intake.Integration) {
		o.MaxMessage, o.Idle, o.FrameTimeout = 1024, 200*time.Millisecond, 100*time.Millisecond
	})
	for name, text := range map[string]string{
		"endless line": string(bytes.Repeat([]byte("x"), 8192)), "too long": "99999 <1>", "no number": "12x <1>", "stalled": "50 <131>1", "silent": "",
	} {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		_, err = io.WriteString(c, text)
		require.NoError(t, err)
		require.NoError(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
		_, err = c.Read(make([]byte, 1))
		require.Error(t, err, name)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded, name)
		require.NoError(t, c.Close())
	}
	require.Positive(t, testutil.CollectAndCount(reg, "fenghuo_listen_dropped_total"))
	stop()
}

func TestConnectionLimits(t *testing.T) {
	s := &sink{}
	addr, _, stop := start(t, "syslog_tcp", s, func(o *listen.Options, _ *intake.Integration) { o.MaxConns = 8 })
	var open []net.Conn
	for range 2 { // a quarter of them
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		open = append(open, c)
		_, err = fmt.Fprintf(c, "%s\n", line(len(open)))
		require.NoError(t, err)
	}
	eventually(t, func() bool { return s.count() == 2 })
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	_, err = c.Read(make([]byte, 1))
	require.Error(t, err, "one peer can't take them all")
	require.NoError(t, c.Close())
	for _, c := range open {
		require.NoError(t, c.Close())
	}
	stop()
}

func TestPeersThatMayNotSend(t *testing.T) {
	s := &sink{}
	deny := func(_ *listen.Options, in *intake.Integration) {
		in.Allow = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	}
	addr, _, stop := start(t, "syslog_tcp", s, deny)
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	_, err = c.Read(make([]byte, 1))
	require.Error(t, err)
	require.NoError(t, c.Close())
	stop()
	addr, reg, stop := start(t, "syslog_udp", s, deny)
	u, err := net.Dial("udp", addr)
	require.NoError(t, err)
	defer u.Close()
	_, err = u.Write([]byte(line(1)))
	require.NoError(t, err)
	eventually(t, func() bool { return testutil.CollectAndCount(reg, "fenghuo_listen_dropped_total") == 1 })
	stop()
	require.Zero(t, s.count())
}

func exchange(t *testing.T, addr string, frame []byte) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Write(frame)
	require.NoError(t, err)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
	reply, err := zabbix.Frame(bufio.NewReader(c), 1<<20)
	require.NoError(t, err)
	require.EqualValues(t, len(reply)-13, binary.LittleEndian.Uint32(reply[5:9]))
	return string(reply[13:])
}

func TestZabbixSender(t *testing.T) {
	s := &sink{}
	// The integration is the one of the server's webhooks.
	addr, _, stop := start(t, "zabbix_sender", s, func(_ *listen.Options, in *intake.Integration) { in.Source = "zabbix" })
	frame, err := os.ReadFile("../zabbix/testdata/zabbix_sender/two_values.raw")
	require.NoError(t, err)
	require.Regexp(t, `^{"info":"processed: 2; failed: 0; total: 2; seconds spent: \d+\.\d{6}","response":"success"}$`, exchange(t, addr, frame))
	require.Equal(t, 2, s.count())

	body := `{"request":"sender data","data":[{"host":"h","key":"system.cpu","value":"1"},{"host":"h","key":"alert[a,high]","value":"PROBLEM: x"}]}`
	require.Contains(t, exchange(t, addr, zabbix.Pack([]byte(body))), "processed: 1; failed: 1; total: 2;")

	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	_, err = io.WriteString(w, body)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	packed := append([]byte("ZBXD\x03"), binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, uint32(z.Len())), uint32(len(body)))...)
	require.Contains(t, exchange(t, addr, append(packed, z.Bytes()...)), "processed: 1; failed: 1; total: 2;")

	require.Contains(t, exchange(t, addr, zabbix.Pack([]byte(`{"request":"active checks"}`))), `"response":"failed"`)
	stop()
}

func TestOptionsAreChecked(t *testing.T) {
	for want, o := range map[string]listen.Options{
		"Deliverer":   {},
		"Integration": {Deliverer: &intake.Handler{}},
		"Network":     {Deliverer: &intake.Handler{}, Integration: "x"},
		"framing":     {Deliverer: &intake.Handler{}, Integration: "x", Protocol: intake.Protocol{Network: "tcp"}},
	} {
		_, err := listen.New(o)
		require.ErrorContains(t, err, want)
	}
}
