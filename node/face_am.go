package node

import (
	"context"
	"errors"
	"runtime"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/notice"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
	"github.com/fenghuo-mesh/fenghuo/node/api/am"
	"github.com/fenghuo-mesh/fenghuo/node/api/problem"
)

// amFace answers Alertmanager's API from the node's parts.
type amFace struct {
	n      *Node
	origin *alert.Origin
}

var (
	_ am.Sink   = amFace{}
	_ am.Alerts = amFace{}
	_ am.Node   = amFace{}
)

// Accept implements am.Sink.
func (f amFace) Accept(ctx context.Context, alerts []*alert.Alert) ([]am.Rejection, error) {
	receipt, err := f.n.ledger.Accept(ctx, intake.Batch{Origin: f.origin, Alerts: alerts})
	if err != nil {
		return nil, intakeProblem(err)
	}
	var out []am.Rejection
	for _, r := range receipt.Rejected {
		out = append(out, am.Rejection{Index: r.Index, Err: r.Err, Busy: errors.Is(r.Err, intake.ErrBusy)})
	}
	return out, nil
}

// intakeProblem says in the API's words why nothing was taken.
func intakeProblem(err error) error {
	if errors.Is(err, intake.ErrUnavailable) || errors.Is(err, intake.ErrBusy) {
		return problem.Errorf(problem.ErrUnavailable, "%w", err)
	}
	return err
}

// Alerts implements am.Alerts.
func (f amFace) Alerts(_ context.Context, ms label.Matchers) ([]am.View, error) {
	now := f.n.now()
	found := f.n.ledger.Held(ms, func(a *alert.Alert) bool { return !a.ResolvedAt(now) })
	out := make([]am.View, len(found))
	l := f.n.lead
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, a := range found {
		out[i] = amView(f.shown(a, now), l.planner.Status(a, now))
	}
	return out, nil
}

// shown gives an alert that fires until told an end for Alertmanager's API,
// which has none without.
func (f amFace) shown(a *alert.Alert, now alert.Time) *alert.Alert {
	if a.EndsAt != 0 {
		return a
	}
	view := *a
	view.EndsAt = now.Add(f.n.resolveTimeout())
	return &view
}

func amView(a *alert.Alert, s notice.Status) am.View {
	v := am.View{Alert: a, Receivers: s.Receivers, SilencedBy: s.SilencedBy}
	for _, fp := range s.InhibitedBy {
		v.InhibitedBy = append(v.InhibitedBy, fp.String())
	}
	return v
}

// Groups implements am.Alerts.
func (f amFace) Groups(_ context.Context, ms label.Matchers) ([]am.Group, error) {
	now := f.n.now()
	l := f.n.lead
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []am.Group
	for _, g := range l.planner.Groups(now, notice.GroupFilter{Alert: func(a *alert.Alert, _ *notice.Status) bool { return ms.Match(a.Labels) }}) {
		view := am.Group{Labels: g.Labels, RouteLabels: g.RouteLabels, Receiver: g.Receiver}
		for _, a := range g.Alerts {
			view.MutedBy = a.Status.MutedBy
			view.Alerts = append(view.Alerts, amView(f.shown(a.Alert, now), a.Status))
		}
		out = append(out, view)
	}
	return out, nil
}

// Receivers implements am.Node.
func (f amFace) Receivers() []am.Receiver {
	var out []am.Receiver
	for _, r := range f.n.routing().file.Receivers {
		out = append(out, am.Receiver{Name: r.Name, Labels: r.Labels})
	}
	return out
}

// amVersion is the Alertmanager whose API this is, for clients that look at it.
const amVersion = "0.34.0"

// Status implements am.Node.
func (f amFace) Status() am.Status {
	n := f.n
	return am.Status{
		Config: n.routing().file.Redacted(), ClusterName: n.o.Config.Node.Name, ClusterStatus: "ready",
		Peers:   []am.Peer{{Name: n.o.Config.Node.Name, Address: n.o.Config.Gossip.Listen}},
		Version: amVersion, Revision: n.o.Version, GoVersion: runtime.Version(), Started: n.started,
	}
}
