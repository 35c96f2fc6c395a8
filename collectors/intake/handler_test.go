package intake_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/catalog"
)

// sink keeps what it is given.
type sink struct {
	mu      sync.Mutex
	batches []intake.Batch
	err     error
	reject  error // of the first alert of each batch
}

func (s *sink) Accept(_ context.Context, b intake.Batch) (intake.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return intake.Receipt{}, s.err
	}
	s.batches = append(s.batches, b)
	if s.reject != nil {
		return intake.Receipt{Accepted: len(b.Alerts) - 1, Rejected: []intake.Rejection{{Index: 0, Err: s.reject}}}, nil
	}
	return intake.Receipt{Accepted: len(b.Alerts)}, nil
}

func (s *sink) alerts() []*alert.Alert {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*alert.Alert
	for _, b := range s.batches {
		out = append(out, b.Alerts...)
	}
	return out
}

var now = time.Date(2026, 11, 20, 8, 30, 0, 0, time.UTC)

func newHandler(t *testing.T, s intake.Sink, in ...intake.Integration) (*intake.Handler, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	h, err := intake.New(intake.Options{
		Sources: catalog.Sources(), Sink: s, Node: "n1", Datacenter: "hz", Now: func() time.Time { return now }, Registerer: reg,
	})
	require.NoError(t, err)
	require.NoError(t, h.Apply(in))
	return h, reg
}

func call(h http.Handler, method, url string, body []byte, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, url, bytes.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

const oneAlert = `{"alerts":[{"status":"firing","labels":{"alertname":"A","severity":"critical"},"startsAt":"2026-11-20T08:00:00Z"}]}`

func TestAuth(t *testing.T) {
	s := &sink{}
	h, _ := newHandler(
		t, s,
		intake.Integration{Name: "open", Source: "alertmanager", Key: "k-open"},
		intake.Integration{Name: "token", Source: "alertmanager", Key: "k-token", Token: "tok-am-7f3c"},
		intake.Integration{Name: "basic", Source: "alertmanager", Key: "k-basic", BasicUser: "u", BasicPassword: "p:w"},
		intake.Integration{Name: "keyless", Source: "alertmanager", Token: "only-token"},
		intake.Integration{Name: "twin1", Source: "grafana", Key: "a", Token: "same"},
		intake.Integration{Name: "twin2", Source: "grafana", Key: "b", Token: "same"},
		intake.Integration{Name: "lan", Source: "alertmanager", Key: "k-lan", Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
	)
	unauthorized := call(h, "POST", "/v1/ingest/alertmanager/nobody", []byte(oneAlert)).Body.String()
	for _, tc := range []struct {
		name, path string
		headers    []string
		want       int
		from       string
	}{
		{"key alone", "/v1/ingest/alertmanager/k-open", nil, 200, "open"},
		{"key with a slash", "/v1/ingest/alertmanager/k-open/", nil, 200, "open"},
		{"bearer", "/v1/ingest/alertmanager/k-token", []string{"Authorization", "Bearer tok-am-7f3c"}, 200, "token"},
		{"bearer in lower case", "/v1/ingest/alertmanager/k-token", []string{"Authorization", "bearer tok-am-7f3c"}, 200, "token"},
		{"mesh token", "/v1/ingest/alertmanager/k-token", []string{"X-Mesh-Token", "tok-am-7f3c"}, 200, "token"},
		{"query token", "/v1/ingest/alertmanager/k-token?token=tok-am-7f3c", nil, 200, "token"},
		{"token as password", "/v1/ingest/alertmanager/k-token", []string{"Authorization", "Basic eDp0b2stYW0tN2YzYw=="}, 200, "token"},
		{"no token", "/v1/ingest/alertmanager/k-token", nil, 401, ""},
		{"wrong token", "/v1/ingest/alertmanager/k-token", []string{"Authorization", "Bearer tok"}, 401, ""},
		{"basic", "/v1/ingest/alertmanager/k-basic", []string{"Authorization", "Basic dTpwOnc="}, 200, "basic"},
		{"basic without key", "/v1/ingest/alertmanager", []string{"Authorization", "Basic dTpwOnc="}, 200, "basic"},
		{"wrong password", "/v1/ingest/alertmanager/k-basic", []string{"Authorization", "Basic dTpw"}, 401, ""},
		{"token names the integration", "/v1/ingest/alertmanager", []string{"Authorization", "Bearer only-token"}, 200, "keyless"},
		{"key as token", "/v1/ingest/alertmanager", []string{"X-Mesh-Token", "k-open"}, 200, "open"},
		{"a token of two", "/v1/ingest/grafana", []string{"X-Mesh-Token", "same"}, 401, ""},
		{"key of another source", "/v1/ingest/zabbix/k-open", nil, 401, ""},
		{"nothing", "/v1/ingest/alertmanager", nil, 401, ""},
		{"wrong network", "/v1/ingest/alertmanager/k-lan", nil, 403, ""},
		{"unknown source", "/v1/ingest/nosuch/k-open", nil, 404, ""},
		{"unknown tail", "/v1/ingest/alertmanager/k-open/x", nil, 404, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s.batches = nil
			w := call(h, "POST", tc.path, []byte(oneAlert), tc.headers...)
			require.Equal(t, tc.want, w.Code, w.Body.String())
			if tc.want == 200 {
				require.Len(t, s.batches, 1)
				require.Equal(t, tc.from, s.batches[0].Origin.Integration)
				return
			}
			require.Empty(t, s.batches)
			require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
			if tc.want == 401 {
				require.Equal(t, unauthorized, w.Body.String(), "what is wrong isn't told")
				require.NotEmpty(t, w.Header().Get("WWW-Authenticate"))
			}
		})
	}
}

func sign(secret, text string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

func TestSignature(t *testing.T) {
	s := &sink{}
	h, _ := newHandler(
		t, s,
		intake.Integration{Name: "plain", Source: "alertmanager", Key: "plain", HMAC: intake.HMAC{Secret: "s3cret", Header: "X-Signature"}},
		intake.Integration{Name: "aged", Source: "alertmanager", Key: "aged", HMAC: intake.HMAC{
			Secret: "s3cret", Header: "X-Signature", TimestampHeader: "X-Time", MaxAge: time.Minute,
		}},
		intake.Integration{Name: "gf", Source: "grafana", Key: "gf", HMAC: intake.HMAC{
			Secret: "gf-hmac-7Qx2", Header: "X-Grafana-Alerting-Signature", TimestampHeader: "X-Grafana-Alerting-Timestamp",
		}},
	)
	stamp := fmt.Sprint(now.Unix())
	stale := fmt.Sprint(now.Add(-2 * time.Minute).Unix())
	good := sign("s3cret", oneAlert)
	for _, tc := range []struct {
		name, key string
		headers   []string
		want      int
	}{
		{"hexadecimal", "plain", []string{"X-Signature", good}, 200},
		{"upper case", "plain", []string{"X-Signature", strings.ToUpper(good)}, 200},
		{"prefix", "plain", []string{"X-Signature", "sha256=" + good}, 200},
		{"missing", "plain", nil, 401},
		{"wrong", "plain", []string{"X-Signature", sign("other", oneAlert)}, 403},
		{"of another body", "plain", []string{"X-Signature", sign("s3cret", oneAlert+" ")}, 403},
		{"garbage", "plain", []string{"X-Signature", "!!"}, 403},
		{"with time", "aged", []string{"X-Signature", sign("s3cret", stamp+":"+oneAlert), "X-Time", stamp}, 200},
		{"time not signed", "aged", []string{"X-Signature", good, "X-Time", stamp}, 403},
		{"stale", "aged", []string{"X-Signature", sign("s3cret", stale+":"+oneAlert), "X-Time", stale}, 403},
		{"no time", "aged", []string{"X-Signature", good}, 401},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s.batches = nil
			w := call(h, "POST", "/v1/ingest/alertmanager/"+tc.key, []byte(oneAlert), tc.headers...)
			require.Equal(t, tc.want, w.Code, w.Body.String())
			require.Equal(t, tc.want == 200, len(s.batches) == 1)
		})
	}
	body, err := os.ReadFile("grafana/testdata/grafana/http_5xx_firing.json")
	require.NoError(t, err)
	recorded := []string{
		"X-Grafana-Alerting-Signature", "500e8c60352df608c2b81e22df956482108f9579d991d9460ba19501eac30ca1", "X-Grafana-Alerting-Timestamp", "1763608540",
	}
	require.Equal(t, 200, call(h, "POST", "/v1/ingest/grafana/gf", body, recorded...).Code, "a signature of Grafana's own")
	body[0] ^= 1
	require.Equal(t, 403, call(h, "POST", "/v1/ingest/grafana/gf", body, recorded...).Code)
}

func packed(t *testing.T, kind string, body []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if kind == "gzip" {
		z := gzip.NewWriter(&b)
		_, err := z.Write(body)
		require.NoError(t, err)
		require.NoError(t, z.Close())
		return b.Bytes()
	}
	z := zlib.NewWriter(&b)
	_, err := z.Write(body)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.Bytes()
}

func TestBodies(t *testing.T) {
	s := &sink{}
	h, reg := newHandler(
		t, s, intake.Integration{Name: "am", Source: "alertmanager", Key: "k"}, intake.Integration{Name: "tiny", Source: "alertmanager", Key: "tiny", MaxBody: 16},
	)
	many := []byte(`{"alerts":[` + strings.Repeat(`{"status":"firing","labels":{"a":"b"}},`, 10_000) + `{"status":"firing","labels":{"a":"b"}}]}`)
	deep := []byte(`{"alerts":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`)
	for _, tc := range []struct {
		name    string
		body    []byte
		headers []string
		want    int
		text    string
	}{
		{"plain", []byte(oneAlert), nil, 200, `"accepted":1`},
		{"gzip", packed(t, "gzip", []byte(oneAlert)), []string{"Content-Encoding", "gzip"}, 200, `"accepted":1`},
		{"deflate", packed(t, "zlib", []byte(oneAlert)), []string{"Content-Encoding", "deflate"}, 200, `"accepted":1`},
		{"large but fine", []byte(strings.Repeat(" ", 1<<20) + oneAlert), nil, 200, `"accepted":1`},
		{"empty", nil, nil, 400, "body: malformed JSON: empty"},
		{"broken", []byte(oneAlert[:40]), nil, 400, "the body ends in the middle"},
		{"not UTF-8", []byte(strings.Replace(oneAlert, "critical", "\xc4\xe3", 1)), nil, 400, "alerts[0].labels.severity: malformed JSON: invalid UTF-8"},
		{"doubled name", []byte(`{"alerts":[],"alerts":[]}`), nil, 400, "duplicate object member name"},
		{"deep", deep, nil, 413, "nested deeper than 32"},
		{"many alerts", many, nil, 413, "too many alerts: 10001, at most 10000"},
		{"wrong type", []byte(`{"alerts":[{"status":"firing","labels":{"severity":["x"]}}]}`), nil, 422, "alerts[0].labels.severity: wrong type: want text, got array"},
		{"no list", []byte(`{}`), nil, 400, "alerts: not what this source sends: want array, got nothing"},
		{"empty labels", []byte(`{"alerts":[{"status":"firing","labels":{}}]}`), nil, 422, "alerts[0]: labels: at least one non-empty label is required"},
		{"too large", []byte(strings.Repeat(" ", 5<<20) + oneAlert), nil, 413, "at most 5242880"},
		{"bomb", packed(t, "gzip", bytes.Repeat([]byte(" "), 30<<20)), []string{"Content-Encoding", "gzip"}, 413, "unpacked: body too large"},
		{"broken gzip", []byte(oneAlert), []string{"Content-Encoding", "gzip"}, 400, "gzip: malformed encoding"},
		{"unknown encoding", []byte(oneAlert), []string{"Content-Encoding", "br"}, 415, "gzip, deflate and identity are understood"},
		{"wrong media", []byte(oneAlert), []string{"Content-Type", "application/xml"}, 415, "application/xml"},
		{"wrong charset", []byte(oneAlert), []string{"Content-Type", "application/json; charset=GBK"}, 415, "send UTF-8"},
		{"curl's own type", []byte(oneAlert), []string{"Content-Type", "application/x-www-form-urlencoded"}, 200, `"accepted":1`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s.batches = nil
			w := call(h, "POST", "/v1/ingest/alertmanager/k", tc.body, tc.headers...)
			require.Equal(t, tc.want, w.Code, w.Body.String())
			var doc map[string]any
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &doc))
			require.Contains(t, fmt.Sprint(doc)+w.Body.String(), tc.text)
			require.Equal(t, tc.want == 200, len(s.batches) == 1, "a refused body changes nothing")
		})
	}
	require.Equal(t, 413, call(h, "POST", "/v1/ingest/alertmanager/tiny", []byte(oneAlert)).Code)
	require.Positive(t, testutil.CollectAndCount(reg, "fenghuo_intake_refusals_total"))
	w := call(h, "GET", "/v1/ingest/alertmanager/k", nil)
	require.Equal(t, 405, w.Code)
	require.Equal(t, "POST", w.Header().Get("Allow"))
}

func TestSinkTrouble(t *testing.T) {
	s := &sink{}
	h, _ := newHandler(t, s, intake.Integration{Name: "am", Source: "alertmanager", Key: "k"})
	for err, want := range map[error]int{intake.ErrUnavailable: 503, intake.ErrBusy: 503, context.DeadlineExceeded: 503} {
		s.err = fmt.Errorf("disk: %w", err)
		w := call(h, "POST", "/v1/ingest/alertmanager/k", []byte(oneAlert))
		require.Equal(t, want, w.Code)
		require.NotEmpty(t, w.Header().Get("Retry-After"))
	}
	s.err, s.reject = nil, alert.ErrTimes
	w := call(h, "POST", "/v1/ingest/alertmanager/k", []byte(oneAlert))
	require.Equal(t, 422, w.Code, w.Body.String())
	require.Contains(t, w.Body.String(), alert.ErrTimes.Error())
	s.reject = intake.ErrBusy
	require.Equal(t, 503, call(h, "POST", "/v1/ingest/alertmanager/k", []byte(oneAlert)).Code)
}

func TestRate(t *testing.T) {
	h, _ := newHandler(t, &sink{}, intake.Integration{Name: "am", Source: "alertmanager", Key: "k", Rate: 1, Burst: 3})
	codes := map[int]int{}
	for range 10 {
		codes[call(h, "POST", "/v1/ingest/alertmanager/k", []byte(oneAlert)).Code]++
	}
	require.Equal(t, map[int]int{200: 3, 429: 7}, codes)
	require.NoError(t, h.Apply([]intake.Integration{{Name: "am", Source: "alertmanager", Key: "k", Rate: 1, Burst: 3}}))
	require.Equal(t, 429, call(h, "POST", "/v1/ingest/alertmanager/k", []byte(oneAlert)).Code, "a reload is no way around the limit")
}

func TestApplyIsAllOrNothing(t *testing.T) {
	h, _ := newHandler(t, &sink{}, intake.Integration{Name: "am", Source: "alertmanager", Key: "k"})
	for want, bad := range map[string]intake.Integration{
		`integration 0 ("x"): source`:             {Name: "x", Source: "nosuch", Key: "k"},
		`integration 0 ("x"): key`:                {Name: "x", Source: "alertmanager", Key: "a/b"},
		`integration 0 (""): name`:                {Source: "alertmanager", Key: "k"},
		`integration 0 ("x"): decoder`:            {Name: "x", Source: "generic", Key: "k"},
		`integration 0 ("x"): hmac.header`:        {Name: "x", Source: "alertmanager", Key: "k", HMAC: intake.HMAC{Secret: "s"}},
		`integration 0 ("x"): hmac.algorithm`:     {Name: "x", Source: "alertmanager", Key: "k", HMAC: intake.HMAC{Secret: "s", Header: "h", Algorithm: "md5"}},
		`integration 0 ("x"): labels`:             {Name: "x", Source: "alertmanager", Key: "k", Labels: map[string]string{"": "v"}},
		`integration 0 ("x"): key: invalid integ`: {Name: "x", Source: "alertmanager"},
	} {
		require.ErrorContains(t, h.Apply([]intake.Integration{bad}), want)
	}
	twice := intake.Integration{Name: "b", Source: "alertmanager", Key: "k"}
	require.ErrorContains(t, h.Apply([]intake.Integration{{Name: "a", Source: "alertmanager", Key: "k"}, twice}), "key")
	require.Equal(t, 200, call(h, "POST", "/v1/ingest/alertmanager/k", []byte(oneAlert)).Code, "the old ones hold")
	require.NoError(t, h.Apply(nil))
	require.Equal(t, 401, call(h, "POST", "/v1/ingest/alertmanager/k", []byte(oneAlert)).Code)
}

func TestWhatReachesTheSink(t *testing.T) {
	s := &sink{}
	h, _ := newHandler(t, s, intake.Integration{
		Name: "prod-am", Source: "alertmanager", Key: "k", Tenant: "pay", Labels: map[string]string{"idc": "hz", "severity": "other"},
	}, intake.Integration{Name: "logs", Source: "es_watcher", Key: "k", AutoExpiry: time.Hour})
	body := `{"alerts":[
		{"status":"resolved","labels":{"alertname":"late"},"startsAt":"2026-11-20T08:00:00Z","endsAt":"2026-11-20T09:00:00Z"},
		{"status":"firing","labels":{"alertname":"ahead","severity":"critical"},"startsAt":"2026-11-20T17:00:00Z","endsAt":"2026-11-20T18:00:00Z"}]}`
	require.Equal(t, 200, call(h, "POST", "/v1/ingest/alertmanager/k", []byte(body)).Code)
	require.Len(t, s.batches, 1)
	b := s.batches[0]
	require.Equal(t, "pay", b.Tenant)
	require.Equal(t, &alert.Origin{Source: "alertmanager", Integration: "prod-am", Node: "n1", Datacenter: "hz"}, b.Origin)
	require.True(t, b.Hold)
	require.Zero(t, b.Expiry)
	require.Equal(t, map[string]string{"alertname": "late", "idc": "hz", "severity": "other"}, b.Alerts[0].Labels.Map())
	require.Equal(t, alert.At(now), b.Alerts[0].EndsAt, "a sender whose clock is ahead still ends its alerts")
	require.Equal(t, "critical", b.Alerts[1].Labels.Get("severity"), "the sender's own label stays")
	require.Equal(t, alert.At(now), b.Alerts[1].StartsAt)
	require.Zero(t, b.Alerts[1].EndsAt)

	require.Equal(t, 200, call(h, "POST", "/v1/ingest/es_watcher/k", []byte(`{"watch_id":"w"}`)).Code)
	require.False(t, s.batches[1].Hold)
	require.Equal(t, time.Hour, s.batches[1].Expiry)
}

func TestRepeatedDelivery(t *testing.T) {
	s := &sink{}
	h, _ := newHandler(t, s, intake.Integration{Name: "ce", Source: "cloudevents", Key: "k"})
	event := func(id string) []byte {
		return fmt.Appendf(nil, `{"specversion":"1.0","type":"t","source":"/s","id":%q,"data":{"name":"n"}}`, id)
	}
	s.err = intake.ErrBusy
	require.Equal(t, 503, call(h, "POST", "/v1/ingest/cloudevents/k", event("1")).Code)
	s.err = nil
	for range 3 {
		require.Equal(t, 200, call(h, "POST", "/v1/ingest/cloudevents/k", event("1")).Code)
	}
	require.Equal(t, 200, call(h, "POST", "/v1/ingest/cloudevents/k", event("2")).Code)
	require.Len(t, s.alerts(), 2, "one that wasn't stored is no repeat, one that was is")
}

func TestPagerDutyPath(t *testing.T) {
	s := &sink{}
	h, _ := newHandler(t, s, intake.Integration{Name: "pd", Source: "pagerduty_events_v2", Key: "R0UT1NGKEY0123456789ABCDEF012345"})
	body, err := os.ReadFile("pagerduty/testdata/pagerduty_events_v2/trigger.json")
	require.NoError(t, err)
	for _, path := range []string{"/v2/enqueue", "/v1/ingest/pagerduty_events_v2/R0UT1NGKEY0123456789ABCDEF012345", "/v1/ingest/pagerduty_events_v2/R0UT1NGKEY0123456789ABCDEF012345/v2/enqueue"} {
		w := call(h, "POST", path, body)
		require.Equal(t, 202, w.Code, w.Body.String())
		require.JSONEq(t, `{"status":"success","message":"Event processed","dedup_key":"stats-prod-3/latency"}`, w.Body.String())
	}
	w := call(h, "POST", "/v2/enqueue", bytes.Replace(body, []byte("R0UT"), []byte("X0UT"), 1))
	require.Equal(t, 400, w.Code)
	require.Contains(t, w.Body.String(), `"status":"invalid event"`)
	w = call(h, "POST", "/v2/enqueue", []byte(`{"routing_key":"R0UT1NGKEY0123456789ABCDEF012345","event_action":"trigger","payload":{"source":"x","severity":"info"}}`))
	require.Equal(t, 400, w.Code)
	require.JSONEq(t, `{"status":"invalid event","message":"Event object is invalid","errors":["'payload.summary' is missing or blank"]}`, w.Body.String())
	require.Len(t, s.alerts(), 3)
}

func TestPrometheusAnswers(t *testing.T) {
	s := &sink{}
	h, _ := newHandler(t, s, intake.Integration{Name: "p", Source: "prometheus_v2", Key: "k"})
	w := call(h, "POST", "/v1/ingest/prometheus_v2/k/api/v2/alerts", []byte(`[{"labels":{"alertname":"A"}}]`))
	require.Equal(t, 200, w.Code)
	require.Empty(t, w.Body.String())
	w = call(h, "POST", "/v1/ingest/prometheus_v2/k", []byte(`[{"labels":{"alertname":"A"}},{"labels":{"a":""}}]`))
	require.Equal(t, 400, w.Code, "what is refused is told though the rest is stored")
	require.Contains(t, w.Body.String(), "[1]: labels: at least one non-empty label is required")
	require.Len(t, s.alerts(), 2)
	s.reject = intake.ErrBusy
	w = call(h, "POST", "/v1/ingest/prometheus_v2/k", []byte(`[{"labels":{"alertname":"A"}}]`))
	require.Equal(t, 503, w.Code, "it shall come again")
	w = call(h, "GET", "/v1/ingest/prometheus_v2/k/api/v2/status", nil)
	require.Equal(t, 200, w.Code)
	require.True(t, json.Valid(w.Body.Bytes()))
}

func TestLogsAreFiltered(t *testing.T) {
	s := &sink{}
	h, reg := newHandler(t, s, intake.Integration{Name: "log", Source: "syslog_rfc5424", Key: "k"})
	lines := "<134>1 2026-11-20T08:00:00Z h app - ID - information\n<131>1 2026-11-20T08:00:00Z h app - ID - error\n" +
		`<134>1 2026-11-20T08:00:00Z h app - ID [a@1 status="firing"] marked` + "\n" + `<134>1 2026-11-20T08:00:00Z h app - ID [a@1 status="resolved"] over`
	w := call(h, "POST", "/v1/ingest/syslog_rfc5424/k", []byte(lines))
	require.Equal(t, 200, w.Code, w.Body.String())
	require.Len(t, s.alerts(), 3)
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP fenghuo_intake_alerts_total Alerts that senders pushed, by source and what became of them.
# TYPE fenghuo_intake_alerts_total counter
fenghuo_intake_alerts_total{outcome="accepted",source="syslog_rfc5424"} 3
fenghuo_intake_alerts_total{outcome="filtered",source="syslog_rfc5424"} 1
`), "fenghuo_intake_alerts_total"))
}

func TestControlReachesTheNode(t *testing.T) {
	body, err := os.ReadFile("zabbix/testdata/zabbix/disk_ack_update.json")
	require.NoError(t, err)
	var got []intake.Control
	s := &sink{}
	h, err := intake.New(intake.Options{Sources: catalog.Sources(), Sink: s, Control: func(_ context.Context, from *alert.Origin, tenant string, c intake.Control) {
		require.Equal(t, "zabbix", from.Source)
		require.Equal(t, "ops", tenant)
		got = append(got, c)
	}})
	require.NoError(t, err)
	require.NoError(t, h.Apply([]intake.Integration{{Name: "z", Source: "zabbix", Key: "k", Tenant: "ops"}}))
	w := call(h, "POST", "/v1/ingest/zabbix/k", body)
	require.Equal(t, 200, w.Code)
	require.Contains(t, w.Body.String(), `"control":"update"`)
	require.Len(t, got, 1)
	require.Empty(t, s.batches)
}

// TestDecoderPanic makes sure that a mistake of ours is answered, not fatal.
func TestDecoderPanic(t *testing.T) {
	h, err := intake.New(intake.Options{Sink: &sink{}, Sources: []intake.Source{{Name: "x", Decoder: intake.DecodeFunc(func(intake.Request) (intake.Result, error) {
		panic("boom")
	})}}})
	require.NoError(t, err)
	require.NoError(t, h.Apply([]intake.Integration{{Name: "x", Source: "x", Key: "k"}}))
	require.Equal(t, 500, call(h, "POST", "/v1/ingest/x/k", []byte("{}")).Code)
}
