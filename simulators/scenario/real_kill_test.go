package scenario_test

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/simulators/plc"
	"github.com/magneto-iiot/magneto/simulators/process"
)

const killKeepalive = 4 * time.Second

// TestRealKill kills an edge node as a power cut would, and starts it again.
func TestRealKill(t *testing.T) {
	f, mqtt := startAll(t)
	server, err := plc.Listen(t.Context(), "127.0.0.1:0", process.NewPump(1))
	require.NoError(t, err)
	defer server.Close()
	config := write(t, t.TempDir(), "edge.yaml", fmt.Sprintf(`version: 1
node: {group: Plant, id: Station, data_dir: edge}
mqtt: {servers: ["mqtt://%s"], keepalive: %s, primary_host: plant}
scan_classes: {fast: 200ms}
connections:
  plc: {driver: modbus, url: "tcp://%s", timeout: 1s}
devices:
  - id: Pump
    connection: plc
    class: fast
    metrics:
      - {name: Speed, addr: "hr:2", type: Float, max_interval: 200ms}
`, mqtt, killKeepalive, server.Addr()))

	edge := start(t, program(t, "magneto-edge"), "run", "-c", config)
	first := f.online("Plant", "Station")
	f.flows("Plant", "Station", "Pump", time.Time{})

	edge.kill()
	killed := time.Now()
	var dead nodeState
	untilWithin(t, killKeepalive*3/2, "the node is offline and its metrics are stale", func() error {
		var err error
		if dead, err = f.node("Plant", "Station"); err != nil {
			return err
		}
		metrics, err := f.device("Plant", "Station", "Pump")
		if err == nil && (dead.Online || !metrics["Speed"].Stale) {
			err = fmt.Errorf("online %t, stale %t", dead.Online, metrics["Speed"].Stale)
		}
		return err
	})
	t.Logf("offline and stale %s after the kill", time.Since(killed).Round(time.Millisecond))
	require.Equal(t, first.Births, dead.Births)
	gapAt := f.gap()

	start(t, program(t, "magneto-edge"), "run", "-c", config)
	again := f.online("Plant", "Station")
	require.Equal(t, (first.BdSeq+1)%256, again.BdSeq, "bdSeq after the restart")
	f.flows("Plant", "Station", "Pump", killed)
	again = f.online("Plant", "Station")
	require.Equal(t, first.Births+1, again.Births, "NBIRTHs")

	at := func(when time.Time) int {
		series, err := f.query("query", url.Values{
			"query": {`sparkplug_value{device="Pump",metric="Speed"}`}, "time": {unix(when)},
		})
		require.NoError(t, err)
		return len(series["Speed"])
	}
	require.Zero(t, at(gapAt), "a value within the gap")
	require.Equal(t, 1, at(time.Now()), "a value after the gap")

	// A range over it has steps before and after, and none within.
	series, err := f.query("query_range", url.Values{
		"query": {`sparkplug_value{device="Pump",metric="Speed"}`}, "step": {"0.01"},
		"start": {unix(gapAt.Add(-2 * time.Second))}, "end": {unix(gapAt.Add(2 * time.Second))},
	})
	require.NoError(t, err)
	before, after := 0, 0
	for _, p := range series["Speed"] {
		switch {
		case p.at == gapAt.UnixMilli():
			require.FailNow(t, "a step within the gap has a value", "%+v", p)
		case p.at < gapAt.UnixMilli():
			before++
		default:
			after++
		}
	}
	require.Positive(t, before, "steps before the gap")
	require.Positive(t, after, "steps after the gap")
}

func unix(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64) }

// flows waits for two values newer than a time.
func (f face) flows(group, node, device string, since time.Time) {
	f.t.Helper()
	var first time.Time
	until(f.t, "values flow", func() error {
		metrics, err := f.device(group, node, device)
		m := metrics["Speed"]
		switch {
		case err != nil:
			return err
		case m.Stale || !m.Timestamp.After(since):
			return errors.New("no fresh value")
		case first.IsZero():
			first = m.Timestamp
			return errors.New("only one value")
		case m.Timestamp.Equal(first):
			return errors.New("the value does not move")
		}
		return nil
	})
}

// gap waits until the history shows nothing at the present, and returns when.
func (f face) gap() time.Time {
	f.t.Helper()
	var when time.Time
	until(f.t, "the history shows the gap", func() error {
		when = time.Now()
		series, err := f.query("query", url.Values{
			"query": {`sparkplug_value{device="Pump",metric="Speed"}`}, "time": {unix(when)},
		})
		if err == nil && len(series["Speed"]) > 0 {
			err = errors.New("a value is shown though the node is dead")
		}
		return err
	})
	return when
}
