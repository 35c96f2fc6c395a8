package notice

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/route"
	"github.com/fenghuo-mesh/fenghuo/aggregate/silence"
)

// TestIntegrationGoneInFlight: an integration leaves the configuration while
// it is being told and a flush has passed by. Its group lives on by another
// integration, and nobody is asked to look at it over and over.
func TestIntegrationGoneInFlight(t *testing.T) {
	second, minute := time.Second, time.Minute
	tree, err := route.New(&route.Spec{Receiver: "r", GroupWait: &second, GroupInterval: &minute})
	require.NoError(t, err)
	kept, gone := Integration{Key: "r/webhook/0", SendResolved: true}, Integration{Key: "r/webhook/1", SendResolved: true}
	p := New(Options{IDPrefix: "n"})
	require.NoError(t, p.Configure(Config{Tree: tree, Receivers: []Receiver{{Name: "r", Integrations: []Integration{kept, gone}}}}, epoch))
	p.Observe(firing("t", "alertname", "x"), epoch)
	now := epoch.Add(2 * time.Second)
	var hanging *Notice
	for _, n := range p.Due(now) {
		if n.Integration == gone.Key {
			hanging = n
			continue
		}
		p.Done(n.ID, Outcome{Delivered: true, At: now}, now)
	}
	require.NotNil(t, hanging)
	now = now.Add(2 * minute)
	require.Empty(t, p.Due(now)) // passes the hanging one by
	require.NoError(t, p.Configure(Config{Tree: tree, Receivers: []Receiver{{Name: "r", Integrations: []Integration{kept}}}}, now))
	p.Done(hanging.ID, Outcome{At: now}, now)
	require.Empty(t, p.Due(now))
	require.Greater(t, p.Next(), now)
}

// TestLateAnswer: a receiver that had the message and didn't answer in time
// may have heard that the alert began. So it hears that it ended, also after a
// restart; one that was never reached doesn't.
func TestLateAnswer(t *testing.T) {
	for _, unsure := range []bool{true, false} {
		for _, restart := range []bool{false, true} {
			p := planner(t)
			p.Observe(firing("t", "alertname", "x"), epoch)
			now := epoch.Add(2 * time.Second)
			n := p.Due(now)[0]
			told, ok := p.Done(n.ID, Outcome{Unsure: unsure, At: now, Attempts: 1, Err: "no answer"}, now)
			require.True(t, ok)
			require.Equal(t, Failed, told.State)
			b, err := told.AppendBinary(nil)
			require.NoError(t, err)
			told = Told{}
			require.NoError(t, told.UnmarshalBinary(b))
			ended := *firing("t", "alertname", "x")
			ended.EndsAt, ended.UpdatedAt = now, now
			if restart {
				p = planner(t)
				p.Load(told)
			}
			now = now.Add(time.Hour)
			p.Observe(&ended, now)
			require.Equal(t, unsure, p.Holds(ended.Key()))
			due := p.Due(now)
			if !unsure {
				require.Empty(t, due)
				continue
			}
			require.Len(t, due, 1)
			require.Equal(t, AllResolved, due[0].Reason)
			p.Done(due[0].ID, Outcome{Delivered: true, At: now, Attempts: 1}, now)
			require.Empty(t, p.Due(now.Add(time.Hour)), "once")
			require.False(t, p.Holds(ended.Key()))
		}
	}
}

// TestSentInTheFuture: the clock was hours ahead when a group was told last,
// and is right since the restart. News of the group wait one interval, no more.
func TestSentInTheFuture(t *testing.T) {
	old := planner(t)
	old.Observe(firing("t", "alertname", "x"), epoch)
	ahead := epoch.Add(8 * time.Hour)
	n := old.Due(ahead)[0]
	told, ok := old.Done(n.ID, Outcome{Delivered: true, At: ahead, Attempts: 1}, ahead)
	require.True(t, ok)
	p := planner(t)
	p.Load(told)
	p.Observe(firing("t", "alertname", "x"), epoch)
	p.Observe(firing("t", "alertname", "y"), epoch)
	require.LessOrEqual(t, p.Next(), epoch.Add(route.DefaultGroupInterval))
	require.Len(t, p.Due(epoch.Add(route.DefaultGroupInterval)), 1)
}

// TestManyMutings: an alert is muted and heard again more often than an episode
// can count. It doesn't become news for ever, and its end is told once.
func TestManyMutings(t *testing.T) {
	p := planner(t)
	book := silence.NewBook(silence.Options{})
	p.silences = book
	ms, err := label.ParseMatchers(`alertname="x"`)
	require.NoError(t, err)
	now := epoch
	p.Observe(firing("t", "alertname", "x"), now)
	flush := func() int {
		now = now.Add(6 * time.Minute)
		due := p.Due(now)
		for _, n := range due {
			p.Done(n.ID, Outcome{Delivered: true, At: now, Attempts: 1}, now)
		}
		return len(due)
	}
	require.Equal(t, 1, flush())
	for i := range 300 {
		id := fmt.Sprintf("s%d", i)
		_, _, err = book.Put(silence.Silence{Tenant: "t", Matchers: ms, EndsAt: now.Add(100000 * time.Hour)}, id, now)
		require.NoError(t, err)
		p.Observe(firing("t", "alertname", fmt.Sprintf("y%d", i)), now)
		require.Equal(t, 1, flush())
		_, _, err = book.Expire(id, now)
		require.NoError(t, err)
		heard := flush()
		if i < 200 {
			require.Equal(t, 1, heard, "%d: heard again", i)
		}
		require.Zero(t, flush(), "%d: nothing new", i)
	}
	a := *firing("t", "alertname", "x")
	a.EndsAt, a.UpdatedAt = now, now
	p.Observe(&a, now)
	require.Equal(t, 1, flush(), "the end")
	require.Zero(t, flush(), "once")
}
