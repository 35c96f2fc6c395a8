package remotewrite

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/collectors/metadata"
	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

// memory is a sink that keeps everything, or fails.
type memory struct {
	mu     sync.Mutex
	got    []series.Sample
	answer func(n int) (series.Appended, error)
	wait   chan struct{}
}

func (m *memory) Append(_ context.Context, batch []series.Sample) (series.Appended, error) {
	if m.wait != nil {
		<-m.wait // the test sees that it is here
		<-m.wait
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.answer != nil {
		return m.answer(len(batch))
	}
	for _, s := range batch {
		m.got = append(m.got, series.Sample{Labels: s.Labels.Copy(), T: s.T, V: s.V})
	}
	return series.Appended{Stored: len(batch)}, nil
}

func handler(t testing.TB, o Options) *Handler {
	h, err := New(o)
	require.NoError(t, err)
	return h
}

type marshaler interface{ Marshal() ([]byte, error) }

func encode(t testing.TB, m marshaler) []byte {
	b, err := m.Marshal()
	require.NoError(t, err)
	return snappy.Encode(nil, b)
}

const (
	typeV1 = "application/x-protobuf"
	typeV2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
)

func post(h http.Handler, contentType string, body []byte) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodPost, "/api/v1/write", bytes.NewReader(body))
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Content-Encoding", "snappy")
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return rec
}

func v1Request() *prompb.WriteRequest {
	return &prompb.WriteRequest{
		Timeseries: []prompb.TimeSeries{
			{
				Labels:    []prompb.Label{{Name: "__name__", Value: "up"}, {Name: "job", Value: "api"}, {Name: "empty", Value: ""}},
				Samples:   []prompb.Sample{{Value: 1, Timestamp: 1000}, {Value: math.Float64frombits(value.StaleNaN), Timestamp: 2000}},
				Exemplars: []prompb.Exemplar{{Value: 3}},
			},
			{
				Labels:     []prompb.Label{{Name: "__name__", Value: "h"}},
				Histograms: []prompb.Histogram{{Sum: 1, Timestamp: 1000}},
			},
			{
				Labels:  []prompb.Label{{Name: "z", Value: "unsorted"}, {Name: "__name__", Value: "温度"}},
				Samples: []prompb.Sample{{Value: -2.5, Timestamp: -5}},
			},
		},
		Metadata: []prompb.MetricMetadata{{Type: prompb.MetricMetadata_COUNTER, MetricFamilyName: "up", Help: "help", Unit: "s"}},
	}
}

func v2Request() *writev2.Request {
	return &writev2.Request{
		Symbols: []string{"", "__name__", "up", "job", "api", "help of up", "h"},
		Timeseries: []writev2.TimeSeries{
			{
				LabelsRefs: []uint32{1, 2, 3, 4},
				Samples:    []writev2.Sample{{Value: 1, Timestamp: 1000}, {Value: 2, Timestamp: 2000, StartTimestamp: 5}},
				Metadata:   writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_GAUGE, HelpRef: 5},
			},
			{LabelsRefs: []uint32{1, 6}, Histograms: []writev2.Histogram{{Sum: 1, Timestamp: 1000}}, Exemplars: []writev2.Exemplar{{Value: 1}}},
		},
	}
}

func TestVersion1(t *testing.T) {
	sink := &memory{}
	h := handler(t, Options{Sink: sink})
	for _, ct := range []string{typeV1, "", "application/x-protobuf;proto=prometheus.WriteRequest"} {
		sink.got = nil
		rec := post(h, ct, encode(t, v1Request()))
		require.Equal(t, http.StatusNoContent, rec.Code, rec.Body)
		require.Empty(t, rec.Header().Get("X-Prometheus-Remote-Write-Samples-Written"), "version 1 has no such header")
		require.Len(t, sink.got, 3)
		require.Equal(t, labels.FromStrings("__name__", "up", "job", "api"), sink.got[0].Labels, "an empty label is none")
		require.Equal(t, int64(1000), sink.got[0].T)
		require.True(t, value.IsStaleNaN(sink.got[1].V), "staleness markers pass unchanged")
		require.Equal(t, series.Sample{Labels: labels.FromStrings("__name__", "温度", "z", "unsorted"), T: -5, V: -2.5}, sink.got[2])
	}
	require.Equal(t, []metadata.Metric{{Name: "up", Type: "counter", Help: "help", Unit: "s"}}, h.Metadata())
	require.Equal(t, 3.0, testutil.ToFloat64(h.metrics.ignored.WithLabelValues("histogram")))
	require.Equal(t, 3.0, testutil.ToFloat64(h.metrics.ignored.WithLabelValues("exemplar")))
	require.Equal(t, 9.0, testutil.ToFloat64(h.metrics.samples.WithLabelValues("stored")))
	require.Zero(t, h.memory.Load(), "all memory is given back")
}

func TestVersion2(t *testing.T) {
	sink := &memory{}
	h := handler(t, Options{Sink: sink})
	rec := post(h, typeV2, encode(t, v2Request()))
	require.Equal(t, http.StatusNoContent, rec.Code, rec.Body)
	require.Equal(t, "2", rec.Header().Get("X-Prometheus-Remote-Write-Samples-Written"))
	require.Equal(t, "0", rec.Header().Get("X-Prometheus-Remote-Write-Histograms-Written"))
	require.Equal(t, "0", rec.Header().Get("X-Prometheus-Remote-Write-Exemplars-Written"))
	require.Len(t, sink.got, 2)
	require.Equal(t, labels.FromStrings("__name__", "up", "job", "api"), sink.got[0].Labels)
	require.Equal(t, []metadata.Metric{{Name: "up", Type: "gauge", Help: "help of up"}}, h.Metadata())
}

// TestPartial stores the good part of a request and says what is wrong with the rest.
func TestPartial(t *testing.T) {
	long := strings.Repeat("x", 5000)
	many := prompb.TimeSeries{Labels: []prompb.Label{{Name: "__name__", Value: "up"}}, Samples: []prompb.Sample{{}}}
	for i := range 70 {
		many.Labels = append(many.Labels, prompb.Label{Name: "l" + strings.Repeat("a", i), Value: "v"})
	}
	for name, tc := range map[string]struct {
		ts   prompb.TimeSeries
		want string
	}{
		"no name":         {prompb.TimeSeries{Labels: []prompb.Label{{Name: "job", Value: "x"}}, Samples: []prompb.Sample{{}}}, "no metric name"},
		"no labels":       {prompb.TimeSeries{Samples: []prompb.Sample{{}}}, "no metric name"},
		"twice":           {prompb.TimeSeries{Labels: []prompb.Label{{Name: "__name__", Value: "x"}, {Name: "a", Value: "x"}, {Name: "a", Value: "y"}}, Samples: []prompb.Sample{{}}}, `"a" stands twice`},
		"nameless label":  {prompb.TimeSeries{Labels: []prompb.Label{{Name: "__name__", Value: "x"}, {Value: "y"}}, Samples: []prompb.Sample{{}}}, "without name"},
		"not UTF-8 value": {prompb.TimeSeries{Labels: []prompb.Label{{Name: "__name__", Value: "x\xff"}}, Samples: []prompb.Sample{{}}}, "not UTF-8"},
		"not UTF-8 name":  {prompb.TimeSeries{Labels: []prompb.Label{{Name: "__name__", Value: "x"}, {Name: "\xff", Value: "x"}}, Samples: []prompb.Sample{{}}}, "not UTF-8"},
		"long value":      {prompb.TimeSeries{Labels: []prompb.Label{{Name: "__name__", Value: "x"}, {Name: "a", Value: long}}, Samples: []prompb.Sample{{}}}, "more than 4096"},
		"long name":       {prompb.TimeSeries{Labels: []prompb.Label{{Name: "__name__", Value: "x"}, {Name: long, Value: "a"}}, Samples: []prompb.Sample{{}}}, "longer than 256"},
		"many labels":     {many, "more than 64 labels"},
	} {
		t.Run(name, func(t *testing.T) {
			sink := &memory{}
			h := handler(t, Options{Sink: sink})
			r := v1Request()
			r.Timeseries = append([]prompb.TimeSeries{tc.ts}, r.Timeseries...)
			rec := post(h, typeV1, encode(t, r))
			require.Equal(t, http.StatusBadRequest, rec.Code)
			require.Contains(t, rec.Body.String(), tc.want)
			require.Len(t, sink.got, 3, "the rest is stored")
			require.Equal(t, 1.0, testutil.ToFloat64(h.metrics.samples.WithLabelValues("invalid")))
		})
	}
}

func TestReferencesOutOfRange(t *testing.T) {
	for name, change := range map[string]func(*writev2.Request){
		"label":    func(r *writev2.Request) { r.Timeseries[0].LabelsRefs[3] = 7 },
		"odd":      func(r *writev2.Request) { r.Timeseries[0].LabelsRefs = r.Timeseries[0].LabelsRefs[:3] },
		"help":     func(r *writev2.Request) { r.Timeseries[0].Metadata.HelpRef = math.MaxUint32 },
		"unit":     func(r *writev2.Request) { r.Timeseries[0].Metadata.UnitRef = 100 },
		"no names": func(r *writev2.Request) { r.Timeseries[0].LabelsRefs = nil },
	} {
		t.Run(name, func(t *testing.T) {
			sink := &memory{}
			h := handler(t, Options{Sink: sink})
			r := v2Request()
			change(r)
			r.Timeseries = append(r.Timeseries, writev2.TimeSeries{LabelsRefs: []uint32{1, 2}, Samples: []writev2.Sample{{Value: 9}}})
			rec := post(h, typeV2, encode(t, r))
			require.Equal(t, http.StatusBadRequest, rec.Code)
			require.Len(t, sink.got, 1)
			require.Equal(t, "1", rec.Header().Get("X-Prometheus-Remote-Write-Samples-Written"), "an error says too what was written")
		})
	}
	h := handler(t, Options{Sink: &memory{}})
	r := v2Request()
	r.Symbols[0] = "not empty"
	require.Equal(t, http.StatusBadRequest, post(h, typeV2, encode(t, r)).Code)
}

// TestStoreRefuses maps what the store says to what the sender must do.
func TestStoreRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		sum   series.Appended
		err   error
		code  int
		after string
		want  string
	}{
		"out of order": {series.Appended{Stored: 2, OutOfOrder: 1}, nil, 400, "", "1 samples out of order"},
		"duplicate":    {series.Appended{Stored: 2, Duplicate: 1}, nil, 400, "", "another value"},
		"too old":      {series.Appended{Stored: 2, TooOld: 1}, nil, 400, "", "too old"},
		"too new":      {series.Appended{Stored: 2, TooNew: 1}, nil, 400, "", "too far in the future"},
		"over limit":   {series.Appended{Stored: 2, OverLimit: 1}, nil, 400, "", "limit of series"},
		"full":         {series.Appended{}, series.ErrFull, 503, "30", "full"},
		"closed":       {series.Appended{}, series.ErrClosed, 503, "5", "closed"},
		"broken":       {series.Appended{}, errors.New("i/o error"), 500, "", "i/o error"},
	} {
		t.Run(name, func(t *testing.T) {
			h := handler(t, Options{Sink: &memory{answer: func(int) (series.Appended, error) { return tc.sum, tc.err }}})
			rec := post(h, typeV1, encode(t, v1Request()))
			require.Equal(t, tc.code, rec.Code)
			require.Equal(t, tc.after, rec.Header().Get("Retry-After"))
			require.Contains(t, rec.Body.String(), tc.want)
		})
	}
}

func TestRefusedBeforeDecoding(t *testing.T) {
	good := encode(t, v1Request())
	bomb := append([]byte{0x80, 0x80, 0x80, 0x20}, make([]byte, 100)...) // announces 64 MiB
	huge := append([]byte{0xff, 0xff, 0xff, 0xff, 0x0f}, good...)        // announces 4 GiB
	for name, tc := range map[string]struct {
		change func(*http.Request)
		body   []byte
		code   int
	}{
		"GET":                {func(r *http.Request) { r.Method = http.MethodGet }, good, 405},
		"JSON":               {func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }, good, 415},
		"broken type":        {func(r *http.Request) { r.Header.Set("Content-Type", "a/b/c;;") }, good, 415},
		"unknown proto":      {func(r *http.Request) { r.Header.Set("Content-Type", "application/x-protobuf;proto=x.y") }, good, 415},
		"gzip":               {func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, good, 415},
		"announced too long": {func(r *http.Request) { r.ContentLength = 1 << 40 }, good, 413},
		"too long":           {func(r *http.Request) { r.ContentLength = -1 }, make([]byte, 200_000), 413},
		"bomb":               {nil, bomb, 413},
		"4 GiB":              {nil, huge, 413},
		"small bomb":         {nil, append([]byte{0x80, 0x80, 0x02}, make([]byte, 100)...), 400}, // 32 KiB of 100 bytes
		"not snappy":         {nil, []byte("up 1\n"), 400},
		"empty":              {nil, nil, 400},
		"not protobuf":       {nil, snappy.Encode(nil, []byte("hello world")), 400},
	} {
		t.Run(name, func(t *testing.T) {
			sink := &memory{}
			h := handler(t, Options{Sink: sink, MaxBodyBytes: 100_000, MaxDecodedBytes: 1 << 20})
			req := httptest.NewRequest(http.MethodPost, "/api/v1/write", bytes.NewReader(tc.body))
			req.Header.Set("Content-Type", typeV1)
			req.Header.Set("Content-Encoding", "snappy")
			if tc.change != nil {
				tc.change(req)
			}
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, req)
			require.Equal(t, tc.code, rec.Code, rec.Body)
			require.Empty(t, sink.got)
			require.Zero(t, h.memory.Load())
		})
	}
}

// TestMalformedChangesNothing cuts a good request at every byte: what is not whole is refused as a whole.
func TestMalformedChangesNothing(t *testing.T) {
	for ct, m := range map[string]marshaler{typeV1: v1Request(), typeV2: v2Request()} {
		whole, err := m.Marshal()
		require.NoError(t, err)
		for n := range whole {
			sink := &memory{}
			h := handler(t, Options{Sink: sink})
			rec := post(h, ct, snappy.Encode(nil, whole[:n]))
			if rec.Code != http.StatusNoContent { // a cut between two fields is a whole message
				require.Empty(t, sink.got, "cut at %d", n)
				require.Equal(t, http.StatusBadRequest, rec.Code)
			}
		}
	}
}

func TestLimitsOfOneRequest(t *testing.T) {
	for name, tc := range map[string]struct {
		o    Options
		want string
	}{
		"series":  {Options{MaxSeries: 2}, "more than 2 series"},
		"samples": {Options{MaxSamples: 2}, "more than 2 samples"},
		"symbols": {Options{MaxSymbols: 2}, "more than 2 symbols"},
	} {
		t.Run(name, func(t *testing.T) {
			sink := &memory{}
			tc.o.Sink = sink
			h := handler(t, tc.o)
			rec := post(h, typeV1, encode(t, v1Request()))
			if name == "symbols" {
				rec = post(h, typeV2, encode(t, v2Request()))
				sink.got = nil
			}
			require.Equal(t, http.StatusRequestEntityTooLarge, rec.Code)
			require.Contains(t, rec.Body.String(), tc.want)
			require.Empty(t, sink.got)
		})
	}
}

func TestTooManyAtOnce(t *testing.T) {
	sink := &memory{wait: make(chan struct{})}
	h := handler(t, Options{Sink: sink, MaxConcurrent: 1, MaxWait: time.Millisecond})
	body := encode(t, v1Request())
	first := make(chan int)
	go func() { first <- post(h, typeV1, body).Code }()
	sink.wait <- struct{}{} // the first has its place and is in the store
	rec := post(h, typeV1, body)
	require.Equal(t, http.StatusServiceUnavailable, rec.Code)
	require.Equal(t, "1", rec.Header().Get("Retry-After"))
	close(sink.wait)
	require.Equal(t, http.StatusNoContent, <-first)
	require.Equal(t, http.StatusNoContent, post(h, typeV1, body).Code)
}

func TestMemoryIsShared(t *testing.T) {
	h := handler(t, Options{Sink: &memory{}, MaxBodyBytes: chunk, MaxDecodedBytes: chunk, MaxMemoryBytes: 2 * chunk})
	h.memory.Add(2 * chunk) // held by others
	rec := post(h, typeV1, encode(t, v1Request()))
	require.Equal(t, http.StatusServiceUnavailable, rec.Code)
	h.memory.Add(-2 * chunk)
	require.Equal(t, http.StatusNoContent, post(h, typeV1, encode(t, v1Request())).Code)
}

// TestSlowSender runs a server with a real connection, whose deadline ends it.
func TestSlowSender(t *testing.T) {
	srv := httptest.NewServer(handler(t, Options{Sink: &memory{}, ReadTimeout: 50 * time.Millisecond}))
	defer srv.Close()
	r, w := io.Pipe()
	defer w.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL, r)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
}

func TestOptionsNameTheField(t *testing.T) {
	for want, o := range map[string]Options{
		"Sink":            {},
		"MaxBodyBytes":    {Sink: &memory{}, MaxBodyBytes: -1},
		"MaxDecodedBytes": {Sink: &memory{}, MaxDecodedBytes: -1},
		"MaxMemoryBytes":  {Sink: &memory{}, MaxMemoryBytes: 5},
		"MaxSymbols":      {Sink: &memory{}, MaxSymbols: -1},
		"MaxConcurrent":   {Sink: &memory{}, MaxConcurrent: -1},
		"MaxWait":         {Sink: &memory{}, MaxWait: -1},
		"ReadTimeout":     {Sink: &memory{}, ReadTimeout: -1},
	} {
		_, err := New(o)
		require.ErrorContains(t, err, want)
	}
}
