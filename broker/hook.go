package broker

import (
	"errors"
	"strings"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// maxKeepAlive is the longest keepalive, in seconds, whose one and a half the
// engine can hold in 16 bits.
const maxKeepAlive = 65535 / 3 * 2

// hook guards the engine's weak places and makes it Sparkplug aware.
type hook struct {
	mqtt.HookBase
	b *Broker
}

func (h *hook) ID() string { return "magneto" }

func (h *hook) Provides(kind byte) bool {
	switch kind {
	case mqtt.OnConnect, mqtt.OnConnectAuthenticate, mqtt.OnDisconnect, mqtt.OnACLCheck,
		mqtt.OnSubscribe, mqtt.OnPublish, mqtt.OnPublished, mqtt.OnPublishDropped, mqtt.OnWill, mqtt.OnPacketRead:
		return true
	case mqtt.OnPacketSent:
		return h.b.draining.Load() != nil
	case mqtt.OnRetainMessage:
		return h.b.keeper != nil
	case mqtt.OnWillSent:
		return h.b.traced != nil
	}
	return false
}

// OnPacketRead lets an empty password pass, which MQTT allows and the engine
// takes for a missing one: clients send it when none was set. What it is worth
// is for the policy to say. It also reads the reason code of a DISCONNECT of
// one byte, which the engine passes over: nothing may come after it, so it is
// the last that was read.
//
// Source: MQTT 5.0, sections 3.14.2.1 and 3.14.4.
func (h *hook) OnPacketRead(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	if c, ok := cl.Net.Conn.(*conn); ok && pk.FixedHeader.Type == packets.Disconnect && pk.FixedHeader.Remaining == 1 {
		pk.ReasonCode = c.last
	}
	h.trace(cl, pk)
	if pk.FixedHeader.Type == packets.Connect && len(pk.Connect.Password) == 0 {
		pk.Connect.PasswordFlag = false
	}
	return pk, nil
}

// OnConnect decides whether a client may come in. The engine asks nobody about
// the will: here it passes the policy like a publish.
func (h *hook) OnConnect(cl *mqtt.Client, pk packets.Packet) error {
	b := h.b
	c, ok := cl.Net.Conn.(*conn)
	if !ok {
		return packets.ErrNotAuthorized
	}
	c.id = Identity{ClientID: cl.ID, Username: string(pk.Connect.Username), CommonName: c.commonName(), Remote: cl.Net.Remote}
	switch {
	case !plain(cl.ID) || b.has(cl.ID):
		b.refusedConnects.Add(1)
		return h.refuse(cl, packets.ErrClientIdentifierNotValid)
	case b.full(cl.ID):
		b.refusedConnects.Add(1)
		return h.refuse(cl, packets.ErrServerUnavailable)
	case !b.policy.connect(c.id, pk.Connect.Password):
		b.refusedConnects.Add(1)
		return h.refuse(cl, packets.ErrBadUsernameOrPassword)
	case pk.Connect.WillFlag && !b.mayPublish(c.id, pk.Connect.WillTopic):
		b.refusedWills.Add(1)
		b.log.Warn("broker: client refused because of its will", "client", cl.ID, "user", c.id.Username, "remote", c.id.Remote, "topic", pk.Connect.WillTopic)
		return h.refuse(cl, packets.ErrNotAuthorized)
	}
	// The engine's flow control for a client's receive maximum loses quota
	// with each message it holds back, and can lock up: without it messages
	// beyond the maximum are sent. Its topic aliases go wrong when the message
	// that makes one is dropped. Its deadline overflows.
	cl.Properties.Props.ReceiveMaximum = 0
	cl.State.Inflight.ResetSendQuota(0)
	cl.Properties.Props.TopicAliasMaximum = 0
	if cl.State.Keepalive > maxKeepAlive {
		cl.State.Keepalive, cl.State.ServerKeepalive = maxKeepAlive, true
	}
	return nil
}

// refuse answers a CONNECT, because the engine answers nothing when a hook refuses.
func (h *hook) refuse(cl *mqtt.Client, code packets.Code) error {
	if code == packets.ErrNotAuthorized && cl.Properties.ProtocolVersion < 5 {
		code = packets.Err3NotAuthorized
	}
	if err := h.b.server.SendConnack(cl, code, false, nil); err != nil {
		return err
	}
	return code
}

// OnConnectAuthenticate has nothing to add: OnConnect has decided.
func (h *hook) OnConnectAuthenticate(*mqtt.Client, packets.Packet) bool { return true }

// OnDisconnect waits out a race in the engine. It marks a client as taken over
// only after it has closed its connection; when the old client's goroutine is
// faster it removes the new client of the same id, which then receives nothing.
func (h *hook) OnDisconnect(cl *mqtt.Client, _ error, _ bool) {
	h.closed(cl)
	if !errors.Is(cl.StopCause(), packets.ErrSessionTakenOver) {
		return
	}
	for end := time.Now().Add(5 * time.Second); !cl.IsTakenOver() && time.Now().Before(end); {
		time.Sleep(100 * time.Microsecond)
	}
}

// denied stands before a filter that OnSubscribe refuses; OnACLCheck finds it.
const denied = "\x00"

// OnSubscribe asks the policy, once for each filter. Filters of certificates
// get the retain flag on live messages too.
//
// Spec: tck-id-conformance-mqtt-aware-nbirth-mqtt-retain,
// tck-id-conformance-mqtt-aware-dbirth-mqtt-retain.
func (h *hook) OnSubscribe(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	c, ok := cl.Net.Conn.(*conn)
	if !ok {
		return pk
	}
	room := h.b.limits.Subscriptions - cl.State.Subscriptions.Len()
	for i := range pk.Filters {
		f := &pk.Filters[i]
		what := inner(f.Filter)
		if i >= room || what == "" || !plain(f.Filter) || !h.b.policy.subscribe(c.id, what) {
			h.b.refusedSubscribes.Add(1)
			f.Filter = denied + f.Filter
			continue
		}
		if strings.HasPrefix(what, "$") {
			c.asks(what)
			f.FwdRetainedFlag = strings.HasPrefix(what, Certificates) || match(what, Certificates)
		}
	}
	return pk
}

// OnACLCheck is asked before a publish, before a subscribe, and before each
// message is delivered; the last two look the same. The policy is asked for
// the first; OnSubscribe has asked it for the second. What is left for the
// third is that the engine delivers kept messages with $ to filters like #:
// they pass only to a client that has also asked for them by name, who may get
// them twice.
func (h *hook) OnACLCheck(cl *mqtt.Client, topic string, write bool) bool {
	if write {
		c, ok := cl.Net.Conn.(*conn)
		if !ok || !h.b.mayPublish(c.id, topic) {
			h.b.refusedPublishes.Add(1)
			return false
		}
		return true
	}
	if topic == "" {
		return false
	}
	switch topic[0] {
	case denied[0]:
		return false
	case '$':
		topic = inner(topic) // of a shared filter
		if !strings.HasPrefix(topic, "$") {
			return true
		}
		if c, ok := cl.Net.Conn.(*conn); ok && c.asked(topic) {
			return true
		}
		for filter := range cl.State.Subscriptions.GetAll() {
			if match(inner(filter), topic) {
				return true
			}
		}
		return false
	}
	return true
}

// OnPublish bounds the retained messages.
func (h *hook) OnPublish(_ *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	if pk.FixedHeader.Retain && !h.b.mayRetain(pk.TopicName, pk.Payload) {
		h.b.refusedRetains.Add(1)
		pk.FixedHeader.Retain = false
	}
	return pk, nil
}

// OnRetainMessage notes what is to be kept over restarts.
func (h *hook) OnRetainMessage(_ *mqtt.Client, pk packets.Packet, change int64) {
	if change != 0 && !match("$SYS/#", pk.TopicName) {
		h.b.keeper.changed(pk.TopicName)
	}
}

// OnPublishDropped says that a client does not keep up.
func (h *hook) OnPublishDropped(cl *mqtt.Client, _ packets.Packet) {
	if c, ok := cl.Net.Conn.(*conn); ok {
		c.drop()
	}
}

// OnPublished keeps births.
func (h *hook) OnPublished(_ *mqtt.Client, pk packets.Packet) {
	if kept, ok := certificate(pk.TopicName); ok && len(pk.Payload) > 0 {
		_ = h.b.inject(h.b.self, Message{Topic: kept, Payload: pk.Payload, Retain: true})
	}
}

// OnWill puts the time of now into an NDEATH, and bounds the retained messages.
//
// Spec: tck-id-conformance-mqtt-aware-ndeath-timestamp.
func (h *hook) OnWill(_ *mqtt.Client, w mqtt.Will) (mqtt.Will, error) {
	if death(w.TopicName) {
		w.Payload = stamp(w.Payload, time.Now().UnixMilli())
	}
	if w.Retain && !h.b.mayRetain(w.TopicName, w.Payload) {
		h.b.refusedRetains.Add(1)
		w.Retain = false
	}
	return w, nil
}

// OnPacketSent counts down the last messages before the broker stops.
func (h *hook) OnPacketSent(_ *mqtt.Client, pk packets.Packet, _ []byte) {
	if d := h.b.draining.Load(); d != nil && pk.FixedHeader.Type == packets.Publish {
		d.sent(pk.TopicName)
	}
}

func (p *Policy) connect(id Identity, password []byte) bool {
	return p == nil || p.Connect == nil || p.Connect(id, password)
}

func (p *Policy) subscribe(id Identity, filter string) bool {
	return p == nil || p.Subscribe == nil || p.Subscribe(id, filter)
}

// mayPublish says whether a network client may publish to topic, now or as its will.
func (b *Broker) mayPublish(id Identity, topic string) bool {
	if topic == "" || topic[0] == '$' || strings.ContainsAny(topic, "+#") || strings.Count(topic, "/") >= maxLevels {
		return false
	}
	return b.policy == nil || b.policy.Publish == nil || b.policy.Publish(id, topic)
}

// mayRetain says whether there is room for a retained message; a payload of no
// bytes removes one.
func (b *Broker) mayRetain(topic string, payload []byte) bool {
	kept := b.server.Topics.Retained
	if len(payload) == 0 || kept.Len() < b.limits.Retained {
		return true
	}
	_, ok := kept.Get(topic)
	return ok
}

// full says whether there is no room for a session of this id.
func (b *Broker) full(id string) bool {
	if b.server.Clients.Len() < b.limits.Sessions {
		return false
	}
	_, ok := b.server.Clients.Get(id)
	return !ok
}
