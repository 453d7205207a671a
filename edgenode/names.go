package edgenode

import (
	"time"

	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// The node's own metrics, besides bdSeq and Rebirth.
const (
	metricNextServer = session.MetricNextServer // there with several servers

	// metricScanRate is the period of devices without a class of their own, in ms.
	metricScanRate = "Node Control/Scan Rate"

	// metricReboot runs the command that the configuration names; there if it does.
	metricReboot = "Node Control/Reboot"
)

// classNormal is the scan class of devices that name none.
const classNormal = "normal"

// scanRate is the metric of the scan rate. What is written to it holds while
// the agent runs: after that the configuration counts again.
func scanRate(normal time.Duration) metricDef {
	bounds := &Write{Min: new(1.0), Max: new(float64((24 * time.Hour).Milliseconds()))}
	return metricDef{
		name:    metricScanRate,
		scaling: newScaling(sparkplug.TypeInt64, sparkplug.TypeInt64, nil, nil),
		initial: sparkplug.Int(sparkplug.TypeInt64, max(1, normal.Milliseconds())),
		write:   bounds, volatile: true,
		props: properties(&Metric{Unit: "ms", Write: bounds}),
	}
}

func nowMilli() int64 { return time.Now().UnixMilli() }
