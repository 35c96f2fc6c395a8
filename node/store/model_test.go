package store

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// model is the dumb second version: it looks at everything.
type model struct {
	t      *rapid.T
	dir    string
	s      *Store
	newest map[string]version
	n      int // documents put
}

type version struct {
	Doc
	n int // when it was put
}

func (m *model) reopen() {
	if m.s != nil {
		require.NoError(m.t, m.s.Stop(context.Background()))
	}
	var err error
	m.s, err = Open(small(m.dir))
	require.NoError(m.t, err)
	require.False(m.t, m.s.Rebuilt())
}

func (m *model) put(docs ...Doc) {
	for _, d := range docs {
		m.n++
		m.newest[d.ID] = version{d, m.n}
	}
	require.NoError(m.t, m.s.Put(context.Background(), uint64(m.n), docs))
}

func (m *model) want(q Query) []string {
	var want []version
	for _, v := range m.newest {
		ok := v.Start <= cmp.Or(q.To, math.MaxInt64) && (v.End == 0 || v.End >= q.From)
		for _, tok := range q.All {
			ok = ok && slices.Contains(v.Tokens, tok)
		}
		if ok {
			want = append(want, v)
		}
	}
	slices.SortFunc(want, func(a, b version) int { return cmp.Or(cmp.Compare(b.Start, a.Start), cmp.Compare(b.n, a.n)) })
	out := []string{}
	for _, v := range want {
		out = append(out, fmt.Sprintf("%s@%d", v.ID, v.End))
	}
	return out
}

func (m *model) putSome() {
	var docs []Doc
	for range rapid.IntRange(1, 300).Draw(m.t, "docs") {
		k := rapid.IntRange(0, 400).Draw(m.t, "id")
		d := Doc{ID: fmt.Sprint("id", k), Start: int64(k % 37), Tokens: []uint64{uint64(k % 5), uint64(1000 + k)}, Data: []byte{byte(k)}}
		if rapid.Bool().Draw(m.t, "closed") {
			d.End = d.Start + int64(k%11) + 1
		}
		docs = append(docs, d)
	}
	m.put(docs...)
}

func (m *model) search() {
	q := Query{From: int64(rapid.IntRange(0, 40).Draw(m.t, "from")), Limit: rapid.IntRange(1, 50).Draw(m.t, "limit")}
	q.To = q.From + int64(rapid.IntRange(1, 40).Draw(m.t, "to"))
	if rapid.Bool().Draw(m.t, "token") {
		q.All = []uint64{uint64(rapid.IntRange(0, 5).Draw(m.t, "token"))}
	}
	require.Equal(m.t, m.want(q), ids(pages(m.t, m.s, q)))
	id := fmt.Sprint("id", rapid.IntRange(0, 400).Draw(m.t, "get"))
	d, ok, err := m.s.Get(context.Background(), id)
	require.NoError(m.t, err)
	v, want := m.newest[id]
	require.Equal(m.t, want, ok)
	require.Equal(m.t, v.Doc.End, d.End)
}

// stable puts newer versions between pages: they must not change the pages.
func (m *model) stable() {
	q, want, all := Query{Limit: 7}, m.want(Query{}), []string{}
	for i := 0; ; i++ {
		got, next, err := m.s.Search(context.Background(), q, nil)
		require.NoError(m.t, err)
		all = append(all, ids(got)...)
		if next == "" {
			break
		}
		q.Cursor = next
		for k := range 40 {
			if v, ok := m.newest[fmt.Sprint("id", (i*40+k)%401)]; ok {
				v.End += 1000
				m.put(v.Doc)
			}
		}
	}
	require.Equal(m.t, want, all)
}

// TestAgainstModel compares every search with the model's.
func TestAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp("", "store")
		require.NoError(rt, err)
		defer os.RemoveAll(dir)
		m := &model{t: rt, dir: dir, newest: map[string]version{}}
		m.reopen()
		defer func() { m.s.Stop(context.Background()) }()
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"put", "put", "put", "flush", "reopen", "search", "search", "stable"}).Draw(rt, "step") {
			case "put":
				m.putSome()
			case "flush":
				require.NoError(rt, m.s.Flush(context.Background()))
				require.Equal(rt, uint64(m.n), m.s.Indexed())
			case "reopen":
				m.reopen()
			case "search":
				m.search()
			case "stable":
				m.stable()
			}
		}
	})
}
