package notice

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/route"
	"github.com/fenghuo-mesh/fenghuo/aggregate/silence"
	"github.com/fenghuo-mesh/fenghuo/aggregate/trail"
)

func firing(tenant string, labels ...string) *alert.Alert {
	return &alert.Alert{
		Tenant: tenant, Labels: label.FromStrings(labels...), StartsAt: epoch, Onset: epoch, ReceivedAt: epoch, UpdatedAt: epoch,
	}
}

// TestTenants: alerts of two tenants with the same labels are two alerts in two
// groups; a silence or source of one doesn't concern the other.
func TestTenants(t *testing.T) {
	p := planner(t, "alertname")
	book := silence.NewBook(silence.Options{})
	p.silences = book
	ms, err := label.ParseMatchers(`alertname="x"`)
	require.NoError(t, err)
	_, _, err = book.Put(silence.Silence{Tenant: "b", Matchers: ms, EndsAt: epoch.Add(time.Hour)}, "s", epoch)
	require.NoError(t, err)
	for _, tenant := range []string{"c", "b", "a"} {
		p.Observe(firing(tenant, "alertname", "x"), epoch)
	}
	var got []string
	for _, n := range p.Due(epoch.Add(2 * time.Second)) {
		require.Len(t, n.Alerts, 1)
		require.Equal(t, n.Tenant, n.Alerts[0].Tenant)
		got = append(got, n.Tenant)
	}
	require.Equal(t, []string{"a", "c"}, got)
	require.Equal(t, StateSuppressed, p.Status(firing("b", "alertname", "x"), epoch).State)
	require.Equal(t, StateActive, p.Status(firing("a", "alertname", "x"), epoch).State)
	require.Equal(t, Size{Alerts: 3, Groups: 3, ActiveGroups: 3, UnderWay: 2}, p.Size())
}

func TestConfigureRefuses(t *testing.T) {
	tree, err := route.New(&route.Spec{Receiver: "r", Routes: []*route.Spec{{MuteIntervals: []string{"night"}}}})
	require.NoError(t, err)
	r := Receiver{Name: "r", Integrations: []Integration{{Key: "r/webhook/0"}}}
	for want, c := range map[string]Config{
		"no route":                              {},
		`undefined receiver "r" used in route`:  {Tree: tree},
		`receiver "r" is not unique`:            {Tree: tree, Receivers: []Receiver{r, r}},
		`"r/webhook/0" is empty or not unique`:  {Tree: tree, Receivers: []Receiver{r, {Name: "s", Integrations: r.Integrations}}},
		`undefined time interval "night"`:       {Tree: tree, Receivers: []Receiver{r}},
		`integration key "" is empty or not un`: {Tree: tree, Receivers: []Receiver{{Name: "r", Integrations: []Integration{{}}}}},
	} {
		p := planner(t)
		p.Observe(firing("t", "a", "b"), epoch)
		err := p.Configure(c, epoch)
		require.ErrorIs(t, err, ErrConfig)
		require.ErrorContains(t, err, want)
		notices, _ := tell(p, epoch.Add(2*time.Second))
		require.Equal(t, 1, notices, "the old configuration stays in force")
	}
}

// TestUnconfigured: before Configure nothing is told and everything is safe to
// ask.
func TestUnconfigured(t *testing.T) {
	p := New(Options{IDPrefix: "n"})
	a := firing("t", "a", "b")
	p.Observe(a, epoch)
	require.Zero(t, p.Next())
	require.Empty(t, p.Due(epoch.Add(time.Hour)))
	require.Equal(t, StateActive, p.Status(a, epoch).State)
	require.Empty(t, p.Explain(a.Key(), epoch))
	require.Empty(t, p.Groups(epoch, GroupFilter{}))
	require.False(t, p.Holds(a.Key()))
	p.Forget(alert.Key{Tenant: "nobody"})
	p.Forget(a.Key())
	p.Forget(a.Key())
	_, ok := p.Done("nobody", Outcome{}, epoch)
	require.False(t, ok)
	_, ok = p.Claim("nobody")
	require.False(t, ok)
	require.Equal(t, Size{}, p.Size())
}

// TestBody: firing alerts are shown without an end though their lease has one,
// and what the planner holds isn't touched.
func TestBody(t *testing.T) {
	p := planner(t)
	a, b := firing("t", "alertname", "a", "job", "z"), firing("t", "alertname", "b", "job", "y")
	a.EndsAt = epoch.Add(time.Minute)
	p.Observe(a, epoch)
	p.Observe(b, epoch)
	n := p.Due(epoch.Add(2 * time.Second))[0]
	require.Equal(t, []*alert.Alert{b, n.Alerts[1]}, n.Alerts, "sorted by job; shared where nothing differs")
	require.Zero(t, n.Alerts[1].EndsAt)
	require.Equal(t, epoch.Add(time.Minute), a.EndsAt)
	require.Equal(t, epoch.Add(2*time.Second+5*time.Minute), n.Deadline)
	require.Equal(t, "n-1", n.ID)
}

// TestGroupsFilter: filters see receiver, alert and status; ended alerts are
// never listed.
func TestGroupsFilter(t *testing.T) {
	p := planner(t, "alertname")
	ended := firing("t", "alertname", "a", "i", "2")
	for _, a := range []*alert.Alert{firing("t", "alertname", "b"), firing("t", "alertname", "a", "i", "1"), ended} {
		p.Observe(a, epoch)
	}
	over := *ended
	over.EndsAt = epoch + 1
	p.Observe(&over, epoch+1)
	all := p.Groups(epoch+1, GroupFilter{})
	require.Len(t, all, 2)
	require.Equal(t, `{}:{alertname="a"}`, all[0].Key)
	require.Len(t, all[0].Alerts, 1)
	require.Equal(t, []string{"r"}, all[0].Alerts[0].Status.Receivers)
	require.Empty(t, p.Groups(epoch+1, GroupFilter{Receiver: func(string) bool { return false }}))
	some := p.Groups(epoch+1, GroupFilter{Alert: func(a *alert.Alert, s *Status) bool {
		return s.State == StateActive && a.Labels.Get("i") == "1"
	}})
	require.Len(t, some, 1)
}

// TestCollision: labels of one fingerprint that differ are not taken for the
// alert that is known.
func TestCollision(t *testing.T) {
	p := planner(t)
	a := firing("t", "alertname", "a")
	p.Observe(a, epoch)
	i := p.tenants["t"].alerts[a.Labels.Fingerprint()]
	p.slots[i].a = firing("t", "alertname", "other")
	p.Observe(a, epoch)
	require.Equal(t, "other", p.slots[i].a.Labels.Get(label.AlertName))
}

// TestTrailIsBounded: what is kept of a receiver that fails for ever is not
// more than a trail's events.
func TestTrailIsBounded(t *testing.T) {
	p := planner(t)
	a := firing("t", "alertname", "a")
	p.Observe(a, epoch)
	now := epoch
	for i := range 200 {
		now = max(now, p.Next())
		for _, n := range p.Due(now) {
			require.Equal(t, First, n.Reason)
			p.Done(n.ID, Outcome{At: now, Err: string(rune('a' + i%7)), Attempts: 3}, now)
		}
	}
	events := p.Explain(a.Key(), now)
	require.LessOrEqual(t, len(events), trail.MaxEvents+3)
	failed := 0
	for _, e := range events {
		if e.Kind == trail.Failed {
			failed++
		}
	}
	require.Greater(t, failed, 20)
}
