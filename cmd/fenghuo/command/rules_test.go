package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRulesCommand(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(p, []byte(text), 0o600))
		return p
	}
	good := write("good.yml", "groups: [{name: g, rules: [{alert: A, expr: 'm > 1'}]}]")
	bad := write("bad.yml", "groups: [{name: g, rules: [{alert: A, expr: 'm >'}]}]")
	pass := write("pass.yml", "rule_files: [good.yml]\ntests: [{name: one, input_series: [{series: m, values: '2'}], alert_rule_test: [{eval_time: 0s, alertname: A, exp_alerts: [{}]}]}]")
	fail := write("fail.yml", "rule_files: [good.yml]\ntests: [{name: two, alert_rule_test: [{eval_time: 0s, alertname: A, exp_alerts: [{}]}]}]")
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"check", good}, exitOK, "SUCCESS: 1 rules found"},
		{[]string{"check", "--hints", good}, exitOK, "no label severity"},
		{[]string{"check", filepath.Join(dir, "*d.yml")}, exitError, `bad.yml:1:45: group "g", rule "A": could not parse`},
		{[]string{"test", pass}, exitOK, "SUCCESS"},
		{[]string{"test", pass, fail}, exitError, "exp:["},
		{[]string{"test", "--diff", fail}, exitError, "- Labels:"},
		{[]string{"test", "--run", "one", fail}, exitOK, "SUCCESS"},
		{[]string{"test", "--run", "(", fail}, exitUsage, "--run"},
		{[]string{"check"}, exitUsage, "requires at least 1 arg"},
		{[]string{"test", bad}, exitError, "FAILED"},
	} {
		var out strings.Builder
		code := Main(append([]string{"rules"}, c.args...), &out, &out)
		require.Equal(t, c.code, code, "%v: %s", c.args, out.String())
		require.Contains(t, out.String(), c.want, "%v", c.args)
	}
}
