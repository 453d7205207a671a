package main

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/magneto-iiot/magneto/internal/exam"
)

func (a *app) conformEdgeCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "edge",
		Short: "Examine an edge node",
		Long: `Be the MQTT server that an edge node connects to and the host it talks with, lead
it through the conversations of Sparkplug 3.0, and grade every packet: CONNECT,
will, subscriptions, births, data, deaths.

Configure the edge node for the server of --listen (and for the examination with
two servers, for that and --second) and, if it waits for a primary host, for the
host id of --host. Then either --exec runs it, or this command says what to do
when. What has no one to do it (--skip) is not graded, with the reason.

Exit code 4 when a MUST is broken, 5 when no edge node came.`,
		Example: `  magneto conform edge --host plant
  magneto conform edge --host plant --second 127.0.0.1:1885 --write Setpoint=30 --exec 'magneto-edge run -c edge-{n}.yaml' --skip change,unplug`,
		Args: cobra.NoArgs,
	}
	skips := []string{"stop", "kill", "change", "unplug"}
	var f examFlags
	f.add(cmd, skips)
	host := cmd.Flags().String("host", "", "id of the primary host that it waits for (default: it waits for none)")
	write := cmd.Flags().String("write", "", "a metric that may be written, and another value than it has, in JSON: [DEVICE:]METRIC=VALUE")
	cmd.RunE = a.begin(func(cmd *cobra.Command, _ []string) error {
		w, err := parseWrite(*write)
		if err := errors.Join(err, f.check(skips)); err != nil {
			return err
		}
		h := &hands{a: a, shell: f.exec}
		defer h.close()
		r, err := exam.Edge(cmd.Context(), exam.EdgeConfig{
			Lab:  exam.Lab{Listen: f.listen, Second: f.second, Insecure: f.insecure, Say: a.say},
			Host: *host, Write: w, Hands: h.edge(f.skip),
		})
		return a.examined(r, err, f.grading)
	})
	return cmd
}

// parseWrite reads [DEVICE:]METRIC=VALUE.
func parseWrite(s string) (w exam.Write, err error) {
	if s == "" {
		return w, nil
	}
	name, value, ok := strings.Cut(s, "=")
	if !ok || name == "" || !json.Valid([]byte(value)) {
		return w, usagef("--write %q: want METRIC=VALUE or DEVICE:METRIC=VALUE with a value in JSON, like Setpoint=30", s)
	}
	if device, metric, ok := strings.Cut(name, ":"); ok {
		w.Device, name = device, metric
	}
	w.Metric, w.Value = name, json.RawMessage(value)
	return w, nil
}

// edge is what h does in the examination of an edge node.
func (h *hands) edge(skip []string) exam.EdgeHands {
	const what = "edge node"
	out := exam.EdgeHands{
		Start: func(ctx context.Context, servers []string) error { return h.start(ctx, what, servers) },
	}
	if !slices.Contains(skip, "stop") {
		out.Stop = func(ctx context.Context) error { return h.stop(ctx, what) }
	}
	if !slices.Contains(skip, "kill") {
		out.Kill = func(ctx context.Context) error { return h.kill(ctx, what) }
	}
	if !slices.Contains(skip, "change") {
		out.Change = func(ctx context.Context) error { return h.person(ctx, "have the equipment change a value") }
	}
	if !slices.Contains(skip, "unplug") {
		out.Unplug = func(ctx context.Context) error { return h.person(ctx, "cut a device from the edge node") }
		out.Plug = func(ctx context.Context) error { return h.person(ctx, "connect the device again") }
	}
	return out
}
