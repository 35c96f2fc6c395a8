package rule

import (
	"fmt"
	"math/bits"
	"time"
)

// FlapChecks is how many evaluations the share of changes looks back on:
// Nagios's, Icinga's and Sensu's 21 checks, which have 20 possible changes.
const FlapChecks = 21

// Thresholds of the weighted share of state changes, percent: what Nagios is
// compiled with and Icinga ships.
const (
	DefaultFlapHigh = 30
	DefaultFlapLow  = 20
)

// Flap says when an instance flaps. The share of state changes among the last
// 21 evaluations is weighted: the oldest change counts 0.8, the newest 1.2,
// linear in between, so that 20 changes are 100 %.
type Flap struct {
	// High is the share in percent above which flapping starts.
	High float64
	// Low is the share below which it stops; less than High, so that the
	// judgement doesn't flap itself.
	Low float64
}

// Validate checks that 0 < Low < High < 100.
func (f Flap) Validate() error {
	switch {
	case !(f.High > 0 && f.High < 100):
		return fmt.Errorf("high: %v is not between 0 and 100", f.High)
	case !(f.Low > 0 && f.Low < f.High):
		return fmt.Errorf("low: %v is not between 0 and high (%v)", f.Low, f.High)
	}
	return nil
}

// history is the last evaluations of one instance, the newest in bit 0: did it
// fire by Prometheus's rule? Before the first one it didn't.
type history struct {
	fired    uint32
	flapping bool
	share    float64
	touched  bool
}

const historyMask = 1<<FlapChecks - 1

// push adds an evaluation and judges anew.
func (h *history) push(fired bool, f *Flap) {
	h.fired = h.fired << 1 & historyMask
	if fired {
		h.fired |= 1
	}
	h.share = share(h.fired)
	switch {
	case h.share > f.High:
		h.flapping = true
	case h.share < f.Low:
		h.flapping = false
	}
	h.touched = true
}

// share is the weighted share of changes in percent. It adds whole numbers, so
// that it is the same on every processor: change i of 20, counted from the
// oldest, weighs 0.8 + 0.4*i/19, that is (152 + 4*i) / 190, and all weigh 20.
func share(fired uint32) float64 {
	changed := (fired ^ fired>>1) & (historyMask >> 1) // bit k: the change k evaluations ago
	sum := 0
	for changed != 0 {
		k := bits.TrailingZeros32(changed)
		changed &^= 1 << k
		sum += 152 + 4*(FlapChecks-2-k)
	}
	return float64(sum*100) / float64(190*(FlapChecks-1))
}

// damp records whether the instance fires by the plain rule, and holds it where
// it would end while it flaps.
func (m *Machine) damp(in *Instance, before State, reason string) string {
	h := m.history[in.Labels]
	fires := in.State == Firing && !in.Held
	if h == nil {
		if !fires {
			return reason
		}
		h = &history{}
		m.history[in.Labels] = h
	}
	h.push(fires, m.spec.Flap)
	in.Flapping, in.ChangeShare = h.flapping, h.share
	switch {
	case before == Firing && in.State == Inactive && h.flapping:
		in.State, in.Held, in.KeepFiringSince = Firing, true, time.Time{}
	case in.Held && !h.flapping:
		in.State, in.Held, reason = Inactive, false, "steady"
	}
	return reason
}

// forgetHistory counts this evaluation for instances that are gone, and drops
// what says nothing any more.
func (m *Machine) forgetHistory() {
	for set, h := range m.history { // each by itself, so the order doesn't matter
		if !h.touched {
			h.push(false, m.spec.Flap)
		}
		h.touched = false
		if h.fired == 0 && m.byLabel[set] == nil {
			delete(m.history, set)
		}
	}
}
