package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// confirmed is what the host answers to a write that came back.
type confirmed struct {
	Value     json.RawMessage `json:"value"`
	Timestamp string          `json:"timestamp"`
}

func (a *app) writeCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "write GROUP/NODE[/DEVICE] METRIC VALUE",
		Short: "Write a metric through the host, and wait until the new value came back",
		Long: `Write a metric through the host's REST API. It returns once the equipment has
the new value and it was reported back, or says why not.

VALUE is JSON (12.5, -5, true, "text", [1,2]); what is not JSON is taken as
text. Before another value or metric that starts with - write --.`,
		Example: "  magneto write Demo/PumpStation/Pump1 SetSpeed 900",
		Args:    cobra.ExactArgs(3),
	}
	base := urlFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print the answer as JSON")
	cmd.RunE = a.begin(func(cmd *cobra.Command, args []string) error {
		t, err := parseTarget(args[0])
		if err != nil {
			return err
		}
		host, err := hostAt(*base)
		if err != nil {
			return err
		}
		var answer confirmed
		body := map[string]json.RawMessage{"value": jsonOrText(args[2])}
		if err := host.do(cmd.Context(), http.MethodPut, t.metricPath(args[1]), body, &answer); err != nil {
			return fmt.Errorf("write %s %s: %w", t, args[1], err)
		}
		if *asJSON {
			return json.NewEncoder(a.out).Encode(answer)
		}
		fmt.Fprintf(a.out, "%s %s = %s at %s\n", t, args[1], answer.Value, answer.Timestamp)
		return nil
	})
	return cmd
}

// valueLast moves a negative number among the arguments of write behind a --,
// so that it is the value, which is the last argument, and no flag.
func valueLast(args []string) []string {
	if slices.Contains(args, "--") {
		return args
	}
	for i, s := range args {
		if _, err := strconv.ParseFloat(s, 64); err == nil && strings.HasPrefix(s, "-") {
			return append(slices.Delete(slices.Clone(args), i, i+1), "--", s)
		}
	}
	return args
}

// jsonOrText takes s as JSON if it is, else as a text.
func jsonOrText(s string) json.RawMessage {
	if json.Valid([]byte(s)) {
		return json.RawMessage(s)
	}
	b, _ := json.Marshal(s) // a string always marshals
	return b
}
