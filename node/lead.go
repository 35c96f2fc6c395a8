package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/incident"
	"github.com/fenghuo-mesh/fenghuo/aggregate/notice"
	"github.com/fenghuo-mesh/fenghuo/aggregate/rollup"
	"github.com/fenghuo-mesh/fenghuo/aggregate/silence"
	"github.com/fenghuo-mesh/fenghuo/aggregate/trail"
	"github.com/fenghuo-mesh/fenghuo/node/journal"
	"github.com/fenghuo-mesh/fenghuo/node/ledger"
	"github.com/fenghuo-mesh/fenghuo/node/notify"
	"github.com/fenghuo-mesh/fenghuo/node/store/history"
)

// judgeEvery is how often incidents are judged: at most once a second, many
// changes in one decision.
const judgeEvery = time.Second

// closedKeep is how long a closed incident stays in memory.
const closedKeep = 24 * time.Hour

// leadOptions is what a lead needs.
type leadOptions struct {
	Journal     *journal.Journal
	Inbox       *ledger.Inbox
	Dispatcher  *notify.Dispatcher
	Historian   *history.Historian
	Feed        feed
	Planner     notice.Options
	ExternalURL func() string
	Now         func() time.Time
	Logger      *slog.Logger
}

// lead judges and tells for this node: silences, groups, notifications,
// incidents. A node alone is its own lead. One goroutine, Run, moves time on;
// readers and writers of silences share its lock.
type lead struct {
	o       leadOptions
	results resultBox

	mu        sync.Mutex // guards all following
	planner   *notice.Planner
	silences  *silence.Book
	fold      *rollup.Fold
	engine    incident.Engine
	incidents *incident.Book
	judged    alert.Time
	unwritten bool // the journal lacks something: a snapshot is due
}

// result is what became of a notice.
type result struct {
	id      string
	outcome notify.Outcome
}

// resultBox takes results from the dispatcher's goroutines. It never blocks.
type resultBox struct {
	mu   sync.Mutex // guards list
	list []result
}

func (b *resultBox) put(r result) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.list = append(b.list, r)
}

func (b *resultBox) take() []result {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.list
	b.list = nil
	return list
}

func newLead(o leadOptions) *lead {
	l := &lead{
		o: o, silences: silence.NewBook(silence.Options{}), fold: rollup.NewFold(),
		engine: incident.NewMustLink(), incidents: incident.NewBook(),
	}
	o.Planner.Silences = l.silences
	l.planner = notice.New(o.Planner)
	return l
}

func (l *lead) now() alert.Time { return alert.At(l.o.Now()) }

// Run works until ctx ends. What the dispatcher reports after that is taken by
// settle.
func (l *lead) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.o.Inbox.Wake():
		case <-timer.C:
		}
		next := l.step(ctx)
		timer.Reset(min(max(next.Sub(l.o.Now()), 0), time.Minute))
	}
}

// settle records the results that came in after Run ended.
func (l *lead) settle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.append(l.takeResults(l.now()))
}

// step takes everything new in, records what was decided, and sends. It returns
// when to be called again at the latest.
func (l *lead) step(ctx context.Context) time.Time {
	changes := l.o.Inbox.Take()
	l.mu.Lock()
	now := l.now()
	var seen journal.Position
	for i := range changes {
		l.observe(&changes[i], now)
		seen = max(seen, changes[i].Pos)
	}
	l.o.Historian.Seen(uint64(seen))
	records := l.takeResults(now)
	notices := l.planner.Due(now)
	for _, n := range notices {
		if told, ok := l.planner.Claim(n.ID); ok {
			records = appendRecord(records, kindTold, &told)
		}
	}
	if now.Sub(l.judged) >= judgeEvery {
		l.judged = now
		records = append(records, l.judge(now)...)
	}
	pos := l.append(records)
	next := l.planner.Next()
	l.mu.Unlock()

	l.o.Feed.changes(changes)
	if len(notices) > 0 {
		// A notice goes out even where its claim can't be written: better told
		// twice than not at all.
		if err := l.o.Journal.Wait(ctx, pos); err != nil && ctx.Err() == nil {
			l.o.Logger.Warn("claims of notifications not on disk; they may be repeated after a crash", "err", err)
		}
		for _, n := range notices {
			l.send(n, now)
		}
	}
	wake := now.Add(judgeEvery)
	if next != 0 && next < wake {
		wake = next
	}
	return wake.Std()
}

// observe takes one change of an alert. l.mu is held.
func (l *lead) observe(c *ledger.Change, now alert.Time) {
	if c.After != nil && c.Kind == alert.Unchanged { // its end moved; else the planner would tell of the old one
		l.planner.Observe(c.After, now)
		return
	}
	l.fold.Replace(c.Before, c.After, c.WasFiring, c.Fires)
	if c.After != nil {
		l.planner.Observe(c.After, now)
		switch {
		case c.Pos == 0 && !c.Expired: // the history has it
		case c.Fires: // it asks for what fires when it must
		default:
			l.o.Historian.Note(c.After, l.whyEnded(c, now))
		}
		return
	}
	// The last word about it: the history keeps why it was told or not, and
	// who was told of the end.
	if c.Pos != 0 {
		l.o.Historian.Note(c.Before, l.trailOf(c.Before, now))
	}
	l.planner.Forget(c.Before.Key())
}

// whyEnded is the why-trail that the history keeps of an end, since a crash
// must not cost it. l.mu is held.
func (l *lead) whyEnded(c *ledger.Change, now alert.Time) trail.Log {
	if !c.WasFiring {
		return trail.Log{}
	}
	return l.trailOf(c.After, now)
}

// takeResults hands the dispatcher's results to the planner. l.mu is held.
func (l *lead) takeResults(now alert.Time) []journal.Record {
	var records []journal.Record
	for _, r := range l.results.take() {
		told, ok := l.planner.Done(r.id, notice.Outcome{
			Delivered: r.outcome.Delivered, Unsure: r.outcome.Unsure, At: alert.At(r.outcome.At), Attempts: uint32(r.outcome.Attempts), Err: errText(r.outcome.Err),
		}, now)
		if ok {
			records = appendRecord(records, kindTold, &told)
		}
	}
	return records
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// judge asks the engine about what changed, and applies and records what it
// decided. l.mu is held.
func (l *lead) judge(now alert.Time) []journal.Record {
	var records []journal.Record
	for _, d := range l.engine.Judge(l.incidents, l.fold.Changed(), now) {
		old := l.incidents.Get(d.Incident)
		in := l.incidents.Apply(d)
		if in == nil {
			continue
		}
		// Counts follow from the alerts; only what doesn't is worth a write.
		if old == nil || d.Op != incident.Change || len(in.Members) != len(old.Members) || in.Worst != old.Worst || in.Onset != old.Onset {
			records = appendRecord(records, kindIncident, in)
		}
		l.o.Feed.incident(d.Op, in)
	}
	l.incidents.Collect(now.Add(-closedKeep))
	return records
}

// append writes records and remembers a failure. l.mu is held, so that state
// and journal can't be seen apart.
func (l *lead) append(records []journal.Record) journal.Position {
	if len(records) == 0 {
		return 0
	}
	pos, err := l.o.Journal.Append(records...)
	if err != nil {
		if !l.unwritten {
			l.o.Logger.Warn("decisions are kept in memory only until the disk takes them", "err", err)
		}
		l.unwritten = true
	}
	return pos
}

// send gives a notice to the dispatcher.
func (l *lead) send(n *notice.Notice, now alert.Time) {
	id := n.ID
	m := &notify.Message{
		ID: id, Receiver: n.Receiver, GroupKey: n.GroupKey, Reason: string(n.Reason),
		GroupLabels: n.GroupLabels, RouteLabels: n.RouteLabels, Alerts: notify.Explained(n.Alerts), At: now, ExternalURL: l.o.ExternalURL(),
	}
	l.o.Dispatcher.Submit(notify.Job{
		Integration: n.Integration, Message: m, Deadline: n.Deadline.Std(),
		Done: func(o notify.Outcome) {
			l.results.put(result{id: id, outcome: o})
			l.o.Feed.notice(m, o)
			l.o.Inbox.Nudge()
		},
	})
}

// holds says whether somebody still must be told about a resolved alert.
func (l *lead) holds(key alert.Key) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.planner.Holds(key)
}

// begin takes what the journal gave and puts routes in force for the first
// time. It is called once, before Run.
func (l *lead) begin(c notice.Config) error {
	l.mu.Lock()
	now := l.now()
	for _, c := range l.o.Inbox.Take() {
		l.observe(&c, now)
	}
	l.mu.Unlock()
	return l.configure(c)
}

// configure puts routes and receivers in force.
func (l *lead) configure(c notice.Config) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.planner.Configure(c, l.now()); err != nil {
		return err
	}
	l.o.Inbox.Nudge()
	return nil
}

// trailOf gathers why an alert is as it is: what it says of itself, what the
// planner decided, which incident it belongs to. l.mu is held.
func (l *lead) trailOf(a *alert.Alert, now alert.Time) trail.Log {
	events := []trail.Event{{At: a.ReceivedAt, Kind: trail.Received, Subject: a.Source(), Detail: receivedDetail(a)}}
	if id, evidence := l.engine.Of(l.incidents, a); id != "" {
		events = append(events, trail.Event{At: a.ReceivedAt, Kind: trail.Joined, Subject: id, Detail: evidence})
	}
	events = append(events, l.planner.Explain(a.Key(), now)...)
	switch {
	case a.Fires():
	case a.EndsAt > a.UpdatedAt:
		events = append(events, trail.Event{At: a.EndsAt, Kind: trail.Expired, Subject: a.Source(), Detail: "no report came before the end it was given"})
	default:
		events = append(events, trail.Event{At: a.UpdatedAt, Kind: trail.Ended, Subject: a.Source(), Detail: "ended at " + a.EndsAt.Std().Format(time.RFC3339)})
	}
	slices.SortStableFunc(events, func(x, y trail.Event) int { return cmp.Compare(x.At, y.At) })
	var log trail.Log
	for _, e := range events {
		log = log.Add(e)
	}
	return log
}

func receivedDetail(a *alert.Alert) string {
	if a.Count > 1 {
		return fmt.Sprintf("%d reports so far, the latest at %s", a.Count, a.UpdatedAt.Std().Format(time.RFC3339))
	}
	return "one report so far"
}

// errNotStored: the disk took no decision, so it isn't in force.
var errNotStored = errors.New("not stored")

// putSilence stores a silence durably and puts it in force.
func (l *lead) putSilence(ctx context.Context, s silence.Silence, newID string) (silence.Silence, error) {
	return l.changeSilences(ctx, func(now alert.Time) (silence.Silence, []silence.Silence, error) {
		return l.silences.Put(s, newID, now)
	})
}

// expireSilence ends a silence now.
func (l *lead) expireSilence(ctx context.Context, id string) (silence.Silence, error) {
	return l.changeSilences(ctx, func(now alert.Time) (silence.Silence, []silence.Silence, error) {
		s, changed, err := l.silences.Expire(id, now)
		if !changed {
			return s, nil, err
		}
		return s, []silence.Silence{s}, err
	})
}

// changeSilences applies a change, records it and waits for the disk. A change
// that the journal has no room for is in force all the same, since somebody at
// night asked for quiet; the answer says that it may not outlive a restart.
func (l *lead) changeSilences(ctx context.Context, do func(alert.Time) (silence.Silence, []silence.Silence, error)) (silence.Silence, error) {
	l.mu.Lock()
	s, changed, err := do(l.now())
	if err != nil || len(changed) == 0 {
		l.mu.Unlock()
		return s, err
	}
	var records []journal.Record
	for i := range changed {
		records = appendRecord(records, kindSilence, &changed[i])
	}
	pos := l.append(records)
	failed := pos == 0
	l.mu.Unlock()
	l.o.Inbox.Nudge()
	l.o.Feed.silences(changed, l.now())
	if failed {
		return s, fmt.Errorf("silence %s is in force, but %w: it may be lost at a restart", s.ID, errNotStored)
	}
	if err := l.o.Journal.Wait(ctx, pos); err != nil {
		return s, fmt.Errorf("silence %s is in force, but %w: %w", s.ID, errNotStored, err)
	}
	return s, nil
}
