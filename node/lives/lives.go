// Package lives owns the order in which the parts of a node begin and end.
package lives

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// List is the list of what has been started, in order, with how to stop it. A
// failed start and a regular stop go through the same list, last first.
type List struct {
	// Logger is told, at debug level, how long each part took to stop. Required.
	Logger *slog.Logger
	// Fatal is told when a part ended by itself with an error. Required.
	Fatal func(name string, err error)

	mu    sync.Mutex // guards stops
	stops []namedStop
}

type namedStop struct {
	name string
	stop func(context.Context) error
}

// stopEach is how long one part may take to stop before the next is asked.
const stopEach = 10 * time.Second

// Started adds a part that must be stopped.
func (l *List) Started(name string, stop func(context.Context) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stops = append(l.stops, namedStop{name, stop})
}

// Run starts a part with one loop. Its stop cancels the loop and waits for it.
func (l *List) Run(name string, loop func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { // joined by the stop below
		defer close(done)
		if err := loop(ctx); err != nil && ctx.Err() == nil {
			l.Fatal(name, err)
		}
	}()
	l.Started(name, func(wait context.Context) error {
		cancel()
		select {
		case <-done:
			return nil
		case <-wait.Done():
			return fmt.Errorf("still running: %w", wait.Err())
		}
	})
}

// Stop stops everything, last first, and goes on when a part fails to.
func (l *List) Stop(ctx context.Context) error {
	l.mu.Lock()
	stops := l.stops
	l.stops = nil
	l.mu.Unlock()
	var errs []error
	for _, s := range slices.Backward(stops) {
		began := time.Now()
		one, cancel := context.WithTimeout(ctx, stopEach)
		err := s.stop(one)
		cancel()
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
		}
		l.Logger.Debug("stopped", "part", s.name, "took", time.Since(began))
	}
	return errors.Join(errs...)
}
