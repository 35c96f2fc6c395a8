package rulefile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.yml"), filepath.Join(dir, "bad.yml")
	require.NoError(t, os.WriteFile(good, []byte(`
groups:
- name: g
  rules:
  - {alert: A, expr: up == 0, labels: {severity: page}}
  - {alert: A, expr: up == 1, labels: {severity: page}}
  - {alert: B, expr: up}
  - {record: r, expr: up}
  - {record: r, expr: sum(up)}
- name: h
  rules:
  - {alert: A, expr: up==0, labels: {severity: page}}
`), 0o600))
	require.NoError(t, os.WriteFile(bad, []byte("groups:\n- name: g\n  rules:\n  - {alert: A, expr: 'up ='}\n"), 0o600))
	reports := Check([]string{good, bad, filepath.Join(dir, "*.json"), filepath.Join(dir, "gone.yml")}, 0)
	var b strings.Builder
	failed, err := WriteReports(&b, reports, true)
	require.NoError(t, err)
	require.True(t, failed)
	text := strings.ReplaceAll(b.String(), dir+string(filepath.Separator), "")
	i := strings.Index(text, "Checking gone.yml")
	require.Positive(t, i)
	j := strings.Index(text, "Checking good.yml")
	require.Equal(t, `Checking *.json
  SUCCESS: 0 rules found (0 alerting, 0 recording) in 0 groups
  *.json: warning: no file matches

Checking bad.yml
  FAILED:
  bad.yml:4:22: group "g", rule "A": could not parse expression: 1:4: parse error: unexpected "="

`, text[:i])
	require.Contains(t, text[i:j], "  FAILED:\n  gone.yml: open ")
	require.Equal(t, `Checking good.yml
  SUCCESS: 6 rules found (4 alerting, 2 recording) in 2 groups
  good.yml:7:5: hint: group "g", rule "B": the alert has no label severity and gets priority P3
  good.yml:9:5: hint: group "g", rule "r": the rule at line 8 records the same name and labels: their results must not overlap
  good.yml:12:5: warning: group "h", rule "A": the rule is a duplicate of the one at line 5

`, text[j:])
	b.Reset()
	failed, err = WriteReports(&b, reports[3:], false)
	require.NoError(t, err)
	require.False(t, failed)
	require.NotContains(t, b.String(), "hint")
}
