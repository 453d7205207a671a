package scenario_test

import (
	"math"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/simulators/plc"
	"github.com/magneto-iiot/magneto/sparkplug/conform"
)

// TestPlantConforms grades the agent and the host as they speak over the
// broker: births, data, a write, a rebirth, equipment that dies and returns, a
// second session, and a host that leaves.
func TestPlantConforms(t *testing.T) {
	b := newBench(t)
	b.setFloat(0, 1200)
	var mu sync.Mutex
	w := conform.NewWatch()
	c, err := mqtt.Dial(t.Context(), mqtt.Config{Server: b.server, ClientID: "grader", OnMessage: func(m mqtt.Message) {
		mu.Lock()
		defer mu.Unlock()
		w.Observe(conform.Message{At: time.Now(), Topic: m.Topic, QoS: m.QoS, Retain: m.Retain, Payload: m.Payload})
	}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.Subscribe(t.Context(), mqtt.Filter{Topic: "spBv1.0/#", QoS: 1}))
	held := func(id string) int {
		mu.Lock()
		defer mu.Unlock()
		for _, v := range w.Report().Verdicts {
			if v.ID == id {
				return v.Held
			}
		}
		t.Fatalf("no assertion %s", id)
		return 0
	}

	h := newHostBench(t, t.TempDir(), b.server)
	agent, stop := b.start(t)
	online := func(want bool) func() bool {
		return func() bool {
			n, ok := h.host.Watcher().Node("G", "E")
			return ok && (n.State.String() == "online") == want
		}
	}
	h.eventually("born", online(true))
	h.eventually("its device too", func() bool { return held("tck-id-topics-dbirth-topic") > 0 })
	status, body := h.call("PUT", "/v1/nodes/G/E/devices/Press/metrics/SetSpeed", `{"value": 900}`)
	require.Equal(t, 200, status, body)
	require.Equal(t, uint16(math.Float32bits(900)>>16), b.mem.Register(plc.Holding, 10))
	status, body = h.call("PUT", "/v1/nodes/G/E/metrics/Setpoint", `{"value": 30}`)
	require.Equal(t, 200, status, body)
	status, body = h.call("POST", "/v1/nodes/G/E/rebirth", "")
	require.Equal(t, 202, status, body)
	h.eventually("born again", func() bool { return held("tck-id-operational-behavior-data-commands-rebirth-action-3") > 0 })

	addr := b.plc.Addr()
	require.NoError(t, b.plc.Close())
	h.eventually("the device is dead", func() bool { return held("tck-id-topics-ddeath-topic") > 0 })
	births := held("tck-id-topics-dbirth-topic")
	b.plc, err = plc.ListenMemory(t.Context(), addr, b.mem)
	require.NoError(t, err)
	h.eventually("the device is back", func() bool { return held("tck-id-topics-dbirth-topic") > births })
	require.NotZero(t, agent.Stats().Dials)
	stop()
	h.eventually("dead", online(false))
	h.eventually("its death was heard", func() bool { return held("tck-id-payloads-ndeath-bdseq") > 0 })
	h.stop()
	h.eventually("the host's death was heard", func() bool { return held("tck-id-host-topic-phid-death-topic") > 0 })

	mu.Lock()
	defer mu.Unlock()
	r := w.Report()
	if r.Failed() {
		require.NoError(t, r.WriteText(t.Output(), false))
	}
	require.False(t, r.Failed(), "a MUST is broken")
	require.GreaterOrEqual(t, r.Count(conform.Pass), 125)
	t.Logf("%d messages: %d held, %d broken", r.Messages, r.Count(conform.Pass), r.Count(conform.Fail))
}
