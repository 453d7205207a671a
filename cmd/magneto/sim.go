package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/magneto-iiot/magneto/simulators/plc"
	"github.com/magneto-iiot/magneto/simulators/process"
)

func (a *app) simCmd() *cobra.Command {
	cmd := &cobra.Command{Use: "sim", Short: "Run simulators", RunE: a.begin(group)}
	cmd.AddCommand(a.simPLCCmd(), a.simFleetCmd())
	return cmd
}

func (a *app) simPLCCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plc [--model pump|tank | --replay FILE]",
		Short: "Run a simulated PLC: a machine behind a Modbus TCP server",
		Long: `Run a simulated PLC: a machine, or a recording, behind a Modbus TCP server. The
register map goes to stdout.`,
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	addr := f.String("listen", "127.0.0.1:1502", "address of the Modbus TCP server; loopback only")
	model := f.String("model", "pump", "machine to simulate: pump or tank")
	seed := f.Uint64("seed", 42, "of the machine's randomness")
	replay := f.String("replay", "", "CSV file to serve instead of a machine")
	speed := f.Float64("speed", 1, "rows a second of --replay")
	asJSON := f.Bool("json", false, "print the register map as JSON")
	cmd.RunE = a.begin(func(cmd *cobra.Command, _ []string) error {
		m, err := newMachine(*model, *seed, *replay, *speed)
		if err != nil {
			return err
		}
		if err := onLoopback(*addr); err != nil {
			return usagef("--listen: %v", err)
		}
		s, err := plc.Listen(cmd.Context(), *addr, m)
		if err != nil {
			return err
		}
		defer func() { _ = s.Close() }() // it never fails
		a.say("plc: serving on tcp://%s; Ctrl-C stops", s.Addr())
		if err := a.printPoints(s.Points(), *asJSON); err != nil {
			return err
		}
		<-cmd.Context().Done()
		return context.Canceled
	})
	return cmd
}

// newMachine makes the machine behind a PLC: a recording if there is one.
func newMachine(model string, seed uint64, replay string, speed float64) (process.Machine, error) {
	if replay == "" {
		m, err := process.New(model, seed)
		if err != nil {
			return nil, usagef("--model: %v", err)
		}
		return m, nil
	}
	r, _, err := openReplay(replay, speed)
	return r, err
}

// openReplay makes a machine of a recording, and says how many rows it has.
func openReplay(file string, speed float64) (r *process.Replay, rows int, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	rec, err := process.ReadCSV(f)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", file, err)
	}
	r, err = process.NewReplay(rec, speed)
	if err != nil {
		return nil, 0, usagef("--speed: %v", err)
	}
	return r, len(rec.Rows), nil
}

func (a *app) printPoints(points []plc.Point, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(a.out).Encode(points)
	}
	for _, p := range points {
		if _, err := fmt.Fprintf(a.out, "%-10s %-8s %s %s\n", p.Addr(), p.Type, p.Name, p.Unit); err != nil {
			return err
		}
	}
	return nil
}
