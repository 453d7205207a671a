package main

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

func (a *app) rebirthCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "rebirth GROUP/NODE",
		Short:   "Have the host ask an edge node for its births",
		Example: "  magneto rebirth Demo/PumpStation",
		Args:    cobra.ExactArgs(1),
	}
	base := urlFlag(cmd)
	cmd.RunE = a.begin(func(cmd *cobra.Command, args []string) error {
		t, err := parseTarget(args[0])
		if err != nil {
			return err
		}
		if t.device != "" {
			return usagef("%q: a node is born anew with all its devices: want GROUP/NODE", args[0])
		}
		host, err := hostAt(*base)
		if err != nil {
			return err
		}
		if err := host.do(cmd.Context(), http.MethodPost, t.path()+"/rebirth", nil, nil); err != nil {
			return fmt.Errorf("rebirth %s: %w", t, err)
		}
		a.say("rebirth of %s requested", t)
		return nil
	})
	return cmd
}
