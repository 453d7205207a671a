package bus_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/services/bus"
	"github.com/magneto-iiot/magneto/services/event"
	"github.com/magneto-iiot/magneto/services/store"
)

// killed tells this program to be a work order service: database, address of the
// broker and of health's feed, parted by spaces.
const killed = "MAGNETO_BUS_SERVICE"

func TestMain(m *testing.M) {
	if args := strings.Fields(os.Getenv(killed)); len(args) == 3 {
		fmt.Println(serve(args[0], args[1], args[2]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

const effectTable = "CREATE TABLE effect (n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, subject TEXT NOT NULL)"

// serve takes anomalies in, and prints a line for each, until it is killed.
func serve(file, addr, feed string) error {
	st, err := store.Open(context.Background(), store.Config{Service: "workorder", Site: "plant1", DSN: "sqlite:" + file, Migrations: []string{effectTable}, Log: quiet})
	if err != nil {
		return err
	}
	b, err := bus.New(bus.Config{
		Store: st, Service: "workorder", Site: "plant1", Dial: (&plant{addr: addr}).dial("workorder"), Log: quiet,
		Backoff: mqtt.Backoff{Min: 5 * time.Millisecond, Max: 50 * time.Millisecond},
		Peers:   []bus.Peer{{Service: "health", Domain: event.Health, Feed: bus.OverHTTP(http.DefaultClient, feed)}},
		Handlers: map[event.Type]bus.Handler{event.AnomalyDetected: func(t *store.Tx, e *event.Event) error {
			fmt.Println(e.Subject)
			return note(t, e)
		}},
	})
	if err != nil {
		return err
	}
	return b.Run(context.Background())
}

// Killed again and again amidst its work, a service gives each event its effect
// once and in order.
func TestKill(t *testing.T) {
	kill(t, newPlant(t), func() {})
}

// The same with mosquitto, which is killed too, and keeps nothing.
func TestRealKill(t *testing.T) {
	path := os.Getenv("MAGNETO_MOSQUITTO")
	if path == "" {
		t.Skip("needs MAGNETO_MOSQUITTO, the path of mosquitto")
	}
	m := &mosquitto{t: t, path: path, conf: filepath.Join(t.TempDir(), "mosquitto.conf")}
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &plant{t: t, addr: ln.Addr().String()}
	require.NoError(t, ln.Close())
	_, port, err := net.SplitHostPort(p.addr)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(m.conf, []byte("listener "+port+" 127.0.0.1\nallow_anonymous true\n"), 0o600))
	m.start()
	t.Cleanup(func() { m.stop() })
	kill(t, p, func() {
		m.stop()
		m.start()
	})
}

type mosquitto struct {
	t          *testing.T
	path, conf string
	cmd        *exec.Cmd
}

func (m *mosquitto) start() {
	m.cmd = exec.Command(m.path, "-c", m.conf) //nolint:noctx // killed by hand
	require.NoError(m.t, m.cmd.Start())
}

func (m *mosquitto) stop() {
	require.NoError(m.t, m.cmd.Process.Kill())
	_ = m.cmd.Wait() // killed
}

// kill has a service killed ten times, and each time the broker wiped.
func kill(t *testing.T, p *plant, wipe func()) {
	dir := t.TempDir()
	health := newService(t, "health", filepath.Join(dir, "health.db"))
	health.run(bus.Config{Service: "health", Dial: p.dial("health")})
	const each, kills = 30, 10
	said := 0
	for i := range kills + 1 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), killed+"="+strings.Join([]string{filepath.Join(dir, "orders.db"), p.addr, health.url}, " "))
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		for range each {
			health.say(event.AnomalyDetected, fmt.Sprint("A-", said))
			said++
		}
		last := fmt.Sprint("A-", said-1-i) // amidst the work
		if i == kills {
			last = "end" // it is begun once those before it are committed
			health.say(event.AnomalyDetected, last)
		}
		lines := bufio.NewScanner(out)
		seen := false
		for !seen && lines.Scan() {
			seen = lines.Text() == last
		}
		require.True(t, seen, "it ended by itself: %s", lines.Text())
		if i < kills {
			wipe()
		}
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait() // killed
	}
	health.stop()
	orders := newService(t, "workorder", filepath.Join(dir, "orders.db"))
	require.Equal(t, subjects(said), orders.effects()[:said])
	require.LessOrEqual(t, len(orders.effects()), said+1, "end is there or not")
}
