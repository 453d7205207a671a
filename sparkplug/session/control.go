package session

import "github.com/magneto-iiot/magneto/sparkplug"

// MetricNextServer is the metric of an NCMD that sends a node to its next MQTT
// server when true is written to it.
const MetricNextServer = "Node Control/Next Server"

// Control is what an NCMD asks of a node's session itself: the runner sends
// EdgeRebirth or EdgeNextServer for it. All other metrics are for the node's
// own commands.
type Control struct{ Rebirth, NextServer bool }

// ControlOf reads an NCMD. A value that is no Boolean true asks nothing.
//
// Spec: tck-id-operational-behavior-data-commands-ncmd-rebirth-name,
// tck-id-operational-behavior-data-commands-ncmd-rebirth-value.
func ControlOf(ncmd *sparkplug.Payload) Control {
	var c Control
	for i := range ncmd.Metrics {
		m := &ncmd.Metrics[i]
		switch m.Name {
		case sparkplug.MetricRebirth:
			c.Rebirth = c.Rebirth || isTrue(m.Value)
		case MetricNextServer:
			c.NextServer = c.NextServer || isTrue(m.Value)
		}
	}
	return c
}

func isTrue(v sparkplug.Value) bool {
	b, err := v.As(sparkplug.TypeBoolean)
	return err == nil && b.Bool()
}
