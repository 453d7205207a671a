package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/broker"
	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/services/bus"
	"github.com/magneto-iiot/magneto/services/event"
	"github.com/magneto-iiot/magneto/services/schedule"
	"github.com/magneto-iiot/magneto/services/store"
	"github.com/magneto-iiot/magneto/services/workorder"
)

// runner runs something until it is stopped.
func runner(t *testing.T, run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
	t.Cleanup(stop)
	return stop
}

func serviceStore(t *testing.T, name string, tables []string) *store.Store {
	st, err := store.Open(t.Context(), store.Config{
		Service: name, Site: "plant1", DSN: "sqlite:" + filepath.Join(t.TempDir(), name+".db"), Migrations: tables, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	return st
}

// Anomalies become scheduled orders over MQTT while the broker is wiped and the
// services come and go: each its order, nobody booked twice.
func TestSagaOverMQTT(t *testing.T) {
	const assets = 40
	quiet := slog.New(slog.DiscardHandler)
	b, err := broker.New(broker.Config{Listen: "127.0.0.1:0", Log: quiet})
	require.NoError(t, err)
	addr := b.Addr()
	stopBroker := runner(t, b.Run)

	health, orders, desk := serviceStore(t, "health", nil), serviceStore(t, workorder.Name, workorder.Migrations), serviceStore(t, schedule.Name, schedule.Migrations)
	work, err := workorder.New(workorder.Config{
		Store: orders, Every: 50 * time.Millisecond, Rules: []workorder.Rule{{Template: "bearing"}},
		Templates: []workorder.Template{{ID: "bearing", Duration: time.Hour, Skills: []string{"mechanic"}, Tools: []string{"puller"}, Parts: []event.Part{{Part: "bearing", Quantity: 1}}}},
	})
	require.NoError(t, err)
	resources := schedule.Resources{Stock: map[string]int{"bearing": assets}}
	for i := range 2 {
		p := schedule.Technician{ID: fmt.Sprint("t", i), Skills: []string{"mechanic"}}
		for d := time.Sunday; d <= time.Saturday; d++ {
			p.Shifts = append(p.Shifts, schedule.Shift{Day: d, From: 0, To: 24 * time.Hour})
		}
		resources.Technicians = append(resources.Technicians, p)
		resources.Tools = append(resources.Tools, schedule.Tool{ID: fmt.Sprint("p", i), Kind: "puller"})
	}
	plan, err := schedule.New(schedule.Config{Store: desk, Every: 50 * time.Millisecond, Resources: resources})
	require.NoError(t, err)

	connect := func(name string, st *store.Store, handlers map[event.Type]bus.Handler, peers ...bus.Peer) func() func() {
		return func() func() {
			c, err := bus.New(bus.Config{
				Store: st, Service: name, Site: "plant1", Handlers: handlers, Peers: peers, Log: quiet, Backoff: mqtt.Backoff{Min: 5 * time.Millisecond, Max: 50 * time.Millisecond},
				Dial: func(ctx context.Context, will *mqtt.Message, onMessage func(mqtt.Message)) (bus.Conn, error) {
					c, err := mqtt.Dial(ctx, mqtt.Config{Server: "mqtt://" + addr, ClientID: name, Will: will, OnMessage: onMessage, Log: quiet})
					if err != nil {
						return nil, err
					}
					return c, nil
				},
			})
			require.NoError(t, err)
			return runner(t, c.Run)
		}
	}
	toOrders := connect(workorder.Name, orders, work.Handlers(), bus.Peer{Service: "health", Domain: event.Health, Feed: bus.FromStore(health)}, bus.Peer{Service: schedule.Name, Domain: schedule.Domain, Feed: bus.FromStore(desk)})
	toDesk := connect(schedule.Name, desk, plan.Handlers(), bus.Peer{Service: workorder.Name, Domain: workorder.Domain, Feed: bus.FromStore(orders)})
	runner(t, work.Run)
	runner(t, plan.Run)
	connect("health", health, nil)()
	stopOrders, stopDesk := toOrders(), toDesk()
	for i := range assets {
		require.NoError(t, health.Do(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Emit(store.Draft{Type: event.AnomalyDetected, Subject: fmt.Sprint("A-", i), Data: event.Anomaly{Asset: fmt.Sprint("pump-", i), Severity: "high", Confidence: 0.9, FailureMode: "bearing wear"}})
			return err
		}))
		switch i {
		case 10:
			stopBroker()
			b, err := broker.New(broker.Config{Listen: addr, Log: quiet})
			require.NoError(t, err)
			runner(t, b.Run)
		case 20:
			stopOrders()
		case 25:
			stopDesk()
			stopOrders = toOrders()
		case 30:
			stopDesk = toDesk()
		}
	}
	scheduled := func() (n int) {
		all, err := work.Orders(t.Context(), "", assets+1)
		require.NoError(t, err)
		for _, o := range all {
			if o.State == workorder.Scheduled {
				n++
			}
		}
		return n
	}
	require.Eventually(t, func() bool { return scheduled() == assets }, 60*time.Second, 10*time.Millisecond)
	all, err := work.Orders(t.Context(), "", assets+1)
	require.NoError(t, err)
	require.Len(t, all, assets)
	taken := map[string]bool{}
	for _, o := range all {
		for _, who := range append(o.Slot.Technicians, o.Slot.Tools...) {
			at := who + o.Slot.Start.String()
			require.False(t, taken[at], "%s is taken twice", at)
			taken[at] = true
		}
	}
}
