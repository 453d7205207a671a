package scenario_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/broker"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// wire is a broker of this house that keeps what its clients did.
type wire struct {
	t      *testing.T
	server string
	broker *broker.Broker
	stop   func()

	mu   sync.Mutex
	seen []broker.Event // guarded by mu
}

func newWire(t *testing.T, listen string) *wire {
	w := &wire{t: t}
	b, err := broker.New(broker.Config{Listen: listen, Log: slog.New(slog.DiscardHandler), Trace: func(e broker.Event) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.seen = append(w.seen, e)
	}})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- b.Run(ctx) }()
	w.broker, w.server = b, "mqtt://"+b.Addr()
	w.stop = sync.OnceFunc(func() { cancel(); <-served })
	t.Cleanup(w.stop)
	return w
}

// events are those for which is holds, in order.
func (w *wire) events(is func(broker.Event) bool) []broker.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.seen), func(e broker.Event) bool { return !is(e) })
}

// sent are the messages of a type; of wills too.
func (w *wire) sent(kinds ...sparkplug.Type) []broker.Event {
	return w.events(func(e broker.Event) bool {
		t, err := sparkplug.ParseTopic(e.Message.Topic)
		return err == nil && (e.Kind == broker.EventPublish || e.Kind == broker.EventWill) && slices.Contains(kinds, t.Type)
	})
}

// states are the STATE messages that clients sent, and those of wills.
func (w *wire) states() []broker.Event {
	return w.events(func(e broker.Event) bool {
		_, ok := sparkplug.ParseStateTopic(e.Message.Topic)
		return ok && (e.Kind == broker.EventPublish || e.Kind == broker.EventWill)
	})
}

// kinds are the events of some kinds.
func (w *wire) kinds(kinds ...broker.EventKind) []broker.Event {
	return w.events(func(e broker.Event) bool { return slices.Contains(kinds, e.Kind) })
}

// await waits until f holds.
func (w *wire) await(what string, f func() bool) {
	w.t.Helper()
	require.Eventually(w.t, f, patience, 5*time.Millisecond, what)
}

// payload decodes a message.
func payload(t *testing.T, e broker.Event) (p sparkplug.Payload) {
	t.Helper()
	require.NoError(t, p.Decode(e.Message.Payload))
	return p
}

// named finds a metric.
func named(t *testing.T, p *sparkplug.Payload, name string) *sparkplug.Metric {
	t.Helper()
	for i := range p.Metrics {
		if p.Metrics[i].Name == name {
			return &p.Metrics[i]
		}
	}
	t.Fatalf("no metric %q", name)
	return nil
}
