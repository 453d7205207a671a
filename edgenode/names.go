package edgenode

import "time"

// metricNextServer is the node command that makes the node leave its MQTT
// server for the next in the list.
const metricNextServer = "Node Control/Next Server"

func nowMilli() int64 { return time.Now().UnixMilli() }
