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
	// bus: service, site or instance: "plant 1" is not a name
}
