package scenario_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/simulators/process"
)

// skab are recordings of a real water pump: eight sensors, 1,000-odd rows each.
var skab = []string{"skab/valve1/0.csv", "skab/valve1/1.csv", "skab/valve1/2.csv"}

func readRecording(t *testing.T, path string) *process.Recording {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	rec, err := process.ReadCSV(f)
	require.NoError(t, err)
	require.Len(t, rec.Columns, 8)
	return rec
}

// compare wants every row of rec in the history exactly once, told apart by
// Row, with all its values as float32 at the same time.
func compare(t *testing.T, rec *process.Recording, stored map[string][]point) {
	t.Helper()
	rows := map[int64]int{} // time to row
	seen := map[int]int64{}
	for _, p := range stored[process.RowName] {
		row := int(p.value)
		other, twice := seen[row]
		require.False(t, twice, "row %d is stored twice, at %d and at %d", row, other, p.at)
		seen[row], rows[p.at] = p.at, row
	}
	require.Equal(t, len(rec.Rows), len(seen), "rows in the history")
	for col, name := range rec.Columns {
		points := stored[name]
		require.Equal(t, len(rec.Rows), len(points), "samples of %s", name)
		for _, p := range points {
			row, ok := rows[p.at]
			require.True(t, ok, "%s has a sample at %d, where no row is", name, p.at)
			if want := rec.Rows[row][col]; float32(p.value) != want && !math.IsNaN(float64(want)) {
				require.Failf(t, "another value", "%s in row %d: %v, want %v", name, row, p.value, want)
			}
		}
	}
}

func TestRealReplay(t *testing.T) {
	magneto := program(t, "magneto")
	for _, name := range skab {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			path := recording(t, name)
			p := start(t, magneto, "demo", "--replay", path, "--speed", "100", "--json",
				"--data", t.TempDir(), "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0")
			var at struct{ HTTP, MQTT, PLC string }
			require.NoError(t, json.Unmarshal([]byte(p.out.await(t, `.*`)[0]), &at))
			p.out.await(t, `"replay_done"`)
			stored, err := face{t, at.HTTP}.stored("Demo", "PumpStation", "Pump1")
			require.NoError(t, err)
			compare(t, readRecording(t, path), stored)
		})
	}
}

// edgeYAML is an edge node that reads a recording from a Modbus server.
func edgeYAML(rec *process.Recording, mqtt, plc string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `version: 1
node: {group: Plant, id: Station, data_dir: edge}
mqtt: {servers: ["mqtt://%s"], keepalive: 4s, primary_host: plant}
scan_classes: {row: 20ms}
connections:
  plc: {driver: modbus, url: "tcp://%s", timeout: 2s}
devices:
  - id: Pump
    connection: plc
    class: row
    metrics:
      - {name: Row, addr: "hr:0", type: UInt32, max_interval: 1ms}
`, mqtt, plc)
	for i, name := range rec.Columns {
		fmt.Fprintf(&b, "      - {name: %q, addr: \"hr:%d\", type: Float, max_interval: 1ms}\n", name, 2+2*i)
	}
	return b.String()
}

// TestRealOthers takes the same journey over a broker and from a Modbus server
// that others wrote.
func TestRealOthers(t *testing.T) {
	python := need(t, "MAGNETO_PYTHON", "a Python with pymodbus")
	path := recording(t, skab[0])
	rec := readRecording(t, path)
	broker := mosquitto(t)

	host := start(t, program(t, "magneto"), "host", "-c", plantFile(t, "mqtt: {servers: [\"mqtt://"+broker+"\"]}\n"))
	f := face{t, "http://" + host.err.await(t, `msg=started.* http=(\S+)`)[1]}
	f.ready()

	plc := "127.0.0.1:" + freePort(t)
	server := start(t, python, "testdata/plc.py", plc, path)
	server.out.await(t, "ready")

	edge := write(t, t.TempDir(), "edge.yaml", edgeYAML(rec, broker, plc))
	start(t, program(t, "magneto-edge"), "run", "-c", edge)

	server.out.await(t, "done")
	until(t, "all of it is stored", func() error {
		stored, err := f.stored("Plant", "Station", "Pump")
		if err != nil {
			return err
		}
		for _, name := range append(rec.Columns, process.RowName) {
			if got := len(stored[name]); got < len(rec.Rows) {
				return fmt.Errorf("%d samples of %s, want %d: missing in rows %v", got, name, len(rec.Rows), missing(stored, name))
			}
		}
		return nil
	})
	stored, err := f.stored("Plant", "Station", "Pump")
	require.NoError(t, err)
	compare(t, rec, stored)
}

// missing lists the rows at whose time a metric has no sample.
func missing(stored map[string][]point, name string) (rows []int) {
	has := map[int64]bool{}
	for _, p := range stored[name] {
		has[p.at] = true
	}
	for _, p := range stored[process.RowName] {
		if !has[p.at] {
			rows = append(rows, int(p.value))
		}
	}
	return rows
}
