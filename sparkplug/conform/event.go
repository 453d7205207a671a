package conform

import "time"

// Kind says what an Event is about.
type Kind string

// The kinds of events.
const (
	Connect    Kind = "connect"    // a CONNECT packet
	Subscribe  Kind = "subscribe"  // a SUBSCRIBE packet
	Publish    Kind = "publish"    // a PUBLISH packet
	Disconnect Kind = "disconnect" // a DISCONNECT packet
	Will       Kind = "will"       // the server published the client's will
	Closed     Kind = "closed"     // the connection is gone
)

// Filter is one topic filter of a subscription.
type Filter struct {
	Topic string
	QoS   byte
}

// Event is what an MQTT server sees one of its clients do.
type Event struct {
	At     time.Time
	Server int    // which of several servers
	Client string // client id
	Kind   Kind

	Version byte     // of Connect: 4 is MQTT 3.1.1, 5 is MQTT 5
	Clean   bool     // of Connect: clean session or clean start
	Expiry  uint32   // of Connect: session expiry interval, in seconds
	Will    *Message // of Connect; nil without

	Filters []Filter // of Subscribe
	Message Message  // of Publish and Will, with the flags that the client sent
	Reason  byte     // of Disconnect
}
