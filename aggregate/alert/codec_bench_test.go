package alert_test

import (
	"testing"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
)

func BenchmarkAppendBinary(b *testing.B) {
	a := full()
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = a.AppendBinary(buf[:0])
	}
}

func BenchmarkUnmarshalBinary(b *testing.B) {
	a := full()
	enc, err := a.AppendBinary(nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := new(alert.Alert).UnmarshalBinary(enc); err != nil {
			b.Fatal(err)
		}
	}
}
