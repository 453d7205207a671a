package broker_test

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/magneto-iiot/magneto/broker"
)

// A host in the broker's own process receives an edge node's birth, and the
// broker speaks for the host when it ends without a word.
func Example() {
	b, err := broker.New(broker.Config{Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- b.Run(ctx) }()
	defer func() { stop(); fmt.Println("stopped:", <-served) }()

	inbox := make(chan broker.Message, 16)
	watch, err := b.Attach(broker.Client{ID: "watch", Handler: func(m broker.Message) { inbox <- m }})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer watch.Detach(true)
	if err := watch.Subscribe(ctx, broker.Filter{Topic: "spBv1.0/#", QoS: 1}); err != nil {
		fmt.Println(err)
		return
	}

	plant, err := b.Attach(broker.Client{ID: "plant", Will: &broker.Message{
		Topic: "spBv1.0/STATE/plant", QoS: 1, Retain: true, Payload: []byte(`{"online":false,"timestamp":1}`),
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	birth := broker.Message{Topic: "spBv1.0/STATE/plant", QoS: 1, Retain: true, Payload: []byte(`{"online":true,"timestamp":1}`)}
	if err := plant.Publish(ctx, birth); err != nil {
		fmt.Println(err)
	}
	plant.Detach(false)

	for range 2 {
		m := <-inbox
		fmt.Printf("%s %s\n", m.Topic, m.Payload)
	}
	// Output:
	// spBv1.0/STATE/plant {"online":true,"timestamp":1}
	// spBv1.0/STATE/plant {"online":false,"timestamp":1}
	// stopped: <nil>
}
