package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
)

// The demo's plant. Names stay: scripts and tests hold on to them.
const (
	demoGroup = "Demo"
	demoNode  = "PumpStation"
	demoPump  = "Pump1" // on the PLC, over Modbus TCP
	demoTank  = "Tank1" // simulated within the edge node
	demoHost  = "demo"
)

var demoDevices = []string{demoPump, demoTank}

// demoOptions are the flags of the demo.
type demoOptions struct {
	seed       uint64
	dir        string
	runFor     time.Duration
	check      bool
	http, mqtt string
	fixedHTTP  bool // --http was given: a busy port is an error
	fixedMQTT  bool
	replay     string
	speed      float64
	json       bool
}

func (a *app) demoCmd() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Start a whole plant on this machine; Ctrl-C stops it",
		Long: `Start a whole plant in one process, on loopback, with nothing else installed: a
PLC with a simulated pump behind Modbus TCP, an edge node that reads it and a
simulated tank, an MQTT broker, the primary host with its history, and the REST
and Prometheus API with a status page.

With --replay the PLC serves a recording instead of the pump.`,
		Example: "  magneto demo\n  magneto demo --for 60s --check\n  magneto demo --replay pump.csv --speed 50",
		Args:    cobra.NoArgs,
	}
	f := cmd.Flags()
	f.Uint64Var(&o.seed, "seed", 42, "of the simulated machines")
	f.StringVar(&o.dir, "data", ".demo", "folder for the history and the edge node's state")
	f.DurationVar(&o.runFor, "for", 0, "stop after this long (default: never; with --check 60s)")
	f.BoolVar(&o.check, "check", false, "check births, data, history and a confirmed write; exit code 4 unless all are seen")
	f.StringVar(&o.http, "http", "127.0.0.1:8080", "address of the HTTP server; the default moves to the next free port")
	f.StringVar(&o.mqtt, "mqtt", "127.0.0.1:1883", "address of the MQTT broker; the default moves to the next free port")
	f.StringVar(&o.replay, "replay", "", "CSV file that the PLC serves instead of the simulated pump")
	f.Float64Var(&o.speed, "speed", 1, "rows a second of --replay")
	f.BoolVar(&o.json, "json", false, "print the addresses, then every update, as JSON lines on stdout")
	cmd.RunE = a.begin(func(cmd *cobra.Command, _ []string) error {
		o.fixedHTTP, o.fixedMQTT = cmd.Flags().Changed("http"), cmd.Flags().Changed("mqtt")
		if o.check && o.runFor == 0 {
			o.runFor = time.Minute
		}
		if a.level == "" {
			a.log = slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
		}
		return a.demo(cmd.Context(), o)
	})
	return cmd
}

// errTimeUp ends a demo that was asked to run for a while.
var errTimeUp = errors.New("time is up")

// demo runs the plant until ctx ends or its time is up.
func (a *app) demo(ctx context.Context, o demoOptions) error {
	if o.runFor > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.runFor, errTimeUp)
		defer cancel()
	}
	ctx, stop := untilHangup(ctx)
	defer stop()
	d, err := a.openDemo(ctx, o)
	if err != nil {
		return err
	}
	if err := a.introduceDemo(d, o); err != nil {
		return errors.Join(err, d.close())
	}
	parts := append(d.parts(), part{"values", d.screen.run})
	failed := -1 // checks have not been run
	if o.check {
		parts = append(parts, part{"check", func(ctx context.Context) error {
			within, cancel := context.WithTimeout(ctx, o.runFor-checkMargin(o.runFor))
			defer cancel()
			failed = a.runChecks(within, d.checks())
			<-ctx.Done()
			return nil
		}})
	}
	if d.replay != nil {
		parts = append(parts, part{"replay", func(ctx context.Context) error { return a.followReplay(ctx, d, o.json) }})
	}
	parts = append(parts, part{"goodbye", func(ctx context.Context) error {
		<-ctx.Done() // the first part to stop
		a.say("demo: stopping")
		return nil
	}})
	err = errors.Join(runParts(ctx, parts...), d.close())
	if err == nil && o.check && failed != 0 && errors.Is(context.Cause(ctx), errTimeUp) {
		return &exitError{code: exitAssertion, err: fmt.Errorf("demo: %d of %d checks failed", failed, len(d.checks()))}
	}
	a.say("demo: stopped")
	return err
}

// checkMargin is what is left of the time for saying what failed.
func checkMargin(runFor time.Duration) time.Duration { return min(2*time.Second, runFor/4) }

// addresses is the first line of demo --json.
type addresses struct {
	HTTP string `json:"http"`
	MQTT string `json:"mqtt"`
	PLC  string `json:"plc"`
}

func (a *app) introduceDemo(d *demoPlant, o demoOptions) error {
	at := d.addresses()
	a.say("magneto demo  seed %d, data in %s  (Ctrl-C stops)", o.seed, o.dir)
	a.say(" ✓ broker      %s  (in this process)", at.MQTT)
	if o.replay != "" {
		a.say(" ✓ plc         %s  Modbus TCP, %d rows of %s at %g a second", at.PLC, d.rows, o.replay, o.speed)
	} else {
		a.say(" ✓ plc         %s  Modbus TCP, a pump", at.PLC)
	}
	a.say(" ✓ edge        %s/%s: %s by Modbus, %s within  (%s)", demoGroup, demoNode, demoPump, demoTank, d.edgeFile)
	a.say(" ✓ host        %s, with its history in %s", demoHost, d.historyDir)
	a.say(" ✓ web         %s", at.HTTP)
	a.say(" Try:  magneto tap --mqtt %s", at.MQTT)
	if o.replay == "" {
		a.say("       magneto write %s/%s/%s SetSpeed 900 --url %s", demoGroup, demoNode, demoPump, at.HTTP)
	}
	a.say("       magneto rebirth %s/%s --url %s", demoGroup, demoNode, at.HTTP)
	a.say("       curl '%s/prometheus/api/v1/query?query=sparkplug_value'", at.HTTP)
	if o.json {
		return json.NewEncoder(a.out).Encode(at)
	}
	return nil
}
