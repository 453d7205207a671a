package broker

import (
	"bytes"
	"errors"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// EventKind says what an Event is about.
type EventKind string

// The kinds of events.
const (
	EventConnect    EventKind = "connect"    // a CONNECT packet, also one that is refused
	EventSubscribe  EventKind = "subscribe"  // a SUBSCRIBE packet
	EventPublish    EventKind = "publish"    // a PUBLISH packet
	EventDisconnect EventKind = "disconnect" // a DISCONNECT packet
	EventWill       EventKind = "will"       // the broker has published the will
	EventClosed     EventKind = "closed"     // the connection is gone
)

// Event is one thing that a client on the network did, as it was on the wire.
type Event struct {
	At     time.Time
	Kind   EventKind
	Client string // client id

	Version byte     // of Connect: 4 is MQTT 3.1.1, 5 is MQTT 5
	Clean   bool     // of Connect: clean session or clean start
	Expiry  uint32   // of Connect: session expiry interval, in seconds
	Will    *Message // of Connect; nil without

	Filters []Filter // of Subscribe
	Message Message  // of Publish and Will
	Reason  byte     // of Disconnect; 0 with MQTT 3.1.1
}

// trace tells Config.Trace of a packet that came from the network.
func (h *hook) trace(cl *mqtt.Client, pk packets.Packet) {
	if h.b.traced == nil {
		return
	}
	e := Event{Client: cl.ID}
	switch pk.FixedHeader.Type {
	case packets.Connect:
		e.Kind, e.Client = EventConnect, pk.Connect.ClientIdentifier
		e.Version, e.Clean, e.Expiry = pk.ProtocolVersion, pk.Connect.Clean, pk.Properties.SessionExpiryInterval
		if c := pk.Connect; c.WillFlag {
			e.Will = &Message{Topic: c.WillTopic, Payload: bytes.Clone(c.WillPayload), QoS: c.WillQos, Retain: c.WillRetain}
		}
	case packets.Subscribe:
		e.Kind = EventSubscribe
		for _, f := range pk.Filters {
			e.Filters = append(e.Filters, Filter{Topic: f.Filter, QoS: f.Qos})
		}
	case packets.Publish:
		e.Kind, e.Message = EventPublish, messageOf(pk)
	case packets.Disconnect:
		e.Kind, e.Reason = EventDisconnect, pk.ReasonCode
	default:
		return
	}
	h.tell(e)
}

func messageOf(pk packets.Packet) Message {
	return Message{Topic: pk.TopicName, Payload: pk.Payload, QoS: pk.FixedHeader.Qos, Retain: pk.FixedHeader.Retain}
}

func (h *hook) tell(e Event) {
	h.b.tracing.Lock()
	defer h.b.tracing.Unlock()
	e.At = time.Now()
	h.b.traced(e)
}

// OnWillSent is called once the will is with its subscribers.
func (h *hook) OnWillSent(cl *mqtt.Client, pk packets.Packet) {
	h.tell(Event{Kind: EventWill, Client: cl.ID, Message: messageOf(pk)})
}

// closed tells that a client's connection is gone.
func (h *hook) closed(cl *mqtt.Client) {
	if h.b.traced != nil {
		h.tell(Event{Kind: EventClosed, Client: cl.ID})
	}
}

// ErrNoClient is the error of Cut when no such client is connected.
var ErrNoClient = errors.New("broker: no such client is connected")

// Cut closes the connection of a client on the network without a word, as a
// fault of the network would. Its will is published.
func (b *Broker) Cut(id string) error {
	cl, ok := b.server.Clients.Get(id)
	if !ok || cl.Closed() || cl.Net.Conn == nil {
		return ErrNoClient
	}
	return cl.Net.Conn.Close()
}
