package scenario_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/internal/exam"
	"github.com/magneto-iiot/magneto/simulators/plc"
)

// edgeHands is our agent, as built, beside a PLC.
type edgeHands struct {
	t     *testing.T
	dir   string
	mem   *plc.Memory
	plc   *plc.Server
	addr  string
	speed float32
	agent *proc
	via   func(number int, server string) string // what the agent is told instead of a server
}

func newEdgeHands(t *testing.T) *edgeHands {
	h := &edgeHands{t: t, dir: t.TempDir(), mem: plc.NewMemory(), via: func(_ int, s string) string { return s }}
	var err error
	h.plc, err = plc.ListenMemory(context.Background(), "127.0.0.1:0", h.mem)
	require.NoError(t, err)
	h.addr = h.plc.Addr()
	t.Cleanup(func() { _ = h.plc.Close() })
	h.turn()
	return h
}

// turn changes the speed that the PLC measures.
func (h *edgeHands) turn() {
	h.speed += 100
	bits := math.Float32bits(h.speed)
	h.mem.SetRegisters(plc.Holding, 0, uint16(bits>>16), uint16(bits))
	h.mem.SetRegisters(plc.Holding, 30, uint16(bits>>16), uint16(bits))
}

func (h *edgeHands) hands() exam.EdgeHands {
	return exam.EdgeHands{
		Start: func(_ context.Context, servers []string) error {
			for i, s := range servers {
				servers[i] = h.via(i, s)
			}
			list, err := json.Marshal(servers)
			if err != nil {
				return err
			}
			conf := write(h.t, h.dir, "edge.yaml", fmt.Sprintf(edgeExamined, list, h.addr))
			h.agent = start(h.t, program(h.t, "magneto-edge"), "run", "-c", conf)
			return nil
		},
		Stop: func(context.Context) error { h.agent.stop(); return nil },
		Kill: func(context.Context) error { h.agent.kill(); return nil },
		Change: func(context.Context) error {
			h.turn()
			return nil
		},
		Unplug: func(context.Context) error { return h.plc.Close() },
		Plug: func(ctx context.Context) error {
			var err error
			h.plc, err = plc.ListenMemory(context.WithoutCancel(ctx), h.addr, h.mem)
			return err
		},
	}
}

// edgeExamined uses what the specification has assertions for.
const edgeExamined = `version: 1
node: {group: Exam, id: Edge}
mqtt: {servers: %s, keepalive: 5s, primary_host: plant}
scan_classes: {quick: 50ms}
connections: {plc: {driver: modbus, url: "tcp://%s", timeout: 300ms}}
templates:
  bearing: [{name: Temp, addr: "hr:{base}", type: Int16, unit: Cel}]
  motor:
    version: "1"
    parameters: {base: 20, maker: Acme}
    metrics:
      - {name: Amps, addr: "hr:{base}", type: Float, unit: A}
      - {name: Limit, addr: "hr:{base+2}", type: Float, write: {min: 0, max: 10}}
    use: [{template: bearing, as: Front, instance: true, base: "{base+4}"}]
metrics:
  - {name: Setpoint, type: Double, value: 21.5, write: {min: 0, max: 50}}
  - {name: Recipe, type: DataSet, write: {}, value: {columns: [{name: Step, type: Int32}, {name: Temp, type: Double}], rows: [[1, 20.5], [2, 90]]}}
devices:
  - id: Press
    connection: plc
    class: quick
    use: [{template: motor, as: MainMotor, instance: true, base: 30}]
    metrics:
      - {name: Speed, addr: "hr:0", type: Float, unit: rpm}
      - {name: Temp, addr: "hr:2", type: Int16, scale: 0.1}
      - {name: SetSpeed, addr: "hr:10", type: Float, write: {min: 0, max: 1500}}
`
