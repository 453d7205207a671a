package scenario_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/hostapp"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// TestHostRestartsBesideNodes restarts a host beside 50 nodes. Those that have
// said nothing meanwhile go on without a rebirth, with the values they had; of
// those that have, each is asked for one, and no more of them a second than
// is allowed.
func TestHostRestartsBesideNodes(t *testing.T) {
	const nodes, noisy = 50, 10
	w := newWire(t, "127.0.0.1:0")
	dir := t.TempDir()
	file := filepath.Join(dir, "births")
	run := func() *hostBench {
		return newHostBenchWith(t, filepath.Join(dir, "history"), func(c *hostapp.Config) { c.Births = file }, w.server)
	}
	all := make([]*foreign, nodes)
	h := run()
	for i := range all {
		all[i] = newForeign(t, w.server, fmt.Sprintf("N%02d", i))
		all[i].birth()
		all[i].data(float64(i))
	}
	value := func(i int) (v float64, online bool) {
		m, _ := h.host.Watcher().Metric("G", all[i].name, "", "V")
		n, _ := h.host.Watcher().Node("G", all[i].name)
		return m.Value.Float64(), n.State.String() == "online"
	}
	each := func(what string, want func(i int) float64) {
		h.eventually(what, func() bool {
			for i := range all {
				if v, online := value(i); !online || v != want(i) {
					return false
				}
			}
			return true
		})
	}
	each("all are online", func(i int) float64 { return float64(i) })
	h.stop()
	for i := range noisy {
		all[i].data(500) // which the host misses
	}
	asked := len(w.sent(sparkplug.NCMD))
	h = run()
	for i := range all {
		v, online := value(i)
		require.False(t, online, "online before it has spoken")
		require.InDelta(t, float64(i), v, 0, "the value before the restart")
	}
	for _, f := range all {
		f.data(1000)
	}
	h.eventually("the quiet ones go on", func() bool {
		for i := noisy; i < nodes; i++ {
			if v, online := value(i); !online || v != 1000 {
				return false
			}
		}
		return true
	})
	h.eventually("the others are asked", func() bool { return len(w.sent(sparkplug.NCMD)) >= asked+noisy })
	for _, f := range all[:noisy] {
		f.birth()
		f.data(2000)
	}
	h.eventually("and born again", func() bool {
		for i := range noisy {
			if v, online := value(i); !online || v != 2000 {
				return false
			}
		}
		return true
	})
	requests := w.sent(sparkplug.NCMD)[asked:]
	perNode := map[string]int{}
	for _, e := range requests {
		perNode[e.Message.Topic]++
	}
	for i := noisy; i < nodes; i++ {
		require.Zero(t, perNode["spBv1.0/G/NCMD/"+all[i].name], "%s was asked though nothing was missed", all[i].name)
	}
	require.LessOrEqual(t, requests[noisy-1].At.Sub(requests[0].At), 10*time.Second)
	require.GreaterOrEqual(t, requests[noisy-1].At.Sub(requests[0].At), (noisy-2)*20*time.Millisecond, "more than 50 a second")
	t.Logf("%d nodes: %d went on, %d were asked with %d requests", nodes, nodes-noisy, noisy, len(requests))
	h.stop()

	whole, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, whole[:len(whole)/2], 0o600)) // a torn file costs rebirths, no more
	h = run()
	h.eventually("online", h.host.Online)
	require.Less(t, h.host.Watcher().Stats().Nodes, nodes+1)
}
