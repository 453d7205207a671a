package mqtt_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/broker"
	"github.com/magneto-iiot/magneto/internal/mqtt"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is when a test that waits for something gives up.
const patience = 20 * time.Second

// connack accepts: no session, code 0, no properties.
var connack = []byte{0x20, 3, 0, 0, 0}

// fake is a dialer whose other end is script; it has ended when the test ends.
func fake(t testing.TB, script func(c net.Conn)) func(context.Context, string, string) (net.Conn, error) {
	t.Helper()
	return func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer server.Close()
			script(server)
		}()
		t.Cleanup(func() { server.Close(); <-done })
		return client, nil
	}
}

// packet reads one packet: its first byte and its body.
func packet(r *bufio.Reader) (head byte, body []byte, err error) {
	if head, err = r.ReadByte(); err != nil {
		return 0, nil, err
	}
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return 0, nil, err
	}
	body = make([]byte, n)
	_, err = io.ReadFull(r, body)
	return head, body, err
}

// accept reads the CONNECT and answers it.
func accept(c net.Conn) *bufio.Reader {
	r := bufio.NewReader(c)
	if _, _, err := packet(r); err != nil {
		return r
	}
	_, _ = c.Write(connack)
	return r
}

// serve starts a real broker and returns its address.
func serve(t testing.TB, c broker.Config) string {
	t.Helper()
	c.Listen = "127.0.0.1:0"
	c.Log = slog.New(slog.DiscardHandler)
	b, err := broker.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return b.Addr()
}

// dial connects; the connection is closed when the test ends.
func dial(t testing.TB, c mqtt.Config) *mqtt.Conn {
	t.Helper()
	conn, err := mqtt.Dial(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// inbox is an OnMessage that a test can read from.
func inbox() (chan mqtt.Message, func(mqtt.Message)) {
	ch := make(chan mqtt.Message, 100_000)
	return ch, func(m mqtt.Message) { ch <- m }
}

func receive(t testing.TB, ch <-chan mqtt.Message) mqtt.Message {
	t.Helper()
	select {
	case m := <-ch:
		return m
	case <-time.After(patience):
		t.Fatal("no message")
		panic("unreachable")
	}
}

func ended(t testing.TB, c *mqtt.Conn) error {
	t.Helper()
	select {
	case <-c.Done():
		return c.Err()
	case <-time.After(patience):
		t.Fatal("connection did not end")
		panic("unreachable")
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func server(addr string) string { return fmt.Sprintf("mqtt://%s", addr) }
