package bus_test

import (
	"fmt"

	"github.com/magneto-iiot/magneto/services/bus"
)

// What is wrong with a configuration is said at once.
func Example() {
	_, err := bus.New(bus.Config{Service: "workorder", Site: "plant 1"})
	fmt.Println(err)
	// Output:
	// bus: no store, or no way to dial
	// bus: site: "plant 1" is not 1 to 128 of A-Z a-z 0-9 _ . -
}
