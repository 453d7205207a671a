package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/magneto-iiot/magneto/edgenode"
	"github.com/magneto-iiot/magneto/sparkplug"
)

func (a *app) spoolCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use: "spool", Short: "Look into the spool of the agent, running or not",
		Long: `Look into the spool, where the agent keeps reports on disk until they have
arrived. Nothing is changed: the agent may run meanwhile.`,
		Args: cobra.ArbitraryArgs, RunE: group,
	}
	all := false
	dump := a.command("dump", "Print the samples in the spool", `Print the samples in the spool, oldest record first: those that have not
arrived, or with --all also those that have and whose space is not given back
yet. With --json an object a line.`, true, func(context.Context) error {
		return a.withSpool(func(r *edgenode.SpoolReader) error { return a.dumpSpool(r, all) })
	})
	dump.Flags().BoolVar(&all, "all", false, "also what has arrived")
	cmd.AddCommand(
		a.command("show", "Say what the spool holds", "Say what the spool holds: how much has not arrived, and since when.", true, func(context.Context) error {
			return a.withSpool(a.showSpool)
		}),
		dump,
		a.command("verify", "Check that all in the spool can be read", `Check that all in the spool can be read. Exit code 1 if something is damaged or
missing; the agent goes on with the rest then, and counts what is lost.`, true, func(context.Context) error {
			return a.withSpool((*edgenode.SpoolReader).Verify)
		}),
	)
	return cmd
}

func (a *app) withSpool(f func(*edgenode.SpoolReader) error) error {
	cfg, err := edgenode.Load(a.file, drivers)
	if err != nil {
		return err
	}
	r, err := edgenode.OpenSpool(*cfg)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no agent has run with this configuration yet: %w", err)
	}
	if err != nil {
		return err
	}
	return errors.Join(f(r), r.Close())
}

func (a *app) showSpool(r *edgenode.SpoolReader) error {
	s, err := r.Info()
	if err != nil {
		return err
	}
	if a.json {
		return json.NewEncoder(a.out).Encode(s)
	}
	acks := s.AckHost
	if acks == "" {
		acks = "- (none so far)"
	}
	oldest := "-"
	if !s.Oldest.IsZero() {
		oldest = s.Oldest.UTC().Format(time.RFC3339)
	}
	w := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "folder\t%s\n", s.Dir)
	fmt.Fprintf(w, "records\t%d, %d bytes, positions %d to %d\n", s.Records, s.Bytes, s.First, s.Next-1)
	fmt.Fprintf(w, "not arrived\t%d records, %d samples\n", s.Waiting, s.Samples)
	fmt.Fprintf(w, "oldest of them\t%s\n", oldest)
	fmt.Fprintf(w, "unreadable\t%d\n", s.Unreadable)
	fmt.Fprintf(w, "births\t%d\n", s.Births)
	fmt.Fprintf(w, "acknowledged by\t%s\n", acks)
	return w.Flush()
}

func (a *app) dumpSpool(r *edgenode.SpoolReader, all bool) error {
	var failed error
	enc := json.NewEncoder(a.out)
	w := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	if !a.json {
		fmt.Fprintln(w, "POSITION\tDEVICE\tMETRIC\tTIME\tVALUE\tQUALITY")
	}
	unreadable, err := r.Samples(func(s edgenode.SpoolSample) bool {
		switch {
		case s.Delivered && !all:
		case a.json:
			failed = enc.Encode(struct {
				Position  uint64          `json:"position"`
				Delivered bool            `json:"delivered"`
				Device    string          `json:"device"`
				Metric    string          `json:"metric"`
				Datatype  string          `json:"datatype"`
				Time      int64           `json:"time"`
				Value     json.RawMessage `json:"value"`
				Quality   int             `json:"quality"`
			}{s.Position, s.Delivered, s.Device, s.Metric, s.Value.Type().String(), s.Time, sparkplug.AppendJSON(nil, s.Value), int(s.Quality)})
		default:
			at := time.UnixMilli(s.Time).UTC().Format("2006-01-02T15:04:05.000Z")
			_, failed = fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%d\n", s.Position, s.Device, s.Metric, at, s.Value, s.Quality)
		}
		return failed == nil
	})
	if unreadable > 0 {
		a.log.Warn("records or samples that cannot be read", "count", unreadable)
	}
	return errors.Join(failed, err, w.Flush())
}
