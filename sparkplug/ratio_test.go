//go:build unix

package sparkplug_test

import (
	"math"
	"os"
	"syscall"
	"testing"
	"time"
)

// cpu returns the CPU time that this process has used, garbage collection and
// all, which on a busy machine says more than the time that went by.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measure runs fn for about turn and returns the CPU time of one run in ns.
func measure(turn time.Duration, fn func()) float64 {
	n, used := 1, time.Duration(0)
	for {
		start := cpu()
		for range n {
			fn()
		}
		if used = cpu() - start; used >= turn/2 {
			return float64(used) / float64(n)
		}
		n = int(float64(n) * min(100, max(2, float64(turn)/float64(used+1))))
	}
}

// least runs both in turns and returns the least ns of each.
func least(rounds int, ours, theirs func()) (a, b float64) {
	a, b = math.Inf(1), math.Inf(1)
	for range rounds {
		a = min(a, measure(60*time.Millisecond, ours))
		b = min(b, measure(60*time.Millisecond, theirs))
	}
	return a, b
}

// TestBenchRatios compares our codec with protobuf-go in one run and holds the
// ratios that are promised: CPU time, least of several turns, ours and theirs
// by turns, since the machine may be busy.
func TestBenchRatios(t *testing.T) {
	if os.Getenv("MAGNETO_BENCH") != "1" {
		t.Skip("MAGNETO_BENCH is not 1: measuring belongs to `make bench`")
	}
	t.Logf("%-10s %-7s %16s %16s %8s %s", "payload", "", "magneto", "protobuf-go", "ratio", "allocations of ours")
	for _, s := range subjects(t) {
		for _, way := range []struct {
			name         string
			ours, theirs func()
			ratio        float64 // promised for NDATA1000
		}{
			{"decode", s.decoder(t), s.protoDecoder(t), 25},
			{"encode", s.encoder(t), s.protoEncoder(t), 20},
		} {
			way.ours() // it has its memory from here on
			allocs := testing.AllocsPerRun(10, way.ours)
			ours, theirs := least(8, way.ours, way.theirs)
			ratio, k := theirs/ours, float64(s.metrics)
			t.Logf("%-10s %-7s %6.2f ns/metric %6.1f ns/metric %7.1fx %.0f", s.name, way.name, ours/k, theirs/k, ratio, allocs)
			if allocs != 0 {
				t.Errorf("%s %s: %.0f allocations, want 0", s.name, way.name, allocs)
			}
			if s.metrics == 1000 && ratio < way.ratio {
				t.Errorf("%s %s: %.1fx protobuf-go, want %.0fx", s.name, way.name, ratio, way.ratio)
			}
		}
	}
}
