package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// drainTime is the longest wait for the wills of attached clients to leave
// when the broker stops.
const drainTime = time.Second

// Broker is an MQTT server. Its methods may be called from any goroutine.
type Broker struct {
	limits Limits
	policy *Policy
	log    *slog.Logger
	server *mqtt.Server
	front  *front
	self   *mqtt.Client // who publishes certificates
	traced func(Event)  // nil: nobody listens

	tracing sync.Mutex // held while traced runs
	keeper  *keeper    // nil: retained messages end with the broker

	ran      atomic.Bool
	serving  chan struct{}
	draining atomic.Pointer[drain]

	stalled, attachedDropped, attachedOut           atomic.Int64
	refusedConnects, refusedWills, refusedPublishes atomic.Int64
	refusedSubscribes, refusedRetains               atomic.Int64

	mu       sync.Mutex
	attached map[string]*Attached // guarded by mu; nil once the broker stops
	nextSub  int                  // guarded by mu
}

// New listens, so that Addr is known, but serves nobody before Run, which must
// follow: it also gives the addresses back.
func New(c Config) (*Broker, error) {
	c, err := c.ready()
	if err != nil {
		return nil, err
	}
	b := &Broker{
		limits: c.Limits, policy: c.Policy, log: c.Log,
		traced:   c.Trace,
		serving:  make(chan struct{}),
		attached: map[string]*Attached{},
	}
	b.server = mqtt.New(&mqtt.Options{
		Capabilities:             capabilities(c.Limits),
		ClientNetWriteBufferSize: 16 << 10,
		ClientNetReadBufferSize:  4 << 10,
		Logger:                   slog.New(slog.DiscardHandler), // it warns of every client that goes
		SysTopicResendInterval:   100 * 365 * 86400,             // off: each stops the world
	})
	if err := b.server.AddHook(&hook{b: b}, nil); err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	b.self = b.newClient("$broker")
	retained := c.Retained
	if c.Keep != "" {
		k, kept, err := openKeeper(c.Keep, c.Limits.Retained, c.Log)
		if err != nil {
			return nil, err
		}
		k.get, k.all = b.retained, b.allRetained
		b.keeper = k
		retained = append(kept, retained...)
	}
	for _, m := range retained {
		m = offline(m)
		b.server.Topics.RetainMessage(packets.Packet{
			FixedHeader: packets.FixedHeader{Type: packets.Publish, Retain: true, Qos: m.QoS},
			TopicName:   m.Topic, Payload: m.Payload, Created: time.Now().Unix(),
		})
	}
	if b.front, err = listen(c, &b.stalled, &b.refusedConnects); err != nil {
		return nil, err
	}
	b.front.dismiss = b.dismiss
	if err := b.server.AddListener(b.front); err != nil {
		b.front.unbind()
		return nil, fmt.Errorf("broker: %w", err)
	}
	return b, nil
}

func capabilities(l Limits) *mqtt.Capabilities {
	c := mqtt.NewDefaultServerCapabilities()
	c.MaximumClients = int64(l.Clients)
	c.MaximumPacketSize = uint32(l.Packet)
	c.MaximumClientWritesPending = int32(l.Pending)
	c.MaximumInflight = uint16(l.Inflight)
	c.MaximumSessionExpiryInterval = uint32(min(l.SessionExpiry/time.Second, math.MaxUint32))
	c.MaximumMessageExpiryInterval = 0 // it would also delete retained messages at that age
	c.TopicAliasMaximum = 0            // the engine checks the policy before it looks the alias up
	return c
}

// Run serves until ctx ends. Then it publishes the wills of attached clients
// and detaches them, disconnects everybody and returns nil once all it started
// has ended. Run may be called once.
func (b *Broker) Run(ctx context.Context) error {
	if b.ran.Swap(true) {
		return errors.New("broker: run twice")
	}
	if err := b.server.Serve(); err != nil {
		b.front.unbind()
		return fmt.Errorf("broker: %w", err)
	}
	b.forgetSys()
	keeping := b.keep()
	defer keeping()
	<-b.front.serving
	close(b.serving)
	<-ctx.Done()
	b.detachAll()
	_ = b.server.Close() // always nil
	b.front.wait()
	return nil
}

// dismiss disconnects the clients that came over the network.
func (b *Broker) dismiss() {
	for _, cl := range b.server.Clients.GetAll() {
		if cl.Net.Listener == b.front.ID() && !cl.Closed() {
			_ = b.server.DisconnectClient(cl, packets.ErrServerShuttingDown) // it is gone either way
		}
	}
}

// keep begins to keep retained messages; what it returns ends that.
func (b *Broker) keep() (end func()) {
	if b.keeper == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { b.keeper.run(ctx) })
	return func() { cancel(); wg.Wait() }
}

// retained is the message retained for a topic.
func (b *Broker) retained(topic string) (Message, bool) {
	pk, ok := b.server.Topics.Retained.Get(topic)
	return messageOf(pk), ok && len(pk.Payload) > 0
}

func (b *Broker) allRetained() (all []Message) {
	for _, pk := range b.server.Topics.Retained.GetAll() {
		if !match("$SYS/#", pk.TopicName) && len(pk.Payload) > 0 {
			all = append(all, messageOf(pk))
		}
	}
	return all
}

// forgetSys removes the $SYS messages that the engine has published at its
// start: they would stay as they are.
func (b *Broker) forgetSys() {
	for topic := range b.server.Topics.Retained.GetAll() {
		if match("$SYS/#", topic) {
			b.server.Topics.RetainMessage(packets.Packet{TopicName: topic})
		}
	}
	atomic.StoreInt64(&b.server.Info.Retained, int64(b.server.Topics.Retained.Len()))
}

// detachAll has the broker speak for the attached clients, who did not leave.
func (b *Broker) detachAll() {
	b.mu.Lock()
	left := b.attached
	b.attached = nil
	b.mu.Unlock()
	d := &drain{waits: map[string]int{}, done: make(chan struct{})}
	for _, a := range left {
		if a.will != nil {
			d.waits[a.will.Topic] += b.reach(a.will.Topic)
		}
	}
	b.draining.Store(d)
	for _, a := range left {
		a.publishWill()
	}
	d.wait(drainTime)
	b.draining.Store(nil)
	for _, a := range left {
		a.finish(ErrStopped)
	}
}

// reach counts the connected network clients that get a message of topic.
func (b *Broker) reach(topic string) int {
	n := 0
	for id := range b.server.Topics.Subscribers(topic).Subscriptions {
		if cl, ok := b.server.Clients.Get(id); ok && !cl.Closed() {
			n++
		}
	}
	return n
}

// drain waits until the last messages have left: the engine closes clients
// whatever is waiting for them.
type drain struct {
	mu    sync.Mutex
	waits map[string]int // by topic; guarded by mu
	done  chan struct{}
}

func (d *drain) sent(topic string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waits[topic] > 0 {
		d.waits[topic]--
		if d.left() == 0 {
			close(d.done)
		}
	}
}

func (d *drain) left() (n int) {
	for _, w := range d.waits {
		n += w
	}
	return n
}

func (d *drain) wait(limit time.Duration) {
	d.mu.Lock()
	left := d.left()
	d.mu.Unlock()
	select {
	case <-d.done:
		return
	default:
	}
	if left == 0 {
		return
	}
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-d.done:
	case <-t.C:
	}
}

// Addr returns the TCP address listened on, host:port; empty without Listen.
func (b *Broker) Addr() string { return addr(b.front.tcp) }

// WebSocketAddr returns the WebSocket address listened on, host:port; empty
// without WebSocket.
func (b *Broker) WebSocketAddr() string { return addr(b.front.web) }

// ServeConn serves one connection, which it closes, and returns when it has
// ended. Before Run and after its end it closes it at once.
func (b *Broker) ServeConn(nc net.Conn) { b.front.serveConn(nc) }

// Ready is closed when Run has begun to serve.
func (b *Broker) Ready() <-chan struct{} { return b.serving }

func (b *Broker) newClient(id string) *mqtt.Client {
	cl := b.server.NewClient(nil, mqtt.LocalListener, id, true)
	cl.Properties.ProtocolVersion = 5
	return cl
}

// inject publishes m in the name of a client of this process.
func (b *Broker) inject(cl *mqtt.Client, m Message) error {
	return b.server.InjectPacket(cl, packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: m.QoS, Retain: m.Retain},
		TopicName:   m.Topic,
		Payload:     m.Payload,
		Properties:  packets.Properties{ContentType: m.ContentType},
		PacketID:    uint16(m.QoS), // the engine wants one and does not use it
	})
}

// Stats are counts since New, but for those that are of now.
type Stats struct {
	Clients, Attached, Sessions, Subscriptions, Retained int64 // of now

	MessagesIn, MessagesOut int64 // PUBLISH packets, and messages of attached clients
	BytesIn, BytesOut       int64 // of network clients

	Dropped         int64 // messages to a client with Limits.Pending waiting
	InflightDropped int64 // QoS 1 and 2 messages to a client with Limits.Inflight unacknowledged
	AttachedDropped int64 // messages to an attached client whose queue was full
	Stalled         int64 // clients cut because they did not take what was written

	RefusedConnects   int64 // by policy, client id or limits
	RefusedWills      int64 // clients refused because of the topic of their will
	RefusedPublishes  int64 // messages
	RefusedSubscribes int64 // filters
	RefusedRetains    int64 // messages delivered but not kept
}

// Stats returns the counts.
func (b *Broker) Stats() Stats {
	b.mu.Lock()
	attached := len(b.attached)
	b.mu.Unlock()
	i := b.server.Info
	return Stats{
		Clients:       atomic.LoadInt64(&i.ClientsConnected),
		Attached:      int64(attached),
		Sessions:      int64(b.server.Clients.Len()),
		Subscriptions: atomic.LoadInt64(&i.Subscriptions),
		Retained:      int64(b.server.Topics.Retained.Len()),
		MessagesIn:    atomic.LoadInt64(&i.MessagesReceived),
		MessagesOut:   atomic.LoadInt64(&i.MessagesSent) + b.attachedOut.Load(),
		BytesIn:       atomic.LoadInt64(&i.BytesReceived),
		BytesOut:      atomic.LoadInt64(&i.BytesSent),

		Dropped:         atomic.LoadInt64(&i.MessagesDropped),
		InflightDropped: atomic.LoadInt64(&i.InflightDropped),
		AttachedDropped: b.attachedDropped.Load(),
		Stalled:         b.stalled.Load(),

		RefusedConnects:   b.refusedConnects.Load(),
		RefusedWills:      b.refusedWills.Load(),
		RefusedPublishes:  b.refusedPublishes.Load(),
		RefusedSubscribes: b.refusedSubscribes.Load(),
		RefusedRetains:    b.refusedRetains.Load(),
	}
}
