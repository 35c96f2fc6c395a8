package silences

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/silence"
)

func TestAnnotations(t *testing.T) {
	set, err := Annotations(map[string]string{"b": "2", "a": "1"})
	require.NoError(t, err)
	require.Equal(t, label.FromStrings("a", "1", "b", "2"), set)
	_, err = Annotations(map[string]string{"a": strings.Repeat("x", label.MaxAnnotationBytes+1)})
	require.ErrorIs(t, err, silence.ErrInvalid)
	require.Equal(t, http.StatusBadRequest, Errors().Find(err).Status)
}
