package session

import "github.com/magneto-iiot/magneto/sparkplug"

// Phase says how far an edge node's own session has come.
type Phase uint8

// The phases of an [Edge], in the order they are passed.
const (
	Idle        Phase = iota // not started, or stopped
	Backoff                  // waits until Deadline before it dials again
	Connecting               // a dial is in progress
	Subscribing              // connected, waits for the acknowledgement of its subscriptions
	Waiting                  // subscribed, its primary host is not known to be online
	Online                   // born: data may be published
	Stopping                 // stop was asked during a dial; waits for its outcome
)

// String names the phase in one word.
func (p Phase) String() string {
	names := [...]string{"idle", "backoff", "connecting", "subscribing", "waiting", "online", "stopping"}
	if int(p) < len(names) {
		return names[p]
	}
	return "unknown"
}

// EdgeConfig says how an edge node's session behaves. Group and Node are
// required; every other field works at its zero value. All durations are in
// milliseconds.
type EdgeConfig struct {
	Group string // Sparkplug group id
	Node  string // edge node id

	// PrimaryHost is the host id to wait for before births; empty: wait for none.
	PrimaryHost string
	// Servers is the number of MQTT servers to walk over; 1 if zero.
	Servers int
	// NextBdSeq is what the last EdgePersist effect of an earlier run said; zero
	// for a node that never ran.
	NextBdSeq uint8
	// MQTT5 says that the connection speaks MQTT 5: the session is then ended by
	// EdgeAbandon (DISCONNECT 0x04, the server sends the will) instead of
	// EdgeNDeath and EdgeDisconnect.
	MQTT5 bool
	// NoDeviceDeaths leaves out the DDEATHs before the NDEATH when the node ends
	// its session by itself. The specification does not ask for them; the
	// official test kit and some hosts look for them.
	NoDeviceDeaths bool

	RebirthDebounce int64 // least time between two requested rebirths; 5000 if zero
	HostWait        int64 // how long to wait for a first STATE before walking on, with several servers; 5000 if zero
	BackoffMin      int64 // first pause before dialing again; 500 if zero
	BackoffMax      int64 // longest pause; 30000 if zero
	// Seed spreads the pauses of nodes that lost their server together. It is
	// mixed with Group and Node, so zero is good enough for most.
	Seed uint64
}

// EdgeEventKind is what happened to an edge node.
type EdgeEventKind uint8

// The events of an [Edge] and the fields of [EdgeEvent] they use besides At.
const (
	EdgeStart         EdgeEventKind = iota + 1 // begin, or begin again after a stop
	EdgeConnected                              // the server accepted the CONNECT. Session
	EdgeConnectFailed                          // the dial came to nothing. Session, Sent, Words
	EdgeSubscribed                             // the server acknowledged every subscription. Session
	EdgeLost                                   // the connection is gone. Session, Taken, Words
	EdgeHostState                              // a STATE came. Session, Host, State
	EdgeRebirth                                // an NCMD asked for a rebirth. Session
	EdgeNextServer                             // an NCMD asked to go to the next server. Session
	EdgeChanged                                // the node's own metrics changed: it must be born anew
	EdgeDeviceReady                            // a device's equipment answers: it can be born. Device
	EdgeDeviceGone                             // a device's equipment is silent or was removed. Device
	EdgeDeviceChanged                          // the metrics of a device changed: DDEATH and DBIRTH if it was born. Device
	EdgeData                                   // may this data be published now? Device (empty: the node's own)
	EdgeTick                                   // Deadline has come
	EdgeStop                                   // end the session and stay away
)

// EdgeEvent is one event of an [Edge]. Session is the number that the
// EdgeConnect effect carried to which the event belongs: events of an earlier
// connection that arrive late are ignored.
type EdgeEvent struct {
	Kind    EdgeEventKind
	At      int64 // now, ms
	Session uint32
	Device  string
	Host    string          // the host id in the STATE topic
	State   sparkplug.State // its payload
	Taken   bool            // another client with the same id took the session over (MQTT 5 reason 0x8E)
	Sent    bool            // a CONNECT packet left this machine, or may have
	Words   string          // why, for the operator; may be empty
}

// EdgeDo is what an edge node must do.
type EdgeDo uint8

// The effects of an [Edge] and the fields of [EdgeEffect] they use.
const (
	// EdgePersist: make Next durable (fsync) before anything after it; it is
	// EdgeConfig.NextBdSeq of the next run. A runner that cannot should say so
	// and go on. Next.
	EdgePersist EdgeDo = iota + 1
	// EdgeConnect: dial Server with an NDEATH of BdSeq as the will, at QoS 1,
	// retain false, Clean Session. Report EdgeConnected or EdgeConnectFailed.
	// Server, BdSeq, Session.
	EdgeConnect
	// EdgeCancel: give up the dial in progress. Its outcome must still be
	// reported. Session.
	EdgeCancel
	// EdgeSubscribe: subscribe, at QoS 1, to the node's NCMD, its devices' DCMD
	// and, if there is a primary host, its STATE topic. Report EdgeSubscribed.
	// Session.
	EdgeSubscribe
	// EdgeNBirth: publish the NBIRTH. Seq (always 0), Count (0), BdSeq.
	EdgeNBirth
	// EdgeDBirth: publish the device's DBIRTH. Device, Seq, Count.
	EdgeDBirth
	// EdgeDDeath: publish the device's DDEATH. Device, Seq, Count.
	EdgeDDeath
	// EdgePublish: publish the data of the EdgeData event. Device, Seq, Count.
	EdgePublish
	// EdgeHold: the data of the EdgeData event cannot be published now; it
	// belongs in the spool, to be sent as historical after the next birth. Device.
	EdgeHold
	// EdgeNDeath: publish an NDEATH, without seq, at QoS 1 or 0. BdSeq.
	EdgeNDeath
	// EdgeDisconnect: send DISCONNECT and close; EdgeLost need not be reported.
	// Session.
	EdgeDisconnect
	// EdgeAbandon: as EdgeDisconnect, with reason 0x04 so that the server
	// publishes the will. MQTT 5 only. Session.
	EdgeAbandon
	// EdgeSay: tell the operator, once, in Words.
	EdgeSay
	// EdgeStopped: the session has ended as EdgeStop asked.
	EdgeStopped
)

// EdgeEffect is one thing an edge node must do.
//
// Count is the number of messages since the NBIRTH, which is message 0: Seq is
// Count modulo 256. With the payload's timestamp it is the position that a
// host can acknowledge.
type EdgeEffect struct {
	Do      EdgeDo
	Seq     uint8
	BdSeq   uint8
	Next    uint8
	Server  int // 0 to EdgeConfig.Servers-1
	Session uint32
	Count   uint64
	Device  string
	Words   string
}
