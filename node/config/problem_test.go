package config

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write what was observed into testdata and docs")

// indexes matches the [0] of a path.
var indexes = regexp.MustCompile(`\[\d+\]`)

// TestProblems plays testdata/problems/*.txt: a file above the line, what is
// wrong with it below.
func TestProblems(t *testing.T) {
	files, err := filepath.Glob("testdata/problems/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	const line = "----\n"
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			yml, want, ok := strings.Cut(string(text), line)
			require.True(t, ok, "no line ---- in %s", name)
			_, err = Parse("f.yml", []byte(yml), Overlay{Name: "n1"})
			require.Error(t, err)
			got := err.Error() + "\n"
			if *update {
				require.NoError(t, os.WriteFile(name, []byte(yml+line+got), 0o644))
				return
			}
			require.Equal(t, want, got)
		})
	}
}

func TestProblemsAreBounded(t *testing.T) {
	text := strings.Repeat("x: 1\n", 1000)
	_, err := Parse("f.yml", []byte(text))
	require.ErrorContains(t, err, "and 975 more")
	require.Less(t, len(err.Error()), 4000)
}

// TestAliasBomb wants a file that stands for millions of values refused
// quickly.
func TestAliasBomb(t *testing.T) {
	var b strings.Builder
	b.WriteString("intake: {sources: [")
	b.WriteString("&a {labels: {")
	for range 2000 {
		b.WriteString("l")
		b.WriteString(strings.Repeat("x", b.Len()%50+1))
		b.WriteString(": y, ")
	}
	b.WriteString("}}")
	b.WriteString(strings.Repeat(", *a", 5000))
	b.WriteString("]}")
	_, err := Parse("f.yml", []byte(b.String()))
	require.Error(t, err)
}

// TestSecretsAreNotShown formats a configuration in every way.
func TestSecretsAreNotShown(t *testing.T) {
	_, err := Parse("f.yml", []byte("intake: {sources: [{name: a, type: grafana, token: \"sesame sesame\", hmac: {secret: \"tiny\"}}]}\n"))
	require.Error(t, err)
	require.NotContains(t, err.Error(), "sesame")
	require.NotContains(t, err.Error(), "tiny")
	for _, text := range formats(Secret("sesame")) {
		require.NotContains(t, text, "sesame")
	}
	require.Empty(t, Secret("").String())
	require.Equal(t, "sesame", Secret("sesame").Reveal())
}

func TestReferenceIsCurrent(t *testing.T) {
	const file = "../../docs/configuration.md"
	got := Reference()
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "run make generated")
	require.NotContains(t, got, "|  |", "every setting has a comment")
}
