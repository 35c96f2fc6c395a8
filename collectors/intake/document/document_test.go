package document

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	v, err := Parse([]byte("\xef\xbb\xbf"+`{"alerts":[{"labels":{"a":"x","n":7,"odd name":true}},null],"a.b":{"c":1},"a":{"b":{"d":2}},"f":["x"]}`), Limits{})
	require.NoError(t, err)
	require.Equal(t, Object, v.Kind())
	require.Equal(t, 4, v.Len())
	labels := v.Get("alerts").At(0).Get("labels")
	require.Equal(t, "alerts[0].labels.a", labels.Get("a").Path())
	require.Equal(t, `alerts[0].labels["odd name"]`, labels.Get("odd name").Path())
	require.Equal(t, "7", labels.Get("n").Scalar())
	require.Equal(t, "true", labels.Get("odd name").Scalar())
	require.Equal(t, Null, v.Get("alerts").At(-1).Kind())
	require.Equal(t, Missing, v.Get("alerts").At(2).Kind())
	require.Equal(t, "alerts[2]", v.Get("alerts").At(2).Path())
	require.Equal(t, "1", v.Find("a.b.c").Scalar())
	require.Equal(t, "2", v.Find("a.b.d").Scalar())
	require.Equal(t, Missing, v.Find("a.b.e").Kind())
	require.Equal(t, "x", v.Get("f").Loose())
	require.Equal(t, "f", v.First("e", "f").Name())
	require.Equal(t, "body", v.Path())
}

func TestRefusals(t *testing.T) {
	for _, tc := range []struct{ body, want string }{
		{"", "body: malformed JSON: empty"},
		{"  \n", "body: malformed JSON: empty"},
		{`{"a":[1,{"b":`, "a[1].b: malformed JSON: the body ends in the middle, at byte 12"},
		{`{"a":1}x`, "body: malformed JSON: something follows after the value"},
		{`{"a":{"b":1,"b":2}}`, "a.b: malformed JSON: duplicate object member name"},
		{"{\"a\":[\"ok\",\"b\xc3\x28\"]}", "a: malformed JSON: invalid UTF-8"},
		{`{"a":tru}`, "a: malformed JSON: invalid character"},
		{`[1,2,3,4,5,6,7,8]`, "body: over the limit: more than 8 values"},
		{`[[[[1]]]]`, "[0][0][0]: over the limit: nested deeper than 3"},
		{`{"o":{"a":1,"b":2,"c":3,"d":4,"e":5}}`, "o: over the limit: more than 4 members"},
		{`{"a":NaN}`, "a: malformed JSON"},
	} {
		_, err := Parse([]byte(tc.body), Limits{Depth: 3, Values: 8, Members: 4})
		require.ErrorContains(t, err, tc.want, tc.body)
	}
	_, err := Parse([]byte(strings.Repeat("[", 1<<20)), Limits{})
	require.ErrorIs(t, err, ErrLimit)
	require.Less(t, len(err.Error()), 1000)
}

func TestReader(t *testing.T) {
	v, err := Parse([]byte(`{"t":"x","n":1.50,"i":"12","z":3.0,"o":{},"l":[],"nil":null}`), Limits{})
	require.NoError(t, err)
	var r Reader
	require.Equal(t, "x", r.Text(v.Get("t")))
	require.Equal(t, "1.50", r.Text(v.Get("n")))
	require.EqualValues(t, 12, r.Int(v.Get("i")))
	require.EqualValues(t, 3, r.Int(v.Get("z")))
	require.Equal(t, "", r.Text(v.Get("nil")))
	r.Object(v.Get("o"))
	r.Object(v.Get("none"))
	r.Array(v.Get("l"))
	require.NoError(t, r.Err)
	r.Text(v.Get("l"))
	require.EqualError(t, r.Err, "l: wrong type: want text, got array")
	r.Text(v.Get("o"))
	require.EqualError(t, r.Err, "l: wrong type: want text, got array", "the first mistake counts")
	r = Reader{}
	r.Int(v.Get("n"))
	require.EqualError(t, r.Err, `n: wrong type: want a whole number, got "1.50"`)
	r = Reader{}
	r.Required(v.Get("none"))
	require.EqualError(t, r.Err, "none: wrong type: want object, got nothing")
}

// FuzzParse compares with the standard library, which is laxer: what we take,
// it takes too, with the same texts.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"a":[1,"x",{"b":null}],"c":true}`))
	f.Add([]byte("[[[[\"\xff\"]]]]"))
	f.Add([]byte(`{"a":1,"a":2}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		v, err := Parse(body, Limits{Depth: 8, Values: 64})
		if err != nil {
			require.LessOrEqual(t, len(err.Error()), 2000)
			return
		}
		var std any
		require.NoError(t, json.Unmarshal([]byte(strings.TrimPrefix(string(body), "\xef\xbb\xbf")), &std))
		same(t, v, std)
	})
}

func same(t *testing.T, v *Value, std any) {
	t.Helper()
	switch x := std.(type) {
	case nil:
		require.Equal(t, Null, v.Kind())
	case string:
		require.Equal(t, Text, v.Kind())
		require.Equal(t, x, v.Scalar())
	case []any:
		require.Equal(t, len(x), v.Len())
		for i, c := range v.Items() {
			same(t, c, x[i])
		}
	case map[string]any:
		require.Equal(t, len(x), v.Len())
		for n, c := range v.Members() {
			same(t, c, x[n])
		}
	}
}
