package v1

import (
	"bufio"
	"context"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/silence"
)

// sink is a response that can be read while it is written.
type sink struct {
	*httptest.ResponseRecorder
	mu   sync.Mutex
	text strings.Builder
}

func (s *sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *sink) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.text.String()
	s.text.Reset()
	return out
}

// follow opens a stream and returns how to read and to close it.
func follow(a *API, path, lastID string) (s *sink, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	r := httptest.NewRequest("GET", path, nil).WithContext(ctx)
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	s = &sink{ResponseRecorder: httptest.NewRecorder()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.ServeHTTP(s, r)
	}()
	synctest.Wait()
	return s, func() {
		cancel()
		<-done
	}
}

// heads are the id and event lines of a stream's text.
func heads(text string) (out []string) {
	scan := bufio.NewScanner(strings.NewReader(text))
	for scan.Scan() {
		if id, ok := strings.CutPrefix(scan.Text(), "id: "); ok {
			out = append(out, id)
		}
		if kind, ok := strings.CutPrefix(scan.Text(), "event: "); ok {
			out = append(out, kind)
		}
	}
	return out
}

func began(n int) Happening {
	return Happening{Kind: AlertBegan, At: alert.At(noon), Alert: sample(n)}
}

func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, newFake())
		feed := a.o.Feed
		feed.Publish(began(1))
		s, stop := follow(a, "/v1/events", "")
		require.Equal(t, "text/event-stream", s.Header().Get("Content-Type"))
		require.Equal(t, "retry: 2000\n\n", s.take())
		feed.Publish(Happening{Kind: NoticeSent, At: alert.At(noon), Subject: "ops", Detail: "first notification"})
		synctest.Wait()
		require.Equal(t, "id: 1-2\nevent: notice.sent\ndata: "+`{"kind":"notice.sent","at":"2026-11-24T12:00:00Z","subject":"ops","detail":"first notification"}`+"\n\n", s.take())
		time.Sleep(Heartbeat)
		synctest.Wait()
		require.Equal(t, ": alive\n\n", s.take())
		stop()
		require.Zero(t, feed.Followers())

		// A follower that comes back goes on behind what it saw.
		feed.Publish(began(3), began(4))
		s, stop = follow(a, "/v1/events", "1-2")
		require.Equal(t, []string{"1-3", "alert.began", "1-4", "alert.began"}, heads(s.take()))
		stop()
		// One that comes back too late, or from another life of the node, resyncs.
		for n := range 20 {
			feed.Publish(began(n))
		}
		for _, id := range []string{"1-2", "0-24", "1-99", "odd"} {
			s, stop = follow(a, "/v1/events?last_event_id="+id, "")
			require.Equal(t, []string{"resync"}, heads(s.take()), id)
			stop()
		}
		// Wishes.
		s, stop = follow(a, "/v1/events?kind=silence.&kind=alert.ended&tenant=billing", "")
		other := sample(1)
		other.Tenant = "billing"
		feed.Publish(began(1), Happening{Kind: AlertEnded, Alert: sample(1)}, Happening{Kind: AlertEnded, Alert: other},
			Happening{Kind: SilenceCreated, Silence: &silence.Silence{Tenant: "billing", ID: "x"}})
		synctest.Wait()
		require.Equal(t, []string{"1-27", "alert.ended", "1-28", "silence.created"}, heads(s.take()))
		stop()
	})
}

func TestTooManyFollowers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, newFake())
		for range MaxFollowers {
			_, stop := follow(a, "/v1/events", "")
			defer stop()
		}
		w := do(a, "GET", "/v1/events", "")
		require.Equal(t, 503, w.Code)
		require.Contains(t, w.Body.String(), "64 streams are open already")
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, newFake())
		s, stop := follow(a, "/v1/events", "")
		a.o.Feed.Publish(began(1))
		synctest.Wait()
		a.o.Feed.Close()
		a.o.Feed.Close()
		synctest.Wait()
		require.Zero(t, a.o.Feed.Followers())
		require.Equal(t, []string{"1-1", "alert.began"}, heads(s.take()))
		stop()
		require.Equal(t, 503, do(a, "GET", "/v1/events", "").Code)
		require.Equal(t, 200, do(a, "HEAD", "/v1/events", "").Code)
	})
}

// TestFollowerSeesAllOrIsTold: whatever the pace, a follower gets every
// happening in order, and hears of it where it lost some.
func TestFollowerSeesAllOrIsTold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := NewFeed(rapid.IntRange(1, 5).Draw(t, "size"), 7)
		fo, lost, ok := f.follow("")
		if lost || !ok {
			t.Fatal("lost at the begin")
		}
		published, seen := 0, 0
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			for range rapid.IntRange(0, 4).Draw(t, "publish") {
				published++
				f.Publish(Happening{Detail: fmt.Sprint(published)})
			}
			got, first, lost := fo.take(rapid.IntRange(1, 3).Draw(t, "take"))
			if lost {
				if published-seen <= len(f.ring) {
					t.Fatal("told of a loss that wasn't")
				}
				seen = published
				continue
			}
			for i, h := range got {
				seen++
				if h.Detail != fmt.Sprint(seen) || int(first)+i != seen {
					t.Fatalf("got %s at %d, want %d", h.Detail, int(first)+i, seen)
				}
			}
			if len(got) == 0 && seen != published {
				t.Fatal("nothing, though there is more")
			}
		}
	})
}

// TestPaging walks all pages and compares with one large page, while other
// items come and go.
func TestPaging(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.SliceOfN(rapid.Int64Range(-3, 3), 0, 40).Draw(t, "numbers")
		texts := rapid.SliceOfN(rapid.SampledFrom([]string{"", "a", "火\"", "\x00"}), len(numbers), len(numbers)).Draw(t, "texts")
		build := func(extra int) (out []ranked[int]) {
			for i, n := range numbers {
				out = append(out, ranked[int]{rank{n, texts[i], fmt.Sprint(i)}, i})
			}
			for i := range extra {
				out = append(out, ranked[int]{rank{int64(i%7 - 3), "x", fmt.Sprint("extra", i)}, -1})
			}
			return out
		}
		want, next, err := page(build(0), "o", "", 1000)
		if err != nil || next != "" {
			t.Fatal(err, next)
		}
		var got []int
		cursor := ""
		for {
			items, next, err := page(build(rapid.IntRange(0, 5).Draw(t, "extra")), "o", cursor, rapid.IntRange(1, 7).Draw(t, "limit"))
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, slices.DeleteFunc(items, func(i int) bool { return i < 0 })...)
			if cursor = next; cursor == "" {
				break
			}
		}
		if !slices.Equal(want, got) {
			t.Fatalf("got %v, want %v", got, want)
		}
		if _, _, err := page(build(0), "other", makeCursor(rank{}, "o"), 5); err == nil {
			t.Fatal("took a cursor of another order")
		}
	})
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "2h30m": 150 * time.Minute, "3d": 72 * time.Hour, "1w2d": 9 * 24 * time.Hour, "1d12h": 36 * time.Hour, "0s": 0,
	} {
		d, err := ParseDuration(text)
		require.NoError(t, err, text)
		require.Equal(t, want, d, text)
	}
	for _, text := range []string{"", "3", "-1h", "2d1w", "1.5d", "d", "99999w", "1h-2h", "many"} {
		_, err := ParseDuration(text)
		require.Error(t, err, text)
	}
}

func FuzzQuery(f *testing.F) {
	for _, q := range []string{
		"", "limit=2&cursor=WyJhIiwxLCIiLCIiXQ", "filter=a%3D~%22(%22", "priority=P1&q=disk&sort=name&state=all", "muted=true&incident=x",
		"from=1h&to=0s", "limit=99999999999999999999", "%zz", "tenant=a&tenant=b", "kind=alert",
	} {
		f.Add(q)
	}
	a := newAPI(f, newFake())
	f.Fuzz(func(t *testing.T, query string) {
		for _, path := range []string{"/v1/alerts", "/v1/search", "/v1/incidents", "/v1/silences"} {
			r := httptest.NewRequest("GET", path, nil)
			r.URL.RawQuery = query
			w := httptest.NewRecorder()
			a.ServeHTTP(w, r)
			if w.Code >= 500 {
				t.Fatalf("%s?%s: %d %s", path, query, w.Code, w.Body)
			}
		}
	})
}

func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"1h", "-2d", "2026-11-24T12:00:00Z", "1764000000.5", "1e300", "NaN"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if at, err := ParseTime(s, noon); err == nil && at.IsZero() && !strings.HasPrefix(s, "0001-01-01") {
			t.Fatalf("%q is no time, and no error", s)
		}
	})
}
