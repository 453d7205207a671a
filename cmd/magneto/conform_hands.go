package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// examFlags are those of conform edge and conform host.
type examFlags struct {
	grading  gradeFlags
	listen   string
	second   string
	insecure bool
	exec     string
	skip     []string
}

func (f *examFlags) add(cmd *cobra.Command, skips []string) {
	f.grading.add(cmd)
	cmd.Flags().StringVar(&f.listen, "listen", "127.0.0.1:1884", "address of the MQTT server that it is to connect to")
	cmd.Flags().StringVar(&f.second, "second", "", "address of a second MQTT server, for what asks for two")
	cmd.Flags().BoolVar(&f.insecure, "insecure", false, "allow addresses that others can reach: everybody may then connect")
	cmd.Flags().StringVar(&f.exec, "exec", "", "shell command that runs it; {n} in it is the number of servers, MQTT_SERVERS their URLs (default: a person is asked)")
	cmd.Flags().StringSliceVar(&f.skip, "skip", nil, "leave out what needs hands: "+strings.Join(skips, ", "))
}

// check refuses what cannot be skipped.
func (f *examFlags) check(skips []string) error {
	for _, s := range f.skip {
		if !slices.Contains(skips, s) {
			return usagef("--skip %s: want some of %s", s, strings.Join(skips, ", "))
		}
	}
	return nil
}

// hands do for an examination what cannot be done over MQTT: a command of
// --exec is started and ended; for the rest a person is asked.
type hands struct {
	a     *app
	shell string
	lines chan string // from the person; nil until the first question
	cmd   *exec.Cmd
	ended chan struct{}
}

// person asks for something to be done, and waits for Enter.
func (h *hands) person(ctx context.Context, format string, args ...any) error {
	_, err := h.question(ctx, fmt.Sprintf(format, args...)+", then press Enter: ")
	return err
}

// yes puts a question to the person.
func (h *hands) yes(ctx context.Context, q string) (bool, error) {
	for {
		answer, err := h.question(ctx, q+" [y/n] ")
		if err != nil {
			return false, err
		}
		switch strings.ToLower(strings.TrimSpace(answer)) {
		case "y", "yes":
			return true, nil
		case "n", "no":
			return false, nil
		}
	}
}

func (h *hands) question(ctx context.Context, q string) (string, error) {
	if h.lines == nil {
		h.lines = make(chan string)
		go func() { // it ends with the program: a read of a terminal can't be ended
			defer close(h.lines)
			for s := bufio.NewScanner(h.a.in); s.Scan(); {
				h.lines <- s.Text()
			}
		}()
	}
	_, _ = io.WriteString(h.a.err, q)
	select {
	case line, ok := <-h.lines:
		if !ok {
			return "", errors.New("nobody answers, for stdin has ended: see --exec and --skip")
		}
		return line, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (h *hands) start(ctx context.Context, what string, servers []string) error {
	if h.shell == "" {
		return h.person(ctx, "start the %s with MQTT server %s", what, strings.Join(servers, " and "))
	}
	line := strings.ReplaceAll(h.shell, "{n}", strconv.Itoa(len(servers)))
	h.cmd = exec.CommandContext(context.WithoutCancel(ctx), "/bin/sh", "-c", "exec "+line)
	h.cmd.Env = append(os.Environ(), "MQTT_SERVERS="+strings.Join(servers, ","))
	h.cmd.Stdout, h.cmd.Stderr = h.a.err, h.a.err
	if err := h.cmd.Start(); err != nil {
		return err
	}
	h.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		defer close(ended)
		_ = cmd.Wait() // how it ended is not ours to grade
	}(h.cmd, h.ended)
	return nil
}

func (h *hands) stop(ctx context.Context, what string) error {
	if h.shell == "" {
		return h.person(ctx, "stop the %s in good order", what)
	}
	_ = h.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	return h.wait(ctx, "SIGTERM")
}

func (h *hands) kill(ctx context.Context, what string) error {
	if h.shell == "" {
		return h.person(ctx, "kill the %s, or cut its network", what)
	}
	_ = h.cmd.Process.Kill()
	return h.wait(ctx, "SIGKILL")
}

func (h *hands) wait(ctx context.Context, signal string) error {
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	select {
	case <-h.ended:
		h.cmd = nil
		return nil
	case <-limit.C:
		return fmt.Errorf("--exec: it has not ended 30 s after %s", signal)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close ends what --exec has left.
func (h *hands) close() {
	if h.cmd != nil {
		_ = h.cmd.Process.Kill()
		<-h.ended
	}
}
