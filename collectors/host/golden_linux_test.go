package host

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite golden files")

// fixture samples the small machine in testdata.
func fixture(t testing.TB) *Host {
	if os.Getpagesize() != 4096 {
		t.Skip("the golden files are of a machine with pages of 4 KiB")
	}
	h, err := New(Options{
		Instance: "h1", Sink: discard{}, ProcFS: "testdata/proc", SysFS: "testdata/sys", RootFS: "testdata/root",
		Disable: []string{"uname", "timex", "systemd"},
		Now:     func() time.Time { return time.Unix(1700000000, 0).UTC() },
	})
	require.NoError(t, err)
	h.Tick(t.Context(), time.Unix(1700000000, 0))
	return h
}

// TestGolden compares with what this version wrote when the file was last looked at.
func TestGolden(t *testing.T) {
	var buf bytes.Buffer
	require.NoError(t, fixture(t).WriteText(&buf, false))
	var got bytes.Buffer
	for line := range strings.Lines(buf.String()) {
		// What differs between machines: the file system below testdata, durations, the zone.
		name, _, _ := strings.Cut(line, "{")
		switch {
		case strings.HasPrefix(name, "node_time_zone_offset_seconds"):
		case strings.HasPrefix(name, "node_filesystem_") && !strings.Contains(name, "_error") && !strings.Contains(name, "_readonly") && !strings.Contains(name, "_info"),
			strings.HasPrefix(name, "node_scrape_collector_duration_seconds"):
			fmt.Fprintln(&got, line[:strings.LastIndex(line, " ")])
		default:
			got.WriteString(line)
		}
	}
	path := filepath.Join("testdata", "golden.txt")
	if *update {
		require.NoError(t, os.WriteFile(path, got.Bytes(), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got.String())
}

// TestAsNodeExporter compares with what node_exporter 1.5.0 said of the same files: every series of the collectors that
// both have must be here with its value, type and help.
func TestAsNodeExporter(t *testing.T) {
	text, err := os.ReadFile("testdata/node_exporter.txt")
	require.NoError(t, err)
	var buf bytes.Buffer
	require.NoError(t, fixture(t).WriteText(&buf, false))
	want, wantHead := exposed(t, text)
	got, gotHead := exposed(t, buf.Bytes())
	require.Greater(t, len(want), 250)
	for _, key := range sortedKeys(want) {
		// node_exporter multiplies by 0.001 where this package divides.
		if v, ok := got[key]; !ok || math.Abs(v-want[key]) > 1e-12*math.Abs(v) {
			t.Errorf("%s: got %v (%v), want %v", key, v, ok, want[key])
		}
	}
	for _, name := range sortedKeys(wantHead) {
		require.Equal(t, wantHead[name], gotHead[name], name)
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// exposed reads an exposition: values by series without empty labels, type and help by metric.
func exposed(t *testing.T, text []byte) (values map[string]float64, heads map[string]string) {
	t.Helper()
	values, heads = map[string]float64{}, map[string]string{}
	p, err := textparse.New(text, textType, labels.NewSymbolTable(), textparse.ParserOptions{})
	require.NoError(t, err)
	for {
		entry, err := p.Next()
		if entry == textparse.EntryInvalid {
			require.ErrorContains(t, err, "EOF")
			return values, heads
		}
		switch entry {
		case textparse.EntrySeries:
			var ls labels.Labels
			p.Labels(&ls)
			_, _, v := p.Series()
			values[ls.WithoutEmpty().String()] = v
		case textparse.EntryHelp:
			name, help := p.Help()
			heads[string(name)] += "help " + string(help) + "; "
		case textparse.EntryType:
			name, kind := p.Type()
			heads[string(name)] += "type " + string(kind)
		}
	}
}
