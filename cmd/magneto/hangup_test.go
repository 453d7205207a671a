package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// lines takes what a program logs, line by line.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

// until waits for a line that holds what, and wants none that holds an
// unwanted word before.
func (l lines) until(t *testing.T, what string, unwanted ...string) {
	t.Helper()
	for limit := time.After(20 * time.Second); ; {
		select {
		case s := <-l:
			for _, u := range unwanted {
				if strings.Contains(s, u) {
					t.Errorf("said %q before %q", s, what)
				}
			}
			if strings.Contains(s, what) {
				return
			}
		case <-limit:
			t.Fatalf("never said %q", what)
		}
	}
}

// start runs a command line; the signal given to stop is how it is ended, and
// stop gives the exit code.
func start(t *testing.T, args ...string) (out lines, stop func(os.Signal) int) {
	t.Helper()
	guard := make(chan os.Signal, 8) // a SIGHUP too early or too late kills no test
	signal.Notify(guard, syscall.SIGHUP)
	out = make(lines, 1000)
	ctx, cancel := context.WithCancelCause(context.Background())
	ended := make(chan int, 1)
	go func() { ended <- (&app{in: strings.NewReader(""), out: out, err: out}).run(ctx, args) }()
	stop = func(s os.Signal) int {
		if s != nil {
			cancel(stopped{s})
		}
		select {
		case code := <-ended:
			ended <- code
			return code
		case <-time.After(20 * time.Second):
			t.Fatalf("%v: does not end", args)
			return 0
		}
	}
	t.Cleanup(func() { stop(syscall.SIGTERM); signal.Stop(guard) })
	return out, stop
}

func hangUp(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

func writeFile(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestHangupChecksConfiguration has each role look at its file again at SIGHUP,
// say what it found, and go on.
func TestHangupChecksConfiguration(t *testing.T) {
	const ports = "version: 1\nbroker: {listen: \"127.0.0.1:0\"}\nhttp: {listen: \"127.0.0.1:0\"}\n"
	for role, config := range map[string]string{
		"broker": ports,
		"all":    ports,
		"host":   ports + "mqtt: {servers: [\"mqtt://127.0.0.1:1\"]}\n",
	} {
		t.Run(role, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "plant.yaml")
			writeFile(t, file, config)
			out, stop := start(t, role, "-c", file)
			switch role {
			case "broker":
				out.until(t, `msg="broker listens" mqtt=127.0.0.1:`)
			case "all":
				out.until(t, `msg="broker listens" mqtt=127.0.0.1:`)
				out.until(t, "msg=started host=plant http=127.0.0.1:", "msg=ready")
				out.until(t, "msg=ready")
			case "host":
				out.until(t, "msg=started host=plant http=127.0.0.1:", "msg=ready")
			}
			hangUp(t)
			out.until(t, "level=INFO msg=\"configuration unchanged\"", "msg=ready")
			writeFile(t, file, config+"host: {id: a/b}\nhots: {}\n")
			hangUp(t)
			out.until(t, "plant.yaml:") // a line for each
			out.until(t, "plant.yaml:")
			out.until(t, "level=ERROR msg=\"configuration not taken: the running one stays\" faults=2")
			writeFile(t, file, config+"host: {id: other}\n")
			hangUp(t)
			out.until(t, "level=WARN msg=\"configuration changed: the change takes effect at the next start\"")
			writeFile(t, file, config)
			hangUp(t)
			out.until(t, "configuration unchanged")
			if code := stop(syscall.SIGTERM); code != exitOK {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

func TestHangupWithoutFile(t *testing.T) {
	out, stop := start(t, "broker", "--mqtt", "127.0.0.1:0")
	out.until(t, "broker listens")
	hangUp(t)
	out.until(t, "no configuration file")
	if code := stop(os.Interrupt); code != exitInterrupted {
		t.Errorf("exit code %d", code)
	}
}

// TestDemoStops ends a demo by each signal: the deaths are said, then the end.
func TestDemoStops(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: it runs whole plants")
	}
	for name, tt := range map[string]struct {
		signal os.Signal // nil: SIGHUP, which the demo takes itself
		code   int
	}{
		"SIGTERM": {syscall.SIGTERM, exitOK},
		"SIGINT":  {os.Interrupt, exitInterrupted},
		"SIGHUP":  {nil, exitOK},
	} {
		t.Run(name, func(t *testing.T) {
			out, stop := start(t, "demo", "--data", t.TempDir(), "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0")
			out.until(t, "Tank1 born")
			if tt.signal == nil {
				hangUp(t)
			}
			code := stop(tt.signal)
			out.until(t, "demo: stopping")
			out.until(t, "NDEATH", "demo: stopped")
			out.until(t, "demo: stopped")
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
		})
	}
}
