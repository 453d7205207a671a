package scenario_test

import (
	"fmt"
	"strings"

	"github.com/magneto-iiot/magneto/simulators/process"
)

// The recordings that the scenarios replay are plain CSV files.
func Example() {
	rec, err := process.ReadCSV(strings.NewReader("time;Pressure;anomaly\n2020-03-09 10:14:33;0.25;0\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(rec.Columns, rec.Rows)
	// Output: [Pressure] [[0.25]]
}
