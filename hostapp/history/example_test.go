package history_test

import (
	"fmt"

	"github.com/magneto-iiot/magneto/hostapp/history"
)

// A key is checked before it names a series.
func ExampleKey_Check() {
	fmt.Println(history.Key{Group: "Plant", Node: "line1", Device: "press", Metric: "Motor/Speed"}.Check())
	fmt.Println(history.Key{Group: "Plant", Node: "line1", Metric: "Speed\xff"}.Check())
	// Output:
	// <nil>
	// history: key "Plant"/"line1"/""/"Speed\xff": metric is not valid UTF-8
}

// The labels of a series and the names of metrics come from the schema.
func Example() {
	fmt.Printf("%s{%s=%q,%s=%q}\n", history.MetricValue, history.LabelNode, "line1", history.LabelMetric, "Motor/Speed")
	// Output:
	// sparkplug_value{edge_node="line1",metric="Motor/Speed"}
}
