package label_test

import (
	"fmt"
	"math/bits"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

// HashPair is part of the history's format: these values must not change.
func TestHashPairIsFixed(t *testing.T) {
	require.Equal(t, []uint64{0x860389c14a805c2e, 0xf680fd062af61fe3, 0x6a96ae6a08ee52d1, 0x9c964d825726d5bd}, []uint64{
		label.HashPair("", ""), label.HashPair("a", "b"), label.HashPair("alertname", "HostDown"), label.HashPair("instance", "web-1.example.net:9100"),
	})
}

// Unlike labels get unlike tokens, whose bits look like chance: names and values
// don't run into each other, and no byte is lost.
func TestHashPairSpreads(t *testing.T) {
	seen := map[uint64]string{}
	ones := 0
	for _, name := range []string{"", "a", "ab", "host", "instance", "exported_instance"} {
		for i := range 5000 {
			for _, value := range []string{fmt.Sprint(i), fmt.Sprintf("host-%05d", i), fmt.Sprintf("host-%05d.example.net:9100", i), fmt.Sprintf("ab%d", i), fmt.Sprintf("%064d", i)} {
				h := label.HashPair(name, value)
				text := name + "=" + value
				require.Empty(t, seen[h], "%s and %s collide", seen[h], text)
				seen[h] = text
				ones += bits.OnesCount64(h)
			}
		}
	}
	require.InDelta(t, 32, float64(ones)/float64(len(seen)), 0.1)
}
