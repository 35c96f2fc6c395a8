// Package metric owns what a collector of host metrics is and what it gives: metrics, their series, and the batch that
// takes the values of one run and remembers label sets from run to run.
package metric

import (
	"context"
	"errors"
)

// ErrUnavailable says that a collector's source does not exist on this host. The collector is switched off, has no
// success metric, and is asked again after a while.
var ErrUnavailable = errors.New("not available on this host")

// Collector reads one part of the host. Collect is never called again before it has returned; it should return soon
// after ctx has ended. What it added to the batch before an error counts. ErrUnavailable switches it off for a while.
type Collector interface {
	// Name is the value of the collector label, e.g. "cpu".
	Name() string
	// Collect adds the present values to the batch.
	Collect(ctx context.Context, b *Batch) error
}

// Func returns a collector made of one function.
func Func(name string, collect func(context.Context, *Batch) error) Collector {
	return function{name, collect}
}

type function struct {
	name    string
	collect func(context.Context, *Batch) error
}

// Name implements Collector.
func (f function) Name() string { return f.name }

// Collect implements Collector.
func (f function) Collect(ctx context.Context, b *Batch) error { return f.collect(ctx, b) }
