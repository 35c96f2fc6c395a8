package node

import (
	"net/http"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/node/config"
)

const hotRule = `
groups:
- name: g
  interval: 15s
  rules:
  - {alert: Hot, expr: temperature > 80, for: 30s, annotations: {summary: '{{ $labels.host }}'}}
`

// An alert of a rule is told once, however often the node is restarted or
// killed while it fires, and its end is told.
func TestRuleOverRestarts(t *testing.T) {
	for name, again := range map[string]func(*testHost){"restart": (*testHost).restart, "kill": (*testHost).kill} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := startHost(t, oneReceiver, nil)
				h.write("rules.yml", hotRule)
				c := *h.conf
				c.Rules.Files = []string{filepath.Join(h.dir, "rules.yml")}
				h.conf = &c
				h.restart()
				hot := []string{"__name__", "temperature", "host", "h1"}
				h.measureFor(2*time.Minute, 90, hot...)
				require.Equal(t, []string{"hook firing [first notification] +Hot{h1}"}, h.heard())
				for range 3 {
					again(h)
					h.measureFor(3*time.Minute, 90, hot...)
					require.Empty(t, h.heard(), "a restart resolves nothing and pages nobody")
				}
				h.measureFor(time.Minute, 10, hot...)
				require.Equal(t, []string{"hook resolved [all alerts resolved] -Hot{h1}"}, h.heard())
				again(h)
				h.measureFor(2*time.Minute, 10, hot...)
				require.Empty(t, h.heard())
			})
		})
	}
}

// A reload that can't be carried out leaves everything as it was; one that
// takes rules or receivers away ends what they began.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHost(t, oneReceiver, nil)
		h.write("rules.yml", hotRule)
		c := *h.conf
		c.Rules.Files = []string{filepath.Join(h.dir, "rules.yml")}
		h.conf = &c
		h.restart()
		h.measureFor(2*time.Minute, 90, "__name__", "temperature", "host", "h1")
		h.fire("alertname=A", "host=h1")
		time.Sleep(10 * time.Second)
		require.Len(t, h.heard(), 2)

		h.write("alertmanager.yml", "route: {receiver: nobody}\nreceivers: [{name: hook}]\n")
		require.Error(t, h.n.Reload(t.Context()))
		h.write("alertmanager.yml", oneReceiver)
		h.write("rules.yml", "groups: [{name: g, rules: [{alert: Hot, expr: 'temperature >'}]}]\n")
		require.Error(t, h.n.Reload(t.Context()))
		h.write("alertmanager.yml", "nonsense")
		h.fire("alertname=B", "host=h1")
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"hook firing [first notification] +B{h1}"}, h.heard(), "the old configuration is in force")

		h.write("alertmanager.yml", oneReceiver)
		h.write("rules.yml", "groups: []\n")
		require.NoError(t, h.n.Reload(t.Context()))
		time.Sleep(30 * time.Second)
		require.Equal(t, []string{"hook resolved [all alerts resolved] -Hot{h1}"}, h.heard(), "a rule that is gone ends its alerts")

		// Another receiver takes the route.
		h.write("alertmanager.yml", `
route: {receiver: other, group_by: [alertname], group_wait: 1s, group_interval: 5s, repeat_interval: 4h}
receivers:
- {name: hook, webhook_configs: [{url: "http://test/hook"}]}
- {name: other, webhook_configs: [{url: "http://test/other"}]}
`)
		require.NoError(t, h.n.Reload(t.Context()))
		time.Sleep(30 * time.Second)
		require.ElementsMatch(t, []string{
			"other firing [first notification] +A{h1}", "other firing [first notification] +B{h1}",
		}, h.heard())
		h.resolve("alertname=A", "host=h1")
		time.Sleep(30 * time.Second)
		require.ElementsMatch(t, []string{
			"hook resolved [all alerts resolved] -A{h1}", "other resolved [all alerts resolved] -A{h1}",
		}, h.heard(), "who was told of the begin is told of the end, though no route leads there")
	})
}

// A sender's own key names the problem, though its severity has changed.
func TestDedupeKeyThroughIngest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHost(t, oneReceiver, func(c *config.Config) {
			c.Intake.Sources = []config.Source{{Name: "pd", Type: "pagerduty_events_v2", Key: "secretkey12345678"}}
		})
		send := func(body string) { h.ok(http.MethodPost, "/v1/ingest/pagerduty_events_v2/secretkey12345678", body) }
		send(`{"routing_key":"secretkey12345678","event_action":"trigger","dedup_key":"disk-7","payload":{"summary":"disk full","source":"h1","severity":"warning"}}`)
		time.Sleep(10 * time.Second)
		require.Len(t, h.heard(), 1)
		send(`{"routing_key":"secretkey12345678","event_action":"trigger","dedup_key":"disk-7","payload":{"summary":"disk full","source":"h1","severity":"critical"}}`)
		time.Sleep(10 * time.Second)
		require.Empty(t, h.heard(), "the same problem")
		h.kill()
		send(`{"routing_key":"secretkey12345678","event_action":"resolve","dedup_key":"disk-7"}`)
		time.Sleep(20 * time.Second)
		told := h.heard()
		require.Len(t, told, 1)
		require.Contains(t, told[0], "hook resolved [all alerts resolved]")
		var open struct {
			Alerts []any `json:"alerts"`
		}
		h.get("/v1/alerts?state=firing", &open)
		require.Empty(t, open.Alerts)
	})
}

// Silences and incidents survive a kill, and a silenced alert stays quiet.
func TestKeptOverKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHost(t, oneReceiver, nil)
		h.ok(http.MethodPost, "/api/v2/silences", `{"matchers":[{"name":"host","value":"h2","isRegex":false}],"startsAt":"`+
			time.Now().Format(time.RFC3339)+`","endsAt":"`+time.Now().Add(time.Hour).Format(time.RFC3339)+`","createdBy":"t","comment":"c"}`)
		h.fire("alertname=A", "host=h1")
		time.Sleep(10 * time.Second)
		require.Len(t, h.heard(), 1)
		incidents := func() (ids []string) {
			var page struct {
				Incidents []struct {
					ID string `json:"id"`
				} `json:"incidents"`
			}
			h.get("/v1/incidents", &page)
			for _, in := range page.Incidents {
				ids = append(ids, in.ID)
			}
			return ids
		}
		before := incidents()
		require.Len(t, before, 1)
		for range 2 {
			h.kill()
			h.fire("alertname=A", "host=h2")
			time.Sleep(20 * time.Second)
			require.Empty(t, h.heard(), "silenced")
			require.Equal(t, before, incidents(), "an incident goes on under its name")
		}
		var silences []any
		h.get("/api/v2/silences", &silences)
		require.Len(t, silences, 1)
	})
}

// An alert that nobody renews ends by itself, and says so.
func TestExpiryAndTrail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHost(t, oneReceiver, nil)
		h.ok(http.MethodPost, "/api/v2/alerts", `[{"labels":{"alertname":"A","host":"h1"}}]`) // no end: resolve_timeout
		var page struct {
			Alerts []struct {
				ID string `json:"id"`
			} `json:"alerts"`
		}
		h.get("/v1/alerts", &page)
		require.Len(t, page.Alerts, 1)
		kinds := func() (kinds []string) {
			var a struct {
				Trail []struct {
					Kind string `json:"kind"`
				} `json:"trail"`
			}
			h.get("/v1/alerts/"+page.Alerts[0].ID, &a)
			for _, e := range a.Trail {
				kinds = append(kinds, e.Kind)
			}
			return kinds
		}
		synctest.Wait() // the lead hears of it after the sender is answered
		require.Subset(t, kinds(), []string{"received", "routed", "waiting"})
		h.answer("hook", http.StatusBadRequest)
		time.Sleep(3 * time.Second)
		require.Subset(t, kinds(), []string{"received", "joined", "routed", "failed"})
		h.answer("hook", 0)
		time.Sleep(30 * time.Second)
		require.Len(t, h.heard(), 1)
		require.Subset(t, kinds(), []string{"received", "joined", "routed", "sent"})
		h.kill()
		time.Sleep(4 * time.Minute)
		require.Empty(t, h.heard(), "a lease begins anew after a kill")
		time.Sleep(2 * time.Minute)
		require.Equal(t, []string{"hook resolved [all alerts resolved] -A{h1}"}, h.heard())
		require.Contains(t, kinds(), "expired")
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		require.Empty(t, h.n.ledger.Held(nil, nil))
		require.Subset(t, kinds(), []string{"received", "joined", "routed", "sent", "expired"}, "the history keeps the trail")
		h.kill()
		time.Sleep(3 * time.Minute)
		require.Subset(t, kinds(), []string{"received", "joined", "routed", "sent", "expired"}, "the history keeps the trail over a kill")
		require.Empty(t, h.heard())
	})
}
