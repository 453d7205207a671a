package main

import (
	"context"

	"github.com/magneto-iiot/magneto/broker"
	"github.com/magneto-iiot/magneto/hostapp/watch"
	"github.com/magneto-iiot/magneto/internal/mqtt"
)

// inproc gives a watcher or host a connection to a broker in this process:
// same messages, no socket.
func inproc(b *broker.Broker, id string) watch.Dial {
	return func(_ context.Context, will *mqtt.Message, onMessage func(mqtt.Message)) (watch.Conn, error) {
		c := broker.Client{ID: id, Handler: func(m broker.Message) { onMessage(mqtt.Message(m)) }}
		if will != nil {
			c.Will = new(broker.Message(*will))
		}
		a, err := b.Attach(c)
		if err != nil {
			return nil, err
		}
		return attached{a}, nil
	}
}

// attached makes a watch.Conn of a client attached to the broker.
type attached struct{ *broker.Attached }

func (a attached) Publish(ctx context.Context, m mqtt.Message) error {
	return a.Attached.Publish(ctx, broker.Message(m))
}

func (a attached) Subscribe(ctx context.Context, filters ...mqtt.Filter) error {
	own := make([]broker.Filter, len(filters))
	for i, f := range filters {
		own[i] = broker.Filter(f)
	}
	return a.Attached.Subscribe(ctx, own...)
}

func (a attached) Disconnect(context.Context) error { return a.Detach(true) }
