package notify_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/node/notify"
)

// script is a sender that answers as told, and then succeeds.
type script struct {
	mu      sync.Mutex
	answers []error
	retry   bool
	hang    time.Duration
	times   []time.Time
}

func (s *script) Send(ctx context.Context, _ *notify.Message) (bool, error) {
	s.mu.Lock()
	s.times = append(s.times, time.Now())
	var err error
	if len(s.answers) > 0 {
		err, s.answers = s.answers[0], s.answers[1:]
	}
	s.mu.Unlock()
	if s.hang > 0 {
		select {
		case <-time.After(s.hang):
		case <-ctx.Done():
			return true, context.Cause(ctx)
		}
	}
	return s.retry, err
}

// run submits one message to each named integration and waits for the outcomes.
func run(t *testing.T, senders map[string]notify.Sender, deadline time.Duration) map[string]notify.Outcome {
	t.Helper()
	d := notify.NewDispatcher(notify.Options{})
	d.Configure(senders)
	var mu sync.Mutex
	var wg sync.WaitGroup
	out := map[string]notify.Outcome{}
	for key := range senders {
		wg.Add(1)
		d.Submit(notify.Job{
			Integration: key, Message: &notify.Message{}, Deadline: time.Now().Add(deadline),
			Done: func(o notify.Outcome) {
				mu.Lock()
				out[key] = o
				mu.Unlock()
				wg.Done()
			},
		})
	}
	wg.Wait()
	require.NoError(t, d.Stop(t.Context()))
	return out
}

var errDown = errors.New("down")

func TestRetriesUntilDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []error{errDown, errDown}, retry: true}
		out := run(t, map[string]notify.Sender{"a": s}, time.Minute)
		require.True(t, out["a"].Delivered)
		require.Equal(t, 3, out["a"].Attempts)
		first, second := s.times[1].Sub(s.times[0]), s.times[2].Sub(s.times[1])
		require.InDelta(t, 0.5, first.Seconds(), 0.26, "first pause is 0.5 s +-50 %%")
		require.InDelta(t, 0.75, second.Seconds(), 0.4, "then half longer")
	})
}

func TestRefusalIsFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := run(t, map[string]notify.Sender{"a": &script{answers: []error{errDown}}}, time.Minute)
		require.False(t, out["a"].Delivered)
		require.Equal(t, 1, out["a"].Attempts)
		require.ErrorIs(t, out["a"].Err, errDown)
	})
}

func TestGivesUpAtTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		out := run(t, map[string]notify.Sender{"a": &script{hang: time.Hour}}, 10*time.Second)
		require.False(t, out["a"].Delivered)
		require.Equal(t, 10*time.Second, time.Since(began))
	})
}

func TestHungReceiverDelaysNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		out := run(t, map[string]notify.Sender{"dead": &script{hang: time.Hour}, "good": &script{}}, 30*time.Second)
		require.True(t, out["good"].Delivered)
		require.Zero(t, out["good"].At.Sub(began))
	})
}

// TestRefusedMessageDelaysNobody: many messages that a receiver answers with an
// error wait for their next attempt beside the others, not in front of them.
func TestRefusedMessageDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := notify.NewDispatcher(notify.Options{})
		d.Configure(map[string]notify.Sender{"a": poisoned{}})
		began := time.Now()
		bad, good := make(chan notify.Outcome, 50), make(chan notify.Outcome, 1)
		submit := func(group string, done chan notify.Outcome) {
			d.Submit(notify.Job{
				Integration: "a", Message: &notify.Message{GroupKey: group}, Deadline: began.Add(time.Hour),
				Done: func(o notify.Outcome) { done <- o },
			})
		}
		for range cap(bad) {
			submit("bad", bad)
		}
		submit("good", good)
		o := <-good
		require.True(t, o.Delivered)
		require.Zero(t, o.At.Sub(began))
		time.Sleep(time.Minute)
		d.Configure(map[string]notify.Sender{"a": &script{}}) // the next attempt is the new sender's
		for range cap(bad) {
			o := <-bad
			require.True(t, o.Delivered)
			require.Greater(t, o.Attempts, 2)
		}
		require.NoError(t, d.Stop(t.Context()))
	})
}

// TestUnansweredAttemptsDelayNobody: a receiver leaves every third request
// without an answer; the others are delivered all the same, and no worker too
// many is left.
func TestUnansweredAttemptsDelayNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := notify.NewDispatcher(notify.Options{})
		s := &patchy{}
		d.Configure(map[string]notify.Sender{"a": s})
		began := time.Now()
		var mu sync.Mutex
		var late, hung int
		for i := range 120 {
			group := "good"
			if i%3 == 0 {
				group = "bad"
			}
			d.Submit(notify.Job{
				Integration: "a", Message: &notify.Message{GroupKey: group}, Deadline: began.Add(time.Hour),
				Done: func(o notify.Outcome) {
					mu.Lock()
					defer mu.Unlock()
					if group == "bad" {
						hung++
					} else if o.At.Sub(began) > time.Minute {
						late++
					}
				},
			})
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		require.Zero(t, late)
		require.Equal(t, 40, hung)
		s.peak = 0
		for range 50 {
			d.Submit(notify.Job{
				Integration: "a", Message: &notify.Message{GroupKey: "brief"}, Deadline: time.Now().Add(time.Hour), Done: func(notify.Outcome) {},
			})
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, 8, s.peak, "at once")
		require.NoError(t, d.Stop(t.Context()))
	})
}

// patchy leaves the messages of one group without an answer, and counts how
// many it has at once.
type patchy struct {
	mu        sync.Mutex
	now, peak int
}

func (p *patchy) Send(ctx context.Context, m *notify.Message) (bool, error) {
	p.mu.Lock()
	p.now++
	p.peak = max(p.peak, p.now)
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.now--
		p.mu.Unlock()
	}()
	switch m.GroupKey {
	case "bad":
		<-ctx.Done()
		return true, context.Cause(ctx)
	case "brief":
		<-time.After(time.Second)
	}
	return false, nil
}

// TestWaitingJobsEnd: a job between two attempts ends once, by Stop or with its
// integration, and what may have arrived is known.
func TestWaitingJobsEnd(t *testing.T) {
	for name, end := range map[string]func(*notify.Dispatcher){
		"stop": func(d *notify.Dispatcher) { _ = d.Stop(context.Background()) },
		"gone": func(d *notify.Dispatcher) { d.Configure(nil) },
	} {
		synctest.Test(t, func(t *testing.T) {
			d := notify.NewDispatcher(notify.Options{FirstRetry: time.Hour, MaxRetry: time.Hour})
			d.Configure(map[string]notify.Sender{"a": &script{answers: []error{notify.ErrUnanswered}, retry: true}})
			var got []notify.Outcome
			d.Submit(notify.Job{
				Integration: "a", Message: &notify.Message{}, Deadline: time.Now().Add(24 * time.Hour),
				Done: func(o notify.Outcome) { got = append(got, o) },
			})
			synctest.Wait()
			require.Empty(t, got, name)
			end(d)
			time.Sleep(3 * time.Hour)
			require.Len(t, got, 1, name)
			require.False(t, got[0].Delivered, name)
			require.True(t, got[0].Unsure, name)
			require.NoError(t, d.Stop(t.Context()))
		})
	}
}

// poisoned refuses the messages of one group.
type poisoned struct{}

func (poisoned) Send(_ context.Context, m *notify.Message) (bool, error) {
	if m.GroupKey == "bad" {
		return true, errDown
	}
	return false, nil
}

func TestStopEndsWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := notify.NewDispatcher(notify.Options{})
		d.Configure(map[string]notify.Sender{"a": &script{hang: time.Hour}})
		done := make(chan notify.Outcome, 2)
		job := notify.Job{Integration: "a", Message: &notify.Message{}, Deadline: time.Now().Add(time.Hour), Done: func(o notify.Outcome) { done <- o }}
		d.Submit(job)
		synctest.Wait()
		require.NoError(t, d.Stop(t.Context()))
		require.False(t, (<-done).Delivered)
		d.Submit(job)
		require.ErrorIs(t, (<-done).Err, context.Canceled, "after Stop")
	})
}

func TestUnknownIntegration(t *testing.T) {
	d := notify.NewDispatcher(notify.Options{})
	done := make(chan notify.Outcome, 1)
	d.Submit(notify.Job{Integration: "x", Message: &notify.Message{}, Done: func(o notify.Outcome) { done <- o }})
	require.ErrorIs(t, (<-done).Err, notify.ErrNoSender)
}

func message() *notify.Message {
	firing := &alert.Alert{
		Labels: label.FromStrings("alertname", "A", "host", "h1"), Annotations: label.FromStrings("summary", "<x>", "r", "1"),
		StartsAt: alert.Time(time.Hour), EndsAt: alert.Time(9 * time.Hour), GeneratorURL: "http://g",
	}
	ended := &alert.Alert{
		Labels: label.FromStrings("alertname", "A", "host", "h2"), Annotations: label.FromStrings("r", "1"),
		StartsAt: alert.Time(time.Hour), EndsAt: alert.Time(90 * time.Minute),
	}
	return &notify.Message{
		ID: "id1", Receiver: "team-X", GroupKey: `{}:{alertname="A"}`, Reason: "new alerts added",
		GroupLabels: label.FromStrings("alertname", "A"), Alerts: []*alert.Alert{firing, ended}, At: alert.Time(2 * time.Hour), ExternalURL: "http://n",
	}
}

func TestBodyIsAlertmanagersVersion4(t *testing.T) {
	require.JSONEq(t, `{"receiver":"team-X","status":"firing","alerts":[
		{"status":"firing","labels":{"alertname":"A","host":"h1"},"annotations":{"r":"1","summary":"<x>"},"startsAt":"1970-01-01T01:00:00Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://g","fingerprint":"`+message().Alerts[0].Labels.Fingerprint().String()+`"},
		{"status":"resolved","labels":{"alertname":"A","host":"h2"},"annotations":{"r":"1"},"startsAt":"1970-01-01T01:00:00Z","endsAt":"1970-01-01T01:30:00Z","generatorURL":"","fingerprint":"`+message().Alerts[1].Labels.Fingerprint().String()+`"}],
		"notification_reason":"new alerts added","groupLabels":{"alertname":"A"},"commonLabels":{"alertname":"A"},"commonAnnotations":{"r":"1"},
		"routeLabels":{},"externalURL":"http://n","version":"4","groupKey":"{}:{alertname=\"A\"}","truncatedAlerts":0}`,
		string(message().AppendJSON(nil, 0)))
	m := message()
	m.Alerts = []*alert.Alert{m.Alerts[1], m.Alerts[0]}
	cut := string(m.AppendJSON(nil, 1))
	require.Contains(t, cut, `"truncatedAlerts":1`)
	require.Contains(t, cut, `"status":"resolved","alerts":`, "the status is that of the alerts shown, as upstream")
}

func TestExplained(t *testing.T) {
	plain := message().Alerts[0]
	foreign := &alert.Alert{
		Labels: label.FromStrings("alertname", "A", "severity", "High"), Annotations: label.FromStrings("description", "mine"),
		Extra: &alert.Extra{Summary: "disk full", Description: "theirs", SeverityRaw: "High", ExternalURL: "http://z/1"},
	}
	got := notify.Explained([]*alert.Alert{plain, foreign})
	require.Same(t, plain, got[0])
	require.Equal(t, map[string]string{"summary": "disk full", "description": "mine", "external_url": "http://z/1"}, got[1].Annotations.Map())
	require.Equal(t, label.FromStrings("description", "mine"), foreign.Annotations, "the alert itself was changed")
}
