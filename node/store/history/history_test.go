package history

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/trail"
	"github.com/fenghuo-mesh/fenghuo/node/store"
)

func sample() (*alert.Alert, trail.Log) {
	a := &alert.Alert{
		Tenant: "t", Labels: label.FromStrings("alertname", "Disk", "host", "h1"), Annotations: label.FromStrings("summary", "full"),
		StartsAt: 1e18, Onset: 1e18, EndsAt: 1e18 + 5e9, ReceivedAt: 1e18 + 1, UpdatedAt: 1e18 + 2, Version: 7, Count: 3, Priority: alert.P1,
	}
	return a, trail.Log{}.Add(trail.Event{At: 1e18, Kind: trail.Received, Subject: "zabbix", Detail: "one report so far"})
}

// The bytes of version 1 stay readable for ever.
func TestFixture(t *testing.T) {
	const name = "testdata/v1.hex"
	a, why := sample()
	h := new(Historian)
	h.encode(a, why)
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	want, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	require.NoError(t, err)
	require.Equal(t, hex.EncodeToString(want), hex.EncodeToString(h.docs[0].Data))
	got, log, err := decode(want)
	require.NoError(t, err)
	require.Equal(t, a, got)
	require.Equal(t, why, log)
}

func FuzzDecode(f *testing.F) {
	a, why := sample()
	h := new(Historian)
	h.encode(a, why)
	h.encode(a, trail.Log{})
	for _, d := range h.docs {
		f.Add(d.Data)
	}
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		a, log, err := decode(data)
		if err != nil {
			return
		}
		h := new(Historian)
		h.encode(a, log)
		again, logAgain, err := decode(h.docs[0].Data)
		require.NoError(t, err)
		require.Equal(t, a.Labels, again.Labels)
		require.Equal(t, log.Events(), logAgain.Events())
	})
}

// disk is a store whose space comes and goes, and a journal beside it.
type disk struct {
	t       *rapid.T
	o       store.Options
	s       *store.Store
	h       *Historian
	full    atomic.Bool
	journal []*alert.Alert // at position index+1
	open    map[string]*alert.Alert
	version uint64
}

func (d *disk) start() {
	var err error
	d.s, err = store.Open(d.o)
	require.NoError(d.t, err)
	d.h = New(Options{
		Store: d.s, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		Replay: func(from uint64, each func(uint64, *alert.Alert) error) error {
			for i := int(from); i < len(d.journal); i++ {
				if err := each(uint64(i+1), d.journal[i]); err != nil {
					return err
				}
			}
			return nil
		},
		Open: func(since uint64) (out []*alert.Alert) {
			for _, a := range d.open {
				if a.Version > since {
					out = append(out, a)
				}
			}
			return out
		},
	})
}

// Whatever the disk refuses and whenever the store begins anew: in the end the
// history holds every episode once, in its last state, and the why-trails that
// were noted in this life.
func TestCompleteAfterRefusals(t *testing.T) {
	dir := t.TempDir()
	life := 0
	rapid.Check(t, func(rt *rapid.T) {
		life++
		d := &disk{t: rt, open: map[string]*alert.Alert{}}
		d.o = store.Options{Dir: fmt.Sprint(dir, "/", life), MinFreeBytes: 1 << 20, BallastBytes: -1, FreeSpace: func(string) (uint64, error) {
			if d.full.Load() {
				return 0, nil
			}
			return 1 << 40, nil
		}}
		d.start()
		defer func() { require.NoError(rt, d.s.Stop(context.Background())) }()
		want, why := map[string]bool{}, map[string]bool{} // firing, by ID; noted with a trail
		ctx := context.Background()
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"fire", "fire", "end", "end", "flush", "write", "full", "room", "search", "restart"}).Draw(rt, "step") {
			case "fire": // the store refuses once a chunk is full
				for range rapid.SampledFrom([]int{1, 200}).Draw(rt, "alerts") {
					d.version++
					a, _ := sample()
					a.EndsAt, a.Version, a.Onset = 0, d.version, alert.Time(1e18+int64(d.version)*1e9)
					d.journal, d.open[a.ID()], want[a.ID()] = append(d.journal, a), a, true
				}
				d.h.Seen(uint64(len(d.journal)))
			case "end":
				for id, a := range d.open {
					d.version++
					over := *a
					over.EndsAt, over.Version = a.Onset+5, d.version
					d.journal, want[id], why[id] = append(d.journal, &over), false, true
					d.h.Note(&over, trail.Log{}.Add(trail.Event{At: 1, Kind: trail.Sent, Subject: id}))
				}
				clear(d.open)
				d.h.Seen(uint64(len(d.journal)))
			case "flush":
				d.h.Flush(ctx)
			case "write":
				_ = d.s.Flush(ctx)
			case "full":
				d.full.Store(true)
			case "room":
				d.full.Store(false)
			case "search":
				_, _, _, _ = d.h.Search(ctx, Query{Limit: 3})
			case "restart":
				if d.full.Load() { // a store that stops on a full disk stays locked by this process
					continue
				}
				require.NoError(rt, d.s.Stop(ctx))
				clear(why)
				d.start()
			}
		}
		d.full.Store(false)
		require.True(rt, d.h.Flush(ctx))
		got := map[string]bool{}
		for q := (Query{Limit: 100}); ; {
			page, next, unread, err := d.h.Search(ctx, q)
			require.NoError(rt, err)
			require.Zero(rt, unread)
			for _, a := range page {
				require.NotContains(rt, got, a.ID(), "found twice")
				got[a.ID()] = a.Fires()
			}
			if q.Cursor = next; next == "" {
				break
			}
		}
		require.Equal(rt, want, got)
		for id := range why {
			_, log, found, err := d.h.Get(ctx, id)
			require.NoError(rt, err)
			require.True(rt, found)
			require.NotEmpty(rt, log.Events(), "the why-trail of %s is gone", id)
		}
	})
}

// A search finds by labels, matchers and time.
func TestSearch(t *testing.T) {
	s, err := store.Open(store.Options{Dir: t.TempDir(), BallastBytes: -1, MinFreeBytes: 1})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Stop(context.Background())) }()
	var out bytes.Buffer
	h := New(Options{Store: s, Now: time.Now, Logger: slog.New(slog.NewTextHandler(&out, nil)), Replay: func(uint64, func(uint64, *alert.Alert) error) error { return nil }})
	for i := range 600 {
		a, why := sample()
		a.Labels = label.FromStrings("alertname", "Disk", "host", fmt.Sprint("h", i%3), "n", fmt.Sprint(i))
		a.Onset = alert.Time(1e18 + int64(i)*1e9)
		a.StartsAt, a.EndsAt = a.Onset, a.Onset+5e8
		h.Note(a, why)
	}
	h.Seen(1)
	count := func(q Query) int {
		n := 0
		for q.Limit = 37; ; {
			page, next, _, err := h.Search(t.Context(), q)
			require.NoError(t, err)
			require.LessOrEqual(t, len(page), q.Limit)
			n += len(page)
			if q.Cursor = next; next == "" {
				return n
			}
		}
	}
	matchers := func(text string) label.Matchers {
		ms, err := label.ParseMatchers(text)
		require.NoError(t, err)
		return ms
	}
	require.Equal(t, 600, count(Query{}))
	require.Equal(t, 200, count(Query{Matchers: matchers(`{host="h1"}`)}))
	require.Equal(t, 400, count(Query{Matchers: matchers(`{host!="h1"}`)}))
	require.Equal(t, 100, count(Query{Matchers: matchers(`{host="h1",n=~"[3-5].."}`)}))
	require.Equal(t, 10, count(Query{From: 1e18 + 100e9, To: 1e18 + 109e9}))
	require.Equal(t, 1, count(Query{Keep: func(a *alert.Alert) bool { return a.Labels.Get("n") == "5" }}))
	require.Empty(t, out.String())
}
