package command

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// runDecode runs the program as a shell would.
func runDecode(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = Main(append([]string{"decode"}, args...), &out, &err)
	return code, out.String(), err.String()
}

func TestDecode(t *testing.T) {
	dir := t.TempDir()
	body := filepath.Join(dir, "body.json")
	require.NoError(t, os.WriteFile(body, []byte(`{"@timestamp":"2026-11-20 12:00:00","message":"m","host":"h"}`), 0o600))
	mapping := filepath.Join(dir, "mapping.yml")
	require.NoError(t, os.WriteFile(mapping, []byte("version: 1\nname: $.message\n"), 0o600))

	code, stdout, stderr := runDecode("elastalert2", body, "--query", "rule=r&severity=critical", "--tz", "Asia/Tokyo",
		"--received-at", "2026-11-20T05:00:00Z", "--header", "X-A=b", "--content-type", "application/json", "--peer", "10.0.0.1", "--method", "POST")
	require.Zero(t, code, stderr)
	var doc struct {
		Alerts []map[string]any `json:"alerts"`
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &doc))
	require.Len(t, doc.Alerts, 1)
	require.Equal(t, "r", doc.Alerts[0]["name"])
	require.Equal(t, "P1", doc.Alerts[0]["priority_hint"])
	require.Equal(t, "2026-11-20T03:00:00Z", doc.Alerts[0]["startsAt"])
	require.Nil(t, doc.Alerts[0]["endsAt"])

	code, stdout, stderr = runDecode("generic", body, "--mapping", mapping)
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, `"name": "m"`)
}

func TestDecodeSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	body, bad := filepath.Join(dir, "body.json"), filepath.Join(dir, "mapping.yml")
	require.NoError(t, os.WriteFile(body, []byte(`{"alerts":[{"status":"firing","labels":{"severity":[]}}]}`), 0o600))
	require.NoError(t, os.WriteFile(bad, []byte("version: 1\nnmae: x\n"), 0o600))
	for _, tc := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"alertmanager", body}, exitError, "alerts[0].labels.severity: wrong type: want text, got array"},
		{[]string{"generic", body, "--mapping", bad}, exitError, "mapping.yml:2: nmae: invalid mapping: unknown field"},
		{[]string{"alertmanager"}, exitUsage, "SOURCE and FILE are wanted"},
		{[]string{"nosuch", body}, exitUsage, `"nosuch" is none of alertmanager,`},
		{[]string{"alertmanager", filepath.Join(dir, "none")}, exitUsage, "none"},
		{[]string{"alertmanager", body, "--tz", "Moon/Crater"}, exitUsage, "tz:"},
		{[]string{"alertmanager", body, "--received-at", "now"}, exitUsage, "received-at:"},
		{[]string{"alertmanager", body, "--header", "x"}, exitUsage, "header:"},
		{[]string{"alertmanager", body, "--mapping", bad}, exitUsage, "mapping:"},
		{[]string{"generic", body}, exitUsage, "mapping:"},
		{[]string{"alertmanager", body, "--nosuch"}, exitUsage, "nosuch"},
	} {
		code, stdout, stderr := runDecode(tc.args...)
		require.Equal(t, tc.code, code, "%v: %s", tc.args, stderr)
		require.Empty(t, stdout)
		require.Contains(t, strings.ReplaceAll(stderr, "\n", " "), tc.want)
	}
}
