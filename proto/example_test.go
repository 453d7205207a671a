package proto_test

import (
	"fmt"
	"strings"

	"github.com/magneto-iiot/magneto/proto"
)

func Example() {
	first, _, _ := strings.Cut(proto.Source, "\n")
	fmt.Println(first)
	// Output: // The wire format of Sparkplug B payloads, in Magneto's own words.
}
