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
	// Unsure: not known to be delivered, but an attempt may have arrived all
	// the same: the receiver had the message and didn't answer in time.
	Unsure   bool
	Attempts int
	Err      error // of the last attempt; nil when delivered
	At       time.Time
}

// ErrUnanswered marks the error of an attempt that the receiver may have taken:
// it was sent, and no answer came.
var ErrUnanswered = errors.New("no answer")

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

// A receiver behind a balancer with a dead backend leaves a part of the attempts
// without an answer. They must not keep the others waiting until their deadline.
const (
	// slowAfter is how long an attempt may take before another worker of its
	// integration takes the place of the one that waits.
	slowAfter = 5 * time.Second
	// maxSlow bounds how many of an integration's workers may wait like that,
	// as a multiple of Concurrency.
	maxSlow = 32
)

// Dispatcher sends jobs: each integration has its own queue and workers. A job
// that waits for its next attempt occupies no worker, so a message that its
// receiver refuses doesn't hold up the others, nor does one that it leaves
// without an answer for long.
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
	queue   []*task
	paused  map[*task]*time.Timer // between two attempts
	workers int
	slow    int // further workers, whose attempts take long
}

// task is a job under way.
type task struct {
	Job
	wait *backoff.ExponentialBackOff
	out  Outcome
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

// Configure replaces the senders. Jobs that wait go to the new sender of their
// integration; where there is none they end with ErrNoSender.
func (d *Dispatcher) Configure(senders map[string]Sender) {
	d.mu.Lock()
	var orphans []*task
	for key, l := range d.lanes {
		if senders[key] == nil {
			orphans = append(orphans, l.drain()...)
			delete(d.lanes, key)
		}
	}
	for key, s := range senders {
		if l := d.lanes[key]; l != nil {
			l.sender = s
			continue
		}
		d.lanes[key] = &lane{key: key, sender: s, paused: map[*task]*time.Timer{}}
	}
	d.mu.Unlock()
	for _, t := range orphans {
		d.end(t, fmt.Errorf("%w: %s", ErrNoSender, t.Integration))
	}
}

// drain takes all jobs out that no worker has. d.mu is held.
func (l *lane) drain() []*task {
	out := l.queue
	for t, timer := range l.paused {
		timer.Stop() // one that has fired finds the job gone
		out = append(out, t)
	}
	l.queue = nil
	clear(l.paused)
	return out
}

// end reports a job that no further attempt is made for.
func (d *Dispatcher) end(t *task, err error) {
	t.out.Err = err
	t.out.At = d.o.Now()
	t.Done(t.out)
}

// Submit queues a job and returns at once. Done is called exactly once, from
// another goroutine or, where the job can't be queued, from this one.
func (d *Dispatcher) Submit(j Job) {
	t := &task{Job: j, wait: backoff.NewExponentialBackOff()}
	t.wait.InitialInterval, t.wait.MaxInterval = d.o.FirstRetry, d.o.MaxRetry
	d.mu.Lock()
	l := d.lanes[j.Integration]
	if l == nil || d.closed {
		closed := d.closed
		d.mu.Unlock()
		err := fmt.Errorf("%w: %s", ErrNoSender, j.Integration)
		if closed {
			err = context.Canceled
		}
		d.end(t, err)
		return
	}
	d.queue(l, t)
	d.mu.Unlock()
}

// queue gives a lane a job to attempt. d.mu is held.
func (d *Dispatcher) queue(l *lane, t *task) {
	l.queue = append(l.queue, t)
	d.hire(l)
}

// hire starts a worker where there is work for one more. d.mu is held.
func (d *Dispatcher) hire(l *lane) {
	if len(l.queue) > 0 && l.workers < d.o.Concurrency {
		l.workers++
		d.wg.Go(func() { d.work(l) })
	}
}

// watch lets another worker take the caller's place once its attempt takes
// long. The caller calls over when it has ended.
func (d *Dispatcher) watch(l *lane) (over func()) {
	ended, replaced := false, false // guarded by d.mu
	timer := time.AfterFunc(slowAfter, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if ended || l.slow >= maxSlow*d.o.Concurrency {
			return
		}
		replaced = true
		l.workers--
		l.slow++
		d.hire(l)
	})
	return func() {
		timer.Stop()
		d.mu.Lock()
		defer d.mu.Unlock()
		if ended = true; replaced {
			l.slow--
			l.workers++
		}
	}
}

// pause lets a job wait for its next attempt; false: the lane is gone.
func (d *Dispatcher) pause(l *lane, t *task, wait time.Duration) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.lanes[l.key] != l {
		return false
	}
	l.paused[t] = time.AfterFunc(wait, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if _, waits := l.paused[t]; waits {
			delete(l.paused, t)
			d.queue(l, t)
		}
	})
	return true
}

// Stop ends all attempts and returns when none is left, or with ctx's error.
// Jobs not delivered end with context.Canceled.
func (d *Dispatcher) Stop(ctx context.Context) error {
	d.mu.Lock()
	d.closed = true
	var waiting []*task
	for _, l := range d.lanes {
		waiting = append(waiting, l.drain()...)
	}
	d.mu.Unlock()
	d.cancel(context.Canceled)
	for _, t := range waiting {
		d.end(t, context.Canceled)
	}
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

// work attempts a lane's jobs until the queue is empty, or there are enough
// workers without this one.
func (d *Dispatcher) work(l *lane) {
	for {
		d.mu.Lock()
		if len(l.queue) == 0 || l.workers > d.o.Concurrency {
			l.workers--
			d.mu.Unlock()
			return
		}
		t := l.queue[0]
		l.queue[0] = nil
		l.queue = l.queue[1:]
		sender := l.sender
		d.mu.Unlock()
		over := d.watch(l)
		wait, again := d.attempt(sender, t)
		over()
		if again && d.pause(l, t, wait) {
			continue
		}
		if !t.out.Delivered {
			d.failed.WithLabelValues(t.Integration).Inc()
			d.o.Logger.Warn("notification not delivered", "integration", t.Integration, "group", t.Message.GroupKey, "attempts", t.out.Attempts, "err", t.out.Err)
		}
		t.Done(t.out)
	}
}

// attempt tries once. It is worth another attempt after wait unless the message
// was delivered, trying again is useless, or the deadline would pass.
func (d *Dispatcher) attempt(s Sender, t *task) (wait time.Duration, again bool) {
	ctx, cancel := context.WithTimeoutCause(d.ctx, t.Deadline.Sub(d.o.Now()), errDeadline)
	defer cancel()
	t.out.Attempts++
	began := d.o.Now()
	retry, err := s.Send(ctx, t.Message)
	t.out.At, t.out.Err = d.o.Now(), err
	d.latency.WithLabelValues(t.Integration).Observe(t.out.At.Sub(began).Seconds())
	if err == nil {
		d.attempts.WithLabelValues(t.Integration, "ok").Inc()
		d.sent.WithLabelValues(t.Integration).Inc()
		t.out.Delivered, t.out.Unsure = true, false
		return 0, false
	}
	d.attempts.WithLabelValues(t.Integration, "error").Inc()
	t.out.Unsure = t.out.Unsure || errors.Is(err, ErrUnanswered)
	wait = t.wait.NextBackOff()
	return wait, retry && ctx.Err() == nil && !t.out.At.Add(wait).After(t.Deadline)
}

// errDeadline says why an attempt was cut off.
var errDeadline = errors.New("the flush's deadline passed")
