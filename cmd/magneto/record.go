package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/magneto-iiot/magneto/hostapp/watch"
	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/sparkplug"
)

func (a *app) recordCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "record FILE [FILTER...]",
		Short: "Record messages as they come, a JSON line each",
		Long: `Record every message that passes a FILTER (default spBv1.0/#) to FILE, or to
stdout if FILE is -, until Ctrl-C or for the time of --for. A line is
{"topic","qos","retain","payload_b64","at"}; 'magneto replay' plays it again.
An existing FILE is not touched. Of a lost connection it says when, and goes on
once the server is back. Messages that come faster than they can be written are
dropped, and how many is said at the end.`,
		Example: "  magneto record plant.jsonl\n  magneto record - 'spBv1.0/Demo/#' --for 10s | jq .topic",
		Args:    cobra.MinimumNArgs(1),
	}
	server := cmd.Flags().String("mqtt", "mqtt://127.0.0.1:1883", "MQTT server")
	span := cmd.Flags().Duration("for", 0, "stop after this long (default: never)")
	cmd.RunE = a.begin(func(cmd *cobra.Command, args []string) error {
		filters := args[1:]
		if len(filters) == 0 {
			filters = []string{sparkplug.Namespace + "/#"}
		}
		for _, f := range filters {
			if !watch.ValidFilter(f) {
				return usagef("%q is not an MQTT topic filter: + fills a level, # the last one", f)
			}
		}
		if _, err := parseServer(*server); err != nil {
			return usagef("--mqtt: %v", err)
		}
		ctx := cmd.Context()
		if *span > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, *span)
			defer cancel()
		}
		out, err := a.captureFile(args[0])
		if err != nil {
			return err
		}
		r := &recorder{app: a, server: *server, filters: filters, came: make(chan captured, recordQueue)}
		err = r.run(ctx, out)
		if err != nil && r.written == 0 && args[0] != "-" {
			err = errors.Join(err, os.Remove(args[0]))
		}
		return err
	})
	return cmd
}

// recordQueue bounds the messages that wait to be written.
const recordQueue = 1 << 14

// captureFile makes the file of a capture.
func (a *app) captureFile(name string) (io.WriteCloser, error) {
	if name == "-" {
		return nopCloser{a.out}, nil
	}
	return os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// recorder writes down what comes from one server.
type recorder struct {
	*app

	server  string
	verb    string // what it says it does; recording if empty
	filters []string
	came    chan captured // full: the newest is dropped and counted
	dropped atomic.Uint64
	written uint64
}

// run records until ctx ends. It closes out.
func (r *recorder) run(ctx context.Context, out io.WriteCloser) error {
	err := runParts(
		ctx,
		part{"file", func(ctx context.Context) error { return r.write(ctx, out) }},
		part{"mqtt", r.follow},
	)
	if closed := out.Close(); err == nil {
		err = closed
	}
	r.say("%d messages recorded, %d dropped", r.written, r.dropped.Load())
	return err
}

// write writes what came until ctx ends, and then what still waits.
func (r *recorder) write(ctx context.Context, out io.Writer) error {
	w := bufio.NewWriter(out)
	lines := json.NewEncoder(w)
	lines.SetEscapeHTML(false)
	put := func(c captured) error {
		r.written++
		if err := lines.Encode(&c); err != nil || len(r.came) > 0 {
			return err
		}
		return w.Flush()
	}
	for {
		select {
		case c := <-r.came:
			if err := put(c); err != nil {
				return err
			}
		case <-ctx.Done():
			for {
				select {
				case c := <-r.came:
					if err := put(c); err != nil {
						return err
					}
				default:
					return w.Flush()
				}
			}
		}
	}
}

// follow keeps a connection until ctx ends. That the first cannot be made is
// an error.
func (r *recorder) follow(ctx context.Context) error {
	for attempt := 0; ; attempt++ {
		conn, err := r.connect(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && attempt == 0:
			return unreachable(err)
		case err == nil:
			attempt = 0
			r.say("%s %s", cmp.Or(r.verb, "recording"), r.server)
			select {
			case <-ctx.Done():
				return conn.Disconnect(context.WithoutCancel(ctx))
			case <-conn.Done():
				r.say("%s: connection lost at %s (%v); trying again", r.server, time.Now().Format(time.TimeOnly), conn.Err())
				if r.verb != "" {
					select {
					case r.came <- captured{}: // without a topic: messages may be missing here
					case <-ctx.Done():
					}
				}
			}
		}
		if wait(ctx, time.Now().Add(mqtt.Backoff{}.Next(attempt, rand.Float64()))) != nil {
			return nil
		}
	}
}

func (r *recorder) connect(ctx context.Context) (*mqtt.Conn, error) {
	conn, err := mqtt.Dial(ctx, mqtt.Config{Server: r.server, Log: r.log, OnMessage: func(m mqtt.Message) {
		c := captured{m.Topic, m.QoS, m.Retain, m.Payload, milli{time.Now()}}
		if c.Payload == nil {
			c.Payload = []byte{} // not null
		}
		select {
		case r.came <- c:
		default:
			r.dropped.Add(1)
		}
	}})
	if err != nil {
		return nil, err
	}
	if err := conn.Subscribe(ctx, watch.Filters(1, r.filters...)...); err != nil {
		_ = conn.Close() // the error says more
		return nil, err
	}
	return conn, nil
}
