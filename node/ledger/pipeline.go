// Package ledger owns the alerts of this host: it merges what comes in, has it
// on disk before it answers, ends what nobody renews, and hands every change
// on. Nobody else writes to the alerts it holds.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
	"github.com/fenghuo-mesh/fenghuo/node/journal"
)

// resolvedKeep is how long an ended alert stays in the book when nobody must
// be told any more: Prometheus repeats a resolve for 15 minutes, and those
// repeats must meet what they repeat.
const resolvedKeep = 16 * time.Minute

// RecordKind is the kind of the ledger's records in the journal: an alert's
// state after a change.
const RecordKind = 1

// maxWaiting bounds the batches that wait for the pipeline; beyond it intake is
// overloaded and says so.
const maxWaiting = 1024

// Change is one alert's step, as the parts behind the ledger see it.
type Change struct {
	// Before is nil for a new alert, After for a forgotten one.
	Before, After *alert.Alert
	// WasFiring and Fires say whether the two fire.
	WasFiring, Fires bool
	// Kind is what the report did. Unchanged with an After: only its end moved.
	Kind alert.Change
	// Expired says that it ended because its sender fell silent.
	Expired bool
	At      alert.Time
	// Pos is where the journal holds it; 0: it was read from there, and the
	// history has it unless it is Expired.
	Pos journal.Position
}

// Options of a Ledger. All but Registerer are required.
type Options struct {
	Journal *journal.Journal
	Now     func() time.Time
	// Tenant owns what arrives without one.
	Tenant string
	// ResolveTimeout is how long a report without an end holds.
	ResolveTimeout func() time.Duration
	// MaxAlerts is how many alerts are held at once; more are refused.
	MaxAlerts int
	// Changed takes what happened. It must not block; the slice is its own.
	Changed func([]Change)
	// Holds says whether somebody still must be told of a resolved alert.
	Holds      func(alert.Key) bool
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Ledger is the alert's way into the node: one goroutine, one select, owns
// the book. It merges, journals, and hands changes on; senders wait for the
// disk on their own goroutines.
type Ledger struct {
	// Gate shuts the ledger for reasons that its journal can't know.
	Gate Gate

	o    Options
	book *book
	ops  chan *op
	done chan struct{}

	ruleMu sync.Mutex                     // guards byRule; only Run's goroutine writes while it runs
	byRule map[string]map[uint64]struct{} // rule group -> hashed keys of its firing alerts

	began   alert.Time  // what ended before is history already
	lacks   atomic.Bool // the journal lacks an end that memory has
	version uint64
	records []journal.Record // reused
	undos   []undo           // reused
	changes []Change         // handed on
	buf     []byte           // reused encoding buffer

	accepted, refused *prometheus.CounterVec
}

// op is one request to the pipeline. Exactly one of batch and report is set.
type op struct {
	batch  *intake.Batch
	report *report
	reply  chan opResult
}

type report struct {
	group  string
	firing []*alert.Alert
	retain []string // groups that exist; the others' alerts end
}

type opResult struct {
	receipt intake.Receipt
	pos     journal.Position
	err     error
}

// errTooMany refuses a new alert when the book is full.
var errTooMany = errors.New("too many active alerts")

// New returns an empty ledger. Load what is on disk before Run.
func New(o Options) *Ledger {
	p := &Ledger{
		o: o, book: newBook(), ops: make(chan *op, maxWaiting), done: make(chan struct{}),
		byRule: map[string]map[uint64]struct{}{},
		accepted: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fenghuo_alerts_received_total", Help: "Alerts accepted, by source and what they changed.",
		}, []string{"source", "change"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fenghuo_alerts_refused_total", Help: "Alerts refused, by source and reason.",
		}, []string{"source", "reason"}),
	}
	if o.Registerer != nil {
		o.Registerer.MustRegister(p.accepted, p.refused, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "fenghuo_alerts_held", Help: "Alerts in memory, firing and lately resolved.",
		}, func() float64 { return float64(p.book.len()) }))
	}
	return p
}

// Accept implements intake.Sink.
func (p *Ledger) Accept(ctx context.Context, b intake.Batch) (intake.Receipt, error) {
	if b.Tenant == "" {
		b.Tenant = p.o.Tenant
	}
	r := p.do(ctx, &op{batch: &b})
	return r.receipt, r.err
}

func (p *Ledger) do(ctx context.Context, o *op) opResult {
	if reason := p.Gate.Reason(); reason != nil {
		return opResult{err: fmt.Errorf("%w: %w", intake.ErrUnavailable, reason)}
	}
	o.reply = make(chan opResult, 1)
	select {
	case p.ops <- o:
	case <-p.done:
		return opResult{err: fmt.Errorf("%w: the node is stopping", intake.ErrUnavailable)}
	default:
		return opResult{err: fmt.Errorf("%w: %d batches waiting", intake.ErrBusy, maxWaiting)}
	}
	var r opResult
	select {
	case r = <-o.reply:
	case <-p.done:
		select {
		case r = <-o.reply:
		default:
			return opResult{err: fmt.Errorf("%w: the node is stopping", intake.ErrUnavailable)}
		}
	}
	if r.err == nil {
		if err := p.o.Journal.Wait(ctx, r.pos); err != nil {
			r.err = fmt.Errorf("%w: %w", intake.ErrUnavailable, err)
		}
	}
	return r
}

// Run applies what comes in until ctx ends. Then it answers what is waiting
// and returns.
func (p *Ledger) Run(ctx context.Context) error {
	defer close(p.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wait := time.Minute
		if next := p.book.next(); next != 0 {
			wait = min(max(next.Std().Sub(p.o.Now()), 0), wait)
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			for {
				select {
				case o := <-p.ops:
					p.serve(o)
				default:
					return nil
				}
			}
		case o := <-p.ops:
			p.serve(o)
		case <-timer.C:
			p.expire()
		}
	}
}

// Lacks says, once, that the journal lacks something that only a snapshot can
// make good.
func (p *Ledger) Lacks() bool { return p.lacks.Swap(false) }

func (p *Ledger) serve(o *op) {
	now := alert.At(p.o.Now())
	p.book.mu.Lock()
	var r opResult
	switch {
	case o.batch != nil:
		r.receipt = p.applyBatch(o.batch, now)
	case o.report.retain != nil:
		p.applyRetain(o.report.retain, now)
	default:
		r.receipt = p.applyReport(o.report, now)
	}
	r.pos, r.err = p.commit(false)
	p.book.mu.Unlock()
	if r.err != nil {
		r.receipt = intake.Receipt{}
	}
	p.handOn(r.pos, r.err)
	o.reply <- r
}

// commit gives the gathered records to the journal and returns what its
// callers wait for: without records that is the journal's end, since what an
// unchanged repeat repeats may not be on disk yet. When the journal has no room
// everything is taken back, unless keep says that memory shall go on alone.
// book.mu is held for writing.
func (p *Ledger) commit(keep bool) (pos journal.Position, err error) {
	if pos, err = p.o.Journal.Append(p.records...); err != nil {
		if !keep {
			p.book.back(p.undos)
		}
		err = fmt.Errorf("%w: %w", intake.ErrUnavailable, err)
	}
	clear(p.records)
	p.records, p.undos, p.buf = p.records[:0], p.undos[:0], p.buf[:0]
	return pos, err
}

// handOn counts and passes the gathered changes to what lies behind.
func (p *Ledger) handOn(pos journal.Position, err error) {
	changes := p.changes
	p.changes = nil
	if err != nil || len(changes) == 0 {
		return
	}
	passed := changes[:0]
	run := 0 // equal ones in a row are counted at once
	for i := range changes {
		c := &changes[i]
		p.ruleIndex(c)
		if c.After != nil {
			run++
			if i+1 == len(changes) || !countsAlike(c, &changes[i+1]) {
				p.accepted.WithLabelValues(c.After.Source(), c.Kind.String()).Add(float64(run))
				run = 0
			}
		}
		switch {
		case c.renews(): // nothing was written, but who waits for the end must know
			passed = append(passed, *c)
		case c.Kind != alert.Unchanged || c.After == nil:
			if c.After != nil || c.Before.EndsAt >= p.began {
				c.Pos = pos
			}
			passed = append(passed, *c)
		}
	}
	if len(passed) > 0 {
		p.o.Changed(passed)
	}
}

// renews says whether a repeat said nothing new but moved the alert's end.
func (c *Change) renews() bool {
	return c.Kind == alert.Unchanged && c.Before != nil && c.After != nil && c.Fires && c.After.EndsAt != c.Before.EndsAt
}

func countsAlike(a, b *Change) bool {
	return b.After != nil && a.Kind == b.Kind && a.After.Origin == b.After.Origin
}

func (p *Ledger) applyBatch(b *intake.Batch, now alert.Time) (r intake.Receipt) {
	for i, in := range b.Alerts {
		if err := p.applyOne(b, in, now); err != nil {
			r.Rejected = append(r.Rejected, intake.Rejection{Index: i, Err: err})
			continue
		}
		r.Accepted++
	}
	return r
}

// applyOne completes, checks and merges one report from outside.
func (p *Ledger) applyOne(b *intake.Batch, in *alert.Alert, now alert.Time) error {
	in.Tenant, in.Origin = b.Tenant, b.Origin
	resolve := b.Expiry
	if resolve == 0 {
		resolve = p.o.ResolveTimeout()
	}
	if known := p.adopt(in, now); known != nil {
		if in.ResolvedAt(now) {
			alert.Inherit(in, known)
		}
		if in.StartsAt == 0 {
			in.StartsAt = known.StartsAt
			if in.EndsAt != 0 { // the sender's clock may be behind the one that told the begin
				in.EndsAt = max(in.EndsAt, in.StartsAt)
			}
		}
	}
	alert.Complete(in, now, resolve, b.Hold && b.Expiry == 0)
	if err := in.Validate(); err != nil {
		p.refused.WithLabelValues(in.Source(), "invalid").Inc()
		return err
	}
	return p.merge(in, now)
}

// adopt keeps the identity of an open alert that the sender names by its own
// key, though labels beside (a severity, a value) have changed since. It
// returns the alert that the report goes on with, if there is one: what has
// ended goes on only with another word about its end.
func (p *Ledger) adopt(in *alert.Alert, now alert.Time) *alert.Alert {
	_, known, clash := p.book.find(in.Tenant, in.Labels)
	if clash {
		known = nil
	}
	if in.Extra != nil {
		// The key says more than the labels, unless what it stood for is over.
		if named := p.book.findDedupe(in.Tenant, in.Source(), in.Extra.DedupeKey); named != nil && (known == nil || named.Fires() || !known.Fires()) {
			known = named
		}
	}
	if known == nil {
		return nil
	}
	if !known.Fires() && !in.ResolvedAt(now) {
		return nil
	}
	in.Labels = known.Labels
	return known
}

// merge folds a completed report into the book and gathers what must be
// written and handed on.
func (p *Ledger) merge(in *alert.Alert, now alert.Time) error {
	slot, old, clash := p.book.find(in.Tenant, in.Labels)
	if clash {
		p.refused.WithLabelValues(in.Source(), "collision").Inc()
		return fmt.Errorf("invalid label set: %w", alert.ErrCollision)
	}
	if old == nil && p.book.used() >= p.o.MaxAlerts {
		p.refused.WithLabelValues(in.Source(), "limit").Inc()
		return fmt.Errorf("%w: %w: at most %d", intake.ErrBusy, errTooMany, p.o.MaxAlerts)
	}
	if old != nil && old.Fires() && old.ResolvedAt(now) {
		p.end(slot, old, alert.Expire(old, now), now, true)
		old = p.book.slots[slot]
	}
	next, kind := alert.Merge(old, in, now)
	p.apply(slot, &Change{
		Before: old, After: next, Kind: kind, At: now,
		WasFiring: old != nil && old.Fires(), Fires: next.Fires(),
	})
	return nil
}

// end applies the end of a firing alert.
func (p *Ledger) end(slot int32, old, next *alert.Alert, now alert.Time, expired bool) {
	p.apply(slot, &Change{Before: old, After: next, Kind: alert.Ended, WasFiring: old.Fires(), At: now, Expired: expired})
}

// apply puts a change into the book and, unless it is none, into the records.
func (p *Ledger) apply(slot int32, c *Change) {
	if c.Kind != alert.Unchanged {
		p.version++
		c.After.Version = p.version
		start := len(p.buf)
		p.buf, _ = c.After.AppendBinary(p.buf)
		p.records = append(p.records, journal.Record{Kind: RecordKind, Data: p.buf[start:len(p.buf):len(p.buf)]})
	}
	if c.After != c.Before {
		p.undos = append(p.undos, p.book.put(slot, c.After))
	}
	p.changes = append(p.changes, *c)
}

// expireAtOnce bounds how many alerts one look at the clock ends.
const expireAtOnce = 1000

// expire ends alerts whose lease ran out and forgets what ended long ago.
func (p *Ledger) expire() {
	now := alert.At(p.o.Now())
	p.book.mu.Lock()
	var gone []Change
	for _, slot := range p.book.due(now, expireAtOnce) {
		a := p.book.slots[slot]
		switch {
		case !a.ResolvedAt(now):
			p.book.schedule(slot, a.EndsAt)
		case a.Lease != 0:
			p.end(slot, a, alert.Expire(a, now), now, true)
			p.book.schedule(slot, a.EndsAt.Add(resolvedKeep))
		case a.EndsAt.Add(resolvedKeep) > now:
			p.book.schedule(slot, a.EndsAt.Add(resolvedKeep))
		case p.o.Holds(a.Key()):
			p.book.schedule(slot, now.Add(time.Minute))
		default:
			p.book.drop(slot)
			gone = append(gone, Change{Before: a, At: now})
		}
	}
	pos, err := p.commit(true)
	if err != nil {
		// The clock's verdict needs no disk: it will be the same after a
		// restart, only later.
		p.lacks.Store(true)
		p.o.Logger.Warn("expired alerts could not be written; they will expire again after a restart", "err", err)
	}
	p.book.mu.Unlock()
	p.changes = append(p.changes, gone...)
	p.handOn(pos, nil)
}

// Load takes an alert read from disk; the newest version of one wins. Only
// before Recovered and Run.
func (p *Ledger) Load(a *alert.Alert) {
	p.book.mu.Lock()
	defer p.book.mu.Unlock()
	slot, old, clash := p.book.find(a.Tenant, a.Labels)
	if clash || old != nil && old.Version > a.Version {
		return
	}
	p.version = max(p.version, a.Version)
	p.book.put(slot, a)
}

// Recovered ends loading: leases begin anew, and Changed hears of every alert.
func (p *Ledger) Recovered() {
	now := alert.At(p.o.Now())
	p.began = now
	p.book.mu.Lock()
	for slot, a := range p.book.slots {
		if a == nil {
			continue
		}
		next := alert.Recover(a, now)
		p.book.put(int32(slot), next)
		ended := alert.Expire(next, now)
		if ended != nil {
			next = ended
			p.book.put(int32(slot), next)
		}
		p.changes = append(p.changes, Change{After: next, Fires: next.Fires(), Kind: alert.Updated, Expired: ended != nil, At: now})
	}
	p.book.mu.Unlock()
	changes := p.changes
	p.changes = nil
	for i := range changes {
		p.ruleIndex(&changes[i])
	}
	p.o.Changed(changes)
}

var _ intake.Sink = (*Ledger)(nil)
