package broker_test

import (
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/broker"
	"github.com/magneto-iiot/magneto/internal/mqtt"
)

// BenchmarkMessage is the cost of a 500 byte message from one publisher to one
// subscriber, everything in this process. The publisher is never more than
// 1000 messages ahead, so that nothing is dropped.
func BenchmarkMessage(b *testing.B) {
	payload := make([]byte, 500)
	const ahead = 1000
	b.Run("attached to attached", func(b *testing.B) {
		br, _ := serve(b, broker.Config{})
		room := make(chan bool, ahead)
		sub, _ := attach(b, br, broker.Client{ID: "sub", Handler: func(broker.Message) { <-room }})
		ok(b, sub.Subscribe(b.Context(), broker.Filter{Topic: "spBv1.0/#"}))
		pub, _ := attach(b, br, broker.Client{ID: "pub"})
		b.ReportAllocs()
		for b.Loop() {
			room <- true
			ok(b, pub.Publish(b.Context(), broker.Message{Topic: "spBv1.0/G/NDATA/n", Payload: payload}))
		}
	})
	b.Run("tcp to attached", func(b *testing.B) {
		br, _ := serve(b, broker.Config{})
		room := make(chan bool, ahead)
		sub, _ := attach(b, br, broker.Client{ID: "sub", Handler: func(broker.Message) { <-room }})
		ok(b, sub.Subscribe(b.Context(), broker.Filter{Topic: "spBv1.0/#"}))
		pub := dial(b, br, mqtt.Config{})
		b.ReportAllocs()
		for b.Loop() {
			room <- true
			ok(b, pub.Publish(b.Context(), mqtt.Message{Topic: "spBv1.0/G/NDATA/n", Payload: payload}))
		}
	})
	b.Run("tcp to tcp", func(b *testing.B) {
		br, _ := serve(b, broker.Config{})
		room := make(chan bool, ahead)
		sub, err := mqtt.Dial(b.Context(), mqtt.Config{
			Server: "mqtt://" + br.Addr(), KeepAlive: time.Minute, OnMessage: func(mqtt.Message) { <-room },
		})
		ok(b, err)
		b.Cleanup(func() { close(room); sub.Close() })
		ok(b, sub.Subscribe(b.Context(), mqtt.Filter{Topic: "spBv1.0/#"}))
		pub := dial(b, br, mqtt.Config{})
		b.ReportAllocs()
		for b.Loop() {
			room <- true
			ok(b, pub.Publish(b.Context(), mqtt.Message{Topic: "spBv1.0/G/NDATA/n", Payload: payload}))
		}
	})
}
