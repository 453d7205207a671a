package historytest_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/hostapp/history/historytest"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// A store's own test hands Run a function that opens it.
func Example() {
	_ = func(t *testing.T) { // TestContract, in the store's test file
		historytest.Run(t, func(t *testing.T, o historytest.Options) history.Store {
			t.Fatalf("open the store under %s here", o.Dir)
			return nil
		})
	}
	fmt.Println(historytest.Same(sparkplug.Double(math.NaN()), sparkplug.Double(math.NaN())))
	fmt.Println(historytest.Same(sparkplug.Double(1), sparkplug.Float(1)))
	// Output:
	// true
	// false
}
