package fleet_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/broker"
	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/simulators/fleet"
	"github.com/magneto-iiot/magneto/sparkplug"
)

const patience = 30 * time.Second

var quiet = slog.New(slog.DiscardHandler)

func serve(t testing.TB) string {
	t.Helper()
	b, err := broker.New(broker.Config{Listen: "127.0.0.1:0", Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = b.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return b.Addr()
}

func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(patience); !is(); {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal(what)
		}
	}
}

// TestFleet checks that all nodes are born, tell what Value says, answer
// requests for a rebirth and die in good order.
func TestFleet(t *testing.T) {
	addr := serve(t)
	f, err := fleet.New(fleet.Config{Server: "mqtt://" + addr, Nodes: 200, Metrics: 10, Changes: 3, Seed: 7, Spread: time.Millisecond, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	births, deaths, wrong := 0, 0, 0
	next := map[string]uint64{}
	ear, err := mqtt.Dial(t.Context(), mqtt.Config{Server: "mqtt://" + addr, Log: quiet, OnMessage: func(m mqtt.Message) {
		mu.Lock()
		defer mu.Unlock()
		topic, err := sparkplug.ParseTopic(m.Topic)
		var p sparkplug.Payload
		if err != nil || p.Decode(m.Payload) != nil {
			return
		}
		switch topic.Type {
		case sparkplug.NBIRTH:
			births++
		case sparkplug.NDEATH:
			deaths++
		case sparkplug.NDATA:
			var node int
			_, _ = fmt.Sscanf(topic.Node, "N%d", &node)
			for _, x := range p.Metrics {
				key := fmt.Sprint(topic.Node, x.Alias)
				next[key]++
				v, err := x.Value.As(sparkplug.TypeDouble)
				if err != nil || v.Float64() != fleet.Value(7, node, int(x.Alias-1), next[key]) {
					wrong++
				}
			}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer ear.Close()
	if err := ear.Subscribe(t.Context(), mqtt.Filter{Topic: "spBv1.0/#"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = f.Run(ctx) }()
	until(t, "not all are born", func() bool { return f.Stats().Online == 200 })
	for range 5 {
		before := f.Stats().Messages
		f.Speak()
		until(t, "not all speak", func() bool { return f.Stats().Messages == before+200 })
	}
	topic := sparkplug.Topic{Group: "Fleet", Type: sparkplug.NCMD, Node: fleet.NodeID(3)}
	p := sparkplug.Payload{Metrics: []sparkplug.Metric{{Name: sparkplug.MetricRebirth, Value: sparkplug.Boolean(true)}}}
	b, err := p.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := ear.Publish(t.Context(), mqtt.Message{Topic: topic.String(), Payload: b}); err != nil {
		t.Fatal(err)
	}
	until(t, "no rebirth", func() bool { return f.Stats().Births == 201 })
	if s := f.Stats(); s.Asked != 1 || s.AskedMost != 1 || s.Samples != 3000 {
		t.Errorf("%+v", s)
	}
	f.Forget()
	cancel()
	<-ended
	heard := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return births == 201 && deaths == 200
	}
	until(t, "not all deaths are heard", heard)
	mu.Lock()
	defer mu.Unlock()
	if s := f.Stats(); wrong != 0 || s.Online != 0 || s.Asked != 0 {
		t.Errorf("%d values are wrong; %+v", wrong, s)
	}
}

func TestFaults(t *testing.T) {
	for name, c := range map[string]fleet.Config{
		"no server": {},
		"group":     {Server: "mqtt://127.0.0.1", Group: "a/b"},
		"nodes":     {Server: "mqtt://127.0.0.1", Nodes: -1},
	} {
		if _, err := fleet.New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func Example() {
	b, err := broker.New(broker.Config{Listen: "127.0.0.1:0", Log: quiet})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() { defer close(served); _ = b.Run(ctx) }()
	f, err := fleet.New(fleet.Config{Server: "mqtt://" + b.Addr(), Nodes: 20, Metrics: 5, Log: quiet})
	if err != nil {
		panic(err)
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); _ = f.Run(running) }()
	for f.Stats().Online < 20 {
		time.Sleep(time.Millisecond)
	}
	stop()
	<-ended
	cancel()
	<-served
	fmt.Println(f.Stats().Births, "births;", fleet.NodeID(0), fleet.MetricName(0), "was", fleet.Value(0, 0, 0, 0))
	// Output: 20 births; N00000 Sensor0 was 0
}
