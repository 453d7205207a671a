package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/magneto-iiot/magneto/edgenode"
	"github.com/magneto-iiot/magneto/internal/config"
	"github.com/magneto-iiot/magneto/sparkplug"
)

func (a *app) runCmd() *cobra.Command {
	return a.command("run", "Run the agent", `Run the agent until SIGTERM or SIGINT. SIGHUP reads the configuration again;
one with faults changes nothing.`, true, a.runAgent)
}

func (a *app) runAgent(ctx context.Context) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // before anything can take long
	defer signal.Stop(hangups)
	cfg, err := edgenode.Load(a.file, drivers)
	if err != nil {
		return err
	}
	agent, err := edgenode.New(*cfg, edgenode.Options{Drivers: drivers, Log: a.log})
	if err != nil {
		return err
	}
	var reloading sync.WaitGroup
	defer reloading.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	reloading.Go(func() { a.reloadOnHangup(ctx, hangups, agent) })
	a.log.Info("magneto-edge", "version", version, "config", a.file)
	return agent.Run(ctx)
}

// reloadOnHangup reads the configuration again at each SIGHUP.
func (a *app) reloadOnHangup(ctx context.Context, hangups <-chan os.Signal, agent *edgenode.Agent) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
		}
		cfg, err := edgenode.Load(a.file, drivers)
		if err == nil {
			err = agent.Reload(ctx, *cfg)
		}
		if err != nil {
			a.log.Error("configuration not reloaded: the old one stays", "err", err)
		}
	}
}

func (a *app) checkCmd() *cobra.Command {
	return a.command("check", "Check a configuration without any network", `Check the configuration: no network, every fault at once, one a line, as
file:line:column: what is wrong. Exit code 3 if there is one.`, true, func(context.Context) error {
		_, err := edgenode.Load(a.file, drivers)
		if !a.json {
			return err
		}
		faults, ok := errors.AsType[config.Faults](err)
		if err != nil && !ok {
			return err
		}
		type fault struct {
			File    string `json:"file"`
			Line    int    `json:"line"`
			Column  int    `json:"column"`
			Message string `json:"message"`
		}
		out := struct {
			OK     bool    `json:"ok"`
			Faults []fault `json:"faults"`
		}{err == nil, []fault{}}
		for _, f := range faults {
			out.Faults = append(out.Faults, fault{f.File, f.Line, f.Column, f.Message})
		}
		return errors.Join(err, json.NewEncoder(a.out).Encode(out))
	})
}

func (a *app) probeCmd() *cobra.Command {
	return a.command("probe", "Connect to the equipment and read every tag once", `Connect to the equipment, read every tag once and print its value, scaled, or
why there is none. No MQTT. Exit code 5 if a connection cannot be made, 1 if a
tag has no value.`, true, a.probe)
}

func (a *app) probe(ctx context.Context) error {
	cfg, err := edgenode.Load(a.file, drivers)
	if err != nil {
		return err
	}
	readings, err := edgenode.Probe(ctx, *cfg, drivers)
	if a.json {
		if werr := a.probeJSON(readings); werr != nil {
			return werr
		}
	} else if werr := a.probeTable(readings); werr != nil {
		return werr
	}
	if err != nil {
		return err
	}
	bad := 0
	for _, r := range readings {
		if r.Err != nil {
			bad++
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d tags have no value", bad, len(readings))
	}
	return nil
}

func (a *app) probeTable(readings []edgenode.Reading) error {
	w := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "DEVICE\tMETRIC\tADDRESS\tVALUE\tUNIT")
	for _, r := range readings {
		value := r.Value.String()
		if r.Err != nil {
			value = "- " + r.Err.Error()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.Device, r.Metric, r.Connection+" "+r.Addr, value, r.Unit)
	}
	return w.Flush()
}

// probeJSON prints one object a line.
func (a *app) probeJSON(readings []edgenode.Reading) error {
	e := json.NewEncoder(a.out)
	for _, r := range readings {
		line := struct {
			Device     string          `json:"device"`
			Metric     string          `json:"metric"`
			Connection string          `json:"connection"`
			Addr       string          `json:"addr"`
			Unit       string          `json:"unit,omitzero"`
			Datatype   string          `json:"datatype"`
			Value      json.RawMessage `json:"value"`
			Error      string          `json:"error,omitzero"`
		}{r.Device, r.Metric, r.Connection, r.Addr, r.Unit, r.Value.Type().String(), json.RawMessage("null"), ""}
		if r.Err != nil {
			line.Error = r.Err.Error()
		} else {
			line.Value = sparkplug.AppendJSON(nil, r.Value)
		}
		if err := e.Encode(line); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) schemaCmd() *cobra.Command {
	return a.command("schema", "Print the JSON schema of the configuration", "Print the JSON schema of the configuration, for editors.", false, func(context.Context) error {
		_, err := a.out.Write(edgenode.Schema())
		return err
	})
}

func (a *app) versionCmd() *cobra.Command {
	return a.command("version", "Print the version", "Print the version.", false, func(context.Context) error {
		if a.json {
			return json.NewEncoder(a.out).Encode(map[string]string{
				"version": version, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH,
			})
		}
		_, err := fmt.Fprintf(a.out, "magneto-edge %s %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return err
	})
}
