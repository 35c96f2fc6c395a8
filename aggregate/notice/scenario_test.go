package notice

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/timeinterval"
	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/inhibit"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/route"
	"github.com/fenghuo-mesh/fenghuo/aggregate/silence"
	"github.com/fenghuo-mesh/fenghuo/aggregate/window"
)

var update = flag.Bool("update", false, "rewrite the scenarios' observed lines")

// epoch is second 0 of the scenarios.
var epoch = alert.At(time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC))

// TestScenarios plays testdata/*.txt. A line is a command; lines after it that
// begin with "> " are what was observed because of it, in full. README.txt
// there explains the commands.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		if filepath.Base(f) == "README.txt" {
			continue
		}
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(f)
			require.NoError(t, err)
			got := play(t, string(want))
			if *update {
				require.NoError(t, os.WriteFile(f, []byte(got), 0o644))
				return
			}
			require.Equal(t, string(want), got)
		})
	}
}

type world struct {
	t       *testing.T
	now     alert.Time
	starts  int
	up      bool
	p       *Planner
	config  Config
	hold    time.Duration
	timeout time.Duration
	book    map[alert.Key]*alert.Alert
	sils    *silence.Book
	disk    []Told
	mode    map[string]string // integration -> fail, hang
	hanging []*Notice
	out     []string
}

func play(t *testing.T, text string) string {
	w := &world{
		t: t, now: epoch, timeout: 5 * time.Minute, book: map[alert.Key]*alert.Alert{},
		sils: silence.NewBook(silence.Options{}), mode: map[string]string{},
	}
	var got strings.Builder
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if strings.HasPrefix(line, "> ") {
			continue
		}
		got.WriteString(line + "\n")
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		if line == "config" {
			var block []string
			for i++; lines[i] != "end"; i++ {
				block = append(block, lines[i])
				got.WriteString(lines[i] + "\n")
			}
			got.WriteString("end\n")
			w.config = parseConfig(t, block)
			w.configure()
		} else {
			w.command(line)
		}
		for _, o := range w.out {
			got.WriteString("> " + o + "\n")
		}
		w.out = nil
	}
	return got.String()
}

func (w *world) say(format string, args ...any) { w.out = append(w.out, fmt.Sprintf(format, args...)) }

func (w *world) clock(t alert.Time) string {
	return strconv.FormatFloat(float64(t-epoch)/1e9, 'f', -1, 64)
}

func (w *world) at(text string) alert.Time {
	f, err := strconv.ParseFloat(text, 64)
	require.NoError(w.t, err)
	return epoch.Add(time.Duration(f * 1e9))
}

func (w *world) configure() {
	if w.p == nil {
		w.start()
		return
	}
	require.NoError(w.t, w.p.Configure(w.config, w.now))
}

func (w *world) start() {
	w.starts++
	w.up = true
	o := Options{IDPrefix: "n" + strconv.Itoa(w.starts), Silences: w.sils}
	if w.hold != 0 {
		o.HoldUntil = w.now.Add(w.hold)
	}
	w.p = New(o)
	// What is on disk is in no order and may be there twice.
	for _, t := range slices.Backward(w.disk) {
		w.load(t)
	}
	for _, t := range w.disk {
		w.load(t)
	}
	for _, a := range w.sorted() {
		w.p.Observe(a, w.now)
	}
	require.NoError(w.t, w.p.Configure(w.config, w.now))
}

func (w *world) load(t Told) {
	enc, err := t.AppendBinary(nil)
	require.NoError(w.t, err)
	var back Told
	require.NoError(w.t, back.UnmarshalBinary(enc))
	w.p.Load(back)
}

func (w *world) sorted() []*alert.Alert {
	var as []*alert.Alert
	for _, a := range w.book {
		as = append(as, a)
	}
	slices.SortFunc(as, compareAlerts)
	return as
}

func (w *world) command(line string) {
	verb, rest, _ := strings.Cut(line, " ")
	if strings.HasPrefix(verb, "@") {
		w.advance(w.at(verb[1:]))
		return
	}
	switch verb {
	case "hold":
		w.hold, _ = time.ParseDuration(rest)
	case "timeout":
		w.timeout, _ = time.ParseDuration(rest)
	case "fire", "resolve":
		w.report(verb, rest)
	case "forget":
		k := alert.Key{Tenant: alert.DefaultTenant, Fingerprint: w.labels(rest).Fingerprint()}
		delete(w.book, k)
		w.p.Forget(k)
	case "silence", "unsilence":
		w.silence(verb, rest)
	case "hang", "fail", "heal":
		w.mode[rest] = verb
	case "free":
		w.free(rest)
	case "reload":
		w.configure()
	case "stop":
		w.up = false
		w.hanging = nil
	case "start":
		w.start()
	case "compact":
		w.disk = slices.Collect(w.p.Records())
	case "collect":
		w.say("forgot %d", w.p.Collect(w.now))
	default:
		w.ask(verb, rest)
	}
	w.tick()
}

func (w *world) ask(verb, rest string) {
	switch verb {
	case "explain":
		k := alert.Key{Tenant: alert.DefaultTenant, Fingerprint: w.labels(rest).Fingerprint()}
		for _, e := range w.p.Explain(k, w.now) {
			w.say("%s %s %s: %s", w.clock(e.At), e.Kind, e.Subject, e.Detail)
		}
	case "status":
		a := &alert.Alert{Tenant: alert.DefaultTenant, Labels: w.labels(rest)}
		s := w.p.Status(a, w.now)
		w.say("%s silenced=%v inhibited=%v muted=%v receivers=%v", s.State, s.SilencedBy, s.InhibitedBy, s.MutedBy, s.Receivers)
	case "holds":
		w.say("%v", w.p.Holds(alert.Key{Tenant: alert.DefaultTenant, Fingerprint: w.labels(rest).Fingerprint()}))
	case "groups":
		for _, g := range w.p.Groups(w.now, GroupFilter{}) {
			w.say("%s -> %s: %d alerts, first %s %s", g.Key, g.Receiver, len(g.Alerts), show(g.Alerts[0].Alert.Labels), g.Alerts[0].Status.State)
		}
	case "size":
		w.say("%+v", w.p.Size())
	default:
		w.t.Fatalf("unknown command %q", verb)
	}
}

// advance plays the time until then: whatever is due is sent on time.
func (w *world) advance(to alert.Time) {
	for w.up {
		next := w.p.Next()
		if next == 0 || next > to {
			break
		}
		w.now = max(w.now, next)
		w.tick()
	}
	w.now = to
	w.tick()
}

func (w *world) tick() {
	if !w.up || w.p == nil {
		return
	}
	for _, n := range w.p.Due(w.now) {
		told, ok := w.p.Claim(n.ID)
		require.True(w.t, ok)
		w.disk = append(w.disk, told)
		w.print(n)
		switch w.mode[n.Integration] {
		case "hang":
			w.hanging = append(w.hanging, n)
		case "fail":
			w.done(n, Outcome{At: w.now, Err: "no", Attempts: 3})
		default:
			w.done(n, Outcome{Delivered: true, At: w.now, Attempts: 1})
		}
	}
}

func (w *world) done(n *Notice, o Outcome) {
	told, ok := w.p.Done(n.ID, o, w.now)
	require.True(w.t, ok)
	w.disk = append(w.disk, told)
}

func (w *world) free(rest string) {
	key, how, _ := strings.Cut(rest, " ")
	w.mode[key] = ""
	for _, n := range w.hanging {
		if n.Integration == key {
			w.done(n, Outcome{Delivered: how == "ok", At: w.now, Attempts: 5, Err: how})
		}
	}
	w.hanging = slices.DeleteFunc(w.hanging, func(n *Notice) bool { return n.Integration == key })
}

func (w *world) print(n *Notice) {
	var as []string
	for _, a := range n.Alerts {
		s := show(a.Labels) + "(" + w.clock(a.StartsAt)
		if a.EndsAt != 0 {
			s += "-" + w.clock(a.EndsAt)
		}
		s += ")"
		if v := a.Annotations.Get("ann"); v != "" {
			s += " " + v
		}
		as = append(as, s)
	}
	how := ""
	if m := w.mode[n.Integration]; m == "hang" || m == "fail" {
		how = " [" + m + "s]"
	}
	w.say("%s %s: %s: %s: %s%s", w.clock(w.now), n.Integration, n.GroupKey, n.Reason, strings.Join(as, ", "), how)
}

// show writes labels shortly: name/lbl=v.
func show(s label.Set) string {
	out := s.Get(label.AlertName)
	for n, v := range s.All() {
		if n != label.AlertName {
			out += "/" + n + "=" + v
		}
	}
	return out
}

// labels reads what show writes.
func (w *world) labels(text string) label.Set {
	parts := strings.Split(text, "/")
	m := map[string]string{label.AlertName: parts[0]}
	for _, p := range parts[1:] {
		n, v, _ := strings.Cut(p, "=")
		m[n] = v
	}
	s, err := label.FromMap(m)
	require.NoError(w.t, err)
	return s
}

func (w *world) report(verb, rest string) {
	args := strings.Fields(rest)
	a := &alert.Alert{Tenant: alert.DefaultTenant, Labels: w.labels(args[0])}
	for _, arg := range args[1:] {
		n, v, _ := strings.Cut(arg, "=")
		switch n {
		case "since":
			a.StartsAt = w.at(v)
		case "until":
			a.EndsAt = w.at(v)
		case "ann":
			a.Annotations = label.FromStrings("ann", v)
		}
	}
	if verb == "resolve" && a.EndsAt == 0 {
		a.EndsAt = w.now
	}
	old := w.book[a.Key()]
	if verb == "resolve" && a.StartsAt == 0 && old != nil {
		a.StartsAt = old.StartsAt
	}
	alert.Complete(a, w.now, w.timeout, false)
	a, _ = alert.Merge(old, a, w.now)
	w.book[a.Key()] = a
	if w.up {
		w.p.Observe(a, w.now)
	}
}

func (w *world) silence(verb, rest string) {
	args := strings.Fields(rest)
	if verb == "unsilence" {
		_, _, err := w.sils.Expire(args[0], w.now)
		require.NoError(w.t, err)
		return
	}
	ms, err := label.ParseMatchers(args[1])
	require.NoError(w.t, err)
	s := silence.Silence{Tenant: alert.DefaultTenant, Matchers: ms, EndsAt: w.now.Add(time.Hour), CreatedBy: "ann", Comment: "test"}
	for _, arg := range args[2:] {
		switch n, v, _ := strings.Cut(arg, "="); n {
		case "from":
			s.StartsAt = w.at(v)
		case "to":
			s.EndsAt = w.at(v)
		}
	}
	_, _, err = w.sils.Put(s, args[0], w.now)
	require.NoError(w.t, err)
}

// parseConfig reads the lines of a config block; routes nest by indentation.
func parseConfig(t *testing.T, lines []string) Config {
	var c Config
	named := map[string][]window.Interval{}
	var path []*route.Spec
	var root *route.Spec
	for _, line := range lines {
		depth := (len(line) - len(strings.TrimLeft(line, " "))) / 2
		args := strings.Fields(line)
		switch args[0] {
		case "receiver":
			r := Receiver{Name: args[1]}
			for i, kind := range args[2:] {
				kind, opt, _ := strings.Cut(kind, ":")
				r.Integrations = append(r.Integrations, Integration{Key: fmt.Sprintf("%s/%s/%d", r.Name, kind, i), SendResolved: opt != "noresolved"})
			}
			c.Receivers = append(c.Receivers, r)
		case "interval":
			var from, to int
			_, err := fmt.Sscanf(args[2], "%d-%d", &from, &to)
			require.NoError(t, err)
			named[args[1]] = []window.Interval{{Times: []timeinterval.TimeRange{{StartMinute: from, EndMinute: to}}}}
		case "inhibit":
			c.Inhibit = append(c.Inhibit, parseInhibit(t, args[1:]))
		case "route":
			s := parseRoute(t, args[1:])
			path = append(path[:depth-1], s)
			if depth == 1 {
				root = s
			} else {
				path[depth-2].Routes = append(path[depth-2].Routes, s)
			}
		default:
			t.Fatalf("config: %q", line)
		}
	}
	var err error
	c.Tree, err = route.New(root)
	require.NoError(t, err)
	c.Intervals = window.NewSet(named)
	return c
}

func parseInhibit(t *testing.T, args []string) inhibit.Rule {
	var r inhibit.Rule
	for _, arg := range args {
		n, v, _ := strings.Cut(arg, "=")
		var err error
		switch n {
		case "source":
			r.Source, err = label.ParseMatchers(v)
		case "target":
			r.Target, err = label.ParseMatchers(v)
		case "equal":
			r.Equal = strings.Split(v, ",")
		}
		require.NoError(t, err)
	}
	return r
}

func parseRoute(t *testing.T, args []string) *route.Spec {
	s := &route.Spec{}
	for _, arg := range args {
		n, v, _ := strings.Cut(arg, "=")
		dur := func() *time.Duration {
			d, err := time.ParseDuration(v)
			require.NoError(t, err)
			return &d
		}
		switch n {
		case "to":
			s.Receiver = v
		case "by":
			s.GroupBy = []string{}
			if v != "" {
				s.GroupBy = strings.Split(v, ",")
			}
		case "wait":
			s.GroupWait = dur()
		case "interval":
			s.GroupInterval = dur()
		case "repeat":
			s.RepeatInterval = dur()
		case "match":
			ms, err := label.ParseMatchers(v)
			require.NoError(t, err)
			s.Matchers = ms
		case "continue":
			s.Continue = true
		case "mute":
			s.MuteIntervals = strings.Split(v, ",")
		case "active":
			s.ActiveIntervals = strings.Split(v, ",")
		default:
			t.Fatalf("route: %q", arg)
		}
	}
	return s
}
