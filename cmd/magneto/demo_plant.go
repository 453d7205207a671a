package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/magneto-iiot/magneto/broker"
	"github.com/magneto-iiot/magneto/edgenode"
	"github.com/magneto-iiot/magneto/edgenode/driver/modbus"
	"github.com/magneto-iiot/magneto/edgenode/driver/process"
	"github.com/magneto-iiot/magneto/hostapp"
	"github.com/magneto-iiot/magneto/simulators/plc"
	sim "github.com/magneto-iiot/magneto/simulators/process"
)

// plcAddr is where the demo's PLC listens, or on one of the ports after it.
const plcAddr = "127.0.0.1:1502"

// demoPlant is the whole plant of the demo, open but not running.
type demoPlant struct {
	broker *broker.Broker
	plc    *plc.Server
	host   host
	http   net.Listener
	edge   *edgenode.Agent
	screen *screen
	client *hostClient

	replay     *sim.Replay // nil: the simulated pump
	rows       int         // of replay
	edgeFile   string
	historyDir string
}

// openDemo opens every listener and store of the demo. What it opened it
// closes again when the rest fails.
func (a *app) openDemo(ctx context.Context, o demoOptions) (*demoPlant, error) {
	if err := os.MkdirAll(o.dir, 0o750); err != nil {
		return nil, err
	}
	d := &demoPlant{}
	if err := d.open(ctx, a, o); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func (d *demoPlant) open(ctx context.Context, a *app, o demoOptions) error {
	if err := d.openPLC(ctx, o); err != nil {
		return err
	}
	var err error
	d.broker, err = firstFree(o.mqtt, !o.fixedMQTT, func(addr string) (*broker.Broker, error) {
		return broker.New(broker.Config{Listen: addr, Log: a.log})
	})
	if err != nil {
		return fmt.Errorf("demo: mqtt: %w", err)
	}
	d.http, err = firstFree(o.http, !o.fixedHTTP, func(addr string) (net.Listener, error) {
		if err := onLoopback(addr); err != nil {
			return nil, err
		}
		return new(net.ListenConfig).Listen(ctx, "tcp", addr)
	})
	if err != nil {
		return fmt.Errorf("demo: http: %w", err)
	}
	p := defaultPlant()
	p.DataDir, p.Host.ID = o.dir, demoHost
	d.historyDir = p.dir("history")
	server := hostapp.Server{Name: "mqtt://" + d.broker.Addr(), Dial: inproc(d.broker, demoHost)}
	if d.host, err = openHost(p, []hostapp.Server{server}, a.log); err != nil {
		return err
	}
	d.client = newHostClient(d.addresses().HTTP)
	if d.screen, err = newScreen(a, d.broker, o.json); err != nil {
		return err
	}
	return d.openEdge(o, a.log)
}

func (d *demoPlant) openPLC(ctx context.Context, o demoOptions) error {
	var m sim.Machine
	if o.replay == "" {
		m = sim.NewPump(o.seed)
	} else {
		var err error
		if d.replay, d.rows, err = openReplay(o.replay, o.speed); err != nil {
			return err
		}
		m = d.replay
	}
	var err error
	d.plc, err = firstFree(plcAddr, true, func(addr string) (*plc.Server, error) {
		// Not ctx: the edge node stops first and says goodbye.
		return plc.Listen(context.WithoutCancel(ctx), addr, m)
	})
	return err
}

func (d *demoPlant) openEdge(o demoOptions, log *slog.Logger) error {
	drivers := edgenode.Drivers{"modbus": modbus.Open, "process": process.Open}
	scan := time.Second
	if d.replay != nil {
		drivers["modbus"] = paced(modbus.Open, d.plc.Points()[0].Addr())
		scan = time.Duration(float64(time.Second) / o.speed)
	}
	d.edgeFile = filepath.Join(o.dir, "edge.yaml")
	if err := os.WriteFile(d.edgeFile, []byte(d.edgeConfig(o.seed, scan)), 0o600); err != nil {
		return err
	}
	cfg, err := edgenode.Load(d.edgeFile, drivers)
	if err != nil {
		return err
	}
	d.edge, err = edgenode.New(*cfg, edgenode.Options{Drivers: drivers, Log: log})
	return err
}

// edgeConfig writes the edge node's configuration: a file to look at, and to
// start one's own from.
func (d *demoPlant) edgeConfig(seed uint64, scan time.Duration) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Written by 'magneto demo' at every start.")
	line("version: 1")
	line("node: {group: %s, id: %s, data_dir: edge}", demoGroup, demoNode)
	line("mqtt: {servers: [%q], primary_host: %s}", "mqtt://"+d.broker.Addr(), demoHost)
	line("scan_classes: {plc: %s, normal: 1s}", edgenode.Duration(max(scan.Round(100*time.Microsecond), time.Millisecond)))
	line("connections:")
	line("  plc: {driver: modbus, url: %q, timeout: 1s}", "tcp://"+d.plc.Addr())
	line("  tank: {driver: process, model: tank, seed: %d}", seed)
	line("metrics:")
	line("  - {name: Site/Setpoint, type: Double, value: 21.5, write: {min: 0, max: 50}}")
	line("devices:")
	line("  - id: %s", demoPump)
	line("    connection: plc")
	line("    class: plc")
	line("    metrics:")
	for _, p := range d.plc.Points() {
		line("      - %s", metricLine(p.Name, p.Addr(), p.Type, p.Unit, p.Writable, p.Min, p.Max, d.replay != nil))
	}
	line("  - id: %s", demoTank)
	line("    connection: tank")
	line("    metrics:")
	for _, s := range sim.NewTank(seed).Signals() {
		line("      - %s", metricLine(s.Name, s.Name, s.Kind.String(), s.Unit, s.Writable, s.Min, s.Max, false))
	}
	return b.String()
}

// metricLine is one metric of the configuration. Every says to report it at
// each scan, changed or not.
func metricLine(name, addr, datatype, unit string, writable bool, low, high float64, every bool) string {
	s := fmt.Sprintf("{name: %s, addr: %q, type: %s", strconv.Quote(name), addr, datatype)
	if unit != "" {
		s += fmt.Sprintf(", unit: %q", unit)
	}
	if writable {
		s += fmt.Sprintf(", write: {min: %g, max: %g, readback: 500ms}", low, high)
	}
	if every {
		s += ", max_interval: 1ms"
	}
	return s + "}"
}

// parts are what runs, in the order of starting: the edge node is the last to
// come and the first to go, so that its deaths are seen and stored.
func (d *demoPlant) parts() []part {
	parts := []part{{"broker", d.broker.Run}}
	parts = append(parts, d.screen.parts()...)
	return append(parts, part{"host", d.host.Run}, serveHTTP(d.http, d.host.Handler()), part{"edge", d.edge.Run})
}

func (d *demoPlant) addresses() addresses {
	return addresses{HTTP: "http://" + d.http.Addr().String(), MQTT: "mqtt://" + d.broker.Addr(), PLC: "tcp://" + d.plc.Addr()}
}

// checks are the claims to check: the pump's, or the recording's.
func (d *demoPlant) checks() []check {
	pump := target{demoGroup, demoNode, demoPump}
	tank := target{demoGroup, demoNode, demoTank}
	if d.replay != nil {
		return demoChecks(d.client, pump, sim.RowName, tank, "Valve", 50)
	}
	return demoChecks(d.client, pump, "Speed", pump, "SetSpeed", 900)
}

// close closes what runs without a part of its own.
func (d *demoPlant) close() error {
	var errs []error
	if d.plc != nil {
		errs = append(errs, d.plc.Close())
	}
	errs = append(errs, d.host.close())
	if d.http != nil {
		_ = d.http.Close() // served, it is closed already
	}
	return errors.Join(errs...)
}
