package broker_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/magneto-iiot/magneto/broker"
	"github.com/magneto-iiot/magneto/internal/mqtt"
)

// old is a raw client of MQTT 3.1.1.
type old struct {
	net.Conn
	r *bufio.Reader
}

// will of an old client: flags are those of CONNECT besides the clean session.
func dialOld(t *testing.T, b *broker.Broker, id string, flags byte, will ...string) old {
	t.Helper()
	nc, err := net.Dial("tcp", b.Addr())
	ok(t, err)
	t.Cleanup(func() { nc.Close() })
	ok(t, nc.SetDeadline(time.Now().Add(patience)))
	body := append([]byte{0, 4, 'M', 'Q', 'T', 'T', 4, 2 | flags, 0, 60}, str(id)...)
	for _, s := range will {
		body = append(body, str(s)...)
	}
	c := old{nc, bufio.NewReader(nc)}
	c.send(t, frame(0x10, body))
	c.want(t, "\x20\x02\x00\x00")
	return c
}

func (c old) send(t *testing.T, p []byte) {
	t.Helper()
	_, err := c.Write(p)
	ok(t, err)
}

// want reads one packet.
func (c old) want(t *testing.T, packet string) {
	t.Helper()
	head, err := c.r.ReadByte()
	ok(t, err)
	n, err := binary.ReadUvarint(c.r)
	ok(t, err)
	body := make([]byte, n)
	_, err = io.ReadFull(c.r, body)
	ok(t, err)
	if got := string(append([]byte{head, byte(n)}, body...)); got != packet {
		t.Fatalf("received % x, want % x", got, packet)
	}
}

func (c old) sub(t *testing.T, filter string, qos byte) {
	t.Helper()
	c.send(t, frame(0x82, append(append([]byte{0, 9}, str(filter)...), qos)))
	c.want(t, "\x90\x03\x00\x09"+string(qos))
}

// TestOldClients: version 3.1.1, QoS 0 and 1, wills and retained messages, and
// certificates with the retain flag.
//
// Spec: tck-id-conformance-mqtt-qos0, tck-id-conformance-mqtt-qos1,
// tck-id-conformance-mqtt-will-messages, tck-id-conformance-mqtt-retained,
// tck-id-conformance-mqtt-aware-basic.
func TestOldClients(t *testing.T) {
	b, _ := serve(t, broker.Config{})
	s := dialOld(t, b, "s", 0)
	s.sub(t, "t", 1)
	p := dialOld(t, b, "p", 0)
	p.send(t, frame(0x30, append(str("t"), "q0"...)))
	s.want(t, "\x30\x05\x00\x01tq0")
	p.send(t, frame(0x33, append(append(str("t"), 0, 7), "q1"...))) // retained
	p.want(t, "\x40\x02\x00\x07")
	s.want(t, "\x32\x07\x00\x01t\x00\x01q1")
	s.send(t, []byte{0x40, 2, 0, 1})

	late := dialOld(t, b, "late", 0)
	late.sub(t, "t", 0)
	late.want(t, "\x31\x05\x00\x01tq1")
	p.send(t, frame(0x31, str("t"))) // forget it
	s.want(t, "\x30\x03\x00\x01t")
	dialOld(t, b, "later", 0).sub(t, "t", 0)
	if n := b.Stats().Retained; n != 0 {
		t.Errorf("%d retained messages, want none", n)
	}

	w := dialOld(t, b, "w", 4|8|32, "t", "gone") // QoS 1, retained
	w.Close()
	s.want(t, "\x32\x09\x00\x01t\x00\x02gone")
	last := dialOld(t, b, "last", 0)
	last.sub(t, "t", 1)
	last.want(t, "\x33\x09\x00\x01t\x00\x01gone")
	quiet := dialOld(t, b, "quiet", 4, "t", "never")
	quiet.send(t, []byte{0xE0, 0})
	if _, err := quiet.r.ReadByte(); err != io.EOF {
		t.Errorf("after DISCONNECT: %v, want the end", err)
	}

	last.sub(t, "$sparkplug/certificates/#", 0)
	last.send(t, []byte{0xC0, 0})
	last.want(t, "\xD0\x00")
	p.send(t, frame(0x30, append(str("spBv1.0/G/NBIRTH/n"), "birth"...)))
	last.want(t, "\x31\x31"+string(str("$sparkplug/certificates/spBv1.0/G/NBIRTH/n"))+"birth")
}

// TestEmptyPassword: a user name and password of no characters are none.
func TestEmptyPassword(t *testing.T) {
	b, stop := serve(t, broker.Config{})
	defer stop()
	c := dialOld(t, b, "e1", 0xC2, "", "")
	c.send(t, []byte{0xC0, 0})
	c.want(t, "\xd0\x00")
}

func TestWebSocket(t *testing.T) {
	b, _ := serve(t, broker.Config{WebSocket: "127.0.0.1:0"})
	ws := func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, _, err := websocket.Dial(ctx, "ws://"+b.WebSocketAddr()+"/mqtt", &websocket.DialOptions{Subprotocols: []string{"mqtt"}})
		if err != nil {
			return nil, err
		}
		return websocket.NetConn(context.Background(), c, websocket.MessageBinary), nil
	}
	c := dial(t, b, mqtt.Config{Dialer: ws}).sub(t, "t")
	c.pub(t, "t", "over the web")
	if m := receive(t, c.got); string(m.Payload) != "over the web" {
		t.Errorf("%+v came", m)
	}
}

// TestVirtualTime runs a broker and a client for two hours without sockets, and
// has the broker notice a link that is half open after 1.5 keepalives.
func TestVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := broker.New(broker.Config{Log: slog.New(slog.DiscardHandler)})
		ok(t, err)
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- b.Run(ctx) }()
		<-b.Ready()
		cut := make(chan bool)
		pipe := func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			go b.ServeConn(server)
			return &halfOpen{Conn: client, cut: cut}, nil
		}
		deaths := make(chan time.Time, 1)
		host, err := b.Attach(broker.Client{ID: "host", Handler: func(broker.Message) { deaths <- time.Now() }})
		ok(t, err)
		ok(t, host.Subscribe(t.Context(), broker.Filter{Topic: "will"}))
		c, err := mqtt.Dial(t.Context(), mqtt.Config{
			Server: "mqtt://pipe", Dialer: pipe, KeepAlive: time.Minute, Will: &mqtt.Message{Topic: "will", Payload: []byte("gone")},
		})
		ok(t, err)
		select {
		case <-c.Done():
			t.Errorf("ended: %v", c.Err())
		case <-deaths:
			t.Error("the will came")
		case <-time.After(2 * time.Hour):
		}
		start := time.Now()
		close(cut)
		if took := (<-deaths).Sub(start); took > 90*time.Second {
			t.Errorf("the broker noticed after %s", took)
		}
		<-c.Done()
		ok(t, host.Detach(true))
		stop()
		ok(t, <-done)
		time.Sleep(time.Second) // for tickers of the engine
	})
}

// halfOpen swallows what is written, once cut.
type halfOpen struct {
	net.Conn
	cut chan bool
}

func (h *halfOpen) Write(p []byte) (int, error) {
	select {
	case <-h.cut:
		return len(p), nil
	default:
		return h.Conn.Write(p)
	}
}

// TestStops: everything a broker has started ends with Run, whatever clients do.
func TestStops(t *testing.T) {
	b, stop := serve(t, broker.Config{Limits: broker.Limits{WriteTimeout: time.Hour}})
	deaf(t, b, "deaf", "t")
	half, err := net.Dial("tcp", b.Addr())
	ok(t, err)
	defer half.Close()
	pub := dial(t, b, mqtt.Config{})
	for i := range 200 {
		ok(t, pub.Publish(t.Context(), mqtt.Message{Topic: "t", Payload: make([]byte, 64<<10)}))
		if i%50 == 0 {
			pub.pub(t, "other", fmt.Sprint(i))
		}
	}
	stop()
	if _, err := net.Dial("tcp", b.Addr()); err == nil {
		t.Error("still listens")
	}
	if err := b.Run(t.Context()); err == nil {
		t.Error("runs twice")
	}
	client, server := net.Pipe()
	b.ServeConn(server)
	if _, err := client.Read(make([]byte, 1)); err == nil {
		t.Error("serves after the end")
	}
}

// TestStopWhileClientsLeave checks that a stop ends while clients leave by
// themselves.
func TestStopWhileClientsLeave(t *testing.T) {
	for range 8 {
		b, stop := serve(t, broker.Config{})
		var clients []client
		for i := range 24 {
			clients = append(clients, dial(t, b, mqtt.Config{ClientID: fmt.Sprint("c", i)}))
		}
		var leaving sync.WaitGroup
		for _, c := range clients {
			leaving.Go(func() { _ = c.Close() })
		}
		stopped := make(chan struct{})
		go func() { stop(); close(stopped) }()
		select {
		case <-stopped:
		case <-time.After(patience):
			t.Fatal("the broker does not stop")
		}
		leaving.Wait()
	}
}
