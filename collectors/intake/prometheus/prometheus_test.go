package prometheus_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/prometheus"
)

var received = time.Date(2026, 11, 20, 8, 30, 0, 0, time.UTC)

// batch is a body of API v2 with n distinct alerts of eight labels.
func batch(n int) []byte {
	var b strings.Builder
	b.WriteByte('[')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"labels":{"alertname":"A","instance":"10.0.0.%d:9100","job":"node","severity":"critical","dc":"hz","env":"prod","service":"pay","team":"sre"},`+
			`"annotations":{"summary":"CPU is high","description":"CPU has been high for 10 minutes"},"startsAt":"2026-11-20T08:00:00.123Z","endsAt":"2026-11-20T08:34:00Z",`+
			`"generatorURL":"http://prometheus:9090/graph?g0.expr=up"}`, i)
	}
	b.WriteByte(']')
	return []byte(b.String())
}

// TestNoKeyOfItsOwn: what derives from labels isn't stored beside them.
func TestNoKeyOfItsOwn(t *testing.T) {
	res, err := prometheus.V2(intake.Request{Body: batch(3), ReceivedAt: received})
	require.NoError(t, err)
	require.Len(t, res.Events, 3)
	for _, e := range res.Events {
		require.Nil(t, e.Alert.Extra)
		require.Equal(t, "prometheus:"+e.Alert.DedupeKey(), e.Key)
	}
}

// TestBoundsOfTheModel: an alert that breaks them is rejected alone.
func TestBoundsOfTheModel(t *testing.T) {
	long := strings.Repeat("x", label.MaxValueBytes+1)
	many := make([]string, label.MaxLabels+1)
	for i := range many {
		many[i] = fmt.Sprintf(`"l%d":"v"`, i)
	}
	for name, tc := range map[string]struct {
		alert string
		want  error
	}{
		"long value":      {`{"labels":{"a":"` + long + `"}}`, label.ErrValue},
		"long name":       {`{"labels":{"` + long + `":"v"}}`, label.ErrName},
		"empty name":      {`{"labels":{"":"v"}}`, label.ErrName},
		"many labels":     {`{"labels":{` + strings.Join(many, ",") + `}}`, label.ErrTooMany},
		"no labels":       {`{}`, label.ErrEmpty},
		"long annotation": {`{"labels":{"a":"b"},"annotations":{"a":"` + strings.Repeat("x", label.MaxAnnotationBytes+1) + `"}}`, label.ErrValue},
		"long url":        {`{"labels":{"a":"b"},"generatorURL":"` + long + `"}`, alert.ErrTooLong},
		"times":           {`{"labels":{"a":"b"},"startsAt":"2026-11-20T08:00:00Z","endsAt":"2026-11-20T07:59:59Z"}`, alert.ErrTimes},
	} {
		t.Run(name, func(t *testing.T) {
			res, err := prometheus.V2(intake.Request{Body: []byte(`[{"labels":{"ok":"1"}},` + tc.alert + `,{"labels":{"ok":"2"}}]`), ReceivedAt: received})
			require.NoError(t, err)
			require.Len(t, res.Events, 2)
			require.Len(t, res.Rejected, 1)
			require.Equal(t, 1, res.Rejected[0].Index)
			require.ErrorIs(t, res.Rejected[0].Err, tc.want)
		})
	}
}

func BenchmarkV2(b *testing.B) {
	r := intake.Request{Body: batch(64), ReceivedAt: received}
	b.SetBytes(int64(len(r.Body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := prometheus.V2(r); err != nil {
			b.Fatal(err)
		}
	}
}
