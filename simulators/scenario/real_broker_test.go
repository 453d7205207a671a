package scenario_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/internal/mqtt"
)

// TestRealBrokerKill kills a broker as a power cut would: what it retained, and
// the births that it keeps, are there when it is back.
func TestRealBrokerKill(t *testing.T) {
	dir := t.TempDir()
	config := write(t, dir, "plant.yaml", fmt.Sprintf("version: 1\ndata_dir: data\nbroker: {listen: \"127.0.0.1:%s\"}\n", freePort(t)))
	run := func() (p *proc, server string) {
		p = start(t, program(t, "magneto"), "broker", "-c", config)
		return p, "mqtt://" + p.err.await(t, `msg="broker listens".* mqtt=(\S+)`)[1]
	}
	b, server := run()
	f := newForeign(t, server, "Kept")
	f.birth()
	require.NoError(t, f.conn.Publish(t.Context(), mqtt.Message{Topic: "plant/note", Payload: []byte("kept"), QoS: 1, Retain: true}))
	require.NoError(t, f.conn.Publish(t.Context(), stateMessage("plant", true, 5)))
	until(t, "it is on disk", func() error {
		kept, err := os.ReadFile(filepath.Join(dir, "data", "broker", "retained"))
		if err == nil && (!bytes.Contains(kept, []byte("plant/note")) || !bytes.Contains(kept, []byte("STATE/plant")) || !bytes.Contains(kept, []byte("NBIRTH/Kept"))) {
			err = fmt.Errorf("%d bytes hold it not", len(kept))
		}
		return err
	})
	b.kill()
	_, server = run()
	got := make(chan mqtt.Message, 10)
	c, err := mqtt.Dial(t.Context(), mqtt.Config{Server: server, ClientID: "reader", OnMessage: func(m mqtt.Message) { got <- m }})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.Subscribe(t.Context(), mqtt.Filter{Topic: "plant/note", QoS: 1}, mqtt.Filter{Topic: "spBv1.0/STATE/plant", QoS: 1}, mqtt.Filter{Topic: "$sparkplug/certificates/#", QoS: 1}))
	all := map[string]string{}
	for range 3 {
		m := <-got
		require.True(t, m.Retain, m.Topic)
		all[m.Topic] = string(m.Payload)
	}
	require.Equal(t, "kept", all["plant/note"])
	require.JSONEq(t, `{"online": false, "timestamp": 5}`, all["spBv1.0/STATE/plant"])
	require.NotEmpty(t, all["$sparkplug/certificates/spBv1.0/G/NBIRTH/Kept"])
}
