package ledger

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/rollup"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
	"github.com/fenghuo-mesh/fenghuo/node/journal"
)

// bench is a ledger on a disk in memory, with what lies behind it.
type bench struct {
	t       require.TestingT
	files   *memDisk
	journal *journal.Journal
	ledger  *Ledger
	end     func()

	mu   sync.Mutex                 // guards all following
	last map[alert.Key]*alert.Alert // as handed on
	kept map[alert.Key]*alert.Alert // as written
	fold *rollup.Fold
	bad  []string // what was wrong with the changes handed on
}

func newBench(t require.TestingT) *bench {
	b := &bench{t: t, files: newMemDisk(), kept: map[alert.Key]*alert.Alert{}}
	b.open()
	return b
}

// open begins a life on what the disk holds.
func (b *bench) open() {
	var err error
	b.journal, err = journal.Open(journal.Options{FS: b.files, SegmentBytes: 16 << 10, MaxBytes: 64 << 20, MinFreeBytes: -1})
	require.NoError(b.t, err)
	b.last, b.fold, b.bad = map[alert.Key]*alert.Alert{}, rollup.NewFold(), nil
	b.ledger = New(Options{
		Journal: b.journal, Now: time.Now, Tenant: "t1", ResolveTimeout: func() time.Duration { return testTimeout },
		MaxAlerts: 1000, Changed: b.changed, Holds: func(alert.Key) bool { return false }, Logger: slog.New(slog.DiscardHandler),
	})
	_, err = b.journal.Replay(func(_ journal.Position, r journal.Record) error {
		a := new(alert.Alert)
		require.NoError(b.t, a.UnmarshalBinary(r.Data))
		b.ledger.Load(a)
		return nil
	})
	require.NoError(b.t, err)
	b.ledger.Recovered()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = b.ledger.Run(ctx)
	}()
	b.end = func() {
		cancel()
		<-done
		require.NoError(b.t, b.journal.Stop(context.Background()))
	}
}

// kill ends a life without a word and begins the next one after a while.
func (b *bench) kill(away time.Duration) {
	synctest.Wait()
	next := b.files.copy()
	b.end()
	time.Sleep(away)
	b.files = next
	b.open()
}

// changed checks that changes form chains: each begins where the last one of
// its alert ended.
func (b *bench) changed(cs []Change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	wrong := func(format string, args ...any) { b.bad = append(b.bad, fmt.Sprintf(format, args...)) }
	for _, c := range cs {
		a := c.After
		if a == nil {
			a = c.Before
		}
		was := b.last[a.Key()]
		switch {
		case (was == nil) != (c.Before == nil):
			wrong("%v: before is %v, known was %v", a.Labels, c.Before, was)
		case was != nil && was.Version != c.Before.Version:
			wrong("%v: a step is missing: version %d, then one from %d", a.Labels, was.Version, c.Before.Version)
		}
		if c.WasFiring != (c.Before != nil && c.Before.Fires()) || c.Fires != (c.After != nil && c.After.Fires()) {
			wrong("%v: WasFiring %v, Fires %v of %+v and %+v", a.Labels, c.WasFiring, c.Fires, c.Before, c.After)
		}
		b.fold.Replace(c.Before, c.After, c.WasFiring, c.Fires)
		if c.After == nil {
			delete(b.last, a.Key())
			delete(b.kept, a.Key())
			continue
		}
		b.last[a.Key()] = c.After
		if c.Kind != alert.Unchanged && c.Pos != 0 {
			b.kept[a.Key()] = c.After
		}
	}
	b.fold.Changed() // ended rollups go
}

// get returns the alert held under a key, or nil.
func (b *bench) get(k alert.Key) *alert.Alert {
	for _, a := range b.ledger.Held(nil, func(a *alert.Alert) bool { return a.Key() == k }) {
		return a
	}
	return nil
}

// written is what the journal holds of every alert.
func (b *bench) written() map[alert.Key]*alert.Alert {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.kept)
}

// check compares the ledger with the model, and the fold with a recount.
func (b *bench) check(m model, now alert.Time) {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Empty(b.t, b.bad)
	firing := map[rollup.Key][5]uint32{}
	held := map[alert.Key]bool{}
	for _, a := range b.ledger.Held(nil, nil) {
		held[a.Key()] = true
		want := m[a.Key()]
		require.NotNil(b.t, want, "held, but not in the model: %v", a.Labels)
		require.Equal(b.t, want.fires, a.Fires() && !a.ResolvedAt(now), "fires: %+v, model %+v", a, want)
		require.Equal(b.t, want.start.Std(), a.StartsAt.Std(), "start of %v", a.Labels)
		require.Equal(b.t, want.end.Std(), a.EndsAt.Std(), "end of %v", a.Labels)
		require.Equal(b.t, want.annotations, a.Annotations, "%+v, model %+v", a, want)
		if a.Fires() {
			n := firing[rollup.KeyOf(a)]
			n[a.Priority]++
			firing[rollup.KeyOf(a)] = n
		}
	}
	for k, a := range m {
		require.True(b.t, held[k], "in the model, but not held: %+v", a)
	}
	require.Equal(b.t, len(firing), b.fold.Len())
	for k, n := range firing {
		r, ok := b.fold.Get(k)
		require.True(b.t, ok)
		require.Equal(b.t, n, r.Firing)
	}
}

var origin = &alert.Origin{Source: "zabbix", Node: "n1"}

// sets are what senders report: rollups of several alerts, one with a severity
// that changes under a sender's own key.
var sets = []label.Set{
	label.FromStrings("alertname", "A", "host", "h1"),
	label.FromStrings("alertname", "A", "host", "h2"),
	label.FromStrings("alertname", "B", "host", "h1", "severity", "warning"),
	label.FromStrings("alertname", "B", "host", "h1", "severity", "critical"),
}

var texts = []label.Set{{}, label.FromStrings("summary", "one"), label.FromStrings("summary", "two")}

// drawBatch makes a request of a sender. Alerts differ in labels and keys, so
// that the same request again says nothing new.
func drawBatch(rt *rapid.T, now alert.Time) *intake.Batch {
	b := &intake.Batch{Tenant: rapid.SampledFrom([]string{"t1", "t2"}).Draw(rt, "tenant"), Origin: origin, Hold: rapid.Bool().Draw(rt, "hold")}
	b.Expiry = rapid.SampledFrom([]time.Duration{0, 0, 3 * time.Minute}).Draw(rt, "expiry")
	for _, l := range rapid.SliceOfNDistinct(rapid.SampledFrom(sets), 1, 3, func(l label.Set) string { return l.Get("alertname") + l.Get("host") }).Draw(rt, "alerts") {
		key := "B"
		if l.Get("alertname") == "A" {
			key = rapid.SampledFrom([]string{"", "A" + l.Get("host")}).Draw(rt, "key")
		}
		a := &alert.Alert{Labels: l, Annotations: rapid.SampledFrom(texts).Draw(rt, "texts"), Priority: alert.P3}
		if key != "" {
			a.Extra = &alert.Extra{DedupeKey: key}
		}
		if back := rapid.SampledFrom([]time.Duration{-1, 0, time.Minute, 10 * time.Minute}).Draw(rt, "began"); back >= 0 {
			a.StartsAt = now.Add(-back)
		}
		switch rapid.SampledFrom([]string{"fire", "fire", "lease", "over"}).Draw(rt, "kind") {
		case "lease":
			a.EndsAt = now.Add(rapid.SampledFrom([]time.Duration{time.Minute, 7 * time.Minute}).Draw(rt, "lease"))
		case "over":
			a.EndsAt = now.Add(-rapid.SampledFrom([]time.Duration{0, 5 * time.Minute}).Draw(rt, "ended"))
		}
		b.Alerts = append(b.Alerts, a)
	}
	return b
}

func copyBatch(b *intake.Batch) intake.Batch {
	c := *b
	c.Alerts = nil
	for _, a := range b.Alerts {
		own := *a
		c.Alerts = append(c.Alerts, &own)
	}
	return c
}

// walk is one random history of a ledger beside its model.
type walk struct {
	rt    *rapid.T
	t     *failer
	b     *bench
	m     model
	full  bool
	lacks bool // an expiry couldn't be written: a restart takes it back
	rules map[label.Set]alert.Time
}

func (w *walk) now() alert.Time { return alert.At(time.Now()) }

// attempt runs an operation on both sides; a refusal must change nothing.
func (w *walk) attempt(do func() error, same func(model)) bool {
	w.m.lapse(w.now())
	next := w.m.clone()
	same(next)
	err := do()
	if err == nil {
		w.m = next
	} else {
		require.ErrorIs(w.t, err, intake.ErrUnavailable)
		require.True(w.t, w.full, "refused with room: %v", err)
	}
	w.b.check(w.m, w.now())
	return err == nil
}

func (w *walk) post() {
	b := drawBatch(w.rt, w.now())
	send := func() error {
		_, err := w.b.ledger.Accept(context.Background(), copyBatch(b))
		return err
	}
	same := func(m model) {
		for _, a := range b.Alerts {
			m.post(b, a, w.now())
		}
	}
	if !w.attempt(send, same) {
		return
	}
	// The same again settles at once: a repeat of what is known writes nothing.
	w.attempt(send, same)
	at := w.b.journal.End()
	if w.attempt(send, same) {
		require.Equal(w.t, at, w.b.journal.End(), "an unchanged repeat was written")
	}
}

func (w *walk) report() {
	group := rapid.SampledFrom([]string{"g1", "g2"}).Draw(w.rt, "group")
	var firing []label.Set
	for _, host := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c"}), 0, 3, rapid.ID).Draw(w.rt, "firing") {
		l := label.FromStrings("alertname", "R", "group", group, "host", host)
		firing = append(firing, l)
		if w.rules[l] == 0 {
			w.rules[l] = w.now()
		}
	}
	for l := range w.rules {
		if l.Get("group") == group && !has(firing, l) {
			delete(w.rules, l)
		}
	}
	send := func() error {
		var alerts []*alert.Alert
		for _, l := range firing {
			alerts = append(alerts, &alert.Alert{Labels: l, StartsAt: w.rules[l], Origin: &alert.Origin{Source: "rule"}, Priority: alert.P2, Extra: &alert.Extra{RuleGroup: group}})
		}
		return w.b.ledger.Report(context.Background(), group, alerts)
	}
	same := func(m model) { m.report("t1", group, firing, w.rules, w.now()) }
	if w.attempt(send, same) {
		at := w.b.journal.End()
		w.attempt(send, same)
		require.Equal(w.t, at, w.b.journal.End(), "an unchanged report was written")
	}
}

func (w *walk) retain() {
	groups := rapid.SampledFrom([][]string{{}, {"g1"}, {"g2", "g1"}}).Draw(w.rt, "groups")
	w.attempt(func() error { return w.b.ledger.Retain(context.Background(), groups) }, func(m model) { m.retain(groups, w.now()) })
}

func (w *walk) sleep() {
	left := rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 6 * time.Minute, 20 * time.Minute}).Draw(w.rt, "sleep")
	for ; left > 0; left -= time.Minute {
		time.Sleep(min(left, time.Minute))
	}
	synctest.Wait()
	w.lacks = w.b.ledger.Lacks() || w.lacks
	w.m.lapse(w.now())
	for _, k := range w.gone() {
		delete(w.m, k)
	}
	w.b.check(w.m, w.now())
}

// gone lists what the ledger has forgotten, which it may only when it ended
// long ago.
func (w *walk) gone() (out []alert.Key) {
	old := w.m.clone()
	old.forget(w.now())
	for k := range w.m {
		if w.b.get(k) == nil {
			require.NotContains(w.t, old, k, "forgotten too early")
			out = append(out, k)
		}
	}
	return out
}

// restart kills the ledger. What is there afterwards is what was handed on, and
// what fired and promised to be renewed fires.
func (w *walk) restart() {
	if w.lacks = w.b.ledger.Lacks() || w.lacks; w.lacks || w.full {
		return
	}
	away := rapid.SampledFrom([]time.Duration{0, time.Minute, 30 * time.Minute}).Draw(w.rt, "away")
	synctest.Wait()
	known := w.b.written()
	before := w.b.ledger.Held(nil, func(a *alert.Alert) bool { return a.Fires() })
	w.b.kill(away)
	now := w.now()
	for k, a := range known {
		want := alert.Recover(a, now)
		if over := alert.Expire(want, now); over != nil {
			want = over
		}
		got := w.b.get(k)
		if got == nil && !want.Fires() && want.EndsAt.Add(resolvedKeep) <= now {
			continue // forgotten at once
		}
		require.NotNil(w.t, got, "accepted and gone: %v", a.Labels)
		want.UpdatedAt, want.Lease = got.UpdatedAt, got.Lease
		require.Equal(w.t, want.Version, got.Version)
		require.Equal(w.t, want.EndsAt, got.EndsAt, "%+v, now %+v", a, got)
		require.Equal(w.t, want.Annotations, got.Annotations)
	}
	for _, a := range before {
		if a.EndsAt == 0 || a.EndsAt > now || a.Renewed || a.Timeout {
			got := w.b.get(a.Key())
			require.NotNil(w.t, got, "fired before a restart and is gone: %+v", a)
			require.True(w.t, got.Fires(), "resolved by a restart: %+v, now %+v", a, got)
		}
	}
	w.m = model{}
	for _, a := range w.b.ledger.Held(nil, nil) { // leases begin anew
		r := &modelAlert{labels: a.Labels, annotations: a.Annotations, start: a.StartsAt, end: a.EndsAt, ours: a.Timeout, fires: a.Fires(), received: a.ReceivedAt, seq: int(a.Version)}
		if a.Extra != nil {
			r.key, r.group = a.Extra.DedupeKey, a.Extra.RuleGroup
		}
		w.m[a.Key()] = r
	}
	synctest.Wait()
	for _, k := range w.gone() {
		delete(w.m, k)
	}
	w.b.check(w.m, now)
}

func (w *walk) fill() {
	w.full = !w.full
	if w.full {
		w.b.files.setFree(0)
		return
	}
	w.b.files.setFree(1 << 40)
	for range 40 { // it looks for room when asked
		if _, err := w.b.ledger.Accept(context.Background(), intake.Batch{Tenant: "t3", Origin: origin, Alerts: []*alert.Alert{{Labels: sets[0], EndsAt: w.now()}}}); err == nil {
			break
		}
		time.Sleep(time.Second)
	}
	k := alert.Key{Tenant: "t3", Fingerprint: sets[0].Fingerprint()}
	a := w.b.get(k)
	require.NotNil(w.t, a, "there is room again, and nothing is taken")
	w.m.lapse(w.now())
	w.m[k] = &modelAlert{labels: a.Labels, start: a.StartsAt, end: a.EndsAt, received: a.ReceivedAt}
	for _, k := range w.gone() {
		delete(w.m, k)
	}
}

// failer takes a failed check out of a synctest bubble.
type failer struct{ text string }

func (f *failer) Errorf(format string, args ...any) { f.text += fmt.Sprintf(format, args...) }
func (f *failer) FailNow()                          { panic(f) }

// inBubble runs f in virtual time. A check that fails, and whatever rapid stops
// it with, goes on outside.
func inBubble(t *testing.T, rt *rapid.T, f func(*failer)) {
	var failed any
	synctest.Test(t, func(*testing.T) {
		defer func() { failed = recover() }()
		f(&failer{})
	})
	switch failed := failed.(type) {
	case nil:
	case *failer:
		rt.Fatal(failed.text)
	default:
		panic(failed)
	}
}

func TestAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		inBubble(t, rt, func(f *failer) {
			w := &walk{rt: rt, t: f, b: newBench(f), m: model{}, rules: map[label.Set]alert.Time{}}
			defer func() { w.b.end() }()
			steps := []func(){w.post, w.post, w.post, w.report, w.report, w.retain, w.sleep, w.restart, w.fill}
			for range rapid.IntRange(1, 30).Draw(rt, "steps") {
				steps[rapid.IntRange(0, len(steps)-1).Draw(rt, "step")]()
			}
		})
	})
}
