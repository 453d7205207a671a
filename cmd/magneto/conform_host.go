package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/magneto-iiot/magneto/internal/exam"
)

func (a *app) conformHostCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "host",
		Short: "Examine a host application",
		Long: `Be the MQTT server that a host application connects to and the edge nodes it
follows, lead it through the conversations of Sparkplug 3.0, and grade every
packet: CONNECT, will, subscriptions, STATE, commands, rebirth requests.

Configure the host for the server of --listen (and for the examination with two
servers, for that and --second). Either --exec runs it, or this command says
what to do when. What it shows of its nodes is asked of the REST API of --url if
it is a Magneto host, else of a person.

Exit code 4 when a MUST is broken, 5 when no host came.`,
		Example: `  magneto conform host
  magneto conform host --second 127.0.0.1:1885 --exec 'magneto host -c plant-{n}.yaml' --url http://127.0.0.1:8080`,
		Args: cobra.NoArgs,
	}
	skips := []string{"stop", "kill", "write", "ask"}
	var f examFlags
	f.add(cmd, skips)
	reorder := cmd.Flags().Duration("reorder", 2*time.Second, "its reorder timeout")
	api := cmd.Flags().String("url", "", "address of the REST API of a Magneto host (default: a person is asked)")
	cmd.RunE = a.begin(func(cmd *cobra.Command, _ []string) error {
		var bad error
		if *api != "" {
			if err := parseHostURL(*api); err != nil {
				bad = usagef("--url: %v", err)
			}
		}
		if *reorder <= 0 || *reorder > time.Minute {
			bad = errors.Join(bad, usagef("--reorder %s: want up to 1m", *reorder))
		}
		if err := errors.Join(bad, f.check(skips)); err != nil {
			return err
		}
		h := &hands{a: a, shell: f.exec}
		defer h.close()
		r, err := exam.Host(cmd.Context(), exam.HostConfig{
			Lab:     exam.Lab{Listen: f.listen, Second: f.second, Insecure: f.insecure, Say: a.say},
			Reorder: *reorder, Hands: h.host(f.skip, *api),
		})
		return a.examined(r, err, f.grading)
	})
	return cmd
}

// host is what h does in the examination of a host.
func (h *hands) host(skip []string, api string) exam.HostHands {
	const what = "host application"
	out := exam.HostHands{
		Start: func(ctx context.Context, servers []string) error { return h.start(ctx, what, servers) },
		Write: func(ctx context.Context, c exam.Command) error { return h.person(ctx, "%s", c) },
		Ask:   func(ctx context.Context, q exam.Question) (bool, error) { return h.yes(ctx, q.String()) },
	}
	if api != "" {
		rest := &exam.REST{URL: api}
		out.Write, out.Ask = rest.Write, rest.Ask
	}
	if !slices.Contains(skip, "stop") {
		out.Stop = func(ctx context.Context) error { return h.stop(ctx, what) }
	}
	if !slices.Contains(skip, "kill") {
		out.Kill = func(ctx context.Context) error { return h.kill(ctx, what) }
	}
	if slices.Contains(skip, "write") {
		out.Write = nil
	}
	if slices.Contains(skip, "ask") {
		out.Ask = nil
	}
	return out
}
