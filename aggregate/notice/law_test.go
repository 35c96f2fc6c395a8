package notice

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/inhibit"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/route"
	"github.com/fenghuo-mesh/fenghuo/aggregate/silence"
	"github.com/fenghuo-mesh/fenghuo/aggregate/window"
)

// episodeKey names an episode for a receiver.
type episodeKey struct {
	integ string
	fp    label.Fingerprint
	onset alert.Time
}

// random drives a Planner with everything that can happen, in random order,
// and keeps book of what receivers got to hear.
type random struct {
	*rapid.T
	world
	heard   map[episodeKey]string // "firing" or "resolved", as delivered last
	times   map[episodeKey]int    // deliveries that it fires, by reason of news
	lost    bool                  // a claim without result happened
	failed  bool
	quiet   bool // silences were used
	rerouts int
}

func configs() []Config {
	minute, second, hour := time.Minute, time.Second, time.Hour
	recv := []Receiver{
		{Name: "a", Integrations: []Integration{{Key: "a/webhook/0", SendResolved: true}, {Key: "a/log/0"}}},
		{Name: "b", Integrations: []Integration{{Key: "b/webhook/0", SendResolved: true}}},
	}
	must := func(s *route.Spec) *route.Tree {
		t, err := route.New(s)
		if err != nil {
			panic(err)
		}
		return t
	}
	zone := func(v string) label.Matchers {
		m, err := label.NewMatcher(label.Equal, "zone", v)
		if err != nil {
			panic(err)
		}
		return label.Matchers{m}
	}
	base := route.Spec{Receiver: "a", GroupBy: []string{"zone"}, GroupWait: &second, GroupInterval: &minute, RepeatInterval: &hour}
	split := base
	split.Routes = []*route.Spec{{Matchers: zone("1"), Receiver: "b", Continue: true}, {Matchers: zone("1"), GroupBy: []string{}}}
	moved := base
	moved.Receiver = "b"
	target, _ := label.ParseMatchers(`alertname="1"`)
	source, _ := label.ParseMatchers(`alertname="2"`)
	return []Config{
		{Tree: must(&base), Receivers: recv},
		{Tree: must(&split), Receivers: recv, Intervals: window.NewSet(nil)},
		{Tree: must(&moved), Receivers: recv, Inhibit: []inhibit.Rule{{Source: source, Target: target, Equal: []string{"zone"}}}},
	}
}

func newRandom(t *rapid.T, configs []Config) *random {
	r := &random{T: t, heard: map[episodeKey]string{}, times: map[episodeKey]int{}}
	r.world = world{now: epoch, timeout: 100 * time.Hour, book: map[alert.Key]*alert.Alert{}, sils: silence.NewBook(silence.Options{}), config: configs[0]}
	r.boot()
	return r
}

func (r *random) boot() {
	r.starts++
	for _, n := range r.hanging { // cut off; some have arrived
		if rapid.Bool().Draw(r.T, "arrived") {
			r.hear(n)
		}
	}
	r.hanging = nil
	r.p = New(Options{IDPrefix: "n" + strconv.Itoa(r.starts), Silences: r.sils})
	// Alerts, records and configuration may come in any order.
	steps := []func(){
		func() {
			for _, a := range r.sorted() {
				r.p.Observe(a, r.now)
			}
		},
		func() {
			for _, i := range rapid.Permutation(indexes(len(r.disk))).Draw(r.T, "order") {
				r.p.Load(r.disk[i])
			}
		},
		func() { require.NoError(r.T, r.p.Configure(r.config, r.now)) },
	}
	for _, i := range rapid.Permutation([]int{0, 1, 2}).Draw(r.T, "boot") {
		steps[i]()
	}
}

func indexes(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// send plays what is due now; outcome says what becomes of each notice.
func (r *random) send(outcome func(n *Notice) string) {
	for _, n := range r.p.Due(r.now) {
		r.check(n)
		told, ok := r.p.Claim(n.ID)
		require.True(r.T, ok)
		r.disk = append(r.disk, told)
		o := Outcome{Delivered: true, At: r.now, Attempts: 1}
		switch outcome(n) {
		case "fail":
			o.Delivered = false
			r.failed = true
		case "late":
			o.Delivered, o.Unsure = false, true
			r.failed = true
			if rapid.Bool().Draw(r.T, "arrived") {
				r.hear(n)
			}
		case "hang":
			r.hanging = append(r.hanging, n)
			continue
		case "lose":
			r.lost = true
			if rapid.Bool().Draw(r.T, "arrived") {
				r.hear(n)
			}
			continue
		default:
			r.hear(n)
		}
		told, ok = r.p.Done(n.ID, o, r.now)
		require.True(r.T, ok)
		r.disk = append(r.disk, told)
		_, ok = r.p.Done(n.ID, o, r.now)
		require.False(r.T, ok, "done once")
	}
}

// finish lets the oldest notice that hangs come back.
func (r *random) finish(delivered bool) {
	if len(r.hanging) == 0 {
		return
	}
	n := r.hanging[0]
	r.hanging = r.hanging[1:]
	if delivered {
		r.hear(n)
	}
	told, ok := r.p.Done(n.ID, Outcome{Delivered: delivered, At: r.now, Attempts: 2}, r.now)
	require.True(r.T, ok)
	r.disk = append(r.disk, told)
}

func (r *random) hear(n *Notice) {
	for _, a := range n.Alerts {
		k := episodeKey{n.Integration, a.Labels.Fingerprint(), a.Onset}
		if a.EndsAt == 0 {
			if r.heard[k] != "firing" {
				r.times[k]++
			}
			r.heard[k] = "firing"
		} else {
			r.heard[k] = "resolved"
		}
	}
}

// check tests what must hold for each notice.
func (r *random) check(n *Notice) {
	require.NotEmpty(r.T, n.Alerts)
	require.True(r.T, slices.IsSortedFunc(n.Alerts, compareAlerts))
	for _, a := range n.Alerts {
		b := r.book[a.Key()]
		require.Equal(r.T, b.ResolvedAt(r.now), a.EndsAt != 0, "as the book has it")
		if a.EndsAt == 0 {
			require.False(r.T, r.sils.Mutes(a.Tenant, a.Labels, r.now), "a muted alert isn't told as firing")
		}
		require.False(r.T, a.EndsAt != 0 && n.Integration == "a/log/0", "it doesn't want ends")
	}
}

func (r *random) step(confs []Config) {
	l := label.FromStrings("alertname", strconv.Itoa(rapid.IntRange(1, 3).Draw(r.T, "name")), "zone", strconv.Itoa(rapid.IntRange(1, 2).Draw(r.T, "zone")))
	switch rapid.IntRange(0, 9).Draw(r.T, "event") {
	case 0, 1, 2:
		r.report(l, false)
	case 3, 4:
		r.report(l, true)
	case 5:
		id := "s" + strconv.Itoa(len(r.disk)) + "-" + strconv.FormatInt(int64(r.now), 36)
		m, err := label.NewMatcher(label.Equal, "alertname", l.Get("alertname"))
		require.NoError(r.T, err)
		if _, ok := r.sils.Get(id); !ok {
			_, _, err = r.sils.Put(silence.Silence{Tenant: "t", Matchers: label.Matchers{m}, EndsAt: r.now.Add(3 * time.Minute)}, id, r.now)
			require.NoError(r.T, err)
			r.quiet = true
		}
	case 6:
		r.config = rapid.SampledFrom(confs).Draw(r.T, "config")
		require.NoError(r.T, r.p.Configure(r.config, r.now))
		r.rerouts++
	case 7:
		if rapid.Bool().Draw(r.T, "compact") {
			r.disk = slices.Collect(r.p.Records())
		}
		r.boot()
	case 8:
		r.p.Collect(r.now)
	case 9:
		r.finish(rapid.Bool().Draw(r.T, "delivered"))
	}
}

func (r *random) report(l label.Set, ended bool) {
	a := &alert.Alert{Tenant: "t", Labels: l}
	if old := r.book[alert.Key{Tenant: "t", Fingerprint: l.Fingerprint()}]; ended {
		if old == nil {
			return
		}
		a.StartsAt, a.EndsAt = old.StartsAt, r.now
	}
	alert.Complete(a, r.now, r.timeout, false)
	a, _ = alert.Merge(r.book[a.Key()], a, r.now)
	r.book[a.Key()] = a
	r.p.Observe(a, r.now)
	r.p.Observe(a, r.now)
}

// TestLaws: whatever happens, in the end whoever heard that an alert fires has
// heard that it ended, nothing is told twice without a reason, and everything
// that fires unmuted is told.
func TestLaws(t *testing.T) {
	confs := configs()
	rapid.Check(t, func(rt *rapid.T) {
		r := newRandom(rt, confs)
		faults := rapid.Bool().Draw(rt, "faults")
		outcome := func(*Notice) string {
			if !faults {
				return "ok"
			}
			return rapid.SampledFrom([]string{"ok", "ok", "fail", "late", "lose", "hang"}).Draw(rt, "outcome")
		}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			r.step(confs)
			r.pass(time.Duration(rapid.IntRange(0, 90).Draw(rt, "pause"))*time.Second, outcome)
			if r.lost {
				r.lost = false
				r.boot() // a claim is lost by a crash only
			}
		}
		ok := func(*Notice) string { return "ok" }
		for len(r.hanging) > 0 {
			r.finish(true)
		}
		// Everything that fires unmuted is told within a flush.
		r.pass(10*time.Minute, ok)
		for _, a := range r.book {
			if a.ResolvedAt(r.now) || r.p.Status(a, r.now).State != StateActive {
				continue
			}
			for _, rt := range r.config.Tree.Match(nil, a.Labels) {
				for _, rc := range r.config.Receivers {
					for _, in := range rc.Integrations {
						if rc.Name == rt.Receiver {
							k := episodeKey{in.Key, a.Labels.Fingerprint(), a.Onset}
							require.Equal(r.T, "firing", r.heard[k], "%s of %s", in.Key, a.Labels)
						}
					}
				}
			}
		}
		// All ends are told, though some alerts are silenced for ever.
		for _, a := range r.sorted() {
			if !a.ResolvedAt(r.now) {
				r.report(a.Labels, true)
			}
		}
		r.pass(10*time.Minute, ok)
		for k, state := range r.heard {
			a := r.book[alert.Key{Tenant: "t", Fingerprint: k.fp}]
			if k.integ != "a/log/0" && a.Onset == k.onset {
				require.Equal(r.T, "resolved", state, "%s of %s", k.integ, a.Labels)
			}
			require.False(r.T, r.p.Holds(a.Key()))
			if !faults && !r.quiet && r.rerouts == 0 {
				require.LessOrEqual(r.T, r.times[k], 1, "told once")
			}
		}
		r.tidy()
	})
}

// pass lets time pass, sending on time.
func (r *random) pass(d time.Duration, outcome func(*Notice) string) {
	to := r.now.Add(d)
	for range 1000 {
		next := r.p.Next()
		if next == 0 || next > to || r.lost {
			r.now = to
			return
		}
		r.now = max(r.now, next)
		r.send(outcome)
	}
	r.Fatalf("the planner wakes for ever")
}

// tidy: in the end nothing is left behind.
func (r *random) tidy() {
	require.Zero(r.T, r.p.Next())
	require.Empty(r.T, r.p.Groups(r.now, GroupFilter{}))
	for k := range r.book {
		r.p.Forget(k)
	}
	r.p.Collect(r.now.Add(100 * time.Hour))
	require.Equal(r.T, Size{}, r.p.Size())
	require.Len(r.T, r.p.free, len(r.p.slots), "every slot is free again")
	require.Empty(r.T, r.p.loose)
	require.Empty(r.T, slices.Collect(r.p.Records()))
}

// TestRepeatAndNews: without faults, a group told at t with nothing new is told
// again only once more than repeat_interval has passed.
func TestRepeatAndNews(t *testing.T) {
	confs := configs()
	rapid.Check(t, func(rt *rapid.T) {
		r := newRandom(rt, confs)
		last := map[string]*Notice{}
		watch := func(n *Notice) string {
			k := n.Integration + n.GroupKey
			if old := last[k]; old != nil && n.Reason == Repeated {
				require.Greater(rt, n.At.Sub(old.At), time.Hour)
			}
			require.NotEqual(rt, Unknown, n.Reason)
			last[k] = n
			return "ok"
		}
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			r.step(confs[:1])
			r.pass(time.Duration(rapid.IntRange(0, 4000).Draw(rt, "pause"))*time.Second, watch)
		}
	})
}

// TestDeterministic: the same input gives the same notices and records.
func TestDeterministic(t *testing.T) {
	run := func() string {
		w := world{t: t, now: epoch, timeout: time.Hour, book: map[alert.Key]*alert.Alert{}, sils: silence.NewBook(silence.Options{}), config: configs()[1], mode: map[string]string{}}
		w.start()
		for i := range 200 {
			w.report("fire", fmt.Sprintf("%d/zone=%d/i=%d", i%7, i%3, i))
		}
		w.advance(epoch.Add(time.Hour))
		for i := range 100 {
			w.report("resolve", fmt.Sprintf("%d/zone=%d/i=%d", i%7, i%3, i))
		}
		w.advance(epoch.Add(3 * time.Hour))
		return fmt.Sprint(w.out, slices.Collect(w.p.Records()))
	}
	first := run()
	for range 3 {
		require.Equal(t, first, run())
	}
}
