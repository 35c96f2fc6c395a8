package lab

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Scenario is a timeline: what happens to a node and when, and the exact
// notifications that must leave it. The text form is
//
//	# what it shows
//	config:
//	  (an alertmanager.yml; the text URL stands for the receiver)
//	events:
//	  0s    fire    alertname=A host=h1
//	  1s    hold 3s alertname=A host=h1  (ends by itself unless repeated)
//	  3s    resolve alertname=A host=h1
//	  1s    silence quiet host=h1        (quiet is its name here)
//	  9s    unsilence quiet
//	  4s    restart                      (real binaries are killed)
//	  4s    down / up                    (the same, with time between)
//	  4s    kill                         (die at once and start again)
//	  2s    answer 500                   (what receivers say from now on)
//	  2s    answer 500 pager             (what the receiver at URL/pager says)
//	  2s    answer hang                  (they are told, and never answer)
//	  2s    answer drop                  (they are neither told nor answer)
//	  20s   end
//	notices:
//	  1s  hook firing [first notification] +A{h1} -B{h2}
//
// where + is a firing and - a resolved alert of the notification. A time may
// carry its own tolerance, where chance is at work: 2s~900ms.
type Scenario struct {
	Name    string
	Config  string
	Events  []Event
	Notices []string
}

// Event is one line of a timeline.
type Event struct {
	At   time.Duration
	Verb string
	Args []string
}

// ParseScenario reads the text form.
func ParseScenario(name, text string) (*Scenario, error) {
	s := &Scenario{Name: name}
	section := ""
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "config:" || trimmed == "events:" || trimmed == "notices:":
			section = trimmed
		case trimmed == "" || strings.HasPrefix(trimmed, "#"):
		case section == "config:":
			s.Config += line + "\n"
		case section == "notices:":
			s.Notices = append(s.Notices, strings.Join(strings.Fields(trimmed), " "))
		case section == "events:":
			f := strings.Fields(trimmed)
			at, err := time.ParseDuration(f[0])
			if err != nil || len(f) < 2 {
				return nil, fmt.Errorf("%s:%d: want a time and a verb", name, i+1)
			}
			s.Events = append(s.Events, Event{at, f[1], f[2:]})
		default:
			return nil, fmt.Errorf("%s:%d: outside of a section", name, i+1)
		}
	}
	return s, nil
}

// Labels reads name=value arguments.
func Labels(args []string) map[string]string {
	m := map[string]string{}
	for _, a := range args {
		n, v, _ := strings.Cut(a, "=")
		m[n] = v
	}
	return m
}

// AlertBody is the body of POST /api/v2/alerts for one alert that fires now and
// holds as long, or has ended where holds is 0.
func AlertBody(labels map[string]string, now time.Time, holds time.Duration) []byte {
	a := map[string]any{"labels": labels, "endsAt": now.Add(holds).Format(time.RFC3339Nano)}
	if holds > 0 {
		a["startsAt"] = now.Format(time.RFC3339Nano)
	}
	b, _ := json.Marshal([]any{a}) // texts only: it can't fail
	return b
}

// SilenceBody is the body of POST /api/v2/silences.
func SilenceBody(labels map[string]string, from time.Time) []byte {
	var ms []map[string]any
	for n, v := range labels {
		ms = append(ms, map[string]any{"name": n, "value": v, "isRegex": false})
	}
	b, _ := json.Marshal(map[string]any{
		"matchers": ms, "startsAt": from.Format(time.RFC3339Nano), "endsAt": from.Add(time.Hour).Format(time.RFC3339Nano),
		"createdBy": "lab", "comment": "scenario",
	})
	return b
}

// Told is a notification as scenarios see it.
type Told struct {
	At   time.Duration // since the scenario's begin
	Text string
}

// Describe writes a webhook's body as a scenario does.
func Describe(n *Notice) string {
	var alerts []string
	for _, a := range n.Alerts {
		sign := "+"
		if a.Status == "resolved" {
			sign = "-"
		}
		alerts = append(alerts, sign+a.Labels["alertname"]+"{"+a.Labels["host"]+"}")
	}
	slices.Sort(alerts)
	return fmt.Sprintf("%s %s [%s] %s", n.Receiver, n.Status, n.Reason, strings.Join(alerts, " "))
}

// Difference compares what was told with what the scenario wants. Times may be
// off by the tolerance; notices of one moment may come in any order.
func (s *Scenario) Difference(told []Told, tolerance time.Duration) string {
	left := slices.Clone(told)
	var out []string
	for _, line := range s.Notices {
		at, text, _ := strings.Cut(line, " ")
		at, slack, own := strings.Cut(at, "~")
		when, err := time.ParseDuration(at)
		allowed := tolerance
		if own && err == nil {
			allowed, err = time.ParseDuration(slack)
			allowed += tolerance
		}
		if err != nil {
			return fmt.Sprintf("notice %q: %v", line, err)
		}
		i := slices.IndexFunc(left, func(t Told) bool { return t.Text == text && (t.At-when).Abs() <= allowed })
		if i < 0 {
			out = append(out, "missing: "+line)
			continue
		}
		left = slices.Delete(left, i, i+1)
	}
	for _, t := range left {
		out = append(out, fmt.Sprintf("too much: %v %s", t.At.Round(time.Millisecond), t.Text))
	}
	slices.SortFunc(told, func(a, b Told) int { return cmp.Compare(a.At, b.At) })
	if len(out) > 0 {
		out = append(out, "all that was told:")
		for _, t := range told {
			out = append(out, fmt.Sprintf("  %v %s", t.At.Round(time.Millisecond), t.Text))
		}
	}
	return strings.Join(out, "\n")
}
