package series

import (
	"context"
	"fmt"
)

// gate lets a bounded number of queries run and a bounded number wait.
type gate struct {
	places chan struct{}
	queue  chan struct{}
}

func newGate(running, waiting int) *gate {
	return &gate{places: make(chan struct{}, running), queue: make(chan struct{}, running+waiting)}
}

// enter waits for a place and returns the function that gives it back. It fails with ErrBusy or ctx's error.
func (g *gate) enter(ctx context.Context) (func(), error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case g.queue <- struct{}{}:
	default:
		return nil, fmt.Errorf("%w: %d run or wait", ErrBusy, cap(g.queue))
	}
	select {
	case g.places <- struct{}{}:
		return func() { <-g.places; <-g.queue }, nil
	case <-ctx.Done():
		<-g.queue
		return nil, ctx.Err()
	}
}
