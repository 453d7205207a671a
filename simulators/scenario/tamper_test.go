package scenario_test

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/eclipse/paho.golang/packets"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	pb "github.com/magneto-iiot/magneto/proto/sparkplugpb"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// passage is where a packet on its way through a tamperer can go.
type passage struct {
	server int                          // the first is 0
	on     func(*packets.ControlPacket) // to whom it was sent
	back   func(*packets.ControlPacket) // to whom sent it
}

// tamper handles one packet.
type tamper func(to passage, cp *packets.ControlPacket)

func untouched(to passage, cp *packets.ControlPacket) { to.on(cp) }

// fault is what is wrong with a part: what happens to the packets it sends and
// to those it gets. One packet is handled at a time.
type fault struct{ up, down tamper }

// tamperer is a network between a part and its MQTT server that plants faults.
type tamperer struct {
	t     *testing.T
	f     fault
	mu    sync.Mutex // held while a packet is handled
	wg    sync.WaitGroup
	conns map[io.Closer]bool // guarded by mu; listeners too
	over  bool               // guarded by mu
}

func newTamperer(t *testing.T, f fault) *tamperer {
	if f.up == nil {
		f.up = untouched
	}
	if f.down == nil {
		f.down = untouched
	}
	x := &tamperer{t: t, f: f, conns: map[io.Closer]bool{}}
	t.Cleanup(func() {
		x.mu.Lock()
		x.over = true
		for c := range x.conns {
			_ = c.Close()
		}
		x.mu.Unlock()
		x.wg.Wait()
	})
	return x
}

// keep has c closed in the end; false: it is closed already.
func (x *tamperer) keep(c io.Closer) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over {
		_ = c.Close()
		return false
	}
	x.conns[c] = true
	return true
}

// via returns the address that stands for a server, mqtt://host:port.
func (x *tamperer) via(number int, server string) string {
	ln, err := new(net.ListenConfig).Listen(x.t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(x.t, err)
	x.keep(ln)
	target := strings.TrimPrefix(server, "mqtt://")
	x.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			x.wg.Go(func() { x.connect(c, number, target) })
		}
	})
	return "mqtt://" + ln.Addr().String()
}

func (x *tamperer) connect(part net.Conn, number int, target string) {
	defer part.Close()
	server, err := new(net.Dialer).DialContext(x.t.Context(), "tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	if !x.keep(part) || !x.keep(server) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { x.carry(number, part, server, x.f.up) })
	both.Go(func() { x.carry(number, server, part, x.f.down) })
	both.Wait()
}

// carry brings packets from one side to the other until either is gone.
func (x *tamperer) carry(number int, from, to net.Conn, f tamper) {
	defer to.Close()
	put := func(c net.Conn) func(*packets.ControlPacket) {
		return func(cp *packets.ControlPacket) { _, _ = cp.WriteTo(c) } // a lost connection is seen when reading
	}
	for {
		cp, err := packets.ReadPacket(from)
		if err != nil {
			return
		}
		x.mu.Lock()
		f(passage{number, put(to), put(from)}, cp)
		x.mu.Unlock()
	}
}

// connecting changes CONNECT packets.
func connecting(f func(*packets.Connect)) tamper {
	return func(to passage, cp *packets.ControlPacket) {
		if c, ok := cp.Content.(*packets.Connect); ok {
			f(c)
		}
		to.on(cp)
	}
}

// subscribing changes SUBSCRIBE packets.
func subscribing(f func(*packets.SubOptions)) tamper {
	return func(to passage, cp *packets.ControlPacket) {
		if s, ok := cp.Content.(*packets.Subscribe); ok {
			for i := range s.Subscriptions {
				f(&s.Subscriptions[i])
			}
		}
		to.on(cp)
	}
}

// kind is the type of a message: NBIRTH and so on, or STATE.
func kind(topic string) string {
	if _, ok := sparkplug.ParseStateTopic(topic); ok {
		return "STATE"
	}
	t, _ := sparkplug.ParseTopic(topic)
	return string(t.Type)
}

// publishing handles PUBLISH packets of some kinds.
func publishing(kinds string, f func(to passage, cp *packets.ControlPacket, p *packets.Publish)) tamper {
	return func(to passage, cp *packets.ControlPacket) {
		p, ok := cp.Content.(*packets.Publish)
		if ok && strings.Contains(kinds, kind(p.Topic)) && kind(p.Topic) != "" {
			f(to, cp, p)
			return
		}
		to.on(cp)
	}
}

// changing changes PUBLISH packets of some kinds.
func changing(kinds string, f func(*packets.Publish)) tamper {
	return publishing(kinds, func(to passage, cp *packets.ControlPacket, p *packets.Publish) { f(p); to.on(cp) })
}

// losing drops PUBLISH packets of some kinds for which is holds, and
// acknowledges what wants it.
func losing(kinds string, is func(*packets.Publish) bool) tamper {
	return publishing(kinds, func(to passage, cp *packets.ControlPacket, p *packets.Publish) {
		if is == nil || is(p) {
			acknowledge(to, p)
			return
		}
		to.on(cp)
	})
}

func acknowledge(to passage, p *packets.Publish) {
	if p.QoS == 1 {
		ack := packets.NewControlPacket(packets.PUBACK)
		ack.Content.(*packets.Puback).PacketID = p.PacketID
		to.back(ack)
	}
}

// payloads changes the Sparkplug payloads of some kinds.
func payloads(kinds string, f func(*pb.Payload)) tamper {
	return changing(kinds, func(p *packets.Publish) { p.Payload = rewritten(p.Payload, f) })
}

func rewritten(b []byte, f func(*pb.Payload)) []byte {
	p := new(pb.Payload)
	if proto.Unmarshal(b, p) != nil {
		return b
	}
	f(p)
	out, err := proto.Marshal(p)
	if err != nil {
		return b
	}
	return out
}

// metrics changes the metrics of a name in some kinds; all if it is empty.
func metrics(kinds, name string, f func(*pb.Payload_Metric)) tamper {
	return payloads(kinds, func(p *pb.Payload) {
		for _, m := range p.Metrics {
			if name == "" || m.GetName() == name {
				f(m)
			}
		}
	})
}

// both plants two faults.
func both(a, b tamper) tamper {
	return func(to passage, cp *packets.ControlPacket) {
		a(passage{to.server, func(cp *packets.ControlPacket) { b(to, cp) }, to.back}, cp)
	}
}
