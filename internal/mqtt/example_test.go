package mqtt_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/magneto-iiot/magneto/broker"
	"github.com/magneto-iiot/magneto/internal/mqtt"
)

// Two connections to one broker: one receives what the other publishes, and
// the will of the other when it goes without goodbye.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	b, err := broker.New(broker.Config{Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	served := make(chan error)
	go func() { served <- b.Run(ctx) }()
	defer func() { stop(); <-served }()

	inbox := make(chan mqtt.Message, 16) // OnMessage only enqueues
	plant, err := mqtt.Dial(ctx, mqtt.Config{
		Server: "mqtt://" + b.Addr(), ClientID: "plant",
		OnMessage: func(m mqtt.Message) { inbox <- m },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer plant.Disconnect(ctx)
	if err := plant.Subscribe(ctx, mqtt.Filter{Topic: "line1/#", QoS: 1}); err != nil {
		fmt.Println(err)
		return
	}

	press, err := mqtt.Dial(ctx, mqtt.Config{
		Server: "mqtt://" + b.Addr(), ClientID: "press", KeepAlive: 10 * time.Second,
		Will: &mqtt.Message{Topic: "line1/press/gone", QoS: 1, Payload: []byte("!")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := press.Publish(ctx, mqtt.Message{Topic: "line1/press/bar", Payload: []byte("5.2")}); err != nil {
		fmt.Println(err)
	}
	press.Close()

	for range 2 {
		m := <-inbox
		fmt.Printf("%s: %s\n", m.Topic, m.Payload)
	}
	// Output:
	// line1/press/bar: 5.2
	// line1/press/gone: !
}
