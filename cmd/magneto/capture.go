package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/magneto-iiot/magneto/internal/mqtt"
)

// captured is one line of a capture: a message as it came.
type captured struct {
	Topic   string `json:"topic"`
	QoS     byte   `json:"qos"`
	Retain  bool   `json:"retain"`
	Payload []byte `json:"payload_b64"`
	At      milli  `json:"at"` // when it was received
}

// milli is a time that is written in UTC with milliseconds.
type milli struct{ time.Time }

// MarshalJSON writes RFC 3339.
func (m milli) MarshalJSON() ([]byte, error) {
	return m.UTC().AppendFormat(nil, `"2006-01-02T15:04:05.000Z07:00"`), nil
}

func (c *captured) message() mqtt.Message {
	return mqtt.Message{Topic: c.Topic, Payload: c.Payload, QoS: c.QoS, Retain: c.Retain}
}

// longestLine bounds a line of a capture, in bytes: 8 MiB of payload and more.
const longestLine = 16 << 20

// readCapture yields the messages of a capture until one cannot be read or
// yield returns an error. Errors name the line of the file.
func readCapture(name string, r io.Reader, yield func(captured) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, longestLine)
	n := 0
	for lines.Scan() {
		n++
		if len(lines.Bytes()) == 0 {
			continue
		}
		var c captured
		err := json.Unmarshal(lines.Bytes(), &c)
		switch {
		case err != nil:
			return fmt.Errorf("%s:%d: not a captured message: %w", name, n, err)
		case c.Topic == "":
			return fmt.Errorf("%s:%d: the topic is missing", name, n)
		case c.QoS > 2:
			return fmt.Errorf("%s:%d: qos is %d: write 0, 1 or 2", name, n, c.QoS)
		}
		if err := yield(c); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s:%d: %w", name, n+1, err)
	}
	return nil
}

// wait waits until at or the end of ctx, which is its error.
func wait(ctx context.Context, at time.Time) error {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// endedAs is nil when err is only that ctx ended.
func endedAs(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, context.Cause(ctx)) || errors.Is(err, ctx.Err())) {
		return nil
	}
	return err
}
