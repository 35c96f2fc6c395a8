package journal

import (
	"context"
	"fmt"
	"sync"
	"testing"
)

// BenchmarkAppend is 8 clients that append batches of 64 records of 500 bytes
// and wait for each; one op is one record.
func BenchmarkAppend(b *testing.B) {
	for _, clients := range []int{1, 8} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			j, err := Open(Options{Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			recs := make([]Record, 64)
			for i := range recs {
				recs[i] = Record{Kind: 1, Data: make([]byte, 500)}
			}
			b.ReportAllocs()
			b.SetBytes(500)
			cpu := cpuTime()
			b.ResetTimer()
			var wg sync.WaitGroup
			for range clients {
				wg.Go(func() {
					for n := 0; n < b.N/clients/len(recs)+1; n++ {
						p, err := j.Append(recs...)
						if err == nil {
							err = j.Wait(context.Background(), p)
						}
						if err != nil {
							b.Error(err)
							return
						}
						if j.NeedsSnapshot() {
							_ = j.Snapshot(context.Background(), p, func(func(Record) error) error { return nil })
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
			if err := j.Stop(context.Background()); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func BenchmarkReplay(b *testing.B) {
	j, err := Open(Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer j.Stop(context.Background())
	data := make([]byte, 500)
	const records = 50_000
	for range records {
		for {
			if _, err := j.Append(Record{Data: data}); err == nil {
				break
			}
			_ = j.Wait(context.Background(), j.End()) // it outran the disk
		}
	}
	if err := j.Wait(context.Background(), j.End()); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for range b.N {
		if _, err := j.Replay(func(Position, Record) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*records), "ns/record")
}
