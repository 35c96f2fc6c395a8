package listen

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
)

// connQueue is how many messages of one connection may wait.
const connQueue = 64

// runStream accepts connections until ctx ends.
func (l *Listener) runStream(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	stop := context.AfterFunc(ctx, func() { _ = l.stream.Close() })
	defer stop()
	tokens := make(chan struct{}, l.o.Queue)
	for {
		conn, err := l.stream.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = conn.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			// Too many open files, or a handshake that failed: wait a little.
			l.drop("accept")
			select {
			case <-ctx.Done():
			case <-time.After(firstRetry):
			}
			continue
		}
		peer := address(conn.RemoteAddr())
		if !l.o.Deliverer.Allows(l.o.Integration, peer) {
			l.drop("peer")
			_ = conn.Close()
			continue
		}
		if !l.enter(peer) {
			l.drop("connections")
			_ = conn.Close()
			continue
		}
		all.Go(func() {
			defer l.leave(peer)
			c := &connection{l: l, conn: conn, peer: peer, tokens: tokens}
			c.run(ctx)
		})
	}
}

// enter counts a connection in, unless there are too many.
func (l *Listener) enter(peer string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conns >= l.o.MaxConns || l.peers[peer] >= max(1, l.o.MaxConns/4) {
		return false
	}
	l.conns++
	l.peers[peer]++
	l.o.Metrics.conns.WithLabelValues(l.o.Protocol.Name).Inc()
	return true
}

func (l *Listener) leave(peer string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns--
	if l.peers[peer]--; l.peers[peer] == 0 {
		delete(l.peers, peer)
	}
	l.o.Metrics.conns.WithLabelValues(l.o.Protocol.Name).Dec()
}

// connection is one stream.
type connection struct {
	l      *Listener
	conn   net.Conn
	peer   string
	tokens chan struct{} // messages in memory, over all connections
}

// past is a deadline that has passed.
func past() time.Time { return time.Unix(1, 0) }

// wait lets the next read take d at most, and none once ctx has ended.
func (c *connection) wait(ctx context.Context, d time.Duration) {
	// The network's deadlines are the machine's clock, whatever Now says.
	_ = c.conn.SetReadDeadline(time.Now().Add(d))
	if ctx.Err() != nil {
		_ = c.conn.SetReadDeadline(past())
	}
}

func (c *connection) run(ctx context.Context) {
	defer func() { _ = c.conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetReadDeadline(past()) })
	defer stop()
	r := bufio.NewReaderSize(c.conn, 16<<10)
	var err error
	if c.l.o.Protocol.Dialog {
		err = c.dialog(ctx, r)
	} else {
		err = c.monologue(ctx, r)
	}
	var ne net.Error
	switch {
	case err == nil, errors.Is(err, io.EOF), ctx.Err() != nil:
	case errors.As(err, &ne) && ne.Timeout():
		c.l.drop("timeout")
	default:
		c.l.drop("frame")
		c.l.o.Logger.Debug("connection ended", "protocol", c.l.o.Protocol.Name, "peer", c.peer, "error", err)
	}
}

// next reads a message. It holds a token from the message's first byte on,
// which the caller gives back.
func (c *connection) next(ctx context.Context, r *bufio.Reader) ([]byte, error) {
	c.wait(ctx, c.l.o.Idle)
	if _, err := r.Peek(1); err != nil {
		return nil, err
	}
	select {
	case c.tokens <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	c.wait(ctx, c.l.o.FrameTimeout)
	msg, err := c.l.o.Protocol.Frame(r, c.l.o.MaxMessage)
	if err != nil {
		<-c.tokens
		return nil, err
	}
	c.l.o.Metrics.messages.WithLabelValues(c.l.o.Protocol.Name).Inc()
	return msg, nil
}

// dialog answers one message after the other.
func (c *connection) dialog(ctx context.Context, r *bufio.Reader) error {
	for {
		msg, err := c.next(ctx, r)
		if err != nil {
			return err
		}
		resp, ok := c.l.deliver(ctx, []intake.Request{c.l.request(msg, c.peer)}, c.l.o.FrameTimeout/2)
		<-c.tokens
		if !ok {
			return nil
		}
		_ = c.conn.SetWriteDeadline(time.Now().Add(c.l.o.FrameTimeout))
		if _, err := c.conn.Write(resp.Body); err != nil {
			return fmt.Errorf("answering: %w", err)
		}
	}
}

// monologue reads on one goroutine and delivers on this one, in batches.
func (c *connection) monologue(ctx context.Context, r *bufio.Reader) error {
	queue := make(chan intake.Request, connQueue)
	var err error
	go func() {
		defer close(queue)
		for {
			var msg []byte
			if msg, err = c.next(ctx, r); err != nil {
				return
			}
			queue <- c.l.request(msg, c.peer)
		}
	}()
	batch := make([]intake.Request, 0, maxBatch)
	for first := range queue {
		batch = append(batch[:0], first)
		batch = gather(queue, batch)
		c.l.deliver(ctx, batch, 0)
		for i := range batch {
			<-c.tokens
			batch[i] = intake.Request{}
		}
	}
	return err // written before the queue was closed
}
