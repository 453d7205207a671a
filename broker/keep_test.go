package broker_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/magneto-iiot/magneto/broker"
)

// kept runs a broker that keeps its messages in file, has f use it, and stops it.
func kept(t *testing.T, file string, f func(b *broker.Broker, got map[string]string)) (log string) {
	t.Helper()
	var out bytes.Buffer
	b, err := broker.New(broker.Config{Keep: file, Log: slog.New(slog.NewTextHandler(&out, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- b.Run(ctx) }()
	got := map[string]string{}
	a, err := b.Attach(broker.Client{ID: "reader", Handler: func(m broker.Message) { got[m.Topic] = string(m.Payload) }})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Subscribe(t.Context(), broker.Filter{Topic: "#"}, broker.Filter{Topic: "$sparkplug/certificates/#"}); err != nil {
		t.Fatal(err)
	}
	if err := a.Detach(true); err != nil { // waits until the handler has had it all
		t.Fatal(err)
	}
	f(b, got)
	cancel()
	if err := <-ran; err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func say(t *testing.T, b *broker.Broker, topic, payload string, retain bool) {
	t.Helper()
	a, err := b.Attach(broker.Client{ID: "writer"})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Publish(t.Context(), broker.Message{Topic: topic, Payload: []byte(payload), Retain: retain, QoS: 1}); err != nil {
		t.Fatal(err)
	}
	if err := a.Detach(true); err != nil {
		t.Fatal(err)
	}
}

const birthTopic = "spBv1.0/G/NBIRTH/E"

// TestKeep checks that retained messages and certificates are there after a
// restart, changed and removed ones as they are, and a STATE offline.
func TestKeep(t *testing.T) {
	file := filepath.Join(t.TempDir(), "broker", "retained")
	kept(t, file, func(b *broker.Broker, got map[string]string) {
		if len(got) != 0 {
			t.Errorf("a new broker has %v", got)
		}
		for i := range 5 {
			say(t, b, "kept", fmt.Sprint(i), true)
		}
		say(t, b, "removed", "x", true)
		say(t, b, "removed", "", true)
		say(t, b, "live", "x", false)
		say(t, b, birthTopic, "a birth", false)
		say(t, b, "spBv1.0/STATE/plant", `{"online":true,"timestamp":5}`, true)
	})
	kept(t, file, func(b *broker.Broker, got map[string]string) {
		want := map[string]string{
			"kept": "4", broker.Certificates + birthTopic: "a birth", "spBv1.0/STATE/plant": `{"online":false,"timestamp":5}`,
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("after a restart there is %v, want %v", got, want)
		}
		say(t, b, "kept", "", true)
	})
	kept(t, file, func(_ *broker.Broker, got map[string]string) {
		if _, ok := got["kept"]; ok || len(got) != 2 {
			t.Errorf("after another there is %v", got)
		}
	})
}

// TestKeepDamage checks that whatever happened to the end of the file costs
// only what was there, and that a file of something else is left alone.
func TestKeepDamage(t *testing.T) {
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole")
	kept(t, whole, func(b *broker.Broker, _ map[string]string) {
		for i := range 20 {
			say(t, b, fmt.Sprintf("t%02d", i), strings.Repeat("x", 30), true)
		}
	})
	good, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	damaged := filepath.Join(dir, "damaged")
	last := -1
	for cut := len(good); cut >= 0; cut -= 7 {
		if err := os.WriteFile(damaged, good[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		kept(t, damaged, func(b *broker.Broker, got map[string]string) {
			if last >= 0 && len(got) > last {
				t.Errorf("%d of %d bytes hold %d messages, more hold %d", cut, len(good), len(got), last)
			}
			last = len(got)
			say(t, b, "new", "y", true)
		})
		kept(t, damaged, func(_ *broker.Broker, got map[string]string) {
			if len(got) != last+1 || got["new"] != "y" {
				t.Errorf("cut at %d: %d messages and what came after are %d", cut, last, len(got))
			}
		})
	}
	flipped := bytes.Clone(good)
	flipped[len(good)/2] ^= 1
	if err := os.WriteFile(damaged, flipped, 0o600); err != nil {
		t.Fatal(err)
	}
	log := kept(t, damaged, func(_ *broker.Broker, got map[string]string) {
		if len(got) == 0 || len(got) >= 20 {
			t.Errorf("with a flipped bit there are %d messages", len(got))
		}
	})
	if !strings.Contains(log, "damaged, and cut off") {
		t.Errorf("the damage is not told: %s", log)
	}
	if err := os.WriteFile(damaged, []byte("something else entirely, which is precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := broker.New(broker.Config{Keep: damaged}); err == nil || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("a file of something else: %v", err)
	}
}

// TestKeepIsBounded checks that a topic that changes for ever does not fill the disk.
func TestKeepIsBounded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "retained")
	payload := strings.Repeat("x", 1<<18)
	for i := range 12 {
		kept(t, file, func(b *broker.Broker, _ map[string]string) { say(t, b, "t", payload+fmt.Sprint(i), true) })
	}
	info, err := os.Stat(file)
	if err != nil || info.Size() > 2<<20 {
		t.Errorf("%v bytes for 256 KiB, %v", info.Size(), err)
	}
	kept(t, file, func(_ *broker.Broker, got map[string]string) {
		if got["t"] != payload+"11" {
			t.Error("another message came back")
		}
	})
}
