package client

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	v1 "github.com/fenghuo-mesh/fenghuo/node/api/v1"
)

// answering is a server that gives one answer and remembers the request.
func answering(t *testing.T, status int, body string) (*Client, *http.Request) {
	t.Helper()
	got := &http.Request{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*got = *r
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(s.Close)
	c, err := New(Options{Server: s.URL + "/prefix"})
	require.NoError(t, err)
	return c, got
}

func TestNew(t *testing.T) {
	c, err := New(Options{})
	require.NoError(t, err)
	require.Equal(t, DefaultServer, c.Server())
	c, err = New(Options{Server: "node:7948"})
	require.NoError(t, err)
	require.Equal(t, "http://node:7948", c.Server())
	for _, bad := range []string{"ftp://x", "http://", "http://%zz"} {
		_, err := New(Options{Server: bad})
		require.Error(t, err, bad)
	}
}

func TestCalls(t *testing.T) {
	ctx := context.Background()
	for want, call := range map[string]func(*Client) error{
		"GET /prefix/v1/alerts?cursor=c&filter=a%3Db&incident=i&limit=5&muted=true&priority=P0&q=x&sort=name&state=all": func(c *Client) error {
			_, err := c.Alerts(ctx, AlertQuery{
				AlertFilter: AlertFilter{Matchers: []string{"a=b"}, Priorities: []string{"P0"}, Text: "x"},
				Page:        Page{5, "c"}, State: "all", Muted: "true", Incident: "i", Sort: "name",
			})
			return err
		},
		"GET /prefix/v1/alerts/a%2Fb?": func(c *Client) error { _, err := c.Alert(ctx, "a/b"); return err },
		"GET /prefix/v1/search?from=7d&tenant=t&to=1d": func(c *Client) error {
			_, err := c.Search(ctx, SearchQuery{AlertFilter: AlertFilter{Tenant: "t"}, From: "7d", To: "1d"})
			return err
		},
		"GET /prefix/v1/incidents?priority=P1&state=all": func(c *Client) error {
			_, err := c.Incidents(ctx, IncidentQuery{State: "all", Priorities: []string{"P1"}})
			return err
		},
		"GET /prefix/v1/incidents/x?": func(c *Client) error { _, err := c.Incident(ctx, "x"); return err },
		"GET /prefix/v1/silences?filter=a%3Db&state=expired&tenant=t": func(c *Client) error {
			_, err := c.Silences(ctx, []string{"expired"}, []string{"a=b"}, "t")
			return err
		},
		"GET /prefix/v1/silences/x?":        func(c *Client) error { _, err := c.Silence(ctx, "x"); return err },
		"POST /prefix/v1/silences?":         func(c *Client) error { _, err := c.CreateSilence(ctx, v1.NewSilence{}); return err },
		"PUT /prefix/v1/silences/x?":        func(c *Client) error { _, err := c.ChangeSilence(ctx, "x", v1.NewSilence{}); return err },
		"DELETE /prefix/v1/silences/x?":     func(c *Client) error { return c.ExpireSilence(ctx, "x") },
		"POST /prefix/v1/silences/preview?": func(c *Client) error { _, err := c.Preview(ctx, v1.PreviewRequest{}); return err },
		"GET /prefix/v1/rules?":             func(c *Client) error { _, err := c.Rules(ctx); return err },
		"GET /prefix/v1/status?":            func(c *Client) error { _, err := c.Status(ctx); return err },
	} {
		c, got := answering(t, 200, "{}")
		require.NoError(t, call(c), want)
		require.Equal(t, want, got.Method+" "+got.URL.EscapedPath()+"?"+got.URL.RawQuery)
		require.Equal(t, "fenghuo-client", got.Header.Get("User-Agent"))
	}
}

func TestErrors(t *testing.T) {
	ctx := context.Background()
	for body, want := range map[string]string{
		`{"title":"Not Found","status":404,"detail":"no alert x"}`:                                                      "no alert x (status 404)",
		`{"detail":"validation failed","errors":[{"message":"m","location":"query.a"},{"message":"n","location":"b"}]}`: "validation failed: a: m; b: n (status 404)",
		`{"status":"error","errorType":"bad_data","error":"parse error"}`:                                               "parse error (status 404)",
		`<html>` + strings.Repeat("x", 300):                                                                             "<html>" + strings.Repeat("x", 194) + " (status 404)",
		``:                                                                                                              "Not Found (status 404)",
	} {
		c, _ := answering(t, 404, body)
		_, err := c.Status(ctx)
		require.EqualError(t, err, want)
		require.True(t, IsNotFound(err))
		var e *Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, 7*time.Second, e.RetryAfter)
	}
	c, _ := answering(t, 200, "[]")
	_, err := c.Status(ctx)
	require.ErrorContains(t, err, "is it a Fenghuo node?")
	require.False(t, IsNotFound(err))
	c, err = New(Options{Server: "127.0.0.1:1"})
	require.NoError(t, err)
	_, err = c.Status(ctx)
	require.ErrorContains(t, err, "asking http://127.0.0.1:1")
}

func TestQuery(t *testing.T) {
	ctx := context.Background()
	at := time.Unix(1764000000, 5e8)
	c, got := answering(t, 200, `{"status":"success","data":{"resultType":"scalar","result":[1764000000.5,"+Inf"]}}`)
	r, err := c.Query(ctx, "1/0", at)
	require.NoError(t, err)
	require.Equal(t, Sample{at, "+Inf"}, r.Single)
	require.Equal(t, "query=1%2F0&time=1764000000.500", got.URL.RawQuery)

	c, got = answering(t, 200, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"b"},"values":[[1764000000.5,"1"]]}]},"warnings":["w"]}`)
	r, err = c.QueryRange(ctx, "up", at, at.Add(time.Hour), 90*time.Second)
	require.NoError(t, err)
	require.Equal(t, []Series{{Metric: map[string]string{"a": "b"}, Values: []Sample{{at, "1"}}}}, r.Series)
	require.Equal(t, []string{"w"}, r.Warnings)
	require.Equal(t, "end=1764003600.500&query=up&start=1764000000.500&step=90", got.URL.RawQuery)

	for _, bad := range []string{`{"data":{"resultType":"vector","result":7}}`, `{"data":7}`, `{"data":{"resultType":"scalar","result":["x"]}}`} {
		c, _ = answering(t, 200, bad)
		_, err = c.Query(ctx, "up", time.Time{})
		require.Error(t, err, bad)
	}
}
