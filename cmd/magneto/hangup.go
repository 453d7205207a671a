package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"syscall"

	"github.com/magneto-iiot/magneto/internal/config"
)

// source is where the configuration of a role comes from. At SIGHUP it is read
// and checked again; the running one stays until the next start.
type source struct {
	load    func() (*plant, error) // nil: there is no file
	running *plant
	hangups chan os.Signal
	log     *slog.Logger
}

// openSource catches SIGHUP from now on and reads the configuration: the
// defaults if load is nil. Close it.
func openSource(load func() (*plant, error), log *slog.Logger) (*source, error) {
	s := &source{load: load, running: defaultPlant(), hangups: make(chan os.Signal, 1), log: log}
	signal.Notify(s.hangups, syscall.SIGHUP) // before anything can take long
	if load == nil {
		return s, nil
	}
	var err error
	if s.running, err = load(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *source) close() { signal.Stop(s.hangups) }

// part looks at the configuration at each SIGHUP.
func (s *source) part() part {
	return part{"hangup", func(ctx context.Context) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-s.hangups:
				s.check()
			}
		}
	}}
}

// check says how the configuration differs from the one that runs.
func (s *source) check() {
	if s.load == nil {
		s.log.Info("hangup: there is no configuration file to read again")
		return
	}
	next, err := s.load()
	var faults config.Faults
	switch {
	case errors.As(err, &faults):
		for _, f := range faults {
			s.log.Error("configuration fault", "fault", f.String())
		}
		s.log.Error("configuration not taken: the running one stays", "faults", len(faults))
	case err != nil:
		s.log.Error("configuration not taken: the running one stays", "err", err)
	case reflect.DeepEqual(next, s.running):
		s.log.Info("configuration unchanged")
	default:
		s.log.Warn("configuration changed: the change takes effect at the next start")
	}
}

// untilHangup ends the context at SIGHUP: the terminal of the program was
// closed. A program started to outlive it (nohup) is left alone. Call stop when
// done.
func untilHangup(ctx context.Context) (_ context.Context, stop func()) {
	if signal.Ignored(syscall.SIGHUP) {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	hangups, ended := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		defer close(ended)
		select {
		case s := <-hangups:
			// Whoever read what we print may be gone as well: a write into
			// the void must not kill us before the deaths are said.
			signal.Ignore(syscall.SIGPIPE)
			cancel(stopped{s})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(hangups)
		cancel(nil)
		<-ended
	}
}
