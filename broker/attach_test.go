package broker_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/magneto-iiot/magneto/broker"
	"github.com/magneto-iiot/magneto/internal/mqtt"
)

func TestAttachedOrder(t *testing.T) {
	const publishers, each = 6, 2000
	b, _ := serve(t, broker.Config{})
	host, got := attach(t, b, broker.Client{ID: "host"})
	ok(t, host.Subscribe(t.Context(), broker.Filter{Topic: "t/#"}, broker.Filter{Topic: "t/+"}, broker.Filter{Topic: "t/0"}))
	var wg sync.WaitGroup
	for p := range publishers {
		topic := fmt.Sprint("t/", p)
		publish := func(payload []byte) error { return nil }
		if p%2 == 0 {
			c := dial(t, b, mqtt.Config{})
			publish = func(payload []byte) error {
				return c.Publish(t.Context(), mqtt.Message{Topic: topic, Payload: payload})
			}
		} else {
			a, _ := attach(t, b, broker.Client{ID: topic})
			publish = func(payload []byte) error {
				return a.Publish(t.Context(), broker.Message{Topic: topic, Payload: payload})
			}
		}
		wg.Go(func() {
			var buf []byte // reused: Publish may not keep it
			for i := range each {
				buf = fmt.Append(buf[:0], i)
				if err := publish(buf); err != nil {
					t.Error(err)
				}
			}
		})
	}
	next := map[string]int{}
	for range publishers * each {
		m := receive(t, got)
		if string(m.Payload) != fmt.Sprint(next[m.Topic]) {
			t.Fatalf("%s: %s came, want %d", m.Topic, m.Payload, next[m.Topic])
		}
		next[m.Topic]++
	}
	wg.Wait()
	if len(got) != 0 || host.Dropped() != 0 {
		t.Errorf("%d messages too many, %d dropped", len(got), host.Dropped())
	}
}

// TestAttachedQueue: a handler that hangs costs messages, which are counted,
// and nobody waits for it.
func TestAttachedQueue(t *testing.T) {
	b, _ := serve(t, broker.Config{})
	busy, release := make(chan bool, 1), make(chan bool)
	var got []string
	host, _ := attach(t, b, broker.Client{ID: "host", Queue: 10, Handler: func(m broker.Message) {
		select {
		case busy <- true:
			<-release
		default:
		}
		got = append(got, string(m.Payload))
	}})
	ok(t, host.Subscribe(t.Context(), broker.Filter{Topic: "t"}))
	pub := dial(t, b, mqtt.Config{})
	pub.pub(t, "t", "first")
	for len(busy) == 0 {
		until(t, "the handler is busy", func() bool { return len(busy) == 1 })
	}
	for i := range 30 {
		pub.pub(t, "t", fmt.Sprint(i))
	}
	until(t, "everything was queued or dropped", func() bool { return host.Dropped() == 21 })
	close(release)
	ok(t, host.Detach(true))
	if want := "first 0 1 2 3 4 5 6 7 8"; strings.Join(got, " ") != want {
		t.Errorf("handled %q, want %q", got, want)
	}
	if s := b.Stats(); s.AttachedDropped != 21 || s.Attached != 0 {
		t.Errorf("counted %+v", s)
	}
}

func TestAttachedRetained(t *testing.T) {
	b, _ := serve(t, broker.Config{})
	pub := dial(t, b, mqtt.Config{})
	ok(t, pub.Publish(t.Context(), mqtt.Message{Topic: "s/1", QoS: 1, Retain: true, Payload: []byte("kept")}))
	ok(t, pub.Publish(t.Context(), mqtt.Message{Topic: "s", QoS: 1, Retain: true, Payload: []byte("parent")}))
	pub.pub(t, "settled", "") // the engine acknowledges before it delivers, and goes on in order
	host, got := attach(t, b, broker.Client{ID: "host"})
	ok(t, host.Subscribe(t.Context(), broker.Filter{Topic: "s/#", QoS: 1}))
	seen := map[string]bool{}
	for range 2 {
		m := receive(t, got)
		seen[m.Topic+"="+string(m.Payload)] = m.Retain && m.QoS == 1
	}
	if !seen["s/1=kept"] || !seen["s=parent"] {
		t.Errorf("got %v, want s/1 and s", seen)
	}
	ok(t, host.Publish(t.Context(), broker.Message{Topic: "s", QoS: 1, Retain: true, Payload: []byte("new")}))
	if m := receive(t, got); m.Topic != "s" || string(m.Payload) != "new" || m.Retain {
		t.Errorf("a live message came as %+v", m)
	}
	late := dial(t, b, mqtt.Config{}).sub(t, "s")
	if m := receive(t, late.got); !m.Retain || string(m.Payload) != "new" {
		t.Errorf("a kept message came as %+v", m)
	}
	if len(got) != 0 {
		t.Errorf("%d messages too many", len(got))
	}
}

func TestAttachedWill(t *testing.T) {
	b, stop := serve(t, broker.Config{})
	network := dial(t, b, mqtt.Config{}).sub(t, "state/#", "settled") // see TestCertificates
	other, got := attach(t, b, broker.Client{ID: "other"})
	ok(t, other.Subscribe(t.Context(), broker.Filter{Topic: "state/#"}))
	will := func(id string) *broker.Message {
		return &broker.Message{Topic: "state/" + id, QoS: 1, Retain: true, Payload: []byte("offline")}
	}
	host := func(id string) *broker.Attached {
		a, err := b.Attach(broker.Client{ID: id, Will: will(id)})
		ok(t, err)
		return a
	}

	ok(t, host("leaves").Detach(true))
	ok(t, host("dies").Detach(false))
	if m := receive(t, network.got); m.Topic != "state/dies" || string(m.Payload) != "offline" || m.QoS != 1 {
		t.Errorf("the network got %+v, want the will of dies", m)
	}
	if m := receive(t, got); m.Topic != "state/dies" {
		t.Errorf("the process got %+v, want the will of dies", m)
	}
	late := dial(t, b, mqtt.Config{}).sub(t, "state/dies")
	if m := receive(t, late.got); !m.Retain {
		t.Errorf("the will was not kept: %+v", m)
	}

	stays := host("stays")
	stop()
	if m := receive(t, network.got); m.Topic != "state/stays" {
		t.Errorf("the network got %+v, want the will of stays", m)
	}
	if m := receive(t, got); m.Topic != "state/stays" {
		t.Errorf("the process got %+v, want the will of stays", m)
	}
	<-stays.Done()
	if !errors.Is(stays.Err(), broker.ErrStopped) || len(got) != 0 || len(network.got) != 0 {
		t.Errorf("Err() = %v; %d and %d messages too many", stays.Err(), len(got), len(network.got))
	}
	ok(t, stays.Detach(false))
	if _, err := b.Attach(broker.Client{ID: "late"}); !errors.Is(err, broker.ErrStopped) {
		t.Errorf("Attach after the end: %v", err)
	}
	<-network.Done()
	if bye, is := errors.AsType[*mqtt.ServerError](network.Err()); !is || bye.Code != 0x8B {
		t.Errorf("the network client ended with %v, want server shutting down", network.Err())
	}
}

func TestAttachFaults(t *testing.T) {
	b, _ := serve(t, broker.Config{})
	a, _ := attach(t, b, broker.Client{ID: "host"})
	dial(t, b, mqtt.Config{ClientID: "net"})
	for name, c := range map[string]broker.Client{
		"no id":       {},
		"in use":      {ID: "host"},
		"in use, net": {ID: "net"},
		"bad will":    {ID: "x", Will: &broker.Message{Topic: "#"}},
		"bad queue":   {ID: "x", Queue: -1},
	} {
		if _, err := b.Attach(c); err == nil {
			t.Errorf("%s: attached", name)
		}
	}
	if _, err := try(t, b, mqtt.Config{ClientID: "host"}); err == nil || !strings.Contains(err.Error(), "client id") {
		t.Errorf("a network client with the id of an attached one: %v", err)
	}
	for _, m := range []broker.Message{{}, {Topic: "a/#"}, {Topic: "a", QoS: 3}, {Topic: "$sparkplug/certificates/x"}, {Topic: "a", Payload: make([]byte, 3<<20)}} {
		if err := a.Publish(t.Context(), m); err == nil {
			t.Errorf("published to %q", m.Topic)
		}
	}
	for _, f := range []broker.Filter{{}, {Topic: "a/#/b"}, {Topic: "a+"}, {Topic: "a", QoS: 3}, {Topic: "$share/g/a"}} {
		if err := a.Subscribe(t.Context(), f); err == nil {
			t.Errorf("subscribed to %q", f.Topic)
		}
	}
	ok(t, a.Detach(true))
	if err := a.Publish(t.Context(), broker.Message{Topic: "a"}); !errors.Is(err, broker.ErrDetached) {
		t.Errorf("Publish after Detach: %v", err)
	}
	if err := a.Subscribe(t.Context(), broker.Filter{Topic: "a"}); !errors.Is(err, broker.ErrDetached) {
		t.Errorf("Subscribe after Detach: %v", err)
	}
}

// TestDetachUnderFire detaches while everybody publishes.
func TestDetachUnderFire(t *testing.T) {
	b, _ := serve(t, broker.Config{})
	pub := dial(t, b, mqtt.Config{})
	over := make(chan bool)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-over:
				return
			default:
				_ = pub.Publish(t.Context(), mqtt.Message{Topic: "t/x"})
			}
		}
	})
	for i := range 200 {
		first := make(chan bool, 1)
		a, err := b.Attach(broker.Client{ID: fmt.Sprint(i), Handler: func(broker.Message) {
			select {
			case first <- true:
			default:
			}
		}})
		ok(t, err)
		ok(t, a.Subscribe(t.Context(), broker.Filter{Topic: "t/#"}))
		receive(t, first)
		ok(t, a.Detach(i%2 == 0))
	}
	close(over)
	wg.Wait()
}

// TestBeforeRun: a host is there before anybody else can be.
func TestBeforeRun(t *testing.T) {
	b, err := broker.New(broker.Config{})
	ok(t, err)
	got := make(chan broker.Message, 1)
	a, err := b.Attach(broker.Client{ID: "host", Handler: func(m broker.Message) { got <- m }})
	ok(t, err)
	ok(t, a.Subscribe(t.Context(), broker.Filter{Topic: "t"}))
	ok(t, a.Publish(t.Context(), broker.Message{Topic: "t"}))
	receive(t, got)
	ok(t, a.Detach(true))
}

func TestMatch(t *testing.T) {
	tests := []struct {
		filter, topic string
		want          bool
	}{
		{"#", "a/b", true},
		{"+/b", "a/b", true},
		{"a/#", "a", true},
		{"a/b/#", "a", false},
		{"a/+", "a", false},
		{"a/+", "a/", true},
		{"a", "a/b", false},
		{"a/b", "a", false},
		{"+", "/a", false},
		{"/+", "/a", true},
		{"#", "$s/a", false},
		{"+/a", "$s/a", false},
		{"$s/#", "$s/a", true},
		{"$s/+", "$s/a", true},
		{"$x/#", "$s/a", false},
	}
	for _, tt := range tests {
		if got := broker.Match(tt.filter, tt.topic); got != tt.want {
			t.Errorf("match(%q, %q) = %v", tt.filter, tt.topic, got)
		}
	}
}
