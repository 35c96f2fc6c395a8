package node

import (
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A clock that is set forward by an hour while a silence runs neither tells anybody
// twice nor loses an end; the silence ends with the node's time.
func TestClockIsSetDuringSilence(t *testing.T) {
	for name, step := range map[string]time.Duration{"forward": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var off atomic.Int64
				h := startHost(t, oneReceiver, nil)
				require.NoError(t, h.n.Stop(t.Context()))
				h.now = func() time.Time { return time.Now().Add(time.Duration(off.Load())) }
				h.start()
				h.ok(http.MethodPost, "/api/v2/silences", `{"matchers":[{"name":"host","value":"h2","isRegex":false}],"startsAt":"`+
					h.now().Format(time.RFC3339Nano)+`","endsAt":"`+h.now().Add(30*time.Minute).Format(time.RFC3339Nano)+`","createdBy":"t","comment":"c"}`)
				for _, host := range []string{"h1", "h2"} { // firing until told: no lease runs out
					h.ok(http.MethodPost, "/api/v2/alerts", `[{"labels":{"alertname":"`+host+`","host":"`+host+`"},"endsAt":"2010-01-01T00:00:00Z"}]`)
				}
				time.Sleep(10 * time.Second)
				require.Equal(t, []string{"hook firing [first notification] +h1{h1}"}, h.heard())
				off.Store(int64(step))
				time.Sleep(10 * time.Minute)
				require.Equal(t, []string{"hook firing [first notification] +h2{h2}"}, h.heard(), "the silence has ended")
				h.kill()
				time.Sleep(time.Minute)
				require.Empty(t, h.heard())
				for _, host := range []string{"h1", "h2"} {
					h.ok(http.MethodPost, "/api/v2/alerts", `[{"labels":{"alertname":"`+host+`","host":"`+host+`"},"endsAt":"`+h.now().Format(time.RFC3339Nano)+`"}]`)
				}
				time.Sleep(time.Minute)
				require.ElementsMatch(t, []string{"hook resolved [all alerts resolved] -h1{h1}", "hook resolved [all alerts resolved] -h2{h2}"}, h.heard())
			})
		})
	}
}
