// Command magneto-edge is the agent beside the equipment: it reads tags, tells
// what changed to an MQTT server as Sparkplug B, and writes what it is
// commanded to. It is small and links no server, historian or service.
//
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
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/magneto-iiot/magneto/edgenode"
	"github.com/magneto-iiot/magneto/edgenode/driver/modbus"
	"github.com/magneto-iiot/magneto/edgenode/driver/process"
	"github.com/magneto-iiot/magneto/internal/config"
)

// version is set by the linker.
var version = "dev"

// The exit codes.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitConfig      = 3
	exitUnreachable = 5
	exitInterrupted = 130
)

var drivers = edgenode.Drivers{"modbus": modbus.Open, "process": process.Open}

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
	a := &app{out: os.Stdout, err: os.Stderr}
	return a.run(ctx, os.Args[1:])
}

// stopped is the cause of a context that a signal ended.
type stopped struct{ signal os.Signal }

func (s stopped) Error() string { return s.signal.String() }

// usageError is an error of the command line.
type usageError struct{ error }

// app is what the subcommands share.
type app struct {
	out, err io.Writer
	log      *slog.Logger

	level   string
	file    string
	json    bool
	started bool // a subcommand runs: its errors are not about usage
}

func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetOut(a.out)
	root.SetErr(a.err)
	var err error
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") && !known(root, args[0]) {
		err = group(root, args)
	} else {
		err = root.ExecuteContext(ctx)
	}
	code := a.exitCode(ctx, err)
	switch {
	case code == exitConfig:
		fmt.Fprintln(a.err, err) // a line for each fault, nothing else
	case err != nil && code != exitInterrupted:
		fmt.Fprintf(a.err, "magneto-edge: %v\n", err)
	}
	if code == exitUsage {
		fmt.Fprintln(a.err, "Run 'magneto-edge --help', or 'magneto-edge COMMAND --help'.")
	}
	return code
}

// known says whether there is such a subcommand; help and completion are
// cobra's own.
func known(root *cobra.Command, name string) bool {
	for _, c := range root.Commands() {
		if c.Name() == name {
			return true
		}
	}
	return name == "help" || name == "completion" || strings.HasPrefix(name, "__")
}

// exitCode says how the program ends: by what err says, else by the signal that
// ended ctx.
func (a *app) exitCode(ctx context.Context, err error) int {
	_, usage := errors.AsType[usageError](err)
	_, faults := errors.AsType[config.Faults](err)
	signal, signalled := errors.AsType[stopped](context.Cause(ctx))
	switch {
	case faults:
		return exitConfig
	case usage || err != nil && !a.started:
		return exitUsage
	case signalled && (err == nil || errors.Is(err, context.Canceled)):
		if signal.signal == syscall.SIGTERM {
			return exitOK
		}
		return exitInterrupted
	case errors.Is(err, edgenode.ErrUnreachable):
		return exitUnreachable
	case err != nil:
		return exitFailed
	}
	return exitOK
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "magneto-edge",
		Short: "The agent beside the equipment: reads tags, speaks Sparkplug B",
		Long: `magneto-edge reads the tags of machines, tells what changed to an MQTT server
as Sparkplug B, and writes what it is commanded to.

SIGTERM and SIGINT stop it gracefully, SIGHUP reloads its configuration.

Exit codes: 0 ok, 1 failed, 2 usage, 3 invalid configuration, 5 unreachable,
130 interrupted.`,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs,
		RunE:          group,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			return a.setLog()
		},
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.level, "log", "info", "what to log on stderr: debug, info, warn or error")
	flags.BoolVar(&a.json, "json", false, "write for machines: data on stdout and logs on stderr as JSON")
	root.SetFlagErrorFunc(flagError)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(a.runCmd(), a.checkCmd(), a.probeCmd(), a.spoolCmd(), a.schemaCmd(), a.versionCmd())
	return root
}

func (a *app) setLog() error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(a.level)); err != nil {
		return usageError{fmt.Errorf("--log %s: want debug, info, warn or error", a.level)}
	}
	o := &slog.HandlerOptions{Level: level}
	if a.json {
		a.log = slog.New(slog.NewJSONHandler(a.err, o))
	} else {
		a.log = slog.New(slog.NewTextHandler(a.err, o))
	}
	return nil
}

// group complains about an unknown subcommand, naming the nearest.
func group(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	return usageError{fmt.Errorf("unknown command %q%s", args[0], suggest(args[0], names, ""))}
}

// flagError adds the nearest flag to a complaint about an unknown one.
func flagError(cmd *cobra.Command, err error) error {
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		var names []string
		add := func(f *pflag.Flag) { names = append(names, f.Name) }
		cmd.Flags().VisitAll(add)
		cmd.InheritedFlags().VisitAll(add)
		err = fmt.Errorf("%w%s", err, suggest(unknown.GetSpecifiedName(), names, "--"))
	}
	return usageError{err}
}

func suggest(word string, names []string, prefix string) string {
	if near := config.Nearest(word, names); near != "" {
		return ": did you mean " + prefix + near + "?"
	}
	return ""
}

// command makes a subcommand whose RunE is f; with file it takes -c.
func (a *app) command(use, short, long string, file bool, f func(context.Context) error) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file && a.file == "" {
				return usageError{errors.New("which configuration? Give it with -c FILE")}
			}
			a.started = true
			return f(cmd.Context())
		},
	}
	if file {
		cmd.Flags().StringVarP(&a.file, "config", "c", "", "configuration file")
	}
	return cmd
}
