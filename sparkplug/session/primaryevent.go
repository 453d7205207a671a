package session

import "github.com/magneto-iiot/magneto/sparkplug"

// PrimaryConfig says how a host keeps its own session with one MQTT server.
// All durations are in milliseconds.
type PrimaryConfig struct {
	// Host is the Sparkplug host id. Empty: not a primary host; it then has no
	// will and publishes no STATE.
	Host string
	// NewTimestamp connects anew with a newer timestamp when somebody else's
	// newer offline STATE hides ours (the rule of Sparkplug 4); without it our
	// STATE is republished with its old timestamp only, as 3.0 says.
	NewTimestamp bool
	BackoffMin   int64 // first pause before dialing again; 500 if zero
	BackoffMax   int64 // longest pause; 30000 if zero
	Seed         uint64
}

// PrimaryEventKind is what happened to the host's connection.
type PrimaryEventKind uint8

// The events of a [Primary] and the fields of [PrimaryEvent] they use besides At.
const (
	PrimaryStart         PrimaryEventKind = iota + 1
	PrimaryConnected                      // Session
	PrimaryConnectFailed                  // Session, Words
	PrimarySubscribed                     // Session
	PrimaryLost                           // Session, Taken, Words
	PrimaryState                          // a STATE on the host's own topic came. Session, State, Kept
	PrimaryTick
	PrimaryStop
)

// PrimaryEvent is one event of a [Primary].
type PrimaryEvent struct {
	Kind    PrimaryEventKind
	At      int64 // now, ms
	Session uint32
	State   sparkplug.State
	Kept    bool   // the STATE is a retained one, of some earlier time
	Taken   bool   // another client with the same id took the session over (MQTT 5 reason 0x8E)
	Words   string // why, for the operator; may be empty
}

// PrimaryDo is what a host must do about its own session.
type PrimaryDo uint8

// The effects of a [Primary] and the fields of [PrimaryEffect] they use.
const (
	// PrimaryConnect: dial, with State (offline) as will on the host's STATE
	// topic at QoS 1, retained, if HasWill. Session, State, HasWill.
	PrimaryConnect PrimaryDo = iota + 1
	// PrimaryCancel: give up the dial in progress; its outcome must still be
	// reported. Session.
	PrimaryCancel
	// PrimarySubscribe: subscribe to spBv1.0/# and, if HasWill, to the host's
	// STATE topic; report PrimarySubscribed. Session, HasWill.
	PrimarySubscribe
	// PrimaryPublish: publish State on the host's STATE topic, QoS 1, retained. State.
	PrimaryPublish
	// PrimaryOnline: the host may use the connection: tell the Nodes NodeHostBack.
	PrimaryOnline
	// PrimaryOffline: the connection is gone: tell the Nodes NodeHostLost.
	PrimaryOffline
	// PrimaryDisconnect: send DISCONNECT (no will) and close. Session.
	PrimaryDisconnect
	// PrimarySay: tell the operator, once, in Words.
	PrimarySay
	// PrimaryRival: there are signs that another host runs with this host id. It
	// comes with each sign.
	PrimaryRival
	// PrimaryStopped: the session has ended as PrimaryStop asked.
	PrimaryStopped
)

// PrimaryEffect is one thing a host must do about its own session.
type PrimaryEffect struct {
	Do      PrimaryDo
	HasWill bool
	Session uint32
	State   sparkplug.State
	Words   string
}
