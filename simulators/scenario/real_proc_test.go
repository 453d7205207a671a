package scenario_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is how long anything awaited may take on a slow, shared machine.
const patience = 60 * time.Second

// need is an environment variable that .ci/real sets, or a skip.
func need(t *testing.T, name, what string) string {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		t.Skipf("skipped: %s is not set (%s); make real sets it", name, what)
	}
	return v
}

// program is the path of one of our programs as built.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(need(t, "MAGNETO_BIN", "folder of the built programs"), name))
	require.NoError(t, err)
	return path
}

// recording is a file of the recorded plant data.
func recording(t *testing.T, name string) string {
	t.Helper()
	return filepath.Join(need(t, "MAGNETO_TESTDATA", "folder of recorded plant data"), name)
}

// proc is a process under test. Its lines are kept, and can be awaited.
type proc struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  lines
	err  lines
	done chan struct{}
}

// lines hands out what a process prints, a line at a time.
type lines chan string

// start runs a program until the end of the test, where it is asked to stop
// and waited for.
func start(t *testing.T, path string, args ...string) *proc {
	t.Helper()
	return startWith(t, nil, path, args...)
}

// startWith is start with a standard input, nil for none.
func startWith(t *testing.T, stdin *os.File, path string, args ...string) *proc {
	t.Helper()
	p := &proc{
		t: t, cmd: exec.Command(path, args...), //nolint:noctx // stopped by hand, with manners
		out: make(lines, 1<<16), err: make(lines, 1<<16), done: make(chan struct{}),
	}
	if stdin != nil {
		p.cmd.Stdin = stdin
	}
	stdout, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	stderr, err := p.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	name := filepath.Base(path)
	read := make(chan struct{}, 2)
	go func() { p.out.read(t, "", stdout); read <- struct{}{} }()
	go func() { p.err.read(t, name+": ", stderr); read <- struct{}{} }()
	go func() {
		<-read
		<-read
		_ = p.cmd.Wait() // tests that care look at ProcessState
		close(p.done)
	}()
	t.Cleanup(p.stop)
	return p
}

func (l lines) read(t *testing.T, prefix string, r io.Reader) {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<24)
	for s.Scan() {
		if prefix != "" {
			fmt.Fprintln(t.Output(), prefix+s.Text())
		}
		select {
		case l <- s.Text():
		default: // nobody awaits it: there are 65,536 before it
		}
	}
	close(l)
}

// await returns the submatches of the first line that matches.
func (l lines) await(t *testing.T, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	limit := time.After(patience)
	for {
		select {
		case line, ok := <-l:
			require.True(t, ok, "the process ended without a line like %q", pattern)
			if m := re.FindStringSubmatch(line); m != nil {
				return m
			}
		case <-limit:
			require.FailNow(t, "no line in time", "%q", pattern)
		}
	}
}

// stop asks the process to stop and waits for its end.
func (p *proc) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may be gone
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		p.t.Errorf("%s did not stop within 20 s of SIGTERM", p.cmd.Path)
		p.kill()
	}
}

// kill ends the process as a power cut would, and waits.
func (p *proc) kill() {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Error(err)
	}
	<-p.done
}

// freePort is a TCP port of the loopback that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	return strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
}

// write puts a file in dir and returns its path.
func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// mosquitto starts the broker of that name and returns its address.
func mosquitto(t *testing.T) string {
	t.Helper()
	path := need(t, "MAGNETO_MOSQUITTO", "path of mosquitto")
	port := freePort(t)
	conf := write(t, t.TempDir(), "mosquitto.conf", "listener "+port+" 127.0.0.1\nallow_anonymous true\n")
	start(t, path, "-c", conf)
	addr := "127.0.0.1:" + port
	until(t, "mosquitto answers", func() error {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
		if err == nil {
			err = c.Close()
		}
		return err
	})
	return addr
}

// until tries f again and again, and fails the test with its last error when it
// does not succeed in time. Use it only for what no event tells.
func until(t *testing.T, what string, f func() error) {
	t.Helper()
	untilWithin(t, patience, what, f)
}

func untilWithin(t *testing.T, limit time.Duration, what string, f func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			require.NoError(t, err, what)
		case <-tick.C:
		}
	}
}
