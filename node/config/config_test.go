package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEmptyFileIsTheDefault(t *testing.T) {
	for _, text := range []string{"", "\n", "# only a comment\n", "---\n", "{}\n", "node:\nhttp:\n"} {
		c, err := Parse("f.yml", []byte(text), Overlay{Name: "n1"})
		require.NoError(t, err, "%q", text)
		c.origin = origin{}
		want := Default()
		want.Node.Name = "n1"
		require.Equal(t, want, c, "%q", text)
	}
}

func TestParseReadsEverySetting(t *testing.T) {
	c, err := Load("testdata/full.yml")
	require.NoError(t, err)

	require.Equal(t, Node{Name: "web-01", Datacenter: "sh1", DataDir: "/data/fenghuo", Tenant: "pay", Labels: map[string]string{"role": "db"}}, c.Node)
	require.Equal(t, HTTP{
		Listen: "127.0.0.1:8080", MaxRequests: 64, ClientRate: 12.5, ClientBurst: 50, ReadTimeout: Duration(10 * time.Second),
	}, c.HTTP)
	require.Equal(t, map[string]bool{"systemd": false, "processes": true}, c.Host.Collectors)
	require.Equal(t, Series{Retention: Duration(15 * day), MaxBytes: 2 << 30, MaxSeries: 1000}, c.Series)
	require.Equal(t, []string{"testdata/rules/*.yml", "/etc/rules/one.yml"}, c.Rules.Files)
	require.Equal(t, "testdata/alertmanager.yml", c.Alertmanager.ConfigFile)
	require.Len(t, c.Intake.Sources, 3)
	require.Equal(t, Source{
		Name: "grafana", Type: "grafana", Key: "grafana", Tenant: "shop", Token: "0123456789",
		HMAC: HMAC{Header: "X-Signature", Algorithm: "sha256"}, Labels: map[string]string{"team": "web"},
	}, c.Intake.Sources[0], "an empty key is the name, HMAC has its defaults")
	require.Equal(t, HMAC{Secret: "not-so-secret", Header: "X-Hub-Signature", Algorithm: "sha512", TimestampHeader: "X-Timestamp", MaxAge: Duration(5 * time.Minute)}, c.Intake.Sources[1].HMAC)
	require.Equal(t, "testdata/map.yml", c.Intake.Sources[1].MappingFile)
	require.Equal(t, Duration(90*time.Minute), c.Intake.Sources[2].AutoExpiry)
	require.Equal(t, []Listener{{Protocol: "syslog_udp", Listen: ":5514", Source: "switches"}}, c.Intake.Listeners)
	require.Equal(t, Journal{SegmentSize: 1 << 20, MaxBytes: 64e6, Keep: 2 << 20}, c.Journal)
	require.Equal(t, map[string]string{"region": "cn-east"}, c.ExternalLabels)

	require.False(t, c.ScrapeConfigs.IsZero())
	var jobs []struct {
		Name   string `yaml:"job_name"`
		Static []any  `yaml:"static_configs"`
	}
	require.NoError(t, c.ScrapeConfigs.Decode(&jobs))
	require.Equal(t, "mysql", jobs[0].Name)
	require.Equal(t, []any{map[string]any{"targets": []any{"127.0.0.1:9104"}}}, jobs[0].Static)
}

// TestFullFileNamesEverySetting keeps testdata/full.yml full: a field that
// is added without being read in a test would go unnoticed.
func TestFullFileNamesEverySetting(t *testing.T) {
	c, err := Load("testdata/full.yml")
	require.NoError(t, err)
	var walk func(field string, typ reflect.Type)
	walk = func(field string, typ reflect.Type) {
		for f := range typ.Fields() {
			key := f.Tag.Get("yaml")
			if key == "" {
				continue
			}
			at := join(field, key)
			switch ft := f.Type; kindOf(ft) {
			case "group":
				walk(at, ft)
			case "list of groups":
				walk(at+"[*]", ft.Elem())
			default:
				found := false
				for l := range c.origin.line {
					found = found || indexes.ReplaceAllString(l, "[*]") == at
				}
				require.True(t, found, "testdata/full.yml does not set %s", at)
			}
		}
	}
	walk("", reflect.TypeFor[Config]())
}

func TestOverlays(t *testing.T) {
	env := map[string]string{
		"FENGHUO_HTTP": "127.0.0.1:1", "FENGHUO_LOG_LEVEL": "debug", "FENGHUO_NAME": "from-env",
		"FENGHUO_RULES": "a.yml" + string(os.PathListSeparator) + "b/*.yml",
	}
	flags := Overlay{Name: "from-flag", Data: "d", Gossip: ":1", QUIC: ":2", Datacenter: "dc9", AlertmanagerConfig: "am.yml"}
	c, err := Parse("dir/f.yml", []byte("node: {name: from-file, data_dir: /x}\nrules: {files: [c.yml]}\n"),
		Environment(func(k string) string { return env[k] }), flags)
	require.NoError(t, err)
	require.Equal(t, Node{Name: "from-flag", DataDir: "d", Datacenter: "dc9", Tenant: "default"}, c.Node)
	require.Equal(t, "127.0.0.1:1", c.HTTP.Listen)
	require.Equal(t, ":1", c.Gossip.Listen)
	require.Equal(t, ":2", c.QUIC.Listen)
	require.Equal(t, "debug", c.Log.Level)
	require.Equal(t, []string{"a.yml", "b/*.yml"}, c.Rules.Files, "not relative to the file")
	require.Equal(t, "am.yml", c.Alertmanager.ConfigFile)

	_, err = Parse("f.yml", []byte("log: {level: info}\n"), Overlay{HTTP: "nowhere", Rules: []string{"[", ""}},
		Environment(func(k string) string { return map[string]string{"FENGHUO_LOG_LEVEL": "loud"}[k] }))
	require.EqualError(t, err, `--http: http.listen: "nowhere" is not an address and port like 127.0.0.1:7948
--rules: rules.files[0]: "[" is not a path or a glob: syntax error in pattern
--rules: rules.files[1]: a path is wanted
FENGHUO_LOG_LEVEL: log.level: "loud" is not one of debug, info, warn, error`)
}

func TestDev(t *testing.T) {
	c := Dev(filepath.Join("x", "data"))
	require.NoError(t, c.With())
	for _, a := range []string{c.HTTP.Listen, c.Gossip.Listen, c.QUIC.Listen} {
		require.True(t, strings.HasPrefix(a, "127.0.0.1:"), "a development node listens on loopback only, not on %s", a)
	}
	require.Equal(t, filepath.Join("x", "data", "rules", "*.yml"), c.Rules.Files[0])
}

func TestWriteDev(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	require.NoError(t, WriteDev(dir, "http://127.0.0.1:1/x"))
	c := Dev(dir)
	routes, err := os.ReadFile(c.Alertmanager.ConfigFile)
	require.NoError(t, err)
	require.Contains(t, string(routes), `url: "http://127.0.0.1:1/x"`)
	files, err := filepath.Glob(c.Rules.Files[0])
	require.NoError(t, err)
	require.Len(t, files, 1)

	require.NoError(t, WriteDev(dir, "http://127.0.0.1:2/x"))
	routes, err = os.ReadFile(c.Alertmanager.ConfigFile)
	require.NoError(t, err)
	require.Contains(t, string(routes), ":2/x", "an unclaimed file follows the node")

	require.NoError(t, os.WriteFile(files[0], []byte("groups: []\n"), 0o600))
	require.NoError(t, WriteDev(dir, "http://127.0.0.1:2/x"))
	mine, err := os.ReadFile(files[0])
	require.NoError(t, err)
	require.Equal(t, "groups: []\n", string(mine), "a claimed file is the user's")

	require.Error(t, WriteDev(files[0], "http://127.0.0.1:2/x"), "not a directory")
}

func TestExample(t *testing.T) {
	const file = "../../docs/fenghuo.example.yml"
	c, err := Load(file)
	require.NoError(t, err)
	require.NotEmpty(t, c.Rules.Files)

	// The same with every setting that is commented out.
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var all []string
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(strings.TrimSpace(line), "##") {
			line = strings.TrimPrefix(line, "#")
		}
		all = append(all, line)
	}
	c, err = Parse(file, []byte(strings.Join(all, "")))
	require.NoError(t, err)
	require.Len(t, c.Intake.Sources, 3)
	require.Len(t, c.Intake.Listeners, 1)
	require.NotEmpty(t, c.ExternalURL)
	require.False(t, c.ScrapeConfigs.IsZero())
}

func TestLoadErrors(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "none.yml"))
	require.ErrorIs(t, err, os.ErrNotExist)

	big := filepath.Join(t.TempDir(), "big.yml")
	require.NoError(t, os.WriteFile(big, []byte(strings.Repeat("#", MaxFile+1)), 0o600))
	_, err = Load(big)
	require.ErrorContains(t, err, "larger than")

	_, err = Parse("f.yml", []byte("nod: {}\n"))
	var p Problems
	require.True(t, errors.As(err, &p))
	require.Equal(t, Problem{File: "f.yml", Line: 1, Field: "nod", Reason: "there is no such setting: did you mean node?"}, p[0])
}
