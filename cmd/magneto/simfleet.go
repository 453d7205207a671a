package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/magneto-iiot/magneto/simulators/fleet"
)

func (a *app) simFleetCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fleet [--nodes N] [--metrics N] [--every DURATION]",
		Short: "Run many edge nodes without equipment",
		Long: `Run many edge nodes in this process, each with an MQTT connection and a session of
its own. Their values follow from a seed. What they did goes to stdout in the end,
as JSON with --json.`,
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	var c fleet.Config
	f.StringVar(&c.Server, "mqtt", "mqtt://127.0.0.1:1883", "MQTT server")
	f.StringVar(&c.Group, "group", "Fleet", "Sparkplug group id")
	f.IntVar(&c.Nodes, "nodes", 1000, "how many edge nodes")
	f.IntVar(&c.Metrics, "metrics", 100, "of each")
	f.DurationVar(&c.Every, "every", time.Second, "between two data messages of a node; 0: births only")
	f.IntVar(&c.Changes, "changes", 10, "values in a data message")
	f.StringVar(&c.Host, "primary", "", "primary host to wait for; empty: none")
	f.Uint64Var(&c.Seed, "seed", 42, "of the values")
	last := f.Duration("for", 0, "how long to run; 0: until it is stopped")
	asJSON := f.Bool("json", false, "print the counts as JSON")
	cmd.RunE = a.begin(func(cmd *cobra.Command, _ []string) error {
		c.Log = a.log
		fl, err := fleet.New(c)
		if err != nil {
			return usagef("%v", err)
		}
		ctx, cancel := cmd.Context(), context.CancelFunc(func() {})
		if *last > 0 {
			ctx, cancel = context.WithTimeout(ctx, *last)
		}
		defer cancel()
		a.say("fleet: %d edge nodes of %d metrics at %s; Ctrl-C stops", c.Nodes, c.Metrics, c.Server)
		if err := fl.Run(ctx); err != nil {
			return err
		}
		s := fl.Stats()
		if *asJSON {
			err = json.NewEncoder(a.out).Encode(map[string]int{
				"births": s.Births, "rebirth_requests": s.Asked, "rebirth_requests_within_a_second": s.AskedMost,
				"messages": s.Messages, "samples": s.Samples,
			})
		} else {
			_, err = fmt.Fprintf(a.out, "%d births, %d rebirth requests (at most %d within a second), %d messages of %d samples\n",
				s.Births, s.Asked, s.AskedMost, s.Messages, s.Samples)
		}
		return cmp.Or(err, cmd.Context().Err())
	})
	return cmd
}
