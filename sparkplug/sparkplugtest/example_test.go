package sparkplugtest_test

import (
	"fmt"

	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/sparkplugtest"
)

func Example() {
	want := sparkplugtest.NodeBirth(1_700_000_000_000, 0, 4,
		sparkplugtest.Aliased("Speed", 1, 1_700_000_000_000, sparkplug.Double(900)))
	got := want.Clone()
	got.Metrics[2].Value = sparkplug.Double(899)
	fmt.Print(sparkplugtest.Diff(got, want))
	// Output:
	// metrics[2]: got "Speed" alias 1 Double 899 at 1700000000000, want "Speed" alias 1 Double 900 at 1700000000000
}
