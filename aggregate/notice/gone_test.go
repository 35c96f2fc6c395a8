package notice

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/aggregate/route"
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
