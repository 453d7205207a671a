package broker

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// ErrStopped is the error of an attached client whose broker has stopped.
var ErrStopped = errors.New("broker: stopped")

// ErrDetached is returned by the methods of a client that has detached.
var ErrDetached = errors.New("broker: detached")

// Client describes a client in this process.
type Client struct {
	ID   string   // no network client may have it at the same time
	Will *Message // published when the client is gone without Detach(true)

	// Handler receives the messages, in order, on a goroutine of its own. It
	// must return some time, and not call Detach. The payload is shared: it
	// may be kept but not changed. Nil receives nothing.
	Handler func(Message)
	Queue   int // messages waiting for Handler; 65536 if zero. Full: the newest is dropped and counted, nobody waits
}

// Attached is a client in this process. Its methods may be called from any
// goroutine.
type Attached struct {
	b       *Broker
	cl      *mqtt.Client
	sub     int // its subscription id; the engine delivers once for each id
	will    *Message
	handler func(Message)
	limit   int64

	willOnce sync.Once
	ending   sync.Once
	wake     chan struct{} // holds one while there is something to do
	done     chan struct{}
	waiting  atomic.Int64
	dropped  atomic.Uint64

	mu      sync.Mutex
	queue   []Message // guarded by mu
	filters []string  // guarded by mu
	closed  bool      // guarded by mu
	err     error     // guarded by mu
}

// Attach adds a client without a socket. It may be called before Run. The
// caller ends it with Detach; a broker that stops first publishes its will.
func (b *Broker) Attach(c Client) (*Attached, error) {
	if c.ID == "" || !plain(c.ID) {
		return nil, fmt.Errorf("broker: attach: id %.80q is empty, too long, not UTF-8, or holds NUL", c.ID)
	}
	if c.Queue < 0 {
		return nil, fmt.Errorf("broker: attach %q: queue %d is negative", c.ID, c.Queue)
	}
	a := &Attached{
		b:       b,
		handler: c.Handler,
		limit:   int64(cmp.Or(c.Queue, 65536)),
		wake:    make(chan struct{}, 1),
		done:    make(chan struct{}),
	}
	if c.Will != nil {
		if err := c.Will.check(); err != nil {
			return nil, fmt.Errorf("broker: attach %q: will: %w", c.ID, err)
		}
		will := *c.Will
		will.Payload = bytes.Clone(will.Payload)
		a.will = &will
	}
	if a.handler == nil {
		a.handler = func(Message) {}
	}
	a.cl = b.newClient(c.ID)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.attached == nil {
		return nil, ErrStopped
	}
	if _, ok := b.attached[c.ID]; ok {
		return nil, fmt.Errorf("broker: attach: id %q is in use", c.ID)
	}
	if cl, ok := b.server.Clients.Get(c.ID); ok && !cl.Closed() {
		return nil, fmt.Errorf("broker: attach: id %q is in use by %s", c.ID, cl.Net.Remote)
	}
	b.nextSub++
	a.sub = b.nextSub
	b.attached[c.ID] = a
	go a.run()
	return a, nil
}

// has says whether a client of this process has the id.
func (b *Broker) has(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.attached[id]
	return ok
}

// run hands messages to the handler until the client is closed and its queue empty.
func (a *Attached) run() {
	defer close(a.done)
	var batch []Message
	for range a.wake {
		a.mu.Lock()
		batch, a.queue = a.queue, batch[:0]
		closed := a.closed
		a.mu.Unlock()
		for i, m := range batch {
			batch[i] = Message{}
			a.handler(m)
			a.waiting.Add(-1)
			a.b.attachedOut.Add(1)
		}
		if cap(batch) > 4096 {
			batch = nil // the memory of a flood is not kept
		}
		if closed {
			return
		}
	}
}

func (a *Attached) poke() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// put queues a message; mu is held.
func (a *Attached) put(m Message) {
	if a.closed {
		return
	}
	if a.waiting.Load() >= a.limit {
		a.dropped.Add(1)
		a.b.attachedDropped.Add(1)
		return
	}
	a.waiting.Add(1)
	a.queue = append(a.queue, m)
	a.poke()
}

// receive is called by the engine on the goroutine of whoever publishes.
func (a *Attached) receive(_ *mqtt.Client, _ packets.Subscription, pk packets.Packet) {
	kept := strings.HasPrefix(pk.TopicName, Certificates)
	m := Message{Topic: pk.TopicName, Payload: pk.Payload, QoS: pk.FixedHeader.Qos, Retain: kept && pk.FixedHeader.Retain, ContentType: pk.Properties.ContentType}
	a.mu.Lock()
	defer a.mu.Unlock()
	if strings.HasPrefix(m.Topic, "$") && !a.asked(m.Topic) {
		return // the engine delivers it to filters like # too
	}
	a.put(m)
}

// asked says whether a filter matches topic; mu is held.
func (a *Attached) asked(topic string) bool {
	for _, f := range a.filters {
		if match(f, topic) {
			return true
		}
	}
	return false
}

// Subscribe asks for messages; retained ones are queued before it returns.
// A message that several filters match comes once, with the QoS it was
// published with. Its retain flag says that it was kept, and is also set on
// every certificate.
func (a *Attached) Subscribe(ctx context.Context, filters ...Filter) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, f := range filters {
		if err := f.check(); err != nil {
			return err
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return ErrDetached
	}
	topics := a.b.server.Topics
	for _, f := range filters {
		a.filters = append(a.filters, f.Topic)
		a.listen(f.Topic)
		// mu is held, so what is published from here on comes after what was kept.
		kept := topics.Messages(f.Topic)
		if parent, ok := strings.CutSuffix(f.Topic, "/#"); ok && parent != "" && !strings.ContainsAny(parent, "+#") {
			a.listen(parent) // the engine's own match of a/# with a fails here
			if pk, ok := topics.Retained.Get(parent); ok {
				kept = append(kept, pk)
			}
		}
		for _, pk := range kept {
			if match(f.Topic, pk.TopicName) {
				a.put(Message{Topic: pk.TopicName, Payload: pk.Payload, QoS: pk.FixedHeader.Qos, Retain: true, ContentType: pk.Properties.ContentType})
			}
		}
	}
	return nil
}

func (a *Attached) listen(filter string) {
	a.b.server.Topics.InlineSubscribe(mqtt.InlineSubscription{
		Subscription: packets.Subscription{Filter: filter, Identifier: a.sub},
		Handler:      a.receive,
	})
}

// Publish hands m to every subscriber, and returns when it waits in their
// queues. m.Payload is not kept.
func (a *Attached) Publish(ctx context.Context, m Message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := m.check(); err != nil {
		return err
	}
	if len(m.Payload) > a.b.limits.Packet {
		return fmt.Errorf("broker: topic %.80q: payload of %d bytes is longer than the limit of %d", m.Topic, len(m.Payload), a.b.limits.Packet)
	}
	if strings.HasPrefix(m.Topic, "$") {
		return fmt.Errorf("broker: topic %.80q: topics that start with $ are the broker's", m.Topic)
	}
	a.mu.Lock()
	closed := a.closed
	a.mu.Unlock()
	if closed {
		return ErrDetached
	}
	m.Payload = bytes.Clone(m.Payload)
	if err := a.b.inject(a.cl, m); err != nil {
		return fmt.Errorf("broker: publish %q: %w", m.Topic, err)
	}
	return nil
}

// Detach removes the client and waits until Handler has had what was queued.
// When not graceful the will is published first. Calling it again only waits.
func (a *Attached) Detach(graceful bool) error {
	if graceful {
		a.willOnce.Do(func() {})
	} else {
		a.publishWill()
	}
	a.b.mu.Lock()
	if a.b.attached[a.cl.ID] == a {
		delete(a.b.attached, a.cl.ID)
	}
	a.b.mu.Unlock()
	a.finish(nil)
	return nil
}

func (a *Attached) publishWill() {
	a.willOnce.Do(func() {
		if a.will != nil {
			_ = a.b.inject(a.cl, *a.will) // checked at Attach
		}
	})
}

// finish ends the client because of err and waits for its goroutine.
func (a *Attached) finish(err error) {
	a.ending.Do(func() {
		a.mu.Lock()
		a.closed, a.err = true, err
		filters := a.filters
		a.mu.Unlock()
		for _, f := range filters {
			a.b.server.Topics.InlineUnsubscribe(a.sub, f)
			if parent, ok := strings.CutSuffix(f, "/#"); ok {
				a.b.server.Topics.InlineUnsubscribe(a.sub, parent)
			}
		}
		a.poke()
	})
	<-a.done
}

// Dropped returns how many messages were dropped because the queue was full.
func (a *Attached) Dropped() uint64 { return a.dropped.Load() }

// Done is closed when the client is detached, by itself or because the broker
// has stopped, and Handler will not be called any more.
func (a *Attached) Done() <-chan struct{} { return a.done }

// Err says why Done is closed: nil before that and after Detach, otherwise ErrStopped.
func (a *Attached) Err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}
