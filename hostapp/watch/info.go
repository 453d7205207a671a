package watch

import "github.com/magneto-iiot/magneto/sparkplug"

// State says what a watcher knows of a node or device.
type State uint8

// A node is Unknown when data was seen but no birth, or when the watcher lost
// its connection to the server or its place in the node's messages.
const (
	Unknown State = iota
	Online
	Offline
)

// String gives "unknown", "online" or "offline".
func (s State) String() string {
	switch s {
	case Online:
		return "online"
	case Offline:
		return "offline"
	}
	return "unknown"
}

// NodeInfo is the picture of one edge node. Times are ms since the Unix
// epoch, 0 for never.
type NodeInfo struct {
	Group, Node                                         string
	State                                               State
	Server                                              string // the link it was last heard on
	BirthAt                                             int64  // payload time of the last NBIRTH
	DeathAt                                             int64  // host time of the last death
	ChangedAt                                           int64  // host time of the last change of State
	BdSeq                                               uint64
	Births, Deaths, Rebirths, Gaps, Messages, Malformed uint64
	Conflicts                                           uint64 // times that another edge node was seen to use its id
	LastRebirthCause                                    string // of the last rebirth request; empty: none yet
	LatencyMs                                           int64  // from the payload's timestamp to its arrival; the clocks' skew included
	SkewMs                                              int64  // host clock less node clock, the least seen of late
	Metrics                                             int    // that the node itself declares
	Devices                                             []DeviceInfo
}

// DeviceInfo is the picture of one device.
type DeviceInfo struct {
	Device    string
	State     State
	ChangedAt int64 // of the last change of State: payload time of DBIRTH and DDEATH, host time otherwise
	Metrics   int
}

// MetricInfo is the picture of one metric. It belongs to the caller.
type MetricInfo struct {
	Name       string
	Type       sparkplug.DataType
	Alias      uint64
	HasAlias   bool
	Value      sparkplug.Value
	Time       int64  // ms, of the value
	Quality    uint16 // sparkplug.QualityStale while Stale
	Stale      bool
	StaleAt    int64                  // ms; 0 when not stale
	Properties *sparkplug.PropertySet // not to be changed
}

// Stats are counters of a watcher since it was made; Nodes to Metrics, Queued
// and LatencyMs are of now.
type Stats struct {
	Nodes, Online, Devices, Metrics int

	Messages       uint64            // taken from the queue
	Samples        uint64            // values in them
	Births, Deaths uint64            // of nodes and devices; of nodes
	Gaps           uint64            // runs of messages that never came
	Duplicates     uint64            // messages had before
	Late           uint64            // messages and deaths of an earlier session
	Muted          uint64            // messages of nodes that are born too often
	Undelivered    uint64            // messages that could not be applied for another reason
	UnknownMetrics uint64            // values that no birth declared, or of another type
	Rebirths       map[string]uint64 // requests by cause
	Faults         map[string]uint64 // broken rules by cause
	Malformed      uint64            // not Sparkplug
	Compressed     uint64            // with another payload inside
	Retained       uint64            // ignored: kept by the server from an earlier time
	Refused        uint64            // beyond a limit
	Dropped        uint64            // because the queue was full
	Queued         int
	LatencyMs      int64 // of the last message
}
