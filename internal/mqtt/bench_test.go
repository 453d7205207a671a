package mqtt_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"testing"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/magneto-iiot/magneto/internal/mqtt"
)

// message is a PUBLISH of 500 bytes with QoS 0.
var message = append([]byte{0x30, 0xF4, 0x03, 0, 17}, append([]byte("spBv1.0/G/NDATA/n\x00"), make([]byte, 480)...)...)

// source listens, accepts one client at a time and writes n messages to it
// once it has connected, then reads until it goes.
func source(b *testing.B, n int) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ok(b, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			r := accept(c)
			w := bufio.NewWriterSize(c, 64<<10)
			for range n {
				_, _ = w.Write(message)
			}
			_ = w.Flush()
			_, _ = io.Copy(io.Discard, r)
			c.Close()
		}
	}()
	b.Cleanup(func() { ln.Close(); <-done })
	return ln.Addr().String()
}

// BenchmarkReceive is the cost of a message of 500 bytes that comes, beside
// that of the library as it is.
func BenchmarkReceive(b *testing.B) {
	b.Run("mqtt", func(b *testing.B) {
		addr, left, all := source(b, b.N), b.N, make(chan bool)
		b.ReportAllocs()
		c, err := mqtt.Dial(b.Context(), mqtt.Config{Server: server(addr), OnMessage: func(mqtt.Message) {
			if left--; left == 0 {
				close(all)
			}
		}})
		ok(b, err)
		<-all
		b.StopTimer()
		c.Close()
	})
	b.Run("library", func(b *testing.B) {
		addr, left, all := source(b, b.N), b.N, make(chan bool)
		b.ReportAllocs()
		c := stock(b, addr, func(paho.PublishReceived) (bool, error) {
			if left--; left == 0 {
				close(all)
			}
			return true, nil
		})
		<-all
		b.StopTimer()
		_ = c.Disconnect(&paho.Disconnect{})
	})
}

// BenchmarkPublish is the cost of a message of 500 bytes that goes with QoS 0.
func BenchmarkPublish(b *testing.B) {
	payload := make([]byte, 480)
	b.Run("mqtt", func(b *testing.B) {
		c, err := mqtt.Dial(b.Context(), mqtt.Config{Server: server(source(b, 0))})
		ok(b, err)
		b.ReportAllocs()
		for b.Loop() {
			ok(b, c.Publish(b.Context(), mqtt.Message{Topic: "spBv1.0/G/NDATA/n", Payload: payload}))
		}
		c.Close()
	})
	b.Run("library", func(b *testing.B) {
		c := stock(b, source(b, 0), nil)
		b.ReportAllocs()
		for b.Loop() {
			_, err := c.Publish(b.Context(), &paho.Publish{Topic: "spBv1.0/G/NDATA/n", Payload: payload})
			ok(b, err)
		}
		_ = c.Disconnect(&paho.Disconnect{})
	})
}

func stock(b *testing.B, addr string, on func(paho.PublishReceived) (bool, error)) *paho.Client {
	nc, err := net.Dial("tcp", addr)
	ok(b, err)
	cfg := paho.ClientConfig{Conn: packets.NewThreadSafeConn(nc)}
	if on != nil {
		cfg.OnPublishReceived = []func(paho.PublishReceived) (bool, error){on}
	}
	c := paho.NewClient(cfg)
	_, err = c.Connect(context.Background(), &paho.Connect{ClientID: "b", CleanStart: true, KeepAlive: 30})
	ok(b, err)
	return c
}
