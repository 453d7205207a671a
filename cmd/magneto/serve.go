package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

// serveHTTP is the part that answers requests. When it stops, open requests
// get a second, streams none.
func serveHTTP(ln net.Listener, h http.Handler) part {
	return part{"http", func(ctx context.Context) error {
		base, cut := context.WithCancel(context.Background())
		defer cut()
		srv := &http.Server{
			Handler: h, ReadHeaderTimeout: 5 * time.Second,
			BaseContext: func(net.Listener) context.Context { return base },
		}
		failed := make(chan error, 1)
		go func() { failed <- srv.Serve(ln) }()
		select {
		case err := <-failed:
			return err
		case <-ctx.Done():
		}
		cut() // ends the streams, which never end by themselves
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			_ = srv.Close() // who would not end in time is cut
		}
		if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}}
}

// portsToTry is how many ports after a busy one the demo looks at.
const portsToTry = 20

// firstFree calls open with addr, and, when that is busy and next says so, with
// the ports after it.
func firstFree[T any](addr string, next bool, open func(addr string) (T, error)) (T, error) {
	out, err := open(addr)
	host, port, splitErr := net.SplitHostPort(addr)
	first, numErr := strconv.Atoi(port)
	if !next || splitErr != nil || numErr != nil {
		return out, err
	}
	for p := first + 1; errors.Is(err, syscall.EADDRINUSE) && p < min(first+portsToTry, 1<<16); p++ {
		out, err = open(net.JoinHostPort(host, strconv.Itoa(p)))
	}
	return out, err
}
