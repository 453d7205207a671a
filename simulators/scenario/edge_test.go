package scenario_test

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/edgenode"
	"github.com/magneto-iiot/magneto/edgenode/driver/modbus"
	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/simulators/plc"
	"github.com/magneto-iiot/magneto/sparkplug"
)

var edgeDrivers = edgenode.Drivers{"modbus": modbus.Open}

// heard is one decoded message of the namespace.
type heard struct {
	topic sparkplug.Topic
	p     sparkplug.Payload
}

// metric finds a metric by name, or else by alias.
func (h heard) metric(name string, alias uint64) *sparkplug.Metric {
	for i := range h.p.Metrics {
		if m := &h.p.Metrics[i]; name != "" && m.Name == name || name == "" && m.HasAlias && m.Alias == alias {
			return m
		}
	}
	return nil
}

// ear is a raw host: it hears everything and can say anything.
type ear struct {
	t    *testing.T
	conn *mqtt.Conn
	in   chan heard
}

func listen(t *testing.T, server string) *ear { return listenAs(t, server, "ear") }

func listenAs(t *testing.T, server, id string) *ear {
	e := &ear{t: t, in: make(chan heard, 1000)}
	c, err := mqtt.Dial(t.Context(), mqtt.Config{Server: server, ClientID: id, OnMessage: func(m mqtt.Message) {
		topic, err := sparkplug.ParseTopic(m.Topic)
		var p sparkplug.Payload
		if err == nil && p.Decode(m.Payload) == nil && !topic.Type.Command() {
			e.in <- heard{topic, p.Clone()}
		}
	}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	e.conn = c
	require.NoError(t, c.Subscribe(t.Context(), mqtt.Filter{Topic: "spBv1.0/#", QoS: 1}))
	return e
}

// until waits for a message that fits, and returns it and all before it.
func (e *ear) until(what string, fits func(heard) bool) (heard, []heard) {
	e.t.Helper()
	limit := time.After(15 * time.Second)
	var before []heard
	for {
		select {
		case h := <-e.in:
			if fits(h) {
				return h, before
			}
			before = append(before, h)
		case <-limit:
			for _, h := range before {
				e.t.Logf("heard %s with %d metrics", h.topic, len(h.p.Metrics))
			}
			require.FailNow(e.t, "not heard in time", what)
		}
	}
}

func of(typ sparkplug.Type, device string) func(heard) bool {
	return func(h heard) bool { return h.topic.Type == typ && h.topic.Device == device }
}

func (e *ear) command(topic string, m sparkplug.Metric) {
	m.Timestamp, m.HasTimestamp = time.Now().UnixMilli(), true
	p := sparkplug.Payload{Timestamp: m.Timestamp, HasTimestamp: true, Metrics: []sparkplug.Metric{m}}
	b, err := p.Append(nil)
	require.NoError(e.t, err)
	require.NoError(e.t, e.conn.Publish(e.t.Context(), mqtt.Message{Topic: topic, Payload: b}))
}

// bench is a broker, a PLC and an edge node between them.
type bench struct {
	server string
	wire   *wire
	mem    *plc.Memory
	plc    *plc.Server
	file   string
}

func newBench(t *testing.T) *bench {
	w := newWire(t, "127.0.0.1:0")
	mem := plc.NewMemory()
	p, err := plc.ListenMemory(context.Background(), "127.0.0.1:0", mem)
	require.NoError(t, err)
	out := &bench{server: w.server, wire: w, mem: mem, plc: p, file: filepath.Join(t.TempDir(), "edge.yaml")}
	t.Cleanup(func() { _ = out.plc.Close() })
	out.configure(t, p.Addr(), "")
	return out
}

// configure writes the edge's configuration, with more devices.
func (b *bench) configure(t *testing.T, plcAddr, more string) {
	require.NoError(t, os.WriteFile(b.file, fmt.Appendf(nil, `
version: 1
node: {group: G, id: E}
mqtt: {servers: [%q], keepalive: 2s}
scan_classes: {quick: 20ms}
connections: {plc: {driver: modbus, url: "tcp://%s", timeout: 300ms}}
metrics:
  - {name: Setpoint, type: Double, value: 21.5, write: {min: 0, max: 50}}
devices:
  - id: Press
    connection: plc
    class: quick
    metrics:
      - {name: Speed, addr: "hr:0", type: Float, unit: rpm}
      - {name: Temp, addr: "hr:2", type: Int16, scale: 0.1}
      - {name: SetSpeed, addr: "hr:10", type: Float, write: {min: 0, max: 1500}}
%s`, b.server, plcAddr, more), 0o600))
}

// edit changes the edge's configuration.
func (b *bench) edit(t *testing.T, old, with string) {
	t.Helper()
	config, err := os.ReadFile(b.file)
	require.NoError(t, err)
	require.Contains(t, string(config), old)
	require.NoError(t, os.WriteFile(b.file, []byte(strings.Replace(string(config), old, with, 1)), 0o600))
}

// start runs the edge node; stop ends it gracefully and returns the time it took.
func (b *bench) start(t *testing.T) (agent *edgenode.Agent, stop func() time.Duration) {
	cfg, err := edgenode.Load(b.file, edgeDrivers)
	require.NoError(t, err)
	agent, err = edgenode.New(*cfg, edgenode.Options{Drivers: edgeDrivers, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- agent.Run(ctx) }()
	once := false
	stop = func() time.Duration {
		if once {
			return 0
		}
		once = true
		begun := time.Now()
		cancel()
		require.NoError(t, <-ended)
		return time.Since(begun)
	}
	t.Cleanup(func() { stop() })
	return agent, stop
}

func (b *bench) setFloat(addr uint16, v float32) {
	bits := math.Float32bits(v)
	b.mem.SetRegisters(plc.Holding, addr, uint16(bits>>16), uint16(bits))
}

func bdSeq(t *testing.T, h heard) int64 {
	m := h.metric(sparkplug.MetricBdSeq, 0)
	require.NotNil(t, m)
	return m.Value.Int()
}

// TestEdgeJourney is one edge node's life between a real broker and a real
// Modbus server: births, data, a write, a rebirth, equipment that dies and
// returns, a reload, a graceful end and a new start.
func TestEdgeJourney(t *testing.T) {
	b := newBench(t)
	b.setFloat(0, 1200.5)
	b.mem.SetRegisters(plc.Holding, 2, 215)
	e := listen(t, b.server)
	agent, stop := b.start(t)

	birth, _ := e.until("NBIRTH", of(sparkplug.NBIRTH, ""))
	require.EqualValues(t, 0, bdSeq(t, birth))
	require.InDelta(t, 21.5, birth.metric("Setpoint", 0).Value.Float64(), 0)
	require.False(t, birth.metric(sparkplug.MetricRebirth, 0).HasAlias)
	press, _ := e.until("DBIRTH", of(sparkplug.DBIRTH, "Press"))
	require.InDelta(t, 1200.5, press.metric("Speed", 0).Value.Float64(), 0)
	require.InDelta(t, 21.5, press.metric("Temp", 0).Value.Float64(), 0)
	require.Equal(t, sparkplug.TypeDouble, press.metric("Temp", 0).Value.Type())

	b.setFloat(0, 1300)
	data, _ := e.until("DDATA of Speed", of(sparkplug.DDATA, "Press"))
	speed := data.metric("", press.metric("Speed", 0).Alias)
	require.NotNil(t, speed)
	v, err := speed.Value.As(sparkplug.TypeFloat)
	require.NoError(t, err)
	require.InDelta(t, 1300, v.Float64(), 0)

	set := press.metric("SetSpeed", 0)
	e.command("spBv1.0/G/DCMD/E/Press", sparkplug.Metric{Alias: set.Alias, HasAlias: true, Value: sparkplug.Float(900)})
	data, _ = e.until("DDATA of SetSpeed", of(sparkplug.DDATA, "Press"))
	v, err = data.metric("", set.Alias).Value.As(sparkplug.TypeFloat)
	require.NoError(t, err)
	require.InDelta(t, 900, v.Float64(), 0)
	require.Equal(t, uint16(math.Float32bits(900)>>16), b.mem.Register(plc.Holding, 10))
	e.command("spBv1.0/G/DCMD/E/Press", sparkplug.Metric{Name: "SetSpeed", Value: sparkplug.Float(9000)})
	e.command("spBv1.0/G/DCMD/E/Press", sparkplug.Metric{Name: "Speed", Value: sparkplug.Float(1)})
	e.command("spBv1.0/G/NCMD/E", sparkplug.Metric{Name: "Setpoint", Value: sparkplug.Double(30)})
	e.until("NDATA of Setpoint", of(sparkplug.NDATA, ""))
	require.EqualValues(t, 2, agent.Stats().Refused)

	e.command("spBv1.0/G/NCMD/E", sparkplug.Metric{Name: sparkplug.MetricRebirth, Value: sparkplug.Boolean(true)})
	birth, _ = e.until("NBIRTH again", of(sparkplug.NBIRTH, ""))
	require.EqualValues(t, 0, bdSeq(t, birth))
	require.InDelta(t, 30, birth.metric("Setpoint", 0).Value.Float64(), 0)
	e.until("DBIRTH again", of(sparkplug.DBIRTH, "Press"))

	addr := b.plc.Addr()
	require.NoError(t, b.plc.Close())
	e.until("DDEATH", of(sparkplug.DDEATH, "Press"))
	b.setFloat(0, 7)
	b.plc, err = plc.ListenMemory(context.Background(), addr, b.mem)
	require.NoError(t, err)
	press, _ = e.until("DBIRTH after the return", of(sparkplug.DBIRTH, "Press"))
	require.InDelta(t, 7, press.metric("Speed", 0).Value.Float64(), 0)

	b.configure(t, addr, "  - {id: Second, connection: plc, metrics: [{name: Speed, addr: \"hr:0\", type: Float}]}\n")
	cfg, err := edgenode.Load(b.file, edgeDrivers)
	require.NoError(t, err)
	dials := agent.Stats().Dials
	require.NoError(t, agent.Reload(t.Context(), *cfg))
	_, before := e.until("DBIRTH of the new device", of(sparkplug.DBIRTH, "Second"))
	for _, h := range before {
		require.NotContains(t, []sparkplug.Type{sparkplug.NBIRTH, sparkplug.DBIRTH, sparkplug.DDEATH}, h.topic.Type, "%s", h.topic)
	}
	require.Equal(t, dials, agent.Stats().Dials, "the connection was made anew")

	require.Less(t, stop(), 5*time.Second)
	death, before := e.until("NDEATH", of(sparkplug.NDEATH, ""))
	require.EqualValues(t, 0, bdSeq(t, death))
	require.False(t, death.p.HasSeq)
	deaths := 0
	for _, h := range before {
		if h.topic.Type == sparkplug.DDEATH {
			deaths++
		}
	}
	require.Equal(t, 2, deaths)

	b.start(t)
	birth, _ = e.until("NBIRTH of the second run", of(sparkplug.NBIRTH, ""))
	require.EqualValues(t, 1, bdSeq(t, birth))
	require.InDelta(t, 30, birth.metric("Setpoint", 0).Value.Float64(), 0)
}
