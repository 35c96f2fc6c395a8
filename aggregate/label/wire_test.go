package label_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

// A quoted text means to encoding/json what was put in.
func FuzzAppendQuoted(f *testing.F) {
	f.Add("a\"\\\n\r\t\x00\x1f\x7f\u2028é\ufffd\xff")
	f.Fuzz(func(t *testing.T, s string) {
		var back string
		require.NoError(t, json.Unmarshal(label.AppendQuoted(nil, s), &back))
		require.Equal(t, string([]rune(s)), back)
	})
}
