package route

import (
	"slices"

	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

// flatLimit is the number of children up to which trying each is as cheap as
// looking them up.
const flatLimit = 4

// index finds, among a node's children, those that can match a label set. It is
// flat where trying each is as good.
type index struct {
	flat bool
	kids label.Index[int32]
}

func newIndex(kids []*Route) index {
	x := index{flat: true}
	if len(kids) <= flatLimit {
		return x
	}
	for i, k := range kids {
		if x.kids.Add(int32(i), k.matchers) != nil {
			x.flat = false
		}
	}
	return x
}

// candidates appends the indexes of children that may match, in order.
func (x *index) candidates(buf []int32, s label.Set) []int32 {
	x.kids.Each(s, func(i int32) bool {
		buf = append(buf, i)
		return true
	})
	slices.Sort(buf)
	return buf
}
