package amconfig

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/notice"
	"github.com/fenghuo-mesh/fenghuo/aggregate/route"
)

var update = flag.Bool("update", false, "rewrite golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// describe writes what was understood, for people to review.
func describe(c *Config) string {
	var b strings.Builder
	fmt.Fprintf(&b, "resolve_timeout %s\ntemplates %v\n", c.ResolveTimeout, c.Templates)
	c.Tree.Walk(func(r *route.Route) {
		fmt.Fprintf(&b, "route %s -> %s by=%v all=%v wait=%s interval=%s repeat=%s mute=%v active=%v continue=%v labels=%s\n", r.Key,
			r.Receiver, r.GroupBy, r.All, r.GroupWait, r.GroupInterval, r.RepeatInterval, r.MuteIntervals, r.ActiveIntervals, r.Continue(), r.Labels)
	})
	for _, r := range c.Inhibit {
		fmt.Fprintf(&b, "inhibit %q %s -> %s equal=%v\n", r.Name, r.Source, r.Target, r.Equal)
	}
	fmt.Fprintf(&b, "intervals %v\n", c.Intervals.Names())
	for _, r := range c.Receivers {
		fmt.Fprintf(&b, "receiver %s used=%v labels=%v\n", r.Name, r.Used, r.Labels)
		for _, w := range r.Webhooks {
			h := w.HTTP
			fmt.Fprintf(&b, "  webhook %s resolved=%v url=%q file=%q max=%d timeout=%s\n", w.Key, w.SendResolved, w.URL, w.URLFile, w.MaxAlerts, w.Timeout)
			fmt.Fprintf(&b, "    basic=%+v auth=%+v tls=%+v\n", h.BasicAuth, h.Authorization, h.TLS)
			fmt.Fprintf(&b, "    proxy=%v no=%q env=%v header=%v redirects=%v http2=%v headers=%v\n", h.ProxyURL, h.NoProxy,
				h.ProxyFromEnvironment, h.ProxyConnectHeader, h.FollowRedirects, h.EnableHTTP2, h.Headers)
		}
		for _, l := range r.Logs {
			fmt.Fprintf(&b, "  log %s resolved=%v\n", l.Key, l.SendResolved)
		}
	}
	for _, w := range c.Warnings {
		fmt.Fprintf(&b, "warning %s\n", w)
	}
	return b.String()
}

func TestFull(t *testing.T) {
	b, err := os.ReadFile("testdata/full.yml")
	require.NoError(t, err)
	c, err := Parse(b, "/etc/am")
	require.NoError(t, err)
	golden(t, "full.golden", describe(c))
	golden(t, "full.redacted.yml", c.Redacted())
	for _, word := range []string{
		"mailsecret", "proxysecret", "urlsecret", "basicsecret", "headersecret", "authsecret", "slacksecret",
		"pdsecret", "proxyheadersecret", "in-a-comment",
	} {
		require.NotContains(t, c.Redacted(), word)
	}

	// The redacted form loads, routes alike, and is its own redacted form.
	again, err := Parse([]byte(c.Redacted()), "/etc/am")
	require.NoError(t, err)
	require.Equal(t, c.Redacted(), again.Redacted())
	require.Equal(t, routes(c), routes(again))

	p := notice.New(notice.Options{IDPrefix: "t"})
	require.NoError(t, p.Configure(c.Notice(), alert.At(time.Unix(1e9, 0))))
}

func routes(c *Config) (out []string) {
	c.Tree.Walk(func(r *route.Route) { out = append(out, fmt.Sprintf("%s %s %v", r.Key, r.Receiver, r.GroupWait)) })
	return out
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "am.yml")
	_, err := Load(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(path, []byte("route: {receiver: a}\nreceivers: [{name: a, webhook_configs: [{url_file: u}]}]\n"), 0o600))
	c, err := Load(path)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "u"), c.Receivers[0].Webhooks[0].URLFile)
	require.Equal(t, DefaultResolveTimeout, c.ResolveTimeout)
	require.Empty(t, c.Warnings)
	require.Equal(t, "{}", c.Tree.Match(nil, label.FromStrings("a", "b"))[0].Key)
	require.NoError(t, os.WriteFile(path, []byte("route:\n  receiver: a\n  x: 1\n"), 0o600))
	_, err = Load(path)
	require.EqualError(t, err, path+`:3: route: unknown key "x"`)
}

// TestErrors has one line per thing that must be refused: each document below
// yields exactly the error after it.
func TestErrors(t *testing.T) {
	b, err := os.ReadFile("testdata/errors.txt")
	require.NoError(t, err)
	var out strings.Builder
	for doc := range strings.SplitSeq(string(b), "====\n") {
		yml, _, _ := strings.Cut(doc, "----\n")
		if yml == "" {
			continue
		}
		_, err := Parse([]byte(yml), "/etc/am")
		fmt.Fprintf(&out, "%s----\n%v\n====\n", yml, err)
		require.Error(t, err, yml)
		require.Regexp(t, `^alertmanager.yml:\d+: `, err.Error())
	}
	golden(t, "errors.txt", out.String())
}

func TestAliasBomb(t *testing.T) {
	var b strings.Builder
	b.WriteString("route: {receiver: a}\nreceivers: [{name: a}]\na: &a [x,x,x,x,x,x,x,x,x,x]\n")
	for c := 'b'; c < 'k'; c++ {
		fmt.Fprintf(&b, "%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", c-1), 10), ","))
	}
	_, err := Parse([]byte(b.String()), "")
	require.ErrorContains(t, err, "YAML nodes")
	_, err = Parse([]byte(strings.Repeat("[", 1000)), "")
	require.Error(t, err)
	_, err = Parse(make([]byte, MaxFileBytes+1), "")
	require.ErrorContains(t, err, "at most")
}

func FuzzParse(f *testing.F) {
	full, err := os.ReadFile("testdata/full.yml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(full)
	bad, err := os.ReadFile("testdata/errors.txt")
	if err != nil {
		f.Fatal(err)
	}
	for doc := range strings.SplitSeq(string(bad), "====\n") {
		yml, _, _ := strings.Cut(doc, "----\n")
		f.Add([]byte(yml))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Parse(b, "/x")
		if err != nil {
			return
		}
		again, err := Parse([]byte(c.Redacted()), "/x")
		if err != nil {
			t.Fatalf("the redacted form doesn't load: %v\n%s", err, c.Redacted())
		}
		if again.Redacted() != c.Redacted() {
			t.Fatalf("redacting twice differs:\n%s\n%s", c.Redacted(), again.Redacted())
		}
		if err := notice.New(notice.Options{}).Configure(c.Notice(), 1); err != nil {
			t.Fatalf("accepted but the planner refuses: %v", err)
		}
	})
}
