package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/magneto-iiot/magneto/internal/exam"
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/conform"
)

func (a *app) conformCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "conform",
		Short: "Grade Sparkplug parts against the specification",
		Args:  cobra.ArbitraryArgs,
		RunE:  group,
	}
	cmd.AddCommand(a.conformEdgeCmd(), a.conformHostCmd(), a.conformBrokerCmd(), a.conformWatchCmd())
	return cmd
}

func (a *app) conformWatchCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Grade a live plant or a capture by looking on",
		Long: `Grade everything that is published under spBv1.0/ against the assertions of
Sparkplug 3.0, without publishing anything: on the server of --mqtt until Ctrl-C
or for the time of --for, or in the capture of --capture ('magneto record').

Every assertion is held, broken, without occasion, or hidden: CONNECT packets,
wills, subscriptions and what a host thinks of its nodes cannot be seen this
way; --all lists them with the reason. Of the retain flag only breaches show. A
message that did not reach this command looks like one that was not sent:
watch from near the server. Exit code 4 when a MUST was broken, 1 when nothing
of Sparkplug was seen.`,
		Example: "  magneto conform watch --for 5m\n  magneto conform watch --capture plant.jsonl --junit report.xml",
		Args:    cobra.NoArgs,
	}
	server := cmd.Flags().String("mqtt", "mqtt://127.0.0.1:1883", "MQTT server")
	file := cmd.Flags().String("capture", "", "grade this capture instead; - is stdin")
	span := cmd.Flags().Duration("for", 0, "stop after this long (default: never)")
	var grading gradeFlags
	grading.add(cmd)
	cmd.MarkFlagsMutuallyExclusive("mqtt", "capture")
	cmd.MarkFlagsMutuallyExclusive("for", "capture")
	cmd.RunE = a.begin(func(cmd *cobra.Command, _ []string) error {
		w := conform.NewWatch()
		var err error
		if *file != "" {
			err = a.gradeCapture(*file, w)
		} else {
			err = a.gradeLive(cmd.Context(), *server, *span, w)
		}
		if err != nil {
			return err
		}
		return a.grades(w.Report(), grading)
	})
	return cmd
}

func graded(c captured) conform.Message {
	return conform.Message{At: c.At.Time, Topic: c.Topic, QoS: c.QoS, Retain: c.Retain, Payload: c.Payload}
}

func (a *app) gradeCapture(name string, w *conform.Watch) error {
	in := a.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	return readCapture(name, in, func(c captured) error {
		w.Observe(graded(c))
		return nil
	})
}

// gradeLive grades what comes until ctx ends or span is over.
func (a *app) gradeLive(ctx context.Context, server string, span time.Duration, w *conform.Watch) error {
	if _, err := parseServer(server); err != nil {
		return usagef("--mqtt: %v", err)
	}
	if span > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, span)
		defer cancel()
	}
	r := &recorder{
		app: a, server: server, filters: []string{sparkplug.Namespace + "/#"},
		came: make(chan captured, recordQueue), verb: "watching",
	}
	dropped := uint64(0)
	observe := func(c captured) {
		if n := r.dropped.Load(); n != dropped || c.Topic == "" {
			dropped = n
			w.Lost()
		}
		if c.Topic != "" {
			w.Observe(graded(c))
		}
	}
	err := runParts(
		ctx,
		part{"grader", func(ctx context.Context) error {
			for {
				select {
				case c := <-r.came:
					observe(c)
				case <-ctx.Done():
					return nil
				}
			}
		}},
		part{"mqtt", r.follow},
	)
	if err != nil {
		return err
	}
	for len(r.came) > 0 {
		observe(<-r.came)
	}
	if n := r.dropped.Load(); n > 0 {
		a.say("%d messages came faster than they could be graded, and were not", n)
	}
	return nil
}

// gradeFlags say how to print a report.
type gradeFlags struct {
	json, all bool
	junit     string
}

func (f *gradeFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.json, "json", false, "print the report as JSON")
	cmd.Flags().StringVar(&f.junit, "junit", "", "write the report as JUnit XML to this file too")
	cmd.Flags().BoolVar(&f.all, "all", false, "list what held and what could not be seen, too")
}

// examined prints the report of an examination, which err may have cut short.
func (a *app) examined(r conform.Report, err error, f gradeFlags) error {
	_, refused := errors.AsType[*net.OpError](err)
	switch {
	case errors.Is(err, exam.ErrSilent) || refused:
		return unreachable(err)
	case err != nil:
		return err
	}
	return a.grades(r, f)
}

// grades prints a report, and makes the exit code of it.
func (a *app) grades(r conform.Report, f gradeFlags) error {
	if f.junit != "" {
		if err := createFile(f.junit, r.WriteJUnit); err != nil {
			return err
		}
	}
	if f.json {
		e := json.NewEncoder(a.out)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(r); err != nil {
			return err
		}
	} else if err := r.WriteText(a.out, f.all); err != nil {
		return err
	}
	switch {
	case r.Failed():
		return &exitError{exitAssertion, errors.New("at least one MUST is broken")}
	case r.Messages == 0 && r.Count(conform.Pass) == 0:
		return &exitError{exitFailed, errors.New("no message of Sparkplug was seen: nothing is graded")}
	}
	return nil
}

// createFile makes or replaces a file with what write writes.
func createFile(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
