package node

import (
	"log/slog"
	"sync"
	"time"
)

// worthSaying is how far a clock must step back for the log to mention it.
const worthSaying = time.Second

// clock is the node's time: the machine's, which may be set back under a
// running node, but never stepping back itself. Everything that is due waits
// for a time that was set before the step, so a step of an hour would keep
// people untold for an hour, and alerts that have ended would fire again. Time
// goes on at half speed instead until the machine's has caught up. Safe for
// concurrent use.
type clock struct {
	machine func() time.Time
	uptime  func() time.Duration // goes on undisturbed by steps
	log     *slog.Logger

	mu     sync.Mutex    // guards all following
	up     time.Duration // uptime when last asked
	told   time.Time     // what was answered
	behind bool          // the machine's is behind what was answered
}

// steady returns a clock on the machine's time.
func steady(machine func() time.Time, log *slog.Logger) *clock {
	began := time.Now()
	return &clock{machine: machine, uptime: func() time.Duration { return time.Since(began) }, log: log}
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, up := c.machine(), c.uptime()
	passed := up - c.up
	c.up = up
	// Compared without their monotonic readings, which know of no steps.
	lag := c.told.Round(0).Sub(at.Round(0))
	if lag <= 0 || c.told.IsZero() {
		c.told, c.behind = at, false
		return at
	}
	c.told = c.told.Add(passed / 2)
	if !c.behind && lag >= worthSaying {
		c.behind = true
		c.log.Warn("the clock was set back; until it has caught up, time goes on at half speed", "behind", lag)
	}
	return c.told
}
