package scrape

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

type discard struct{}

func (discard) Append(_ context.Context, batch []series.Sample) (series.Appended, error) {
	return series.Appended{Stored: len(batch)}, nil
}

// BenchmarkScrape is one scrape of 1,000 series that are known already, as nearly all are.
func BenchmarkScrape(b *testing.B) {
	var text strings.Builder
	for i := range 100 {
		fmt.Fprintf(&text, "# HELP metric_%d_total A counter.\n# TYPE metric_%d_total counter\n", i, i)
		for k := range 10 {
			fmt.Fprintf(&text, "metric_%d_total{code=\"%d\",method=\"get\",path=\"/api/v1/thing\"} %d\n", i, k, i*k)
		}
	}
	r := newRig(b, Config{}, &exporter{body: text.String(), kind: "text/plain; version=0.0.4"})
	r.m.opts.Sink = discard{}
	b.ReportAllocs()
	for b.Loop() {
		r.ms += 15000
		r.loop.scrape(b.Context(), time.UnixMilli(r.ms))
	}
}
