package ledger

import "sync/atomic"

// Gate shuts a ledger to what comes in, for a reason that its journal can't
// know. What the ledger holds lives on. The zero Gate is open. Safe for
// concurrent use.
type Gate struct{ reason atomic.Pointer[error] }

// Shut refuses everything from now on, for a reason; nil opens the gate.
func (g *Gate) Shut(reason error) {
	if reason == nil {
		g.reason.Store(nil)
		return
	}
	g.reason.Store(&reason)
}

// Reason is why nothing is accepted, or nil.
func (g *Gate) Reason() error {
	if r := g.reason.Load(); r != nil {
		return *r
	}
	return nil
}
