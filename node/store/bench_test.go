package store

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// benchDoc is like an alert: 500 bytes, some of them the same in all.
func benchDoc(i int) Doc {
	id := fmt.Sprintf("%016x", uint64(i)*0x9e3779b97f4a7c15)
	data := fmt.Appendf(nil, `{"id":%q,"labels":{"alertname":"DiskFull","instance":"host-%04d.example","job":"node","device":"/dev/sd%c","severity":"critical"},"startsAt":%d,"summary":"disk is %d%% full",`, id, i%5000, 'a'+i%8, i, i%100)
	data = append(data, strings.Repeat("annotation of the rule, ", 30)...)
	d := Doc{ID: id, Start: int64(i), End: int64(i + 1000), Data: data[:500]}
	d.Tokens = []uint64{hashID(id), hashID(id + "fp"), 1, 2, 3, uint64(1000 + i%5000), uint64(100 + i%8), uint64(1_000_000 + i)}
	return d
}

func BenchmarkPut(b *testing.B) {
	s, err := Open(Options{Dir: b.TempDir(), BallastBytes: -1})
	if err != nil {
		b.Fatal(err)
	}
	docs := make([][]Doc, 64)
	for i := range docs {
		for k := range 256 {
			docs[i] = append(docs[i], benchDoc(i*256+k))
		}
	}
	b.ReportAllocs()
	cpu := cpuTime()
	b.ResetTimer()
	for i := 0; i < b.N; i += 256 {
		if err := s.Put(context.Background(), uint64(i), docs[i/256%64]); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Stop(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(s.Stats().Bytes)/float64(b.N), "disk-B/op")
}

// BenchmarkSearch looks among 1,000,000 documents (FENGHUO_BENCH_DOCS for less).
func BenchmarkSearch(b *testing.B) {
	n := 1_000_000
	if v := os.Getenv("FENGHUO_BENCH_DOCS"); v != "" {
		fmt.Sscan(v, &n)
	}
	s, err := Open(Options{Dir: b.TempDir(), BallastBytes: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Stop(context.Background())
	docs := make([]Doc, 256)
	for i := 0; i < n; i += len(docs) {
		for k := range docs {
			docs[k] = benchDoc(i + k)
		}
		if err := s.Put(context.Background(), uint64(i), docs); err != nil {
			b.Fatal(err)
		}
	}
	b.Logf("rss %d MB, %d chunks, %d MB", rss()>>20, s.Stats().Chunks, s.Stats().Bytes>>20)
	run := func(name string, f func() int) {
		b.Run(name, func(b *testing.B) {
			start := time.Now()
			for range b.N {
				if f() == 0 {
					b.Fatal("found nothing")
				}
			}
			b.ReportMetric(float64(time.Since(start).Microseconds())/float64(b.N), "us/search")
		})
	}
	search := func(q Query) int {
		d, _, err := s.Search(context.Background(), q, nil)
		if err != nil {
			b.Fatal(err)
		}
		return len(d)
	}
	run("rare-token", func() int { return search(Query{All: []uint64{uint64(1_000_000 + n/3)}}) })
	run("host-token", func() int { return search(Query{All: []uint64{1042}, Limit: 100}) })
	run("newest", func() int { return search(Query{Limit: 100}) })
	run("window", func() int { return search(Query{From: int64(n / 2), To: int64(n/2 + 100), Limit: 100}) })
	old := benchDoc(5).ID
	run("get-oldest", func() int {
		if _, ok, _ := s.Get(context.Background(), old); ok {
			return 1
		}
		return 0
	})
}

// rss is this process' resident memory in bytes; 0 where it can't be known.
func rss() int {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident int
	fmt.Sscan(string(b), &size, &resident)
	return resident * os.Getpagesize()
}
