package mqtt

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/session/state"
)

// headroom is more than the bytes of a PUBLISH besides topic and payload.
const headroom = 16

// Publish sends m. With QoS 0 it returns once the kernel has the bytes, which
// says nothing about the broker; with QoS 1 or 2 once the broker has
// acknowledged. It gives up when ctx, Config.Timeout or the connection ends; a
// QoS 1 or 2 message may then have arrived or not. m.Payload is not kept.
func (c *Conn) Publish(ctx context.Context, m Message) error {
	if err := m.check(); err != nil {
		return fmt.Errorf("mqtt: publish: %w", err)
	}
	if size := len(m.Topic) + len(m.Payload) + headroom; c.maxPacket > 0 && uint64(size) > uint64(c.maxPacket) {
		return fmt.Errorf("mqtt: publish %q: %d bytes are more than the %d the broker takes", m.Topic, size, c.maxPacket)
	}
	ctx, cancel, err := c.bound(ctx)
	if err != nil {
		return fmt.Errorf("mqtt: publish %q: %w", m.Topic, err)
	}
	defer cancel()
	p := &paho.Publish{Topic: m.Topic, Payload: m.Payload, QoS: m.QoS, Retain: m.Retain}
	if m.ContentType != "" {
		p.Properties = &paho.PublishProperties{ContentType: m.ContentType}
	}
	_, err = c.client.Publish(ctx, p)
	if err == nil && m.QoS == 0 {
		err = c.wire.broken()
	}
	if err != nil {
		return fmt.Errorf("mqtt: publish %q: %w", m.Topic, c.cause(err))
	}
	return nil
}

// Subscribe asks for messages and returns once the broker has granted every
// filter; a refused one is an error that names it.
func (c *Conn) Subscribe(ctx context.Context, filters ...Filter) error {
	if len(filters) == 0 {
		return errors.New("mqtt: subscribe: no filter")
	}
	p := &paho.Subscribe{}
	for _, f := range filters {
		if err := f.check(); err != nil {
			return fmt.Errorf("mqtt: subscribe: %w", err)
		}
		p.Subscriptions = append(p.Subscriptions, paho.SubscribeOptions{Topic: f.Topic, QoS: f.QoS})
	}
	ctx, cancel, err := c.bound(ctx)
	if err != nil {
		return fmt.Errorf("mqtt: subscribe: %w", err)
	}
	defer cancel()
	ack, err := c.client.Subscribe(ctx, p)
	if ack == nil {
		return fmt.Errorf("mqtt: subscribe: %w", c.cause(cmp.Or(err, errors.New("no answer"))))
	}
	if len(ack.Reasons) != len(filters) {
		return fmt.Errorf("mqtt: subscribe: the broker answered %d of %d filters", len(ack.Reasons), len(filters))
	}
	var refused []error
	for i, code := range ack.Reasons {
		if code >= 0x80 {
			refused = append(refused, fmt.Errorf("mqtt: subscribe: filter %q: %s", filters[i].Topic, reason(code)))
		}
	}
	return errors.Join(refused...)
}

// bound returns ctx so that it also ends with the connection: the library lets
// those who wait for an acknowledgement wait for its timeout.
func (c *Conn) bound(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if err := context.Cause(c.life); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(c.life, cancel)
	return ctx, func() { stop(); cancel() }, nil
}

// cause is why the connection ended, if it did; otherwise err.
func (c *Conn) cause(err error) error {
	if cause := context.Cause(c.life); cause != nil {
		return cause
	}
	return err
}

// session is the library's session state. It writes to a nil connection when a
// PUBREC meets the end of the connection; the panic would be the program's.
type session struct{ *state.State }

func (s *session) PacketReceived(p *packets.ControlPacket, to chan<- *packets.Publish) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("mqtt: session: %v", r)
		}
	}()
	return s.State.PacketReceived(p, to)
}
