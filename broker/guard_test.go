package broker_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/broker"
	"github.com/magneto-iiot/magneto/internal/mqtt"
)

// own lets a client publish and subscribe below its own user name only.
var own = &broker.Policy{
	Connect: func(id broker.Identity, password []byte) bool { return string(password) == "pw-"+id.Username },
	Publish: func(id broker.Identity, topic string) bool { return strings.Contains(topic, "/"+id.Username) },
	Subscribe: func(id broker.Identity, filter string) bool {
		return id.Username == "host" || strings.Contains(filter, "/"+id.Username)
	},
}

// TestWillPolicy: a will passes the policy like a publish, with both versions
// of the protocol. (mochi-mqtt/server#503)
func TestWillPolicy(t *testing.T) {
	b, _ := serve(t, broker.Config{Policy: own})
	host := dial(t, b, mqtt.Config{Username: "host", Password: "pw-host"}).sub(t, "spBv1.0/#")
	for _, topic := range []string{"spBv1.0/G/NDEATH/e2", "spBv1.0/STATE/plant", "$sparkplug/certificates/e1", "$SYS/e1"} {
		_, err := try(t, b, mqtt.Config{
			Username: "e1", Password: "pw-e1",
			Will: &mqtt.Message{Topic: topic, QoS: 1, Retain: true, Payload: []byte("forged")},
		})
		if bad, is := errors.AsType[*mqtt.DialError](err); !is || bad.Code != 0x87 {
			t.Errorf("a client with will %q: %v, want not authorized", topic, err)
		}
	}
	body := append([]byte{0, 4, 'M', 'Q', 'T', 'T', 4, 2 | 4 | 0x80 | 0x40, 0, 60}, str("old")...)
	body = append(append(append(append(body, str("spBv1.0/STATE/plant")...), str("forged")...), str("e1")...), str("pw-e1")...)
	nc, err := net.Dial("tcp", b.Addr())
	ok(t, err)
	defer nc.Close()
	_, err = nc.Write(frame(0x10, body))
	ok(t, err)
	if answer, _ := io.ReadAll(nc); string(answer) != "\x20\x02\x00\x05" {
		t.Errorf("a client of version 3.1.1 was answered % x, want not authorized and the end", answer)
	}
	if s := b.Stats(); s.RefusedWills != 5 {
		t.Errorf("RefusedWills = %d, want 5", s.RefusedWills)
	}
	e1 := dial(t, b, mqtt.Config{Username: "e1", Password: "pw-e1", Will: &mqtt.Message{Topic: "spBv1.0/G/NDEATH/e1", QoS: 1, Payload: []byte("real")}})
	e1.Close()
	if m := receive(t, host.got); m.Topic != "spBv1.0/G/NDEATH/e1" {
		t.Errorf("%+v came, want the will of e1", m)
	}
}

func TestPolicy(t *testing.T) {
	b, _ := serve(t, broker.Config{Policy: own})
	if _, err := try(t, b, mqtt.Config{Username: "e1", Password: "wrong"}); err == nil || !strings.Contains(err.Error(), "bad user name or password") {
		t.Errorf("a wrong password gave %v", err)
	}
	host := dial(t, b, mqtt.Config{Username: "host", Password: "pw-host"}).sub(t, "#")
	e1 := dial(t, b, mqtt.Config{Username: "e1", Password: "pw-e1"})
	for _, filter := range []string{"a/e2", "#", "$share/e1/#", "$share/g/a/e2"} {
		if err := e1.Subscribe(t.Context(), mqtt.Filter{Topic: filter}); err == nil {
			t.Errorf("subscribed to %s", filter)
		}
	}
	e1.sub(t, "a/e1", "$share/g/a/e1")
	if err := e1.Publish(t.Context(), mqtt.Message{Topic: "a/e2", QoS: 1}); err == nil || !strings.Contains(strings.ToLower(err.Error()), "authorized") {
		t.Errorf("a forbidden publish gave %v, want not authorized", err)
	}
	ok(t, e1.Publish(t.Context(), mqtt.Message{Topic: "a/e2"}))
	e1.pub(t, "a/e1", "mine")
	if m := receive(t, host.got); m.Topic != "a/e1" {
		t.Errorf("%+v came, want the message of a/e1", m)
	}
	if s := b.Stats(); s.RefusedConnects != 1 || s.RefusedPublishes != 2 || s.RefusedSubscribes != 4 {
		t.Errorf("counted %+v", s)
	}
}

func TestRefusesTheNetwork(t *testing.T) {
	for _, addr := range []string{":0", "0.0.0.0:0", "[::]:0", "10.0.0.1:1883", "nonsense"} {
		if b, err := broker.New(broker.Config{Listen: addr}); err == nil {
			t.Errorf("listens on %s without a policy: %s", addr, b.Addr())
		}
		if _, err := broker.New(broker.Config{WebSocket: addr}); err == nil {
			t.Errorf("websocket listens on %s without a policy", addr)
		}
	}
	if _, err := broker.New(broker.Config{Limits: broker.Limits{Inflight: 70000}}); err == nil {
		t.Error("70000 in flight")
	}
	b, _ := serve(t, broker.Config{})
	if _, err := broker.New(broker.Config{Listen: b.Addr()}); err == nil {
		t.Error("listens on an address in use")
	}
}

// TestStalledSubscriber: a client that does not read is cut and counted, and
// those who publish to it go on.
func TestStalledSubscriber(t *testing.T) {
	b, _ := serve(t, broker.Config{Limits: broker.Limits{WriteTimeout: 200 * time.Millisecond}})
	deaf(t, b, "deaf", "t/#")
	good := dial(t, b, mqtt.Config{}).sub(t, "t/#")
	pub := dial(t, b, mqtt.Config{Timeout: patience})
	payload := strings.Repeat("x", 64<<10)
	sent := 0
	for b.Stats().Stalled == 0 {
		if sent++; sent > 20_000 {
			t.Fatal("the client was not cut")
		}
		pub.pub(t, "t/x", payload)
		receive(t, good.got)
	}
	until(t, "the stalled client is gone", func() bool { return b.Stats().Clients == 2 })
	pub.pub(t, "t/x", "after")
	if m := receive(t, good.got); string(m.Payload) != "after" {
		t.Errorf("%d bytes came, want the last message", len(m.Payload))
	}
}

// TestDropsAreCounted: what a slow client has no room for is dropped, and said.
func TestDropsAreCounted(t *testing.T) {
	b, _ := serve(t, broker.Config{Limits: broker.Limits{Inflight: 10, WriteTimeout: patience}})
	deaf(t, b, "deaf", "t/#")
	pub := dial(t, b, mqtt.Config{})
	for range 30 {
		pub.pub(t, "t/x", "x")
	}
	until(t, "20 are counted", func() bool { return b.Stats().InflightDropped == 20 })
}

// TestDropsAreSaid: a client that does not keep up is named in the log, with how
// many messages it has missed.
func TestDropsAreSaid(t *testing.T) {
	said := make(lines, 16)
	b, _ := serve(t, broker.Config{
		Limits: broker.Limits{Pending: 10, WriteTimeout: patience}, Log: slog.New(slog.NewTextHandler(said, nil)),
	})
	d := deaf(t, b, "deaf", "t/#")
	pub := dial(t, b, mqtt.Config{Timeout: patience})
	payload := make([]byte, 64<<10)
	for b.Stats().Dropped < 1100 {
		ok(t, pub.Publish(t.Context(), mqtt.Message{Topic: "t/x", Payload: payload}))
	}
	for _, n := range []int{1, 1024} {
		if line := <-said; !strings.Contains(line, fmt.Sprintf("client=deaf remote=%s dropped=%d\n", d.LocalAddr(), n)) {
			t.Errorf("said %s", line)
		}
	}
}

// lines are what a log says.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	select {
	case l <- string(b):
	default:
	}
	return len(b), nil
}

// TestReceiveMaximum: the engine's flow control would stop for good after as
// many held back messages as the client's receive maximum, which is 256.
func TestReceiveMaximum(t *testing.T) {
	b, _ := serve(t, broker.Config{})
	sub := dial(t, b, mqtt.Config{}).sub(t, "t")
	a, _ := attach(t, b, broker.Client{ID: "a"})
	for i := range 5000 {
		ok(t, a.Publish(t.Context(), broker.Message{Topic: "t", QoS: 1, Payload: fmt.Append(nil, i)}))
	}
	for i := range 5000 {
		if m := receive(t, sub.got); string(m.Payload) != fmt.Sprint(i) {
			t.Fatalf("message %d is %s", i, m.Payload)
		}
	}
}

// TestTakeOver: the newest client of an id is the one that receives.
func TestTakeOver(t *testing.T) {
	b, _ := serve(t, broker.Config{})
	pub := dial(t, b, mqtt.Config{})
	for i := range 50 {
		c := dial(t, b, mqtt.Config{ClientID: "twin"}).sub(t, "t")
		pub.pub(t, "t", fmt.Sprint(i))
		if m := receive(t, c.got); string(m.Payload) != fmt.Sprint(i) {
			t.Fatalf("client %d received %s", i, m.Payload)
		}
	}
}

func TestFirstPacket(t *testing.T) {
	b, _ := serve(t, broker.Config{Limits: broker.Limits{ConnectTimeout: 300 * time.Millisecond}})
	for name, bytes := range map[string][]byte{
		"nothing":        nil,
		"half":           {0x10},
		"publish":        {0x30, 3, 0, 1, 't'},
		"http":           []byte("GET / HTTP/1.1\r\n\r\n"),
		"too long":       {0x10, 0xFF, 0xFF, 0x7F},
		"endless length": {0x10, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF},
	} {
		nc, err := net.Dial("tcp", b.Addr())
		ok(t, err)
		_, err = nc.Write(bytes)
		ok(t, err)
		ok(t, nc.SetReadDeadline(time.Now().Add(patience)))
		if n, err := nc.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: answered %d bytes, %v; want the end", name, n, err)
		}
		nc.Close()
	}
}

func TestLimits(t *testing.T) {
	b, _ := serve(t, broker.Config{Limits: broker.Limits{Clients: 3, Subscriptions: 2, Retained: 2, Packet: 100_000}})
	c := dial(t, b, mqtt.Config{}).sub(t, "a", "b")
	if err := c.Subscribe(t.Context(), mqtt.Filter{Topic: "c"}); err == nil {
		t.Error("a third subscription")
	}
	for _, topic := range []string{"r/1", "r/2", "r/3", "r/1"} {
		ok(t, c.Publish(t.Context(), mqtt.Message{Topic: topic, QoS: 1, Retain: true, Payload: []byte("x")}))
	}
	if s := b.Stats(); s.Retained != 2 || s.RefusedRetains != 1 {
		t.Errorf("%d retained, %d refused; want 2 and 1", s.Retained, s.RefusedRetains)
	}
	dial(t, b, mqtt.Config{})
	big := dial(t, b, mqtt.Config{})
	if _, err := try(t, b, mqtt.Config{}); err == nil {
		t.Error("a fourth client")
	}
	if err := big.Publish(t.Context(), mqtt.Message{Topic: "t", QoS: 1, Payload: make([]byte, 200_000)}); err == nil {
		t.Error("a packet over the limit")
	}
	select {
	case <-big.Done():
	case <-time.After(patience):
		t.Error("the client of a packet over the limit is still there")
	}
}
