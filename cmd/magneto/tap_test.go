package main

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/broker"
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/sparkplugtest"
)

// startBroker runs a broker until stop, with a client on it.
func startBroker(t *testing.T) (addr string, c *broker.Attached, stop func()) {
	t.Helper()
	b, err := broker.New(broker.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = b.Run(ctx) }()
	stop = func() { cancel(); <-ended }
	t.Cleanup(stop)
	if c, err = b.Attach(broker.Client{ID: "test", Handler: func(broker.Message) {}}); err != nil {
		t.Fatal(err)
	}
	return b.Addr(), c, stop
}

// TestTapPrintsMessages follows a node through a rebirth, the loss of the broker
// and the end: what no message said is not printed.
func TestTapPrintsMessages(t *testing.T) {
	addr, c, stopBroker := startBroker(t)
	say := func(topic string, p sparkplug.Payload) {
		t.Helper()
		if err := c.Publish(t.Context(), broker.Message{Topic: topic, Payload: sparkplugtest.Encode(t, p)}); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now().UnixMilli()
	births := func(at int64) {
		say("spBv1.0/G/NBIRTH/N", sparkplugtest.NodeBirth(at, 0, 0))
		say("spBv1.0/G/DBIRTH/N/D", sparkplugtest.Payload(at, 1, sparkplugtest.Metric("M", at, sparkplug.Double(1))))
	}
	out, stop := start(t, "tap", "--mqtt", "mqtt://"+addr)
	inferred := []string{"DDEATH", "LOST"}
	out.until(t, "following MQTT server")
	births(now)
	out.until(t, "DBIRTH G/N/D", inferred...)
	births(now + 1000)
	out.until(t, "NBIRTH G/N ", inferred...)
	out.until(t, "DBIRTH G/N/D", inferred...)
	say("spBv1.0/G/DDEATH/N/D", sparkplugtest.Payload(now+2000, 2))
	out.until(t, "DDEATH G/N/D", "LOST")
	births(now + 3000)
	out.until(t, "DBIRTH G/N/D", inferred...)
	stopBroker()
	out.until(t, "LOST   G/N ", "DDEATH")
	out.until(t, "waiting for MQTT server", inferred...)
	if code := stop(syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	none(t, out, inferred...)
}

// TestTapEnds ends a tap while a node is online: nothing is lost by that.
func TestTapEnds(t *testing.T) {
	addr, c, _ := startBroker(t)
	out, stop := start(t, "tap", "--mqtt", "mqtt://"+addr)
	out.until(t, "following MQTT server")
	birth := sparkplugtest.Encode(t, sparkplugtest.NodeBirth(time.Now().UnixMilli(), 0, 0))
	if err := c.Publish(t.Context(), broker.Message{Topic: "spBv1.0/G/NBIRTH/N", Payload: birth}); err != nil {
		t.Fatal(err)
	}
	out.until(t, "NBIRTH G/N ")
	if code := stop(syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	none(t, out, "LOST")
}

// none wants no unwanted word in what is left of what an ended program said.
func none(t *testing.T, out lines, unwanted ...string) {
	t.Helper()
	for len(out) > 0 {
		s := <-out
		for _, u := range unwanted {
			if strings.Contains(s, u) {
				t.Errorf("said %q at the end", s)
			}
		}
	}
}

func TestValueLast(t *testing.T) {
	for args, want := range map[string]string{
		"write G/N M -5":          "write G/N M -- -5",
		"write G/N M -5 --json":   "write G/N M --json -- -5",
		"write --json G/N M -.5":  "write --json G/N M -- -.5",
		"write G/N M -1e3":        "write G/N M -- -1e3",
		"write G/N M 5":           "write G/N M 5",
		"write G/N -- -5 -6":      "write G/N -- -5 -6",
		"write G/N M --url http:": "write G/N M --url http:",
		"write G/N M -x":          "write G/N M -x",
	} {
		if got := strings.Join(valueLast(strings.Fields(args)), " "); got != want {
			t.Errorf("%s: %s, want %s", args, got, want)
		}
	}
}
