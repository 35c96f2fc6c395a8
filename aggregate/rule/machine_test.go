package rule

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

func at(seconds int) time.Time { return time.Unix(1_700_000_000+int64(seconds), 0).UTC() }

func sample(name string, v float64) Sample {
	return Sample{Labels: label.FromStrings("alertname", "A", "i", name), Value: v}
}

// run evaluates a line such as "x..xx": one character every 15 s, . without result.
func run(t *testing.T, m *Machine, line string) (states string, changes []string) {
	t.Helper()
	for i, c := range line {
		var in []Sample
		if c != '.' {
			in = append(in, sample("1", float64(i)))
		}
		got, err := m.Eval(at(i*15), in)
		require.NoError(t, err)
		for _, tr := range got {
			changes = append(changes, fmt.Sprintf("%d %v>%v %s", i, tr.From, tr.To, tr.Reason))
		}
		states += string(letter(m))
	}
	return states, changes
}

func letter(m *Machine) byte {
	switch {
	case len(m.Active()) == 0:
		return '.'
	case m.Active()[0].Held:
		return 'h'
	case !m.Active()[0].KeepFiringSince.IsZero():
		return 'k'
	}
	return " .pf"[m.State()]
}

func TestLifeOfAnInstance(t *testing.T) {
	for _, c := range []struct {
		name, in, states string
		spec             Spec
		changes          []string
	}{
		{"at once", "x.x", "f.f", Spec{}, []string{"0 inactive>firing for", "1 firing>inactive gone", "2 inactive>firing for"}},
		{"for", "xxxx.xx", "pppf.pp", Spec{For: 45 * time.Second}, []string{
			"0 inactive>pending active", "3 pending>firing for", "4 firing>inactive gone", "5 inactive>pending active",
		}},
		{"pending ends without trace of firing", "x.x.", "p.p.", Spec{For: time.Minute}, []string{
			"0 inactive>pending active", "1 pending>inactive gone", "2 inactive>pending active", "3 pending>inactive gone",
		}},
		{"keep", "x...x....", "fkk.fkk..", Spec{KeepFiringFor: 30 * time.Second}, []string{
			"0 inactive>firing for", "3 firing>inactive kept long enough", "4 inactive>firing for", "7 firing>inactive kept long enough",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			states, changes := run(t, New(c.spec), c.in)
			require.Equal(t, c.states, states)
			require.Equal(t, c.changes, changes)
		})
	}
}

func TestKeptInstanceStartsItsTimeAnew(t *testing.T) {
	states, changes := run(t, New(Spec{For: 15 * time.Second, KeepFiringFor: 45 * time.Second}), "xx.x...x")
	require.Equal(t, "pfkfkkkf", states)
	require.Len(t, changes, 2)
}

func TestLongerForMakesFiringPending(t *testing.T) {
	m := New(Spec{})
	run(t, m, "xx")
	m.SetSpec(Spec{For: time.Minute})
	got, err := m.Eval(at(30), []Sample{sample("1", 1)})
	require.NoError(t, err)
	require.Equal(t, []Transition{{m.Active()[0].Labels, Firing, Pending, at(30), "longer for"}}, got)
	require.True(t, m.Active()[0].FiredAt.IsZero())
	require.Equal(t, at(0), m.Active()[0].ActiveAt)
}

func TestDuplicateChangesNothing(t *testing.T) {
	m := New(Spec{})
	_, err := m.Eval(at(0), []Sample{sample("1", 1)})
	require.NoError(t, err)
	_, err = m.Eval(at(15), []Sample{sample("2", 2), sample("1", 5), sample("2", 3)})
	require.ErrorIs(t, err, ErrDuplicate)
	require.Len(t, m.Active(), 1)
	require.InDelta(t, 1, m.Active()[0].Value, 0)
	_, err = m.Eval(at(30), []Sample{sample("2", 2), sample("1", 5)})
	require.NoError(t, err)
	require.Len(t, m.Active(), 2)
}

func TestLimitDropsAll(t *testing.T) {
	m := New(Spec{Limit: 1})
	_, err := m.Eval(at(0), []Sample{sample("1", 1)})
	require.NoError(t, err)
	got, err := m.Eval(at(15), []Sample{sample("1", 1), sample("2", 1)})
	require.ErrorIs(t, err, ErrLimit)
	require.EqualError(t, err, "exceeded limit of 1 with 2 alerts")
	require.Empty(t, m.Active())
	require.Equal(t, "limit", got[len(got)-1].Reason)
	_, err = m.Eval(at(30), []Sample{sample("2", 1)})
	require.NoError(t, err)
	require.Equal(t, at(30), m.Active()[0].ActiveAt)
}

func TestExceeds(t *testing.T) {
	m := New(Spec{Limit: 2})
	_, err := m.Eval(at(0), []Sample{sample("1", 1)})
	require.NoError(t, err)
	got, err := m.Exceeds(at(15), 2)
	require.NoError(t, err)
	require.Empty(t, got)
	require.Len(t, m.Active(), 1)
	got, err = m.Exceeds(at(15), 3)
	require.EqualError(t, err, "exceeded limit of 2 with 3 alerts")
	require.Equal(t, []Transition{{sample("1", 1).Labels, Firing, Inactive, at(15), "limit"}}, got)
	require.Empty(t, m.Active())
	_, err = New(Spec{}).Exceeds(at(0), 1<<30)
	require.NoError(t, err)
}

func TestFlapping(t *testing.T) {
	spec := Spec{Flap: &Flap{High: DefaultFlapHigh, Low: DefaultFlapLow}}
	line := "x.x.x.x.x.x...................................x."
	states, changes := run(t, New(spec), line)
	// Six changes, of which the newest count most, are more than 30 %; it ends
	// when they have grown old and few.
	require.Equal(t, "f.f.fhfhfhfhhhhhhhhhhhhhhhh...................f.", states)
	require.Equal(t, []string{
		"0 inactive>firing for", "1 firing>inactive gone", "2 inactive>firing for", "3 firing>inactive gone", "4 inactive>firing for",
		"27 firing>inactive steady", "46 inactive>firing for", "47 firing>inactive gone",
	}, changes)
}

func TestFlappingThatBecomesSteadyFiring(t *testing.T) {
	m := New(Spec{Flap: &Flap{High: DefaultFlapHigh, Low: DefaultFlapLow}})
	states, _ := run(t, m, "x.x.x.xxxxxxxxxxxxxxxxxxxxxxxxxxx.")
	require.Equal(t, "f.f.fhfffffffffffffffffffffffffff.", states)
	require.Empty(t, m.Active())
}

func TestFlapSwitchedOffEndsHeld(t *testing.T) {
	m := New(Spec{Flap: &Flap{High: DefaultFlapHigh, Low: DefaultFlapLow}})
	run(t, m, "x.x.x.")
	require.True(t, m.Active()[0].Held)
	m.SetSpec(Spec{})
	_, err := m.Eval(at(1000), nil)
	require.NoError(t, err)
	require.Empty(t, m.Active())
}

func TestShare(t *testing.T) {
	require.InDelta(t, 0, share(0), 0)
	require.InDelta(t, 0, share(historyMask), 0)
	require.InDelta(t, 100, share(0b101010101010101010101), 0)
	require.InDelta(t, 100*1.2/20, share(0b1), 1e-12)               // changed in the newest step
	require.InDelta(t, 100*0.8/20, share(1<<(FlapChecks-1)), 1e-12) // in the oldest
}

func TestFlapValidate(t *testing.T) {
	require.NoError(t, Flap{30, 20}.Validate())
	for _, f := range []Flap{{}, {30, 30}, {30, 0}, {100, 5}, {math.NaN(), 5}, {30, math.NaN()}} {
		require.Error(t, f.Validate(), "%v", f)
	}
}

func TestRestore(t *testing.T) {
	const grace = 10 * time.Minute
	now := at(10_000)
	for _, c := range []struct {
		name  string
		hold  time.Duration
		r     Remembered
		want  time.Time
		fires bool // at the next evaluation
	}{
		{"it was firing", 5 * time.Minute, Remembered{at(9000), at(9400)}, at(9000), true},
		{"no for", 0, Remembered{at(9000), at(9400)}, at(9000), true},
		{"short for starts over", 5 * time.Minute, Remembered{at(9300), at(9400)}, now, false},
		{"time down doesn't count", time.Hour, Remembered{at(8000), at(9400)}, at(8600), false},
		{"grace", time.Hour, Remembered{at(9400 - 3590), at(9400)}, now.Add(grace - time.Hour), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := New(Spec{For: c.hold})
			_, err := m.Eval(now, []Sample{sample("1", 1), sample("2", 1)})
			require.NoError(t, err)
			m.Restore(now, grace, func(s label.Set) (Remembered, bool) { return c.r, s.Get("i") == "1" })
			require.Equal(t, c.want, m.Active()[0].ActiveAt)
			require.Equal(t, now, m.Active()[1].ActiveAt)
			_, err = m.Eval(now.Add(15*time.Second), []Sample{sample("1", 1), sample("2", 1)})
			require.NoError(t, err)
			require.Equal(t, c.fires, m.Active()[0].State == Firing)
		})
	}
}

// TestAgainstModel compares the machine with Prometheus's algorithm written
// down as plainly as possible, over random conditions.
func TestAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := Spec{
			For:           time.Duration(rapid.IntRange(0, 5).Draw(t, "for")) * 15 * time.Second,
			KeepFiringFor: time.Duration(rapid.IntRange(0, 5).Draw(t, "keep")) * 15 * time.Second,
			Limit:         rapid.IntRange(0, 5).Draw(t, "limit"),
		}
		m, mod := New(spec), model{}
		now := 0
		for range rapid.IntRange(1, 40).Draw(t, "evaluations") {
			now += rapid.IntRange(1, 40).Draw(t, "step")
			var in []Sample
			for i := range 4 {
				if rapid.Bool().Draw(t, "on") {
					in = append(in, sample(fmt.Sprint(i), float64(now)))
				}
			}
			_, err := m.Eval(at(now), in)
			tooMany := mod.eval(at(now), in, spec)
			if tooMany != errors.Is(err, ErrLimit) {
				t.Fatalf("limit: %v, model %v", err, tooMany)
			}
			if got, want := describe(m), mod.describe(); !slices.Equal(got, want) {
				t.Fatalf("at %d:\n%q\nmodel:\n%q", now, got, want)
			}
		}
	})
}

type modelInstance struct {
	state                string
	active, fired, keeps time.Time
	value                float64
}

type model map[string]*modelInstance

func (m *model) eval(now time.Time, in []Sample, spec Spec) (tooMany bool) {
	on := map[string]bool{}
	for _, s := range in {
		k := s.Labels.String()
		on[k] = true
		if a := (*m)[k]; a != nil && a.state != "inactive" {
			a.value = s.Value
		} else {
			(*m)[k] = &modelInstance{state: "pending", active: now, value: s.Value}
		}
	}
	n := 0
	for k, a := range *m {
		if !on[k] {
			keep := false
			if a.state == "firing" && spec.KeepFiringFor > 0 {
				if a.keeps.IsZero() {
					a.keeps = now
				}
				keep = now.Sub(a.keeps) < spec.KeepFiringFor
			}
			if !keep {
				a.state = "inactive"
				continue
			}
		} else {
			a.keeps = time.Time{}
		}
		n++
		if a.state == "pending" && now.Sub(a.active) >= spec.For {
			a.state, a.fired = "firing", now
		}
	}
	if spec.Limit > 0 && n > spec.Limit {
		*m = model{}
		return true
	}
	return false
}

func (m model) describe() (out []string) {
	for k, a := range m {
		if a.state != "inactive" {
			out = append(out, fmt.Sprint(k, a.state, a.active.Unix(), a.fired.Unix(), a.keeps.Unix(), a.value))
		}
	}
	slices.Sort(out)
	return out
}

func describe(m *Machine) (out []string) {
	for _, a := range m.Active() {
		out = append(out, fmt.Sprint(a.Labels, a.State.String(), a.ActiveAt.Unix(), a.FiredAt.Unix(), a.KeepFiringSince.Unix(), a.Value))
	}
	return out
}
