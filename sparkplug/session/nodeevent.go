package session

import "github.com/magneto-iiot/magneto/sparkplug"

// HostConfig says how a host looks at edge nodes. Its zero value works. All
// durations are in milliseconds.
type HostConfig struct {
	ReorderTimeout int64 // how long a missing message is waited for; 2000 if zero
	MaxHeld        int   // messages held back by a node that wait for a missing one, at most 127; 64 if zero
	MaxHeldMetrics int   // metrics in them; 20000 if zero
	RebirthMin     int64 // pause after the first request for a rebirth, doubled each time; 2000 if zero
	RebirthMax     int64 // longest pause; 120000 if zero
	// RebirthTries is how often a node is asked that has not been heard since;
	// 8 if zero. Any message from it starts anew.
	RebirthTries int
	// RebirthSpread is the time over which the first requests to nodes that were
	// never born, or that the host lost with its connection, are spread; ask at
	// once if zero. Good: 1 ms a node.
	RebirthSpread int64
	// LateWindow is how long after a birth or a death messages from before it
	// can still arrive; 10000 if zero.
	LateWindow int64
	// ResumeWait is how long a restored node that is silent is left alone before
	// it is asked for a rebirth; 30000 if zero.
	ResumeWait int64
	// MaxDevices is how many devices a node may have; 4096 if zero.
	MaxDevices int
	// MaxBirths is how many NBIRTHs of a node are taken at once, and one more
	// each second; zero: any number. A node that goes beyond is muted for 10 s:
	// it is unknown, what it says is dropped, and then it is asked for a rebirth.
	MaxBirths int
}

// NodeState is what a host knows of an edge node.
type NodeState uint8

// The states of a [Node].
const (
	NodeUnknown NodeState = iota // no birth seen, or lost with the host's own connection
	NodeOnline
	NodeOffline
)

// String names the state in one word.
func (s NodeState) String() string {
	switch s {
	case NodeOnline:
		return "online"
	case NodeOffline:
		return "offline"
	}
	return "unknown"
}

// NodeEventKind is what a host learned about a node.
type NodeEventKind uint8

// The events of a [Node] and the fields of [NodeEvent] they use besides At.
const (
	NodeMessage   NodeEventKind = iota + 1 // a message of the node came. Type, Device, Payload
	NodeMalformed                          // a message of the node could not be decoded. Type, Device
	NodeTick                               // Deadline has come
	NodeHostLost                           // the host's own connection is gone
	NodeHostBack                           // the host is connected and subscribed again
	NodeRebirth                            // an operator wants a rebirth: ask the node now
	NodeExpected                           // the host knows of the node, but not by itself: ask unless it is born soon
)

// NodeEvent is one event of a [Node].
type NodeEvent struct {
	Kind   NodeEventKind
	At     int64          // the host's clock, ms
	Type   sparkplug.Type // NBIRTH, NDEATH, NDATA, DBIRTH, DDEATH or DDATA
	Device string         // empty for a message of the node itself
	// Payload is borrowed for the call, and may be used by the effects of the
	// call. Step gives the values of data metrics the type that the birth
	// declared, in place.
	Payload *sparkplug.Payload
}

// NodeDo is what a host must do about a node.
type NodeDo uint8

// The effects of a [Node] and the fields of [NodeEffect] they use besides At.
const (
	// NodeDoBirth: the node is online with a new birth. Its devices are offline
	// until their own. Payload, Shape, Slots, Seq, Count, BdSeq, Again.
	NodeDoBirth NodeDo = iota + 1
	// NodeDoDeviceBirth: the device is online with a new birth. Device, Payload,
	// Shape, Slots, Seq, Count.
	NodeDoDeviceBirth
	// NodeDoData: values, in seq order. Device, Payload, Shape, Slots, Seq, Count,
	// BdSeq, Type.
	NodeDoData
	// NodeDoDeviceOffline: the device is offline and its metrics are stale since
	// At: the DDEATH's own time, or the host's when the node took it along. Of
	// CauseBorn the DBIRTH usually follows at once. Device, Cause.
	NodeDoDeviceOffline
	// NodeDoOffline: the node is offline and its own metrics are stale since At,
	// the host's time. One NodeDoDeviceOffline a device went before. Cause.
	NodeDoOffline
	// NodeDoStale: the host lost its own connection, or mutes the node: the node is unknown, all
	// its metrics and those of its devices are stale since At. Cause.
	NodeDoStale
	// NodeDoResume: a node that was restored has gone on where it was when it was
	// saved: it is online, and so are the devices that were. Nothing was missed,
	// so what it said then still holds.
	NodeDoResume
	// NodeDoAskRebirth: publish an NCMD with Node Control/Rebirth true. It is
	// asked again, by itself, until an NBIRTH comes. Cause, Tries.
	NodeDoAskRebirth
	// NodeDoGap: messages Expected to Seq-1 never came. What was held is dropped
	// and nothing is applied until the next NBIRTH. Expected, Seq, Dropped.
	NodeDoGap
	// NodeDoDrop: a message, or some of its metrics, could not be applied.
	// Cause, Type, Device, Seq, Dropped (metrics; 0: all of the message).
	NodeDoDrop
	// NodeDoFault: the node broke a rule, but could be understood. Cause, Type,
	// Device, Dropped (how many times). CauseTwoPublishers: BdSeq.
	NodeDoFault
)

// NodeEffect is one thing a host must do about a node. Payload, Slots and
// what they point to are good until the next Step of any Node of the same
// Host.
type NodeEffect struct {
	Do       NodeDo
	Cause    Cause
	Seq      uint8
	Expected uint8
	Again    bool // a birth within the same session (same bdSeq): a rebirth
	Dropped  int  // how many, see the kinds
	Tries    int  // 1 for the first request
	At       int64
	BdSeq    uint64
	Count    uint64 // messages since the NBIRTH, which is 0
	Type     sparkplug.Type
	Device   string
	Payload  *sparkplug.Payload
	// Shape describes the metrics of the birth; nil for deaths.
	Shape *Shape
	// Slots has an entry for each metric of Payload: its index in Shape, or
	// NoSlot when it must be left out.
	Slots []uint32
}

// Cause says why.
type Cause uint8

// The causes of drops, faults, requests for a rebirth and offline nodes.
const (
	CauseNone           Cause = iota
	CauseDeath                // NDEATH or DDEATH
	CauseBorn                 // a new NBIRTH: devices are offline until their own birth
	CauseHostLost             // the host lost its own connection
	CauseGap                  // a message is missing and did not come in time
	CauseFull                 // too many messages were held back for a missing one
	CauseUnknownAlias         // no birth declared the alias
	CauseUnknownName          // no birth declared the name
	CauseNoBirth              // data of a node that was not born
	CauseUnknownDevice        // data or death of a device that was not born
	CauseMalformed            // not a Sparkplug payload
	CauseNoBdSeq              // an NBIRTH without bdSeq
	CauseNoSeq                // a message that must carry seq and does not
	CauseLate                 // from before the present birth, or after the death
	CauseRepeated             // had before
	CauseOtherSession         // an NDEATH of another bdSeq: the late will of an earlier session
	CauseBadType              // a value that does not fit the type of the birth
	CauseDuplicateAlias       // one alias for two metrics of a node
	CauseDuplicateName        // one name for two metrics of a birth
	CauseNoName               // a metric of a birth without a name
	CauseTwoPublishers        // two edge nodes use the same group and node id
	CauseOperator             // an operator asked
	CauseUnexpectedType       // a message type that a node does not send
	CauseTooManyDevices       // more than HostConfig.MaxDevices
	CauseMuted                // a node that was born too often, see HostConfig.MaxBirths
)

var causeWords = [...]string{
	"none", "death", "new birth", "host connection lost", "gap in seq", "reorder buffer full",
	"unknown alias", "unknown metric name", "data before birth", "unknown device",
	"malformed payload", "birth without bdSeq", "message without seq", "late message",
	"repeated message", "death of another session", "value does not fit its datatype",
	"duplicate alias", "duplicate metric name", "metric without a name",
	"two publishers of one node id", "asked by operator", "unexpected message type",
	"too many devices", "too many births",
}

// String gives the cause in a few words.
func (c Cause) String() string {
	if int(c) < len(causeWords) {
		return causeWords[c]
	}
	return "unknown cause"
}
