package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/broker"
)

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// invoke runs a command line to its end.
func invoke(ctx context.Context, args ...string) (code int, out, errs string) {
	var o, e buffer
	code = (&app{in: strings.NewReader(""), out: &o, err: &e}).run(ctx, args)
	return code, o.String(), e.String()
}

// background runs a command line until the test ends, and gives its stdout.
func background(t *testing.T, args ...string) *bufio.Scanner {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer w.Close()
		if code := (&app{in: strings.NewReader(""), out: w, err: t.Output()}).run(ctx, args); code != exitOK {
			t.Errorf("%v: exit code %d", args, code)
		}
	}()
	t.Cleanup(func() {
		cancel()
		_ = r.Close() // its writes fail from now on
		<-done
	})
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	return s
}

// awaitDevice waits until a host knows a device.
func awaitDevice(t *testing.T, ctx context.Context, url string) {
	t.Helper()
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode == http.StatusOK {
			return
		}
	}
}

// TestCommands writes, asks for a rebirth and taps a running plant.
func TestCommands(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: it runs a whole plant")
	}
	demo := background(t, "demo", "--json", "--data", t.TempDir(), "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0")
	var at addresses
	if !demo.Scan() || json.Unmarshal(demo.Bytes(), &at) != nil {
		t.Fatalf("no addresses: %q", demo.Text())
	}
	seen := map[string]bool{}
	for (!seen["Pump1 DBIRTH"] || !seen["Tank1 DBIRTH"]) && demo.Scan() {
		var u jsonUpdate
		if err := json.Unmarshal(demo.Bytes(), &u); err != nil {
			t.Fatal(err)
		}
		seen[u.Device+" "+u.Type] = true
	}
	go drain(demo)

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, device := range []string{"Pump1", "Tank1"} { // the host hears of them by itself
		awaitDevice(t, ctx, at.HTTP+"/v1/nodes/Demo/PumpStation/devices/"+device)
	}
	tests := map[string]struct {
		args []string
		code int
		want string // in stdout or stderr
	}{
		"write":           {[]string{"write", "Demo/PumpStation/Pump1", "SetSpeed", "900"}, exitOK, "SetSpeed = 900 at 20"},
		"write as JSON":   {[]string{"write", "--json", "Demo/PumpStation/Tank1", "Valve", "40"}, exitOK, `"value":40`},
		"write a node":    {[]string{"write", "Demo/PumpStation", "Site/Setpoint", "22.5"}, exitOK, "Site/Setpoint = 22.5"},
		"write below 0":   {[]string{"write", "Demo/PumpStation/Pump1", "SetSpeed", "-5"}, exitFailed, "422"},
		"wrong type":      {[]string{"write", "Demo/PumpStation/Pump1", "SetSpeed", "fast"}, exitFailed, "422"},
		"out of range":    {[]string{"write", "Demo/PumpStation/Pump1", "SetSpeed", "90000"}, exitFailed, "422"},
		"read-only":       {[]string{"write", "Demo/PumpStation/Pump1", "Speed", "1"}, exitFailed, "422"},
		"unknown metric":  {[]string{"write", "Demo/PumpStation/Pump1", "Sped", "1"}, exitFailed, "404"},
		"unknown node":    {[]string{"rebirth", "Demo/Nowhere"}, exitFailed, "404"},
		"rebirth":         {[]string{"rebirth", "Demo/PumpStation"}, exitOK, "requested"},
		"busy MQTT port":  {[]string{"demo", "--data", t.TempDir(), "--mqtt", strings.TrimPrefix(at.MQTT, "mqtt://"), "--http", "127.0.0.1:0"}, exitFailed, "mqtt"},
		"busy HTTP port":  {[]string{"demo", "--data", t.TempDir(), "--http", strings.TrimPrefix(at.HTTP, "http://"), "--mqtt", "127.0.0.1:0"}, exitFailed, "http"},
		"nothing to play": {[]string{"demo", "--data", t.TempDir(), "--replay", "gone.csv"}, exitFailed, "gone.csv"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			args := tt.args
			if args[0] != "demo" {
				args = append(args, "--url", at.HTTP)
			}
			code, out, errs := invoke(ctx, args...)
			if code != tt.code || !strings.Contains(out+errs, tt.want) {
				t.Errorf("%v: code %d, want %d\n%s%s", args, code, tt.code, out, errs)
			}
		})
	}

	tap := background(t, "tap", "--mqtt", at.MQTT, "--url", at.HTTP, "spBv1.0/Demo/DDATA/+/Pump1")
	if !tap.Scan() || !strings.Contains(tap.Text(), "DDATA  Demo/PumpStation/Pump1 ") || !strings.Contains(tap.Text(), "=") {
		t.Errorf("tap printed %q", tap.Text())
	}
	go drain(tap)
}

func TestSimPLC(t *testing.T) {
	sim := background(t, "sim", "plc", "--listen", "127.0.0.1:0", "--json")
	var points []struct{ Name, Table, Type string }
	if !sim.Scan() || json.Unmarshal(sim.Bytes(), &points) != nil || len(points) == 0 || points[0].Name != "SetSpeed" {
		t.Errorf("register map: %q", sim.Text())
	}
}

func TestSimFleet(t *testing.T) {
	b, err := broker.New(broker.Config{Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan struct{})
	go func() { defer close(served); _ = b.Run(ctx) }()
	defer func() { cancel(); <-served }()
	code, out, errs := invoke(t.Context(), "sim", "fleet", "--mqtt", "mqtt://"+b.Addr(), "--nodes", "5", "--every", "10ms", "--for", "2s", "--json")
	var got map[string]int
	if code != exitOK || json.Unmarshal([]byte(out), &got) != nil || got["births"] != 5 || got["samples"] < 100 || got["samples"] != 10*got["messages"] {
		t.Errorf("code %d, %s %s", code, out, errs)
	}
}

// drain reads on: what nobody reads would hold its writer up. It ends when the
// test closes the pipe.
func drain(s *bufio.Scanner) {
	for s.Scan() {
	}
}
