package command

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCommandLine: a mistake in the command line is said, with exit code 2.
func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		err  string // begins with
	}{
		{nil, 0, ""},
		{[]string{"rules"}, 0, ""},
		{[]string{"version"}, 0, ""},
		{[]string{"agnt"}, 2, `fenghuo: usage: fenghuo has no "agnt"; did you mean "agent"?`},
		{[]string{"wat"}, 2, `fenghuo: usage: fenghuo takes no argument "wat"`},
		{[]string{"rules", "chek"}, 2, `fenghuo: usage: fenghuo rules has no "chek"; did you mean "check"?`},
		{[]string{"version", "x"}, 2, `fenghuo: usage: fenghuo version takes no argument "x"`},
		{[]string{"agent"}, 2, "fenghuo: usage: which configuration?"},
		{[]string{"agent", "--dev", "--config", "x"}, 2, "fenghuo: usage: --dev and --config exclude each other"},
		{[]string{"agent", "--wat"}, 2, "fenghuo: usage: unknown flag: --wat"},
		{[]string{"agent", "--config", "testdata/none.yml"}, 1, "fenghuo: configuration: open testdata/none.yml"},
		{[]string{"config", "check"}, 2, "fenghuo: usage: accepts 1 arg(s), received 0"},
	} {
		var out, errs bytes.Buffer
		require.Equal(t, c.code, Main(c.args, &out, &errs), "%v: %s", c.args, errs.String())
		if c.err == "" {
			require.Empty(t, errs.String())
			require.NotEmpty(t, out.String())
			continue
		}
		require.Contains(t, errs.String(), c.err)
		require.True(t, bytes.HasPrefix(errs.Bytes(), []byte(c.err)))
		require.Empty(t, out.String(), "a mistake belongs to the error output")
	}
}
