package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/client_golang/prometheus"
)

// Sender delivers a message over one channel to one receiver.
type Sender interface {
	// Send makes one attempt. retry says whether another one may help; it is
	// only looked at with an error.
	Send(ctx context.Context, m *Message) (retry bool, err error)
}

// Outcome is what became of a job.
type Outcome struct {
	Delivered bool
	Attempts  int
	Err       error // of the last attempt; nil when delivered
	At        time.Time
}

// Job is one message for one integration.
type Job struct {
	Integration string // key of the sender, "receiver/kind/index"
	Message     *Message
	Deadline    time.Time // no attempt begins after it
	Done        func(Outcome)
}

// Options of a Dispatcher.
type Options struct {
	// Concurrency is how many messages go to one integration at once. More
	// empties a storm faster and presses a slow receiver harder. Default 8.
	Concurrency int
	// Backoff between attempts: first, growth, cap, as Alertmanager's 0.5 s,
	// x1.5 with +-50 % chance, 60 s.
	FirstRetry, MaxRetry time.Duration
	Now                  func() time.Time
	Logger               *slog.Logger
	Registerer           prometheus.Registerer
}

// ErrNoSender: a job names an integration that isn't configured (any more).
var ErrNoSender = errors.New("no such receiver integration")

// Dispatcher sends jobs: each integration has its own queue and workers.
type Dispatcher struct {
	o      Options
	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup

	mu     sync.Mutex // guards all following
	lanes  map[string]*lane
	closed bool

	sent     *prometheus.CounterVec
	failed   *prometheus.CounterVec
	attempts *prometheus.CounterVec
	latency  *prometheus.HistogramVec
}

// lane is the queue of one integration.
type lane struct {
	key     string
	sender  Sender
	queue   []Job
	workers int
}

// NewDispatcher returns a dispatcher without senders.
func NewDispatcher(o Options) *Dispatcher {
	if o.Concurrency <= 0 {
		o.Concurrency = 8
	}
	if o.FirstRetry <= 0 {
		o.FirstRetry = 500 * time.Millisecond
	}
	if o.MaxRetry <= 0 {
		o.MaxRetry = time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	d := &Dispatcher{
		o: o, lanes: map[string]*lane{},
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fenghuo_notifications_total", Help: "Notifications delivered.",
		}, []string{"integration"}),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fenghuo_notifications_failed_total", Help: "Notifications given up until the next flush.",
		}, []string{"integration"}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fenghuo_notification_attempts_total", Help: "Attempts to deliver a notification, by result.",
		}, []string{"integration", "result"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "fenghuo_notification_duration_seconds", Help: "How long a receiver took to answer one attempt.",
			Buckets: []float64{.005, .02, .1, .5, 2, 10, 30},
		}, []string{"integration"}),
	}
	d.ctx, d.cancel = context.WithCancelCause(context.Background())
	if o.Registerer != nil {
		o.Registerer.MustRegister(d.sent, d.failed, d.attempts, d.latency)
	}
	return d
}

// Configure replaces the senders. Jobs already queued go to the new sender of
// their integration; where there is none they end with ErrNoSender.
func (d *Dispatcher) Configure(senders map[string]Sender) {
	d.mu.Lock()
	var orphans []Job
	for key, l := range d.lanes {
		if senders[key] == nil {
			orphans = append(orphans, l.queue...)
			l.queue = nil
			delete(d.lanes, key)
		}
	}
	for key, s := range senders {
		if l := d.lanes[key]; l != nil {
			l.sender = s
			continue
		}
		d.lanes[key] = &lane{key: key, sender: s}
	}
	d.mu.Unlock()
	for _, j := range orphans {
		j.Done(Outcome{Err: fmt.Errorf("%w: %s", ErrNoSender, j.Integration), At: d.o.Now()})
	}
}

// Submit queues a job and returns at once. Done is called exactly once, from
// another goroutine or, where the job can't be queued, from this one.
func (d *Dispatcher) Submit(j Job) {
	d.mu.Lock()
	l := d.lanes[j.Integration]
	if l == nil || d.closed {
		closed := d.closed
		d.mu.Unlock()
		err := fmt.Errorf("%w: %s", ErrNoSender, j.Integration)
		if closed {
			err = context.Canceled
		}
		j.Done(Outcome{Err: err, At: d.o.Now()})
		return
	}
	l.queue = append(l.queue, j)
	if l.workers < d.o.Concurrency {
		l.workers++
		d.wg.Go(func() { d.work(l) })
	}
	d.mu.Unlock()
}

// Stop ends all attempts and returns when none is left, or with ctx's error.
// Jobs not delivered end with context.Canceled.
func (d *Dispatcher) Stop(ctx context.Context) error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.cancel(context.Canceled)
	done := make(chan struct{})
	go func() { // ends with the workers, whose context has ended
		d.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("notifications still being sent: %w", ctx.Err())
	}
}

// work sends a lane's jobs until the queue is empty.
func (d *Dispatcher) work(l *lane) {
	for {
		d.mu.Lock()
		if len(l.queue) == 0 {
			l.workers--
			d.mu.Unlock()
			return
		}
		j := l.queue[0]
		l.queue[0] = Job{}
		l.queue = l.queue[1:]
		sender := l.sender
		d.mu.Unlock()
		j.Done(d.deliver(sender, j))
	}
}

// deliver tries until the message is delivered, trying again is useless, or the
// deadline passes.
func (d *Dispatcher) deliver(s Sender, j Job) Outcome {
	ctx, cancel := context.WithDeadlineCause(d.ctx, j.Deadline, errDeadline)
	defer cancel()
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = d.o.FirstRetry, d.o.MaxRetry
	var out Outcome
	for {
		out.Attempts++
		began := d.o.Now()
		retry, err := s.Send(ctx, j.Message)
		out.At = d.o.Now()
		d.latency.WithLabelValues(j.Integration).Observe(out.At.Sub(began).Seconds())
		out.Err = err
		if err == nil {
			d.attempts.WithLabelValues(j.Integration, "ok").Inc()
			d.sent.WithLabelValues(j.Integration).Inc()
			out.Delivered = true
			return out
		}
		d.attempts.WithLabelValues(j.Integration, "error").Inc()
		pause := wait.NextBackOff()
		if !retry || ctx.Err() != nil || out.At.Add(pause).After(j.Deadline) {
			break
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		if ctx.Err() != nil {
			break
		}
	}
	d.failed.WithLabelValues(j.Integration).Inc()
	d.o.Logger.Warn("notification not delivered", "integration", j.Integration, "group", j.Message.GroupKey, "attempts", out.Attempts, "err", out.Err)
	return out
}

// errDeadline says why an attempt was cut off.
var errDeadline = errors.New("the flush's deadline passed")
