package modbus

import (
	"context"
	"errors"
	"fmt"
	"time"

	lib "github.com/simonvetter/modbus"
)

// link is one connection of the client library. The library knows no contexts:
// a call that is given up goes on in the background until the library's own
// timeout, and closes the connection then. Nothing else may use the link
// meanwhile.
type link struct {
	client *lib.ModbusClient
	ended  chan struct{} // nil unless a call was given up; closed once it has ended
}

// errGivenUp says that ctx ended before the call did.
var errGivenUp = errors.New("no reply in time")

// do runs call and returns its error, or errGivenUp at the end of ctx. What
// call writes to its closure must not be read after errGivenUp.
func (l *link) do(ctx context.Context, call func(*lib.ModbusClient) error) error {
	if ctx.Err() != nil {
		return errGivenUp
	}
	done := make(chan error, 1)
	go func() { done <- guarded(call, l.client) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	l.ended = make(chan struct{})
	go func() {
		defer close(l.ended)
		_ = errors.Join(<-done, l.client.Close()) // nobody waits for either any more
	}()
	return errGivenUp
}

// guarded turns a panic of the library, which no caller could recover from
// another goroutine, into an error.
func guarded(call func(*lib.ModbusClient) error, client *lib.ModbusClient) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the client library panicked: %v", p)
		}
	}()
	return call(client)
}

// close closes the connection unless a call was given up, which does it by
// itself.
func (l *link) close() error {
	if l.ended != nil {
		return nil
	}
	return l.client.Close()
}

// wait returns when the call that was given up has ended, or with an error at
// the end of ctx or of d.
func (l *link) wait(ctx context.Context, d time.Duration) error {
	if l.ended == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	select {
	case <-l.ended:
		return nil
	case <-ctx.Done():
		return errors.New("an earlier call has not ended yet")
	}
}
