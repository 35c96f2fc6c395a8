package show

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/catalog"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/document"
)

var update = flag.Bool("update", false, "rewrite what is observed in testdata")

// The parts of a scenario: a command with its body, what was observed, and the
// end. A body's \n \r \xNN stand for those bytes where the command says raw.
const (
	observed = "----\n"
	finished = "====\n"
)

// TestVariants plays the bodies that senders send beside the ordinary ones. A
// file holds scenarios: "SOURCE name=value...", the body, a line, what it was
// understood to mean.
func TestVariants(t *testing.T) {
	files, err := filepath.Glob("testdata/variants/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(f)
			require.NoError(t, err)
			var out strings.Builder
			for _, scenario := range strings.SplitAfter(string(text), finished) {
				if strings.TrimSpace(scenario) == "" {
					continue
				}
				before, _, ok := strings.Cut(scenario, observed)
				require.True(t, ok, scenario)
				out.WriteString(before + observed + play(t, before) + finished)
			}
			if *update {
				require.NoError(t, os.WriteFile(f, []byte(out.String()), 0o644))
				return
			}
			require.Equal(t, string(text), out.String())
		})
	}
}

// play decodes a scenario's body and tells what it means.
func play(t *testing.T, scenario string) string {
	t.Helper()
	for strings.HasPrefix(strings.TrimLeft(scenario, "\n"), "#") {
		_, scenario, _ = strings.Cut(strings.TrimLeft(scenario, "\n"), "\n")
	}
	command, body, _ := strings.Cut(strings.TrimLeft(scenario, "\n"), "\n")
	words := strings.Fields(command)
	body = strings.TrimSuffix(body, "\n")
	if slices.Contains(words, "raw") {
		var err error
		body, err = unquote(body)
		require.NoError(t, err)
	}
	o := Options{Source: words[0], Body: []byte(body), Now: time.Date(2026, 11, 20, 8, 30, 0, 0, time.UTC)}
	for _, w := range words[1:] {
		name, value, _ := strings.Cut(w, "=")
		switch name {
		case "raw":
		case "tz":
			o.Zone = value
		case "type":
			o.ContentType = value
		case "query":
			o.Query = value
		case "peer":
			o.Peer = value
		case "header":
			o.Headers = append(o.Headers, value)
		default:
			t.Fatalf("%q: what is %s?", command, name)
		}
	}
	r, err := o.request()
	require.NoError(t, err)
	src, ok := catalog.Find(o.Source)
	require.True(t, ok, command)
	res, err := src.Decoder.Decode(r)
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	return told(t, Of(o.Source, res))
}

// unquote reads escapes, line by line.
func unquote(s string) (string, error) {
	var out string
	_, err := fmt.Sscanf(`"`+strings.ReplaceAll(strings.ReplaceAll(s, `"`, `\"`), "\n", `\n`)+`"`, "%q", &out)
	return out, err
}

// told writes a document in lines, without what is null.
func told(t *testing.T, d Document) string {
	t.Helper()
	var b strings.Builder
	for _, a := range d.Alerts {
		raw, err := json.Marshal(a)
		require.NoError(t, err)
		var m map[string]any
		require.NoError(t, json.Unmarshal(raw, &m))
		fmt.Fprintf(&b, "%s %s\n", m["status"], m["dedupe_key"])
		for _, k := range slices.Sorted(maps.Keys(m)) {
			switch v := m[k].(type) {
			case nil:
			case string:
				if k != "status" && k != "dedupe_key" && k != "source" {
					fmt.Fprintf(&b, "  %s: %q\n", k, v)
				}
			default:
				line, err := json.Marshal(v)
				require.NoError(t, err)
				fmt.Fprintf(&b, "  %s: %s\n", k, line)
			}
		}
	}
	if d.Control != nil {
		line, err := json.Marshal(d.Control)
		require.NoError(t, err)
		fmt.Fprintf(&b, "control %s\n", line)
	}
	for _, r := range d.Rejections {
		fmt.Fprintf(&b, "rejected %d: %s\n", r.Index, r.Reason)
	}
	if d.Truncated > 0 || d.Rejected > 0 {
		fmt.Fprintf(&b, "truncated %d rejected %d\n", d.Truncated, d.Rejected)
	}
	return b.String()
}

// FuzzDecoders feeds every source anything. What is taken must be within the
// model's bounds, twice the same, and refused with a reason that isn't larger
// than an answer may be.
func FuzzDecoders(f *testing.F) {
	sources := catalog.Sources()
	for i, s := range sources {
		files, err := filepath.Glob("../*/testdata/" + s.Name + "/*")
		require.NoError(f, err)
		for _, name := range files {
			if strings.HasSuffix(name, ".expect.json") {
				continue
			}
			body, err := os.ReadFile(name)
			require.NoError(f, err)
			f.Add(uint8(i), "", body)
		}
	}
	variants, err := filepath.Glob("testdata/variants/*.txt")
	require.NoError(f, err)
	for _, name := range variants {
		text, err := os.ReadFile(name)
		require.NoError(f, err)
		for _, scenario := range strings.SplitAfter(string(text), finished) {
			before, _, _ := strings.Cut(scenario, observed)
			command, body, _ := strings.Cut(strings.TrimLeft(before, "\n"), "\n")
			for i, s := range sources {
				if strings.HasPrefix(command, s.Name) {
					f.Add(uint8(i), "application/json", []byte(body))
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, contentType string, body []byte) {
		src := sources[int(which)%len(sources)]
		if src.Decoder == nil {
			return
		}
		r := intake.Request{Method: "POST", ContentType: contentType, Body: body, ReceivedAt: time.Unix(1795144530, 0)}
		res, err := src.Decoder.Decode(r)
		if err != nil {
			require.LessOrEqual(t, len(err.Error()), 4096)
			return
		}
		again, err := src.Decoder.Decode(r)
		require.NoError(t, err)
		require.Equal(t, Of(src.Name, res), Of(src.Name, again))
		for i := range res.Events {
			e := res.Events[i]
			a := *e.Alert
			require.False(t, a.Labels.Empty())
			if e.Resolved {
				require.NotZero(t, a.EndsAt, "a resolve has an end")
			} else {
				require.NotZero(t, a.StartsAt, "what fires has begun")
			}
			out := Of(src.Name, intake.Result{Events: []intake.Event{e}})
			require.NotEmpty(t, out.Alerts[0].DedupeKey)
			if src.Name != "prometheus_v2" && src.Name != "alertmanager" && src.Name != "grafana" && src.Name != "aliyun_arms" {
				require.NotEmpty(t, a.Labels.Get("alertname"))
			}
		}
		for _, rej := range res.Rejected {
			require.Error(t, rej.Err)
			require.False(t, errors.Is(rej.Err, document.ErrSyntax))
		}
	})
}
