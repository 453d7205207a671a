package edgenode_test

import (
	"fmt"

	"github.com/magneto-iiot/magneto/edgenode"
)

func Example() {
	_, err := edgenode.New(edgenode.Config{
		Version: 1,
		Node:    edgenode.Node{Group: "PlantA", ID: "line1"},
		MQTT:    edgenode.MQTT{Servers: []string{"mqtt://127.0.0.1:1883"}},
		Devices: []edgenode.Device{{
			ID:      "Press1",
			Metrics: []edgenode.Metric{{Name: "Pressure", Addr: "ir:10", Type: "Flaot"}},
		}},
	}, edgenode.Options{})
	fmt.Println(err)
	// Output:
	// devices[0].connection: connection is missing: metrics with addr need one
	// devices[0].metrics[0].type: no Sparkplug datatype "Flaot": did you mean Float?
}
