package ledger

import (
	"sync"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
)

// inboxSlack is how many changes may wait before changes of one alert are
// folded into one; beyond it the inbox is as large as the set of alerts.
const inboxSlack = 8192

// Inbox carries changes from the ledger to the lead. It carries state, not
// messages: when the lead falls behind, several steps of an alert become one.
type Inbox struct {
	wake chan struct{}

	mu      sync.Mutex // guards all following
	changes []Change
	limit   int
}

// NewInbox returns an empty inbox.
func NewInbox() *Inbox {
	return &Inbox{wake: make(chan struct{}, 1), limit: inboxSlack}
}

// Wake is readable when there may be something new.
func (b *Inbox) Wake() <-chan struct{} { return b.wake }

// Put adds changes and wakes the reader. It never blocks.
func (b *Inbox) Put(cs []Change) {
	b.mu.Lock()
	b.changes = append(b.changes, cs...)
	if len(b.changes) > b.limit {
		b.changes = folded(b.changes)
		b.limit = max(inboxSlack, 2*len(b.changes))
	}
	b.mu.Unlock()
	b.Nudge()
}

// Nudge wakes the reader without a change.
func (b *Inbox) Nudge() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// Take returns what has gathered, in order.
func (b *Inbox) Take() []Change {
	b.mu.Lock()
	defer b.mu.Unlock()
	cs := b.changes
	b.changes, b.limit = nil, inboxSlack
	return cs
}

// folded joins the steps of each alert: from before the first to after the
// last. Order among alerts is kept by their first step. A new episode is not
// joined with the one before it, so that no end is swallowed.
func folded(cs []Change) []Change {
	at := make(map[uint64]int, len(cs))
	out := cs[:0]
	for _, c := range cs {
		a := c.After
		if a == nil {
			a = c.Before
		}
		key := hashKey(a.Tenant, a.Labels.Fingerprint())
		i, ok := at[key]
		if !ok || c.Kind == alert.Began || out[i].After == nil || c.After == nil {
			at[key] = len(out)
			out = append(out, c)
			continue
		}
		first := out[i]
		if c.Kind == alert.Unchanged { // only the end moved: the step stays what it was
			out[i].After = c.After
			continue
		}
		c.Before, c.WasFiring = first.Before, first.WasFiring
		if first.Kind == alert.Began && c.Kind == alert.Updated {
			c.Kind = alert.Began
		}
		out[i] = c
	}
	clear(cs[len(out):])
	return out
}
