package history

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/trail"
	"github.com/fenghuo-mesh/fenghuo/node/store"
)

// What fires is not noted, and is found all the same; its end is the last word,
// also where a search comes between.
func TestOpenAlertsAreFound(t *testing.T) {
	s, err := store.Open(store.Options{Dir: t.TempDir(), BallastBytes: -1, MinFreeBytes: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Stop(context.Background())) })
	open := map[string]*alert.Alert{}
	h := New(Options{
		Store: s, Logger: slog.New(slog.DiscardHandler), Now: time.Now,
		Replay: func(uint64, func(uint64, *alert.Alert) error) error { return nil },
		Open: func(since uint64) (list []*alert.Alert) {
			for _, a := range open {
				if a.Version > since {
					list = append(list, a)
				}
			}
			return list
		},
	})
	begin := alert.At(time.Now()).Add(-time.Hour)
	fires := func(id string, version uint64) *alert.Alert {
		return &alert.Alert{
			Tenant: "t", Labels: label.FromStrings("alertname", "Disk", "id", id), StartsAt: begin, Onset: begin, UpdatedAt: begin, Count: 1, Version: version,
		}
	}
	find := func() map[string]bool {
		found, _, unread, err := h.Search(context.Background(), Query{From: begin, Limit: 10})
		require.NoError(t, err)
		require.Zero(t, unread)
		out := map[string]bool{}
		for _, a := range found {
			require.NotContains(t, out, a.Labels.Get("id"), "an episode is found once")
			out[a.Labels.Get("id")] = a.Fires()
		}
		return out
	}
	require.Empty(t, find())
	open["1"], open["2"] = fires("1", 1), fires("2", 2)
	require.Equal(t, map[string]bool{"1": true, "2": true}, find())
	require.Equal(t, map[string]bool{"1": true, "2": true}, find(), "nothing is written again")
	require.Equal(t, 2, s.Stats().Gathered)

	ended := fires("1", 3)
	ended.EndsAt, ended.UpdatedAt = begin.Add(time.Minute), begin.Add(time.Minute)
	delete(open, "1")
	open["3"] = fires("3", 4)
	h.Note(ended, trail.Log{})
	h.Seen(9)
	require.Equal(t, map[string]bool{"1": false, "2": true, "3": true}, find())
	require.EqualValues(t, 9, s.Stats().Pending)
	a, _, found, err := h.Get(context.Background(), ended.ID())
	require.NoError(t, err)
	require.True(t, found)
	require.False(t, a.Fires())
}
