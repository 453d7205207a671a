package scenario_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/broker"
	"github.com/magneto-iiot/magneto/hostapp/watch"
	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/sparkplugtest"
)

// openBroker runs a broker at addr until stop is called.
func openBroker(t *testing.T, addr string) (at string, stop func()) {
	b, err := broker.New(broker.Config{Listen: addr, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- b.Run(ctx) }()
	ended := false
	stop = func() {
		if !ended {
			ended = true
			cancel()
			require.NoError(t, <-served)
		}
	}
	t.Cleanup(stop)
	return b.Addr(), stop
}

// bear connects as node E of group G and publishes its NBIRTH.
func bear(t *testing.T, addr string) *mqtt.Conn {
	now := time.Now().UnixMilli()
	will := mqtt.Message{Topic: "spBv1.0/G/NDEATH/E", QoS: 1, Payload: sparkplugtest.Encode(t, sparkplugtest.NodeDeath(now, 0))}
	c, err := mqtt.Dial(t.Context(), mqtt.Config{Server: "mqtt://" + addr, ClientID: "E", Will: &will})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	p := sparkplugtest.NodeBirth(now, 0, 0, sparkplugtest.Metric("Level", now, sparkplug.Double(0.5)))
	require.NoError(t, c.Publish(t.Context(), mqtt.Message{Topic: "spBv1.0/G/NBIRTH/E", Payload: sparkplugtest.Encode(t, p)}))
	return c
}

// TestHostOnTwoServers takes one of a host's two servers away and gives it
// back: what lives there is stale meanwhile and not online (unknown, or dead
// when the server still delivered its will before it stopped), the rest is not
// touched, and a node that is cut off is dead by its will.
func TestHostOnTwoServers(t *testing.T) {
	first, stopFirst := openBroker(t, "127.0.0.1:0")
	second, _ := openBroker(t, "127.0.0.1:0")
	h := newHostBench(t, t.TempDir(), "mqtt://"+first, "mqtt://"+second)
	ready := func() bool { status, _ := h.call("GET", "/readyz", ""); return status == 200 }
	state := func() watch.State { n, _ := h.host.Watcher().Node("G", "E"); return n.State }
	h.eventually("ready", ready)
	bear(t, first)
	h.eventually("born on the first", func() bool { return state() == watch.Online })

	stopFirst()
	h.eventually("not ready", func() bool { return !ready() })
	h.eventually("not online", func() bool { return state() != watch.Online })
	require.True(t, h.metric("", "Level").Stale)

	c := bear(t, second)
	h.eventually("born on the second", func() bool { return state() == watch.Online })
	_, stopFirst = openBroker(t, first)
	h.eventually("ready again", ready)
	require.Equal(t, watch.Online, state())
	stopFirst()
	h.eventually("not ready again", func() bool { return !ready() })
	require.Equal(t, watch.Online, state(), "the first server's loss touched a node of the second")

	require.NoError(t, c.Close())
	h.eventually("dead by its will", func() bool { return state() == watch.Offline })
	_, body := h.call("GET", "/v1/nodes", "")
	require.True(t, strings.Contains(body, `"server":"mqtt://`+second), body)
}
