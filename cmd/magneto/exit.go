package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/magneto-iiot/magneto/internal/config"
)

// The exit codes of every command.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitConfig      = 3
	exitAssertion   = 4
	exitUnreachable = 5
	exitInterrupted = 130
)

// exitError carries an exit code. With a nil err all was said already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

func unreachable(err error) error { return &exitError{exitUnreachable, err} }

// stopped is the cause of a context that a signal ended.
type stopped struct{ signal os.Signal }

func (s stopped) Error() string { return s.signal.String() }

// exitCode says how the program ends: by what err says, else by the signal
// that ended ctx.
func exitCode(ctx context.Context, err error, started bool) int {
	var e *exitError
	var faults config.Faults
	switch {
	case errors.As(err, &e):
		return e.code
	case errors.As(err, &faults):
		return exitConfig
	case err != nil && !started:
		return exitUsage
	case err != nil && !errors.Is(err, context.Canceled):
		return exitFailed
	}
	var s stopped
	if errors.As(context.Cause(ctx), &s) && s.signal != syscall.SIGTERM {
		return exitInterrupted
	}
	return exitOK
}

// flagError adds the nearest flag to a complaint about an unknown one.
func flagError(cmd *cobra.Command, err error) error {
	var unknown interface{ GetSpecifiedName() string }
	if errors.As(err, &unknown) {
		if best := config.Nearest(unknown.GetSpecifiedName(), flagNames(cmd)); best != "" {
			err = fmt.Errorf("%w (did you mean --%s?)", err, best)
		}
	}
	return &exitError{exitUsage, err}
}

// group is the body of a command that only holds others.
func group(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	hint := ""
	if best := config.Nearest(args[0], names); best != "" {
		hint = fmt.Sprintf(" (did you mean %q?)", best)
	}
	return usagef("unknown command %q for %q%s", args[0], cmd.CommandPath(), hint)
}

// flagNames collects the flags cmd takes.
func flagNames(cmd *cobra.Command) []string {
	var names []string
	add := func(f *pflag.Flag) { names = append(names, f.Name) }
	cmd.Flags().VisitAll(add)
	cmd.InheritedFlags().VisitAll(add)
	return names
}
