package process_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/magneto-iiot/magneto/simulators/process"
)

// A pump is started, runs for a quarter of an hour, and its bearing begins to
// wear.
func Example() {
	pump := process.NewPump(42)
	if err := pump.Set(process.PumpSetSpeed, 1450); err != nil {
		fmt.Println(err)
		return
	}
	pump.Step(15 * time.Minute)
	fmt.Println("damage to be expected:", pump.Get(process.PumpVibration) > process.ZoneD)

	pump.Wear(2) // twice its life in an hour
	pump.Step(15 * time.Minute)
	fmt.Println("damage to be expected:", pump.Get(process.PumpVibration) > process.ZoneD)
	// Output:
	// damage to be expected: false
	// damage to be expected: true
}

func ExampleReadCSV() {
	rec, err := process.ReadCSV(strings.NewReader("time;Current;anomaly\n10:14:33;1.5;0\n10:14:34;1.75;1\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	replay, err := process.NewReplay(rec, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	for range rec.Rows {
		fmt.Println("row", replay.Get(0), "current", replay.Get(1))
		replay.Taken()
		replay.Step(time.Second)
	}
	// Output:
	// row 0 current 1.5
	// row 1 current 1.75
}
