package main

import (
	"context"
	"errors"
	"fmt"
)

// part is one long-running piece of a program.
type part struct {
	name string
	run  func(ctx context.Context) error
}

// runParts starts the parts in order and runs them until ctx ends or one of
// them does. Then it stops them in the reverse order, each one only when the
// one after it has ended: what comes later may lean on what comes before until
// its very last word. It returns the errors of the parts.
func runParts(ctx context.Context, parts ...part) error {
	ended := make(chan error, len(parts))
	stops := make([]func(), 0, len(parts))
	for _, p := range parts {
		// The values of ctx, but not its end.
		pctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		done := make(chan struct{})
		go func() {
			defer close(done)
			err := p.run(pctx)
			switch {
			case pctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)):
				return
			case err == nil:
				err = errors.New("ended by itself")
			}
			ended <- fmt.Errorf("%s: %w", p.name, err)
		}()
		stops = append(stops, func() { cancel(); <-done })
	}
	var errs []error
	select {
	case <-ctx.Done():
	case err := <-ended:
		errs = append(errs, err)
	}
	for len(stops) > 0 {
		last := len(stops) - 1
		stops[last]()
		stops = stops[:last]
	}
	close(ended)
	for err := range ended {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
