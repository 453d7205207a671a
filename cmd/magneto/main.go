// Command magneto is the plant and cloud side of Magneto and its tools: a demo
// of the whole plant in one process, the broker, the primary host, a tap on the
// namespace, the codec at the shell, commands to edge nodes, simulators.
//
// Each subcommand is in a file of its own and only wires packages together.
// What a person reads goes to stderr, data to stdout.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/magneto-iiot/magneto/internal/config"
)

// version is set by the linker.
var version = "dev"

func main() { os.Exit(run()) }

// run is the whole program: it returns the exit code.
func run() int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	go func() {
		s := <-signals
		cancel(stopped{s})
		<-signals // asked twice: do not wait for good manners
		os.Exit(exitInterrupted)
	}()
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr}
	return a.run(ctx, os.Args[1:])
}

// app is what the subcommands share: the streams and the logger.
type app struct {
	in       io.Reader
	out, err io.Writer
	log      *slog.Logger

	level   string
	started bool // a subcommand runs: its errors are not about usage
}

func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	if cmd, _, err := root.Find(args); err == nil && cmd.Name() == "write" {
		args = valueLast(args)
	}
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	err := root.ExecuteContext(ctx)
	code := exitCode(ctx, err, a.started)
	var quiet *exitError
	var faults config.Faults
	switch {
	case errors.As(err, &faults):
		fmt.Fprintln(a.err, faults) // a line for each, as compilers do
	case err != nil && code != exitInterrupted && !(errors.As(err, &quiet) && quiet.err == nil):
		fmt.Fprintf(a.err, "magneto: %v\n", err)
	}
	if code == exitUsage {
		fmt.Fprintln(a.err, "Run 'magneto --help', or 'magneto COMMAND --help'.")
	}
	return code
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "magneto",
		Short: "An industrial edge-to-cloud framework around MQTT Sparkplug B",
		Long: `magneto is the plant and cloud side of Magneto, and its tools.

Start with 'magneto demo': a whole plant on this machine, nothing to install.

SIGTERM (exit code 0) and SIGINT (130) stop a running command gracefully: edge
nodes and hosts say their proper death first. At SIGHUP host, broker and all
check their configuration file again and log its faults; a change takes effect
at the next start. At SIGHUP the demo stops as at SIGTERM.

Exit codes: 0 ok, 1 failed, 2 usage, 3 invalid configuration, 4 a check or
assertion failed, 5 unreachable, 130 interrupted.`,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			return a.setLog()
		},
	}
	root.PersistentFlags().StringVar(&a.level, "log", "", "what to log on stderr: debug, info, warn or error (default info; of demo: warn)")
	root.SetFlagErrorFunc(flagError)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SuggestionsMinimumDistance = 2
	root.AddCommand(
		a.demoCmd(), a.allCmd(), a.brokerCmd(), a.hostCmd(),
		a.tapCmd(), a.writeCmd(), a.rebirthCmd(), a.decodeCmd(), a.encodeCmd(), a.recordCmd(), a.replayCmd(), a.conformCmd(),
		a.historyCmd(), a.configCmd(), a.simCmd(), a.versionCmd(),
	)
	return root
}

func (a *app) setLog() error {
	level := slog.LevelInfo
	if a.level != "" {
		if err := level.UnmarshalText([]byte(a.level)); err != nil {
			return usagef("--log %s: want debug, info, warn or error", a.level)
		}
	}
	a.log = slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: level}))
	return nil
}

// begin marks that the command line was good.
func (a *app) begin(f func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		a.started = true
		return f(cmd, args)
	}
}

// say writes one line for a person.
func (a *app) say(format string, args ...any) {
	fmt.Fprintf(a.err, format+"\n", args...)
}
