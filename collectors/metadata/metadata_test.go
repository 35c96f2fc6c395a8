package metadata

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBook(t *testing.T) {
	now := time.Unix(1_767_571_200, 0)
	b := NewBook(2, func() time.Time { return now })
	b.SetHelp([]byte("up"), []byte("错"+strings.Repeat("x", MaxHelpBytes)))
	b.SetUnit([]byte("up"), []byte("s\xff"))
	b.Put(Metric{Name: "load", Help: "Load."})
	b.Put(Metric{})
	b.Put(Metric{Name: strings.Repeat("n", MaxNameBytes+1)})
	require.Equal(t, []Metric{
		{Name: "load", Type: Unknown, Help: "Load."},
		{Name: "up", Type: Unknown, Help: "错" + strings.Repeat("x", MaxHelpBytes-3), Unit: "s"},
	}, b.List())
	b.SetType([]byte("up"), "gauge")
	b.Put(Metric{Name: "load", Type: "gauge"})
	require.Equal(t, Metric{Name: "load", Type: "gauge"}, b.List()[0], "Put replaces all")
	require.Equal(t, "gauge", b.List()[1].Type)

	b.SetType([]byte("new"), "counter")
	require.Len(t, b.List(), 2, "there is no room")
	now = now.Add(forget)
	b.SetType([]byte("up"), "gauge")
	now = now.Add(time.Second)
	b.SetType([]byte("new"), "counter")
	require.Equal(t, "new", b.List()[0].Name, "load was not spoken of for an hour")
	b.SetType([]byte("newer"), "counter")
	require.Len(t, b.List(), 2)
}

func TestClip(t *testing.T) {
	require.Equal(t, "a错", Clip([]byte("a错误"), 6))
	require.Empty(t, Clip(nil, 6))
}
