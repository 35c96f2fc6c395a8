// Package intake owns the door for alerts that other systems push: what a
// sender's body means (decoders, one package per family below), who may send,
// and how much. It turns bytes from outside into validated alerts and hands
// them to a Sink.
package intake

import (
	"context"
	"errors"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
)

// Reasons why a Sink takes nothing just now. Senders may try again.
var (
	// ErrUnavailable: nothing can be stored durably (disk full, stopping).
	ErrUnavailable = errors.New("intake unavailable")
	// ErrBusy: more is waiting than may wait.
	ErrBusy = errors.New("intake overloaded")
)

// Batch is what one request of one sender brought. The Sink owns the alerts
// from then on.
type Batch struct {
	// Tenant owns the alerts; empty means alert.DefaultTenant.
	Tenant string
	// Origin is shared by all alerts of the sender.
	Origin *alert.Origin
	// Alerts need Labels; StartsAt and EndsAt as far as the sender told them;
	// Priority; Annotations, GeneratorURL, Extra where there are any.
	Alerts []*alert.Alert
	// Hold says that the sender tells when its problems end: a missing end
	// means "firing until told". Without it a missing end is now + Expiry.
	Hold bool
	// Expiry is the sender's auto-expiry: how long a firing report holds. 0 is
	// the node's resolve_timeout, or for ever where Hold is set.
	Expiry time.Duration
}

// Receipt says what became of a batch whose Accept returned no error: all
// alerts but the rejected ones are on disk.
type Receipt struct {
	Accepted int
	Rejected []Rejection
}

// Rejection is one alert that was refused, with a reason for the sender.
type Rejection struct {
	Index int // in Batch.Alerts
	Err   error
}

// Sink takes alerts into the node. Accept returns when every accepted alert is
// durable; with an error nothing of the batch was accepted (ErrUnavailable,
// ErrBusy, or the context's). Safe for concurrent use.
type Sink interface {
	Accept(ctx context.Context, b Batch) (Receipt, error)
}
