package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/broker"
)

// record records a/# of a server into a new file; end waits for n messages,
// stops and returns them without their times.
func record(t *testing.T, addr string) (file string, end func(n int) []captured) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "plant.jsonl")
	out, stop := start(t, "record", file, "a/#", "--mqtt", "mqtt://"+addr)
	out.until(t, "recording mqtt://")
	read := func() (all []captured) {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		// The last line may be half written: then there is one fewer.
		_ = readCapture(file, bytes.NewReader(b), func(c captured) error {
			c.At = milli{}
			all = append(all, c)
			return nil
		})
		return all
	}
	return file, func(n int) []captured {
		for end := time.Now().Add(20 * time.Second); len(read()) < n && time.Now().Before(end); {
			runtime.Gosched()
		}
		if code := stop(syscall.SIGTERM); code != exitOK {
			t.Errorf("record ended with %d", code)
		}
		out.until(t, fmt.Sprintf("%d messages recorded, 0 dropped", n))
		return read()
	}
}

// TestRecordReplay records messages and plays them to another server: they
// come as they were, in their order.
func TestRecordReplay(t *testing.T) {
	addr, c, _ := startBroker(t)
	file, end := record(t, addr)
	for _, m := range []broker.Message{
		{Topic: "a/1", Payload: []byte{0, 1, 0xFF}, QoS: 1},
		{Topic: "a/2", Payload: []byte("<text>")},
		{Topic: "b/1", Payload: []byte("not asked for")},
		{Topic: "a/3"},
	} {
		if err := c.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	want := []captured{
		{Topic: "a/1", Payload: []byte{0, 1, 0xFF}, QoS: 1},
		{Topic: "a/2", Payload: []byte("<text>")},
		{Topic: "a/3", Payload: []byte{}},
	}
	if got := end(3); !reflect.DeepEqual(got, want) {
		t.Errorf("recorded %+v", got)
	}

	addr, _, _ = startBroker(t)
	_, end = record(t, addr)
	played, _ := start(t, "replay", file, "--speed", "0", "--mqtt", "mqtt://"+addr)
	played.until(t, "3 messages published")
	if got := end(3); !reflect.DeepEqual(got, want) {
		t.Errorf("replayed %+v", got)
	}
}

func TestReadCapture(t *testing.T) {
	good := `{"topic":"a","qos":1,"retain":true,"payload_b64":"AP8=","at":"2026-01-02T03:04:05.006Z"}`
	for name, tt := range map[string]struct {
		in, err string
		n       int
	}{
		"good":      {good + "\n\n" + good, "", 2},
		"not JSON":  {good + "\nx", "f:2: not a captured message", 1},
		"no base64": {`{"topic":"a","payload_b64":"?"}`, "f:1: not a captured message", 0},
		"no topic":  {`{}`, "f:1: the topic is missing", 0},
		"qos":       {`{"topic":"a","qos":3}`, "f:1: qos is 3", 0},
		"too long":  {strings.Repeat("x", longestLine+1), "f:1: ", 0},
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			err := readCapture("f", strings.NewReader(tt.in), func(c captured) error {
				n++
				if c.Topic != "a" || c.QoS != 1 || !c.Retain || string(c.Payload) != "\x00\xff" || c.At.UnixMilli() != 1767323045006 {
					t.Errorf("read %+v", c)
				}
				return nil
			})
			if n != tt.n || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%d messages, %v; want %d, %q", n, err, tt.n, tt.err)
			}
		})
	}
	stop := errors.New("enough")
	if err := readCapture("f", strings.NewReader(good), func(captured) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the error of the reader's own: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := endedAs(ctx, wait(ctx, time.Now().Add(time.Hour))); err != nil {
		t.Errorf("an end that was asked for is the error %v", err)
	}
}
