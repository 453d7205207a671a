package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/magneto-iiot/magneto/internal/config"
)

// asideList is what the host answers about its quarantine.
type asideList struct {
	Nodes []struct {
		Group         string    `json:"group"`
		Node          string    `json:"node"`
		Samples       int       `json:"samples"`
		From          time.Time `json:"from"`
		To            time.Time `json:"to"`
		ReceivedFirst time.Time `json:"received_first"`
		ReceivedLast  time.Time `json:"received_last"`
	} `json:"nodes"`
	Samples []struct {
		Group     string    `json:"group"`
		Node      string    `json:"node"`
		Device    string    `json:"device"`
		Metric    string    `json:"metric"`
		Timestamp time.Time `json:"timestamp"`
		Received  time.Time `json:"received"`
		DataType  string    `json:"datatype"`
		Value     any       `json:"value"`
		Quality   int       `json:"quality"`
	} `json:"samples"`
}

func (a *app) historyCmd() *cobra.Command {
	cmd := &cobra.Command{Use: "history", Short: "Look after the history of a running host"}
	quarantine := &cobra.Command{
		Use:   "quarantine",
		Short: "Samples from the future: list, release or drop them",
		Long: `A sample whose time is further in the future than history.embedded.future_tolerance
is put aside: the clock of its edge node is wrong, most likely. Nothing happens
to it until somebody decides.`,
	}
	quarantine.AddCommand(a.quarantineListCmd(), a.quarantineReleaseCmd(), a.quarantineDropCmd())
	cmd.AddCommand(quarantine)
	return cmd
}

// nodeArg is the edge node that an argument names.
func nodeArg(s string) (target, error) {
	t, err := parseTarget(s)
	if err == nil && t.device != "" {
		err = usagef("%q: a clock is that of a whole node: want GROUP/NODE", s)
	}
	return t, err
}

const quarantinePath = "/v1/history/quarantine"

func (h *hostClient) quarantine(cmd *cobra.Command, t target, limit, offset int) (out asideList, err error) {
	q := url.Values{"limit": {strconv.Itoa(limit)}, "offset": {strconv.Itoa(offset)}}
	if t.node != "" {
		q.Set("group", t.group)
		q.Set("node", t.node)
	}
	return out, h.do(cmd.Context(), http.MethodGet, quarantinePath+"?"+q.Encode(), nil, &out)
}

func (a *app) quarantineListCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list [GROUP/NODE]",
		Short:   "How much is in quarantine of each edge node; of one: its first samples",
		Example: "  magneto history quarantine list\n  magneto history quarantine list Demo/PumpStation --limit 20",
		Args:    cobra.MaximumNArgs(1),
	}
	base := urlFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print the answer as JSON")
	limit := cmd.Flags().Int("limit", 100, "most samples to show, 0 to 10000")
	offset := cmd.Flags().Int("offset", 0, "samples to leave out before the first")
	cmd.RunE = a.begin(func(cmd *cobra.Command, args []string) error {
		var t target
		var err error
		if len(args) == 1 {
			if t, err = nodeArg(args[0]); err != nil {
				return err
			}
		}
		host, err := hostAt(*base)
		if err != nil {
			return err
		}
		list, err := host.quarantine(cmd, t, *limit, *offset)
		if err != nil {
			return fmt.Errorf("quarantine: %w", err)
		}
		if *asJSON {
			return a.printJSON(list)
		}
		if len(list.Nodes) == 0 {
			a.say("nothing is in quarantine")
			return nil
		}
		w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "NODE\tSAMPLES\tFROM\tTO\tRECEIVED\tAHEAD BY")
		for _, n := range list.Nodes {
			fmt.Fprintf(w, "%s/%s\t%d\t%s\t%s\t%s\t%s\n", n.Group, n.Node, n.Samples, when(n.From), when(n.To), when(n.ReceivedFirst),
				n.From.Sub(n.ReceivedFirst).Round(time.Second))
		}
		if t.node != "" {
			fmt.Fprintln(w, "\nMETRIC\tVALUE\tTIME\tRECEIVED\t\t")
			for _, s := range list.Samples {
				name := s.Metric
				if s.Device != "" {
					name = s.Device + " " + name
				}
				fmt.Fprintf(w, "%s\t%v\t%s\t%s\t\t\n", name, s.Value, when(s.Timestamp), when(s.Received))
			}
		}
		if err := w.Flush(); err != nil {
			return err
		}
		if shown := *offset + len(list.Samples); t.node != "" && *limit > 0 && shown < list.Nodes[0].Samples {
			a.say("%d more: --offset %d", list.Nodes[0].Samples-shown, shown)
		}
		return nil
	})
	return cmd
}

func when(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000Z") }

func (a *app) quarantineReleaseCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "release GROUP/NODE",
		Short: "Store what is in quarantine of an edge node, if need be at other times",
		Long: `Store what is in quarantine of an edge node. With --shift -26h it is stored 26
hours earlier than its own time: by how much the clock was ahead, list shows. What
would still be in the future stays in quarantine, and so does what would be older
than the retention.`,
		Example: "  magneto history quarantine release Demo/PumpStation --shift -26h",
		Args:    cobra.ExactArgs(1),
	}
	base := urlFlag(cmd)
	shift := cmd.Flags().String("shift", "0s", "what to add to the times: ms, s, m, h, d")
	cmd.RunE = a.begin(func(cmd *cobra.Command, args []string) error {
		t, err := nodeArg(args[0])
		if err != nil {
			return err
		}
		by, err := parseShift(*shift)
		if err != nil {
			return usagef("--shift: %v", err)
		}
		host, err := hostAt(*base)
		if err != nil {
			return err
		}
		var res struct{ Stored, Duplicates, Conflicts, Expired int }
		body := map[string]any{"group": t.group, "node": t.node, "shift_ms": by.Milliseconds()}
		if err := host.do(cmd.Context(), http.MethodPost, quarantinePath+"/release", body, &res); err != nil {
			return fmt.Errorf("release %s: %w", t, err)
		}
		left, err := host.quarantine(cmd, t, 0, 0)
		if err != nil {
			return fmt.Errorf("release %s: %w", t, err)
		}
		n := 0
		for _, x := range left.Nodes {
			n += x.Samples
		}
		fmt.Fprintf(a.out, "%s: %d stored, %d known already, %d refused for another value of that time, %d too old; %d still in quarantine\n",
			t, res.Stored, res.Duplicates, res.Conflicts, res.Expired, n)
		return nil
	})
	return cmd
}

// parseShift reads a duration that may be negative.
func parseShift(s string) (time.Duration, error) {
	sign := time.Duration(1)
	if len(s) > 0 && (s[0] == '-' || s[0] == '+') {
		if s[0] == '-' {
			sign = -1
		}
		s = s[1:]
	}
	d, err := config.ParseDuration(s)
	return sign * d.Std(), err
}

func (a *app) quarantineDropCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "drop GROUP/NODE --yes",
		Short:   "Drop what is in quarantine of an edge node, for good",
		Example: "  magneto history quarantine drop Demo/PumpStation --yes",
		Args:    cobra.ExactArgs(1),
	}
	base := urlFlag(cmd)
	yes := cmd.Flags().Bool("yes", false, "really drop it")
	cmd.RunE = a.begin(func(cmd *cobra.Command, args []string) error {
		t, err := nodeArg(args[0])
		if err != nil {
			return err
		}
		if !*yes {
			return usagef("what is in quarantine of %s would be gone for good: look at it with list, and say --yes", t)
		}
		host, err := hostAt(*base)
		if err != nil {
			return err
		}
		var res struct{ Dropped int }
		body := map[string]any{"group": t.group, "node": t.node}
		if err := host.do(cmd.Context(), http.MethodPost, quarantinePath+"/drop", body, &res); err != nil {
			return fmt.Errorf("drop %s: %w", t, err)
		}
		fmt.Fprintf(a.out, "%s: %d dropped\n", t, res.Dropped)
		return nil
	})
	return cmd
}
