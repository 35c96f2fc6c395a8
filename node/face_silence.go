package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/fenghuo-mesh/fenghuo/aggregate/silence"
	"github.com/fenghuo-mesh/fenghuo/node/api/problem"
	"github.com/fenghuo-mesh/fenghuo/node/api/silences"
)

// silenceFace keeps silences for both APIs.
type silenceFace struct{ n *Node }

var _ silences.Store = silenceFace{}

// Silences lists them.
func (f silenceFace) Silences(_ context.Context, want silence.Filter) ([]silence.Silence, error) {
	f.n.lead.mu.Lock()
	defer f.n.lead.mu.Unlock()
	return f.n.lead.silences.Query(want, f.n.lead.now()), nil
}

// Silence returns one.
func (f silenceFace) Silence(_ context.Context, id string) (silence.Silence, error) {
	f.n.lead.mu.Lock()
	defer f.n.lead.mu.Unlock()
	s, ok := f.n.lead.silences.Get(id)
	if !ok {
		return s, fmt.Errorf("silence %.60q: %w", id, silence.ErrNotFound)
	}
	return s, nil
}

// PutSilence stores a silence and returns its ID.
func (f silenceFace) PutSilence(ctx context.Context, s silence.Silence) (string, error) {
	stored, err := f.n.lead.putSilence(ctx, s, uuid.NewString())
	return stored.ID, silenceProblem(err)
}

// ExpireSilence ends one.
func (f silenceFace) ExpireSilence(ctx context.Context, id string) error {
	_, err := f.n.lead.expireSilence(ctx, id)
	return silenceProblem(err)
}

// silenceProblem says in the APIs' words that a silence wasn't stored; what is
// wrong with a silence they know themselves.
func silenceProblem(err error) error {
	if errors.Is(err, errNotStored) {
		return problem.Errorf(problem.ErrUnavailable, "%w", err)
	}
	return err
}
