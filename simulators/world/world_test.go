package world_test

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/simulators/world"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// seeds is how many are played: a few, or as many as the environment says.
func seeds(t *testing.T, few int) uint64 {
	if testing.Short() {
		few /= 10
	}
	n, err := strconv.ParseUint(os.Getenv("MAGNETO_SEEDS"), 10, 64)
	if err != nil {
		t.Logf("%d seeds; MAGNETO_SEEDS says how many", few)
		return uint64(few)
	}
	return n
}

// each plays seeds from 0 on, on all processors.
func each(n uint64, play func(seed uint64)) {
	var next atomic.Uint64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				seed := next.Add(1) - 1
				if seed >= n {
					return
				}
				play(seed)
			}
		})
	}
	wg.Wait()
}

// TestWorld plays many seeds: no oracle breaks, and what is played again goes
// the same way.
func TestWorld(t *testing.T) {
	n := seeds(t, 300)
	begun := time.Now()
	var samples, replayed, wrong atomic.Int64
	each(n, func(seed uint64) {
		r := world.Run(world.Config{Seed: seed})
		samples.Add(int64(r.Samples))
		replayed.Add(int64(r.Replayed))
		wrong.Add(int64(r.Wrong))
		if len(r.Broken) > 0 && !t.Failed() {
			small := world.Shrink(world.Config{Seed: seed})
			t.Errorf("seed %d: %q\nwith these faults alone: %q\n%v", seed, r.Broken, small.Broken, small.Faults)
		}
		if seed%100 == 0 {
			if again := world.Run(world.Config{Seed: seed}); again.Hash != r.Hash || again.Time != r.Time {
				t.Errorf("seed %d goes another way when it is played again", seed)
			}
		}
	})
	took := time.Since(begun)
	t.Logf("world: %d seeds in %v: %.0f a minute; %d samples arrived, %d were sent again, %d acknowledgements did not fit",
		n, took.Round(time.Second), float64(n)/took.Minutes(), samples.Load(), replayed.Load(), wrong.Load())
	if samples.Load() < int64(n)*500 || replayed.Load() == 0 || wrong.Load() == 0 {
		t.Error("this tests nothing")
	}
}

// TestBugs plants each bug and wants it found.
func TestBugs(t *testing.T) {
	for _, bug := range world.Bugs() {
		t.Run(bug.String(), func(t *testing.T) {
			t.Parallel()
			if testing.Short() && bug != world.BugAckEarly {
				t.Skip("skipped: one bug is enough when it must be short")
			}
			for seed := range uint64(500) {
				if r := world.Run(world.Config{Seed: seed, Bug: bug}); len(r.Broken) > 0 {
					t.Logf("world: bug %q found by seed %d: %s", bug, seed, r.Broken[0])
					return
				}
			}
			t.Error("not found by 500 seeds")
		})
	}
}

// A consumer of your own that counts what it hears around a half-open link.
func Example() {
	births, data := 0, 0
	r := world.Run(world.Config{
		Edges: 1, Every: 1000, Storm: 30_000,
		Faults: []world.Fault{{At: 5_000, Kind: world.HalfOpenEdge}},
		Consumer: func(topic string, payload []byte, at int64) {
			t, err := sparkplug.ParseTopic(topic)
			if err != nil {
				return // a STATE
			}
			var p sparkplug.Payload
			if err := p.Decode(payload); err != nil {
				panic(err)
			}
			switch t.Type {
			case sparkplug.NBIRTH:
				births++
			case sparkplug.DDATA:
				data += len(p.Metrics)
			}
		},
	})
	fmt.Println("nothing broken:", len(r.Broken) == 0)
	fmt.Println("born again:", births > 1, "and at least as much data as samples:", data >= r.Samples)
	// Output:
	// nothing broken: true
	// born again: true and at least as much data as samples: true
}
