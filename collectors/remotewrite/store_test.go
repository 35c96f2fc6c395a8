package remotewrite

import (
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/prometheus/prompb"
	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

// TestRealStore writes into the store that a node has: a repeat is harmless, another value for the same time is not.
func TestRealStore(t *testing.T) {
	db, err := series.Open(series.Options{Dir: t.TempDir(), MinFreeBytes: -1})
	require.NoError(t, err)
	h := handler(t, Options{Sink: db})
	now := time.Now().UnixMilli()
	request := func(v float64, at int64) *prompb.WriteRequest {
		return &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{{
			Labels:  []prompb.Label{{Name: "__name__", Value: "pushed"}, {Name: "job", Value: "x"}},
			Samples: []prompb.Sample{{Value: v, Timestamp: at}},
		}}}
	}
	require.Equal(t, http.StatusNoContent, post(h, typeV1, encode(t, request(1, now))).Code)
	require.Equal(t, http.StatusNoContent, post(h, typeV1, encode(t, request(1, now))).Code, "a repeat")
	rec := post(h, typeV1, encode(t, request(2, now)))
	require.Equal(t, http.StatusBadRequest, rec.Code, "another value")
	require.Contains(t, rec.Body.String(), "another value")
	require.Equal(t, http.StatusBadRequest, post(h, typeV1, encode(t, request(2, now-30*24*3600*1000))).Code, "too old")
	require.Equal(t, http.StatusBadRequest, post(h, typeV1, encode(t, request(2, now+3600*1000))).Code, "of the future")
	got, err := db.Instant(t.Context(), "pushed", time.UnixMilli(now), series.QueryOptions{})
	require.NoError(t, err)
	require.Len(t, got.Vector, 1)
	require.Equal(t, 1.0, got.Vector[0].V)
	require.NoError(t, db.Close())
	require.Equal(t, http.StatusServiceUnavailable, post(h, typeV1, encode(t, request(3, now+1))).Code)
}
