package ruletest

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/collectors/evaluate/rulefile"
)

// TestDocument loads the rule files of docs/rules.md and runs its tests.
func TestDocument(t *testing.T) {
	text, err := os.ReadFile("../../../docs/rules.md")
	require.NoError(t, err)
	dir := t.TempDir()
	var rules, tests []string
	for _, m := range regexp.MustCompile("(?s)```yaml\n# file: (\\S+)\n(.*?)```").FindAllSubmatch(text, -1) {
		file := filepath.Join(dir, string(m[1]))
		require.NoError(t, os.WriteFile(file, m[2], 0o600))
		if ok, _ := filepath.Match("*.test.yml", string(m[1])); ok {
			tests = append(tests, file)
		} else {
			rules = append(rules, file)
		}
	}
	require.Len(t, rules, 3)
	require.Len(t, tests, 3)
	_, err = rulefile.Load(rules, 0)
	require.NoError(t, err)
	for _, r := range Run(t.Context(), tests, Options{TempDir: dir}) {
		require.Empty(t, r.Failures, r.File)
		require.Empty(t, r.Warnings, r.File)
		require.Positive(t, r.Tests)
	}
}
