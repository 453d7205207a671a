package modbus_test

import (
	"fmt"
	"testing"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	"github.com/magneto-iiot/magneto/simulators/plc"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// floats are n consecutive Float tags.
func floats(n int) []driver.Tag {
	tags := make([]driver.Tag, n)
	for i := range tags {
		tags[i] = tag(uint32(i), fmt.Sprintf("hr:%d", 2*i), sparkplug.TypeFloat)
	}
	return tags
}

// TestRequestsFor10k: 10,000 floats need as few requests as the protocol allows,
// 62 of them in 124 registers each.
func TestRequestsFor10k(t *testing.T) {
	s := listen(t, "127.0.0.1:0", plc.NewMemory())
	d := open(t, "tcp://"+s.Addr(), driver.Options{"max_block": 125})
	blocks, bad := d.Compile(floats(10_000))
	if len(blocks) != 162 || len(bad) != 0 {
		t.Fatalf("%d blocks, %d bad tags; want 162 blocks", len(blocks), len(bad))
	}
	for _, b := range blocks {
		if err := d.Read(t.Context(), &b, make([]driver.Sample, len(b.Tags))); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.Requests(1); n != 162 {
		t.Errorf("%d requests; want 162", n)
	}
}

// BenchmarkRead10k reads 10,000 floats from a server in the same process; one
// operation is one scan of all.
func BenchmarkRead10k(b *testing.B) {
	s := listen(b, "127.0.0.1:0", plc.NewMemory())
	d := open(b, "tcp://"+s.Addr(), driver.Options{"max_block": 125})
	blocks, _ := d.Compile(floats(10_000))
	out := make([]driver.Sample, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		for i := range blocks {
			if err := d.Read(b.Context(), &blocks[i], out); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(s.Requests(1))/float64(b.N), "requests/op")
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/10_000*1000, "ns/tag")
}

// BenchmarkCompile10k plans 10,000 floats.
func BenchmarkCompile10k(b *testing.B) {
	s := listen(b, "127.0.0.1:0", plc.NewMemory())
	d := open(b, "tcp://"+s.Addr(), nil)
	tags := floats(10_000)
	b.ReportAllocs()
	for b.Loop() {
		if blocks, _ := d.Compile(tags); len(blocks) != 167 {
			b.Fatalf("%d blocks", len(blocks))
		}
	}
}
