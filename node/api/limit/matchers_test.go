package limit

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/node/api/problem"
)

func TestMatchers(t *testing.T) {
	ms, err := Matchers([]string{`a="1",b!="2"`, `c=~"3"`})
	require.NoError(t, err)
	require.Len(t, ms, 3)
	full := strings.Split(strings.Repeat("a=1,", MaxMatchers-1)+"a=1", ",")
	ms, err = Matchers(full)
	require.NoError(t, err)
	require.Len(t, ms, MaxMatchers)
	for _, bad := range [][]string{{""}, {"{}"}, {"a"}, {`a=~"("`}, append(full, "b=2"), append(full[1:], `b="2",c="3"`)} {
		_, err = Matchers(bad)
		require.ErrorIs(t, err, problem.ErrInvalid, "%q", bad)
	}
}
