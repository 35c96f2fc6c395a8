// Package silences owns what the faces that show and change silences have in
// common: the store they ask, the status codes of its errors, and annotations.
package silences

import (
	"context"
	"fmt"
	"net/http"

	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/silence"
	"github.com/fenghuo-mesh/fenghuo/node/api/problem"
)

// Store keeps silences. Errors are those of package silence, or wrap
// problem.ErrUnavailable where a silence can't be stored. Safe for concurrent
// use.
type Store interface {
	// Silences returns those that the filter wants, in the book's order.
	Silences(ctx context.Context, f silence.Filter) ([]silence.Silence, error)
	// Silence returns one.
	Silence(ctx context.Context, id string) (silence.Silence, error)
	// PutSilence creates a silence, or changes the one named by s.ID. id is the
	// one it has now.
	PutSilence(ctx context.Context, s silence.Silence) (id string, err error)
	// ExpireSilence ends a silence now. Ending an ended one is no error.
	ExpireSilence(ctx context.Context, id string) error
}

// Errors is the table for the errors of package silence.
func Errors() problem.Table {
	return problem.Table{
		{Err: silence.ErrNotFound, Status: http.StatusNotFound},
		{Err: silence.ErrInvalid, Status: http.StatusBadRequest},
		{Err: silence.ErrTimes, Status: http.StatusBadRequest},
		{Err: silence.ErrPast, Status: http.StatusBadRequest},
		{Err: silence.ErrLimit, Status: http.StatusBadRequest},
	}
}

// Annotations makes a silence's annotations of what was posted. The error wraps
// silence.ErrInvalid.
func Annotations(posted map[string]string) (label.Set, error) {
	pairs := make([]label.Pair, 0, len(posted))
	for n, v := range posted {
		pairs = append(pairs, label.Pair{Name: n, Value: v})
	}
	set, err := label.NewAnnotations(pairs)
	if err != nil {
		return label.Set{}, fmt.Errorf("%w: annotations: %w", silence.ErrInvalid, err)
	}
	return set, nil
}
