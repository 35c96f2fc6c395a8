package silence

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

var update = flag.Bool("update", false, "rewrite the fixture of a version that was never released")

const (
	second = alert.Time(time.Second)
	t0     = alert.Time(1_700_000_000) * second
)

func ms(t testing.TB, text string) label.Matchers {
	t.Helper()
	m, err := label.ParseMatchers(text)
	require.NoError(t, err)
	return m
}

func sil(t testing.TB, matchers string, from, to int) Silence {
	return Silence{
		Tenant: alert.DefaultTenant, Matchers: ms(t, matchers), StartsAt: t0 + alert.Time(from)*second, EndsAt: t0 + alert.Time(to)*second,
		CreatedBy: "ann", Comment: "why",
	}
}

// put must succeed; it returns the stored ID and the IDs of all records.
func put(t *testing.T, b *Book, s Silence, newID string, now alert.Time) (string, []string) {
	t.Helper()
	got, changed, err := b.Put(s, newID, now)
	require.NoError(t, err)
	require.Equal(t, got, changed[len(changed)-1])
	var ids []string
	for _, c := range changed {
		require.Equal(t, now, c.UpdatedAt)
		ids = append(ids, c.ID)
	}
	stored, ok := b.Get(got.ID)
	require.True(t, ok)
	require.Equal(t, got, stored)
	return got.ID, ids
}

func TestLife(t *testing.T) {
	b := NewBook(Options{})
	put(t, b, sil(t, `a="1"`, 10, 20), "s1", t0)
	set := label.FromStrings("a", "1", "b", "2")
	for at, want := range map[int]State{0: Pending, 9: Pending, 10: Active, 19: Active, 20: Expired} {
		now := t0 + alert.Time(at)*second
		s, _ := b.Get("s1")
		require.Equal(t, want, s.StateAt(now), at)
		require.Equal(t, want == Active, b.Mutes(alert.DefaultTenant, set, now))
		require.Equal(t, want == Active, slices.Equal(b.MutedBy(alert.DefaultTenant, set, now), []string{"s1"}))
		require.False(t, b.Mutes("other", set, now), "a tenant's silence concerns only its own alerts")
	}
	s, changed, err := b.Expire("s1", t0+second)
	require.NoError(t, err)
	require.True(t, changed)
	require.Equal(t, Expired, s.StateAt(t0+second))
	require.Equal(t, s.StartsAt, s.EndsAt, "a pending one never begins")
	_, changed, err = b.Expire("s1", t0+2*second)
	require.NoError(t, err)
	require.False(t, changed)
	_, _, err = b.Expire("s2", t0)
	require.ErrorIs(t, err, ErrNotFound)
	require.Empty(t, b.Collect(t0+second))
	require.Equal(t, []string{"s1"}, b.Collect(t0.Add(DefaultRetention)+second))
	require.Zero(t, b.Len())
}

// TestUpdate: an ID is kept iff the change leaves what was muted as it was.
func TestUpdate(t *testing.T) {
	for _, c := range []struct {
		name     string
		at       int // when it's changed; the old one is from 10 to 20
		matchers string
		from, to int
		keeps    bool
	}{
		{"active, longer", 15, `a="1",b="2"`, 10, 30, true},
		{"active, shorter", 15, `a="1",b="2"`, 10, 16, true},
		{"active, matchers in other order", 15, `b="2",a="1"`, 10, 30, true},
		{"active, other start", 15, `a="1",b="2"`, 11, 30, false},
		{"active, other matchers", 15, `a="1"`, 10, 30, false},
		{"active, other kind of matcher", 15, `a="1",b=~"2"`, 10, 30, false},
		{"pending, other times", 5, `a="1",b="2"`, 6, 40, true},
		{"pending, start in the past", 5, `a="1",b="2"`, 4, 40, false},
		{"expired", 25, `a="1",b="2"`, 10, 30, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := NewBook(Options{})
			id, ids := put(t, b, sil(t, `a="1",b="2"`, 10, 20), "old", t0)
			require.Equal(t, "old", id)
			require.Equal(t, []string{"old"}, ids)
			now := t0 + alert.Time(c.at)*second
			next := sil(t, c.matchers, c.from, c.to)
			next.ID = "old"
			id, ids = put(t, b, next, "new", now)
			if c.keeps {
				require.Equal(t, "old", id)
				require.Equal(t, 1, b.Len())
				return
			}
			require.Equal(t, "new", id)
			old, _ := b.Get("old")
			require.Equal(t, Expired, old.StateAt(now))
			require.Equal(t, c.at < 20, slices.Contains(ids, "old"), "the ended one is written too, unless it had ended")
			got, _ := b.Get("new")
			require.GreaterOrEqual(t, got.StartsAt, now)
		})
	}
}

func TestRefused(t *testing.T) {
	with := func(change func(*Silence)) Silence {
		s := sil(t, `a="1"`, 10, 20)
		change(&s)
		return s
	}
	for want, s := range map[string]Silence{
		"start time must be before end time":                                      with(func(s *Silence) { s.EndsAt = s.StartsAt }),
		"end time can't be in the past":                                           sil(t, `a="1"`, -20, -10),
		"silence not found":                                                       with(func(s *Silence) { s.ID = "nobody" }),
		"invalid silence: at least one matcher required":                          with(func(s *Silence) { s.Matchers = nil }),
		"invalid silence: at least one matcher must not match the empty string":   sil(t, `a=~".*",c=""`, 10, 20),
		"invalid silence: invalid zero end timestamp":                             with(func(s *Silence) { s.EndsAt = 0 }),
		"invalid silence: invalid label matcher 0: invalid label name \"\"":       with(func(s *Silence) { s.Matchers = label.Matchers{{Value: "x"}} }),
		"invalid silence: invalid label matcher 0: invalid label value \"\\xff\"": with(func(s *Silence) { s.Matchers = label.Matchers{{Name: "a", Value: "\xff"}} }),
		"invalid silence: tenant: empty":                                          with(func(s *Silence) { s.Tenant = "" }),
		"invalid silence: comment: not UTF-8":                                     with(func(s *Silence) { s.Comment = "\xff" }),
		"silence exceeded maximum size: ":                                         with(func(s *Silence) { s.Comment = strings.Repeat("x", 1000) }),
		"invalid silence: id \"taken\" is empty or taken":                         sil(t, `b="1"`, 10, 20),
	} {
		b := NewBook(Options{MaxBytes: 500})
		put(t, b, sil(t, `x="y"`, 0, 100), "taken", t0)
		id := "new"
		if strings.Contains(want, "taken") {
			id = "taken"
		}
		_, _, err := b.Put(s, id, t0)
		require.ErrorContains(t, err, want)
		require.Equal(t, 1, b.Len(), "nothing has changed")
	}
	b := NewBook(Options{MaxSilences: 1})
	put(t, b, sil(t, `x="y"`, 0, 100), "one", t0)
	_, _, err := b.Put(sil(t, `x="z"`, 0, 100), "two", t0)
	require.ErrorIs(t, err, ErrLimit)
	require.ErrorContains(t, err, "exceeded maximum number of silences: 1 (limit: 1)")
	again := sil(t, `x="z"`, 0, 100)
	again.ID = "one"
	_, _, err = b.Put(again, "two", t0)
	require.ErrorIs(t, err, ErrLimit)
	one, _ := b.Get("one")
	require.Equal(t, Active, one.StateAt(t0), "a refused change leaves the old one in force")
}

func TestQuery(t *testing.T) {
	b := NewBook(Options{})
	for _, s := range []struct {
		id       string
		from, to int
	}{{"a2", 0, 60}, {"a1", 0, 50}, {"p2", 100, 200}, {"p1", 90, 300}, {"e1", 0, 20}, {"e2", 0, 10}} {
		put(t, b, sil(t, `x="`+s.id+`",y=~"z"`, s.from, s.to), s.id, t0)
	}
	now := t0 + 30*second
	ids := func(f Filter) (out []string) {
		for _, s := range b.Query(f, now) {
			out = append(out, s.ID)
		}
		return out
	}
	require.Equal(t, []string{"a1", "a2", "p1", "p2", "e1", "e2"}, ids(Filter{}))
	require.Equal(t, []string{"a1", "a2"}, ids(Filter{Active: true}))
	require.Equal(t, []string{"p1", "p2", "e1", "e2"}, ids(Filter{Pending: true, Expired: true}))
	require.Equal(t, []string{"p2"}, ids(Filter{Matchers: ms(t, `x="p2",y=~"z"`)}))
	require.Empty(t, ids(Filter{Matchers: ms(t, `y="z"`)}), "only an identical matcher counts")
	require.Empty(t, ids(Filter{Tenant: "other"}))
}

func TestLoad(t *testing.T) {
	b := NewBook(Options{MaxSilences: 1})
	s := sil(t, `a="1"`, 0, 20)
	s.ID, s.UpdatedAt = "s", t0
	later := s
	later.UpdatedAt, later.EndsAt = t0+second, t0+second
	for i, c := range []struct {
		s    Silence
		want bool
	}{{s, true}, {s, false}, {later, true}, {s, false}, {later, false}} {
		changed, err := b.Load(c.s)
		require.NoError(t, err)
		require.Equal(t, c.want, changed, i)
	}
	got, _ := b.Get("s")
	require.Equal(t, later, got)
	s.ID = ""
	_, err := b.Load(s)
	require.ErrorIs(t, err, ErrInvalid)
	_, err = b.Load(Silence{ID: "x"})
	require.ErrorIs(t, err, ErrInvalid)
}

// TestIndexAgainstModel: the indexed book finds what trying each silence finds,
// whatever was added, ended and collected before.
func TestIndexAgainstModel(t *testing.T) {
	texts := []string{`a="1"`, `a="2"`, `alertname="x",a="1"`, `b=~"1|2"`, `a!="1"`, `b="1",c="2"`, `b="2",a=~".+"`}
	rapid.Check(t, func(t *rapid.T) {
		b := NewBook(Options{Retention: 30 * time.Second})
		all := map[string]Silence{}
		now := t0
		for i := range rapid.IntRange(1, 30).Draw(t, "steps") {
			now += alert.Time(rapid.IntRange(0, 10).Draw(t, "pause")) * second
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				if len(all) > 0 {
					id := rapid.SampledFrom(sortedKeys(all)).Draw(t, "id")
					s, _, err := b.Expire(id, now)
					require.NoError(t, err)
					all[id] = s
				}
			case 1:
				for _, id := range b.Collect(now) {
					delete(all, id)
				}
			default:
				m, err := label.ParseMatchers(rapid.SampledFrom(texts).Draw(t, "matchers"))
				require.NoError(t, err)
				from := now + alert.Time(rapid.IntRange(0, 20).Draw(t, "from"))*second
				s := Silence{Tenant: rapid.SampledFrom([]string{"t", "u"}).Draw(t, "tenant"), Matchers: m, StartsAt: from, EndsAt: from + alert.Time(rapid.IntRange(1, 40).Draw(t, "for"))*second}
				s, _, err = b.Put(s, strconv.Itoa(i), now)
				require.NoError(t, err)
				all[s.ID] = s
			}
			set, err := label.FromMap(rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "c", "alertname"}), rapid.SampledFrom([]string{"1", "2", "x"}), 0, 4).Draw(t, "labels"))
			require.NoError(t, err)
			for _, tenant := range []string{"t", "u"} {
				var want []string
				for _, id := range sortedKeys(all) {
					if s := all[id]; s.Tenant == tenant && s.StateAt(now) == Active && s.Matchers.Match(set) {
						want = append(want, id)
					}
				}
				require.Equal(t, want, b.MutedBy(tenant, set, now))
				require.Equal(t, len(want) > 0, b.Mutes(tenant, set, now))
			}
		}
	})
}

func sortedKeys(m map[string]Silence) []string {
	var ks []string
	for k := range m {
		ks = append(ks, k)
	}
	slices.Sort(ks)
	return ks
}

func full(t testing.TB) Silence {
	s := sil(t, `a="1",b!="2",c=~"3|4",d!~"5.*","u 6"="七"`, 0, 20)
	s.ID, s.UpdatedAt, s.Annotations = "5d6e4b0c-1f7e-4d8e-9b1e-6f1f0b1c2d3e", t0+second, label.FromStrings("ticket", "X-1")
	return s
}

// TestFixture reads the bytes this version wrote when it was new.
func TestFixture(t *testing.T) {
	const path = "testdata/silence.v1.hex"
	s := full(t)
	enc, err := s.AppendBinary(nil)
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(hex.EncodeToString(enc)+"\n"), 0o644))
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	want, err := hex.DecodeString(strings.TrimSpace(string(text)))
	require.NoError(t, err)
	require.Equal(t, want, enc)
	var got Silence
	require.NoError(t, got.UnmarshalBinary(want))
	require.Equal(t, s.Matchers.String(), got.Matchers.String())
	require.True(t, got.Matchers.Match(label.FromStrings("a", "1", "c", "4", "u 6", "七")))
	got.Matchers = s.Matchers
	require.Equal(t, s, got)
	// Fields of a later version are stepped over.
	require.NoError(t, got.UnmarshalBinary(append(slices.Clone(want), 0xfe, 0x01, 2, 'x', 'y', 0xff, 0x01, 7)))
	for i := range want {
		// Only the last field, UpdatedAt, may be absent.
		err := got.UnmarshalBinary(want[:i])
		require.True(t, err != nil || got.UpdatedAt == 0, "cut at %d", i)
	}
}

func FuzzUnmarshal(f *testing.F) {
	s := full(f)
	enc, err := s.AppendBinary(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(enc)
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Silence
		if s.UnmarshalBinary(b) != nil {
			return
		}
		enc, err := s.AppendBinary(nil)
		require.NoError(t, err)
		var again Silence
		require.NoError(t, again.UnmarshalBinary(enc))
		require.Equal(t, fmt.Sprint(s), fmt.Sprint(again))
		_, err = NewBook(Options{}).Load(s)
		require.NoError(t, err)
	})
}

func BenchmarkMutes1000(b *testing.B) {
	book := NewBook(Options{})
	for i := range 1000 {
		text := fmt.Sprintf(`instance="host-%d"`, i)
		if i%10 == 0 {
			text = fmt.Sprintf(`alertname="Rule%d",severity=~"warning|info"`, i)
		}
		_, _, err := book.Put(sil(b, text, 0, 1000), strconv.Itoa(i), t0)
		require.NoError(b, err)
	}
	s := label.FromStrings("alertname", "HighLoad", "instance", "web-17", "job", "node", "severity", "warning", "team", "team-42", "zone", "a", "cluster", "c1", "env", "prod")
	for b.Loop() {
		book.Mutes(alert.DefaultTenant, s, t0)
	}
}
