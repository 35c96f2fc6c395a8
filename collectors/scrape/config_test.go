package scrape

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func tryDecode(text string) ([]Config, error) {
	var out []Config
	dec := yaml.NewDecoder(strings.NewReader(text))
	dec.KnownFields(true)
	err := dec.Decode(&out)
	return out, err
}

func decode(t testing.TB, text string) []Config {
	c, err := tryDecode(text)
	require.NoError(t, err)
	return c
}

func TestConfigIsRead(t *testing.T) {
	text, err := os.ReadFile("testdata/full.yml")
	require.NoError(t, err)
	cs := decode(t, string(text))
	require.NoError(t, Validate(cs, 15*time.Second))
	c := cs[0].withDefaults(15 * time.Second)
	require.Equal(t, Size(4<<20), c.BodySizeLimit)
	require.Equal(t, "5s", c.ScrapeTimeout.String())
	require.False(t, *c.HonorTimestamps)
	require.True(t, *c.FollowRedirects)
	require.Equal(t, Secret("pw"), c.BasicAuth.Password)

	// What is shown can be read again, and shows no secret.
	shown, err := yaml.Marshal(cs)
	require.NoError(t, err)
	require.NotContains(t, string(shown), "pw")
	require.NoError(t, Validate(decode(t, string(shown)), 15*time.Second))
	d := decode(t, "- {job_name: x}")[0].withDefaults(30 * time.Second)
	require.Equal(t, "30s", d.ScrapeInterval.String())
	require.Equal(t, "10s", d.ScrapeTimeout.String())
	require.Equal(t, DefaultSampleLimit, d.SampleLimit)
}

func TestConfigErrorsNameTheKey(t *testing.T) {
	for text, want := range map[string]string{
		`[{scheme: http}]`:                                                                           "job_name",
		`[{job_name: a}, {job_name: a}]`:                                                             "stands twice",
		`[{job_name: a, scrape_interval: 100ms}]`:                                                    "scrape_interval",
		`[{job_name: a, scrape_interval: 5s, scrape_timeout: 6s}]`:                                   "scrape_timeout",
		`[{job_name: a, metrics_path: metrics}]`:                                                     "metrics_path",
		`[{job_name: a, scheme: ftp}]`:                                                               "scheme",
		`[{job_name: a, sample_limit: -1}]`:                                                          "sample_limit",
		`[{job_name: a, label_limit: 1000}]`:                                                         "label_limit",
		`[{job_name: a, label_name_length_limit: 1000}]`:                                             "label_name_length_limit",
		`[{job_name: a, label_value_length_limit: 100000}]`:                                          "label_value_length_limit",
		`[{job_name: a, body_size_limit: 1GiB}]`:                                                     "1GiB",
		`[{job_name: a, body_size_limit: lots}]`:                                                     "lots",
		`[{job_name: a, basic_auth: {password: x}}]`:                                                 "basic_auth.username",
		`[{job_name: a, basic_auth: {username: x, password: x, password_file: y}}]`:                  "basic_auth.password",
		`[{job_name: a, basic_auth: {username: x}, authorization: {credentials: y}}]`:                "basic_auth",
		`[{job_name: a, authorization: {type: Basic, credentials: y}}]`:                              "authorization.type",
		`[{job_name: a, authorization: {}}]`:                                                         "authorization.credentials",
		`[{job_name: a, tls_config: {cert_file: x}}]`:                                                "tls_config.cert_file",
		`[{job_name: a, static_configs: [{targets: ["http://h:1"]}]}]`:                               "static_configs[0].targets[0]",
		`[{job_name: a, static_configs: [{targets: ["h:1"], labels: {"": x}}]}]`:                     "static_configs[0].labels",
		`[{job_name: a, relabel_configs: [{action: hashmod, source_labels: [a], target_label: b}]}]`: "relabel_configs[0]",
		`[{job_name: a, metric_relabel_configs: [{action: labeldrop, source_labels: [a]}]}]`:         "metric_relabel_configs[0]",
		`[{job_name: a, file_sd_configs: [{files: ["/etc/targets.txt"]}]}]`:                          "file_sd_configs[0].files[0]",
		`[{job_name: a, file_sd_configs: [{}]}]`:                                                     "file_sd_configs[0].files",
		`[{job_name: a, file_sd_configs: [{files: [x.yml], refresh_interval: 1ms}]}]`:                "refresh_interval",
		`[{job_name: a, kubernetes_sd_configs: []}]`:                                                 "kubernetes_sd_configs",
		`[{job_name: a, relabel_configs: [{source_label: [a]}]}]`:                                    "source_label",
		`[{job_name: a, relabel_configs: [{regex: "("}]}]`:                                           "missing closing",
	} {
		cs, err := tryDecode(text)
		if err == nil {
			err = Validate(cs, 15*time.Second)
		}
		require.ErrorContains(t, err, want, text)
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{"0": 0, "100": 100, "1KB": 1024, "2 MiB": 2 << 20, "16MB": 16 << 20, "5B": 5} {
		got, err := parseSize(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
		again, err := parseSize(got.String())
		require.NoError(t, err)
		require.Equal(t, got, again)
	}
	for _, text := range []string{"", "-1", "1.5MB", "MB", "9223372036854775807", "9999999GiB", "1TB"} {
		_, err := parseSize(text)
		require.Error(t, err, text)
	}
}

// TestAuthorization sends what the configuration says over real TLS connections.
func TestAuthorization(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "secret")
	require.NoError(t, os.WriteFile(file, []byte("from file\n"), 0o600))
	var got http.Header
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header }))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	ca := filepath.Join(dir, "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600))
	addr := srv.Listener.Addr().String()

	fetch := func(c Config) error {
		c.JobName, c.Scheme = "j", "https"
		c = c.withDefaults(15 * time.Second)
		require.Empty(t, c.check())
		client, err := newClient(&c, nil)
		require.NoError(t, err)
		defer client.CloseIdleConnections()
		target, err := newTarget(&c, addr, nil)
		require.NoError(t, err)
		_, err = target.fetch(t.Context(), client, "test", &bytes.Buffer{})
		return err
	}
	require.ErrorContains(t, fetch(Config{}), "certificate", "who isn't known isn't trusted")
	tlsConfig := &TLSConfig{CAFile: ca}
	require.NoError(t, fetch(Config{TLSConfig: &TLSConfig{InsecureSkipVerify: true}}))
	require.NoError(t, fetch(Config{TLSConfig: tlsConfig}))
	require.Equal(t, "test", got.Get("User-Agent"))
	require.ErrorContains(t, fetch(Config{TLSConfig: &TLSConfig{CAFile: ca, ServerName: "other.example.org"}}), "certificate")
	require.NoError(t, fetch(Config{TLSConfig: tlsConfig, BasicAuth: &BasicAuth{Username: "u", Password: "p"}}))
	require.Equal(t, "Basic dTpw", got.Get("Authorization"))
	require.NoError(t, fetch(Config{TLSConfig: tlsConfig, Authorization: &Authorization{CredentialsFile: file}}))
	require.Equal(t, "Bearer from file", got.Get("Authorization"))
	require.NoError(t, fetch(Config{TLSConfig: tlsConfig, Authorization: &Authorization{Type: "Token", Credentials: "x"}}))
	require.Equal(t, "Token x", got.Get("Authorization"))
	require.NoError(t, os.Remove(file))
	require.ErrorContains(t, fetch(Config{TLSConfig: tlsConfig, Authorization: &Authorization{CredentialsFile: file}}), "credentials_file")

	_, err := newClient(&Config{TLSConfig: &TLSConfig{CAFile: filepath.Join(dir, "none")}, EnableCompression: orTrue(nil)}, nil)
	require.ErrorContains(t, err, "tls_config.ca_file")
	_, err = newClient(&Config{TLSConfig: &TLSConfig{CertFile: ca, KeyFile: ca}, EnableCompression: orTrue(nil)}, nil)
	require.ErrorContains(t, err, "tls_config.cert_file")
}

// TestHostileServer meets what a server can do beside a bad exposition.
func TestHostileServer(t *testing.T) {
	redirects := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/loop":
			redirects++
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/gzip":
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb(t))
		case "/headers":
			w.Header().Set("X", strings.Repeat("x", 1<<20))
		case "/short":
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("a 1\n"))
		}
	}))
	defer srv.Close()
	no := false
	for path, want := range map[string]string{"/loop": "redirects", "/gzip": "body_size_limit", "/headers": "header", "/short": "EOF"} {
		c := Config{JobName: "j", MetricsPath: path}.withDefaults(15 * time.Second)
		client, err := newClient(&c, nil)
		require.NoError(t, err)
		target, err := newTarget(&c, srv.Listener.Addr().String(), nil)
		require.NoError(t, err)
		var buf bytes.Buffer
		target.timeout = time.Minute // the bomb takes its time under the race detector
		_, err = target.fetch(t.Context(), client, "test", &buf)
		require.ErrorContains(t, err, want)
		require.LessOrEqual(t, buf.Len(), int(DefaultBodyLimit)+1)
		client.CloseIdleConnections()
	}
	require.Equal(t, maxRedirects+1, redirects)
	c := Config{JobName: "j", MetricsPath: "/loop", FollowRedirects: &no}.withDefaults(15 * time.Second)
	client, err := newClient(&c, nil)
	require.NoError(t, err)
	target, err := newTarget(&c, srv.Listener.Addr().String(), nil)
	require.NoError(t, err)
	_, err = target.fetch(context.Background(), client, "test", &bytes.Buffer{})
	require.ErrorContains(t, err, "302")
	client.CloseIdleConnections()
}

func TestFilesOfTargets(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		write := func(name, text string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
		}
		write("a.json", `[{"targets": ["h:1"], "labels": {"env": "x"}}]`)
		m, _, stop := run(t, &exporter{body: "a 1\n"})
		defer stop()
		require.NoError(t, m.Apply([]Config{{JobName: "j", FileSDConfigs: []FileSDConfig{{Files: []string{filepath.Join(dir, "*.json"), filepath.Join(dir, "*.yml")}}}}}))
		urls := func() string {
			var out []string
			for _, x := range m.Targets() {
				out = append(out, x.URL)
			}
			return strings.Join(out, " ")
		}
		require.Equal(t, "http://h:1/metrics", urls())
		require.Equal(t, "x", m.Targets()[0].Labels.Get("env"))
		require.Equal(t, filepath.Join(dir, "a.json"), m.Targets()[0].Discovered.Get("__meta_filepath"))

		write("b.yml", "- targets: [h:2]\n")
		time.Sleep(31 * time.Second)
		require.Equal(t, "http://h:1/metrics http://h:2/metrics", urls())

		write("b.yml", "- targets: [http://h:3]\n- junk\n")
		time.Sleep(31 * time.Second)
		require.Equal(t, "http://h:1/metrics http://h:2/metrics", urls(), "a bad file keeps its last targets")

		require.NoError(t, os.Remove(filepath.Join(dir, "a.json")))
		time.Sleep(31 * time.Second)
		require.Equal(t, "http://h:2/metrics", urls())
	})
}

// bomb is 64 MiB of nothing, compressed.
func bomb(t testing.TB) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	line := bytes.Repeat([]byte("\n"), 1<<20)
	for range 64 {
		_, err := z.Write(line)
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return b.Bytes()
}
