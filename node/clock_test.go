package node

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestClockNeverStepsBack: time set back goes on at half speed and catches up;
// time set forward is followed at once.
func TestClockNeverStepsBack(t *testing.T) {
	began := time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)
	up, set := time.Duration(0), time.Duration(0)
	var out bytes.Buffer
	c := &clock{
		machine: func() time.Time { return began.Add(up + set) },
		uptime:  func() time.Duration { return up },
		log:     slog.New(slog.NewTextHandler(&out, nil)),
	}
	c.now()
	after := func(d time.Duration) time.Duration {
		up += d
		return c.now().Sub(began)
	}
	require.Equal(t, time.Minute, after(time.Minute))
	set = -time.Hour
	require.Equal(t, time.Minute, after(0), "not back")
	require.Equal(t, time.Minute+5*time.Second, after(10*time.Second), "but on")
	require.Equal(t, 1, strings.Count(out.String(), "set back"), "said once: %s", out.String())
	require.Equal(t, 16*time.Minute+5*time.Second, after(30*time.Minute))
	require.Equal(t, 91*time.Minute+10*time.Second, after(2*time.Hour), "caught up: the machine's own again")
	set = 0
	require.Equal(t, 151*time.Minute+10*time.Second, after(0), "forward")
}
