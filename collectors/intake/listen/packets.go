package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"

	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
)

// maxQueueBytes bounds what datagrams may wait for delivery.
const maxQueueBytes = 16 << 20

// runPackets reads datagrams on one goroutine and delivers them on another, in
// batches as large as what has come meanwhile.
func (l *Listener) runPackets(ctx context.Context) error {
	queue := make(chan intake.Request, l.o.Queue)
	waiting := new(atomic.Int64) // bytes in the queue
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.deliverPackets(ctx, queue, waiting)
	}()
	stop := context.AfterFunc(ctx, func() { _ = l.packets.Close() })
	defer stop()
	err := l.readPackets(queue, waiting)
	close(queue)
	<-done
	_ = l.packets.Close() // closed already where ctx ended
	if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return fmt.Errorf("%s: %w", l.o.Protocol.Name, err)
}

func (l *Listener) readPackets(queue chan<- intake.Request, waiting *atomic.Int64) error {
	buf := make([]byte, l.o.MaxMessage+1)
	taken := l.o.Metrics.messages.WithLabelValues(l.o.Protocol.Name)
	for {
		n, from, err := l.packets.ReadFromUDPAddrPort(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			var ne net.Error
			if errors.As(err, &ne) && ne.Timeout() {
				continue
			}
			// An ICMP answer to something we sent, or a datagram that is too
			// large for the system: the next one may be fine.
			l.drop("read")
			continue
		}
		peer := from.Addr().Unmap().String()
		switch {
		case n > l.o.MaxMessage:
			l.drop("too_large")
			continue
		case !l.o.Deliverer.Allows(l.o.Integration, peer):
			l.drop("peer")
			continue
		case waiting.Load()+int64(n) > maxQueueBytes:
			l.drop("queue")
			continue
		}
		waiting.Add(int64(n))
		select {
		case queue <- l.request(append([]byte(nil), buf[:n]...), peer):
			taken.Inc()
		default:
			waiting.Add(-int64(n))
			l.drop("queue")
		}
	}
}

func (l *Listener) deliverPackets(ctx context.Context, queue <-chan intake.Request, waiting *atomic.Int64) {
	batch := make([]intake.Request, 0, maxBatch)
	for first := range queue {
		batch = append(batch[:0], first)
		batch = gather(queue, batch)
		l.deliver(ctx, batch, udpPatience)
		for i := range batch {
			waiting.Add(-int64(len(batch[i].Body)))
			batch[i] = intake.Request{}
		}
	}
}

// gather adds what waits in the queue already.
func gather(queue <-chan intake.Request, batch []intake.Request) []intake.Request {
	size := 0
	for len(batch) < maxBatch && size < maxBatchBytes {
		select {
		case r, ok := <-queue:
			if !ok {
				return batch
			}
			batch, size = append(batch, r), size+len(r.Body)
		default:
			return batch
		}
	}
	return batch
}
