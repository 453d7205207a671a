package driver_test

import (
	"fmt"
	"time"

	"github.com/magneto-iiot/magneto/edgenode/driver"
)

// The Open function of a driver reads its options and reports every fault.
func ExampleConfig_Reader() {
	cfg := driver.Config{Name: "press", Options: driver.Options{"url": "tcp://10.0.0.11", "timout": "1s", "unit": 256}}

	r := cfg.Reader()
	url := r.String("url", "")
	unit := r.Int("unit", 1, 0, 255)
	timeout := r.Duration("timeout", time.Second, time.Millisecond, time.Minute)
	fmt.Println(url, unit, timeout)
	fmt.Println(r.Done())
	// Output:
	// tcp://10.0.0.11 1 1s
	// connection press: unit: 256 is outside 0 to 255
	// connection press: timout: unknown key; did you mean timeout?
}
