package node

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/incident"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/trail"
	"github.com/fenghuo-mesh/fenghuo/node/api/problem"
	v1 "github.com/fenghuo-mesh/fenghuo/node/api/v1"
	"github.com/fenghuo-mesh/fenghuo/node/store"
	"github.com/fenghuo-mesh/fenghuo/node/store/history"
)

// v1Face answers the node's own API from the node's parts.
type v1Face struct{ n *Node }

var (
	_ v1.Alerts    = v1Face{}
	_ v1.History   = v1Face{}
	_ v1.Incidents = v1Face{}
	_ v1.Node      = v1Face{}
)

// Held implements v1.Alerts.
func (f v1Face) Held(_ context.Context, ms label.Matchers) ([]*alert.Alert, error) {
	return f.n.ledger.Held(ms, nil), nil
}

// Standing implements v1.Alerts.
func (f v1Face) Standing(_ context.Context, alerts []*alert.Alert) ([]v1.Standing, error) {
	l := f.n.lead
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	out := make([]v1.Standing, len(alerts))
	for i, a := range alerts {
		s := l.planner.Status(a, now)
		out[i] = v1.Standing{Receivers: s.Receivers, SilencedBy: s.SilencedBy, MutedBy: s.MutedBy}
		for _, fp := range s.InhibitedBy {
			out[i].InhibitedBy = append(out[i].InhibitedBy, fp.String())
		}
		if a.Fires() {
			out[i].Incident, _ = l.engine.Of(l.incidents, a)
		}
	}
	return out, nil
}

// Episode implements v1.Alerts.
func (f v1Face) Episode(ctx context.Context, id string) (*alert.Alert, trail.Log, error) {
	fp, onset, ok := parseEpisode(id)
	if !ok {
		return nil, trail.Log{}, problem.Errorf(problem.ErrNotFound, "alert %.60q: not an alert's ID", id)
	}
	held := f.n.ledger.Held(nil, func(a *alert.Alert) bool {
		return int64(a.Onset)/int64(time.Millisecond) == onset && a.Labels.Fingerprint() == fp
	})
	if len(held) > 0 {
		f.n.lead.mu.Lock()
		defer f.n.lead.mu.Unlock()
		return held[0], f.n.lead.trailOf(held[0], f.n.lead.now()), nil
	}
	a, why, found, err := f.n.historian.Get(ctx, id)
	switch {
	case err != nil:
		return nil, trail.Log{}, historyProblem(err)
	case !found:
		return nil, trail.Log{}, problem.Errorf(problem.ErrNotFound, "alert %s: neither held nor in the history", id)
	}
	return a, why, nil
}

// parseEpisode takes an alert's ID apart.
func parseEpisode(id string) (label.Fingerprint, int64, bool) {
	hex, rest, ok := strings.Cut(id, "-")
	fp, err := label.ParseFingerprint(hex)
	if !ok || err != nil {
		return 0, 0, false
	}
	ms, err := strconv.ParseInt(rest, 36, 64)
	return fp, ms, err == nil
}

// Search implements v1.History.
func (f v1Face) Search(ctx context.Context, q v1.HistoryQuery) (v1.HistoryPage, error) {
	found, next, unread, err := f.n.historian.Search(ctx, history.Query{
		From: q.From, To: q.To, Matchers: q.Matchers, Keep: q.Keep, Limit: q.Limit, Cursor: q.Cursor,
	})
	if err != nil {
		return v1.HistoryPage{}, historyProblem(err)
	}
	page := v1.HistoryPage{Alerts: found, Next: next}
	if unread > 0 {
		page.Partial = fmt.Sprintf("%d entries of the history can't be read", unread)
	}
	return page, nil
}

// historyProblem says in the API's words why the history gave no answer.
func historyProblem(err error) error {
	switch {
	case errors.Is(err, store.ErrCursor):
		return problem.Errorf(problem.ErrInvalid, "%w", err)
	case errors.Is(err, store.ErrAbsent), errors.Is(err, store.ErrFull):
		return problem.Errorf(problem.ErrUnavailable, "%w", err)
	}
	return err
}

// Incidents implements v1.Incidents.
func (f v1Face) Incidents(context.Context) ([]*incident.Incident, error) {
	f.n.lead.mu.Lock()
	defer f.n.lead.mu.Unlock()
	return f.n.lead.incidents.List(), nil
}

// Incident implements v1.Incidents.
func (f v1Face) Incident(_ context.Context, id string) (*incident.Incident, error) {
	f.n.lead.mu.Lock()
	defer f.n.lead.mu.Unlock()
	in := f.n.lead.incidents.Get(id)
	if in == nil {
		return nil, problem.Errorf(problem.ErrNotFound, "incident %.60q: not known", id)
	}
	return in, nil
}

// Status implements v1.Node.
func (f v1Face) Status(context.Context) (v1.Status, error) {
	n := f.n
	s := v1.Status{
		Node: n.o.Config.Node.Name, Datacenter: n.o.Config.Node.Datacenter, Version: n.o.Version,
		GoVersion: runtime.Version(), StartedAt: n.started, Ready: n.ready.Load(),
	}
	now := n.now()
	n.ledger.Held(nil, func(a *alert.Alert) bool {
		if !a.ResolvedAt(now) {
			s.Firing++
		}
		return false // counted, not listed: there may be 100,000
	})
	l := n.lead
	l.mu.Lock()
	for _, in := range l.incidents.List() {
		if in.Open() {
			s.Incidents++
		}
	}
	l.mu.Unlock()
	s.Parts = partsOf(n)
	for _, p := range s.Parts {
		if p.State == partDegraded {
			s.Degraded = append(s.Degraded, p.Name+": "+p.Detail)
		}
	}
	return s, nil
}
