package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/edgenode"
	"github.com/magneto-iiot/magneto/internal/config"
)

func TestExitCode(t *testing.T) {
	tests := map[string]struct {
		err     error
		cause   error
		started bool
		want    int
	}{
		"done":             {nil, nil, true, exitOK},
		"failed":           {errors.New("x"), nil, true, exitFailed},
		"usage":            {errors.New("x"), nil, false, exitUsage},
		"usage, later":     {usageError{errors.New("x")}, nil, true, exitUsage},
		"faults":           {config.Faults{{Message: "x"}}, nil, true, exitConfig},
		"unreachable":      {errors.Join(errors.New("x"), edgenode.ErrUnreachable), nil, true, exitUnreachable},
		"SIGTERM":          {nil, stopped{syscall.SIGTERM}, true, exitOK},
		"SIGINT":           {nil, stopped{os.Interrupt}, true, exitInterrupted},
		"SIGINT, failed":   {errors.New("x"), stopped{os.Interrupt}, true, exitFailed},
		"SIGINT, canceled": {context.Canceled, stopped{os.Interrupt}, true, exitInterrupted},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			if tt.cause != nil {
				cancel(tt.cause)
			}
			if got := (&app{started: tt.started}).exitCode(ctx, tt.err); got != tt.want {
				t.Errorf("exit code %d, want %d", got, tt.want)
			}
		})
	}
}

// lines is a writer that passes what is written on to a channel.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

func (l lines) until(t *testing.T, what string) {
	t.Helper()
	for limit := time.After(10 * time.Second); ; {
		select {
		case s := <-l:
			if strings.Contains(s, what) {
				return
			}
		case <-limit:
			t.Fatalf("never said %q", what)
		}
	}
}

// TestRunReloads runs the agent in this process: it reloads at SIGHUP, keeps
// the old configuration when the new one is bad, and stops at SIGTERM.
func TestRunReloads(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "edge.yaml")
	configure := func(devices string) {
		head := "version: 1\nnode: {group: A, id: E}\nmqtt: {servers: [\"mqtt://127.0.0.1:1\"]}\nconnections: {pump: {driver: process}}\ndevices:\n"
		if err := os.WriteFile(file, []byte(head+devices), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hangup := func() {
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	device := "  - {id: P, connection: pump, metrics: [{name: Speed, addr: Speed, type: Float}]}\n"
	configure(device)
	out := make(lines, 100)
	ctx, cancel := context.WithCancelCause(t.Context())
	code := make(chan int, 1)
	go func() { code <- (&app{out: out, err: out}).run(ctx, []string{"run", "-c", file}) }()
	out.until(t, `msg="device answers"`)
	configure(device + "  - {id: Q}\n")
	hangup()
	out.until(t, `msg="configuration reloaded"`)
	configure(device + "  - {id: Q, class: nope}\n")
	hangup()
	out.until(t, "the old one stays")
	cancel(stopped{syscall.SIGTERM})
	if got := <-code; got != exitOK {
		t.Errorf("exit code %d", got)
	}
}
