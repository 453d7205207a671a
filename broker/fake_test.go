package broker_test

import (
	"context"
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

// serve starts a broker; it has stopped when the test ends, or after stop.
func serve(t testing.TB, c broker.Config) (b *broker.Broker, stop func()) {
	t.Helper()
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	b, err := broker.New(c)
	ok(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := b.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	<-b.Ready()
	return b, stop
}

// client is a network client with what it has received.
type client struct {
	*mqtt.Conn
	got chan mqtt.Message
}

func dial(t testing.TB, b *broker.Broker, c mqtt.Config) client {
	t.Helper()
	cl, err := try(t, b, c)
	ok(t, err)
	t.Cleanup(func() { cl.Close() })
	return cl
}

func try(t testing.TB, b *broker.Broker, c mqtt.Config) (client, error) {
	t.Helper()
	cl := client{got: make(chan mqtt.Message, 100_000)}
	c.Server = "mqtt://" + b.Addr()
	c.OnMessage = func(m mqtt.Message) { cl.got <- m }
	var err error
	cl.Conn, err = mqtt.Dial(t.Context(), c)
	return cl, err
}

func (c client) sub(t testing.TB, filters ...string) client {
	t.Helper()
	for _, f := range filters {
		ok(t, c.Subscribe(t.Context(), mqtt.Filter{Topic: f, QoS: 1}))
	}
	return c
}

func (c client) pub(t testing.TB, topic, payload string) {
	t.Helper()
	ok(t, c.Publish(t.Context(), mqtt.Message{Topic: topic, QoS: 1, Payload: []byte(payload)}))
}

// attach adds a client of this process with what it has received.
func attach(t testing.TB, b *broker.Broker, c broker.Client) (*broker.Attached, chan broker.Message) {
	t.Helper()
	got := make(chan broker.Message, 100_000)
	if c.Handler == nil {
		c.Handler = func(m broker.Message) { got <- m }
	}
	a, err := b.Attach(c)
	ok(t, err)
	t.Cleanup(func() { ok(t, a.Detach(true)) })
	return a, got
}

func receive[M any](t testing.TB, ch <-chan M) M {
	t.Helper()
	select {
	case m := <-ch:
		return m
	case <-time.After(patience):
		t.Fatal("no message")
		panic("unreachable")
	}
}

// until waits for a state of the broker that nobody announces.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	end := time.After(patience)
	for !is() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("not reached: %s", what)
		}
	}
}

// deaf connects with raw bytes, subscribes to filter with QoS 1 and then reads
// nothing any more.
func deaf(t testing.TB, b *broker.Broker, id, filter string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", b.Addr())
	ok(t, err)
	t.Cleanup(func() { nc.Close() })
	ok(t, nc.(*net.TCPConn).SetReadBuffer(4096))
	connect := append([]byte{0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60}, str(id)...)
	subscribe := append(append([]byte{0, 1}, str(filter)...), 1)
	for _, p := range [][]byte{frame(0x10, connect), frame(0x82, subscribe)} {
		_, err = nc.Write(p)
		ok(t, err)
	}
	ok(t, nc.SetReadDeadline(time.Now().Add(patience)))
	answer := make([]byte, 4+5) // CONNACK and SUBACK
	for n := 0; n < len(answer); {
		k, err := nc.Read(answer[n:])
		ok(t, err)
		n += k
	}
	return nc
}

// frame makes a packet of a body of less than 128 bytes.
func frame(head byte, body []byte) []byte { return append([]byte{head, byte(len(body))}, body...) }

func str(s string) []byte { return append([]byte{0, byte(len(s))}, s...) }

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
