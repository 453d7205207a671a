package scenario_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/simulators/plc"
)

// The load of a chaos rig: so many tags, each changing so often.
const (
	chaosTags  = 200
	chaosEvery = 100 * time.Millisecond
)

// rig is a plant of real processes, of which any may be killed: an agent that
// reads a PLC, an MQTT server, a host with its history. What the agent's spool
// has held is compared with what the history has in the end.
type rig struct {
	t          *testing.T
	dir        string
	mem        *plc.Memory
	mqtt       string // address of the server, or of what is before it
	plc        string // address of the equipment
	plant      string // configurations
	agent      string
	http       string
	edge, host *proc
	truth      map[sampleAt]float64
	ticks      *ticker
	rand       *rand.Rand
}

// sampleAt is where a sample belongs.
type sampleAt struct {
	metric string
	time   int64
}

// ticker changes all registers at once, again and again.
type ticker struct {
	mu    sync.Mutex
	value uint16
	every chan time.Duration // a new time between two changes
	stop  chan struct{}
	done  sync.WaitGroup
}

func (k *ticker) now() uint16 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.value
}

func (k *ticker) run(mem *plc.Memory) {
	tick := time.NewTicker(chaosEvery)
	defer tick.Stop()
	values := make([]uint16, chaosTags)
	for {
		select {
		case <-k.stop:
			return
		case d := <-k.every:
			tick.Reset(d)
			continue
		case <-tick.C:
		}
		k.mu.Lock()
		k.value++
		for i := range values {
			values[i] = k.value
		}
		k.mu.Unlock()
		mem.SetRegisters(plc.Holding, 0, values...)
	}
}

// servers are MQTT servers, host:port with commas between, as a list of URLs.
func servers(addrs string) string {
	return `"mqtt://` + strings.ReplaceAll(addrs, ",", `", "mqtt://`) + `"`
}

// newRig starts a plant around an MQTT server, or several with commas between,
// which the agent reaches at via; empty: directly.
func newRig(t *testing.T, server, via string) *rig { return newRigOn(t, server, via, "") }

// pace sets the time between two changes.
func (k *ticker) pace(d time.Duration) { k.every <- d }

// newRigOn is newRig with the agent's data in a folder.
func newRigOn(t *testing.T, server, via, disk string) *rig {
	return newRigWith(t, server, via, disk, "")
}

// newRigWith is newRigOn with more in the configuration of the plant side.
func newRigWith(t *testing.T, server, via, disk, more string) *rig {
	via = cmp.Or(via, server)
	r := &rig{t: t, dir: t.TempDir(), mem: plc.NewMemory(), mqtt: server, truth: map[sampleAt]float64{}, ticks: &ticker{every: make(chan time.Duration), stop: make(chan struct{})}, rand: rand.New(rand.NewPCG(1, 2))}
	p, err := plc.ListenMemory(t.Context(), "127.0.0.1:0", r.mem)
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.Close() })
	r.plc = p.Addr()
	port := freePort(t)
	r.http = "http://127.0.0.1:" + port
	r.plant = write(t, r.dir, "plant.yaml", fmt.Sprintf(`version: 1
data_dir: plant
mqtt: {servers: [%s], keepalive: 5s}
http: {listen: "127.0.0.1:%s"}
%s`, servers(server), port, more))
	rows := bytes.NewBufferString("name,addr,type\n")
	for i := range chaosTags {
		fmt.Fprintf(rows, "T%d,hr:%d,UInt16\n", i, i)
	}
	write(t, r.dir, "tags.csv", rows.String())
	r.agent = write(t, r.dir, "edge.yaml", fmt.Sprintf(`version: 1
node: {group: G, id: E, data_dir: %q}
mqtt: {servers: [%s], primary_host: plant, keepalive: 10s}
connections: {plc: {driver: modbus, url: "tcp://%s"}}
devices: [{id: D, connection: plc, class: fast, csv: tags.csv}]
`, cmp.Or(disk, "data"), servers(via), p.Addr()))
	r.ticks.done.Go(func() { r.ticks.run(r.mem) })
	t.Cleanup(r.quiet)
	r.startHost()
	r.startEdge()
	r.right()
	return r
}

// get asks the host.
func (r *rig) get(path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.http+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %d %.200s", path, res.StatusCode, body)
	}
	return body, err
}

// quiet has the equipment change no more.
func (r *rig) quiet() {
	select {
	case <-r.ticks.stop:
	default:
		close(r.ticks.stop)
	}
	r.ticks.done.Wait()
}

func (r *rig) startHost() { r.host = start(r.t, program(r.t, "magneto"), "host", "-c", r.plant) }

func (r *rig) startEdge() {
	r.edge = start(r.t, program(r.t, "magneto-edge"), "run", "-c", r.agent, "--log", "warn")
}

// right waits until the host shows the device online with a value from after
// the call, and returns how long that took.
func (r *rig) right() time.Duration {
	r.t.Helper()
	begun, least := time.Now(), r.ticks.now()
	until(r.t, "the host shows the device as it is", func() error {
		var d struct {
			Online  bool `json:"online"`
			Metrics []struct {
				Name  string          `json:"name"`
				Value json.RawMessage `json:"value"`
				Stale bool            `json:"stale"`
			} `json:"metrics"`
		}
		body, err := r.get("/v1/nodes/G/E/devices/D")
		if err != nil {
			return err
		}
		if err := json.Unmarshal(body, &d); err != nil {
			return err
		}
		for _, m := range d.Metrics {
			if m.Name != "T0" {
				continue
			}
			if v, err := strconv.ParseUint(string(m.Value), 10, 16); err == nil && d.Online && !m.Stale && uint16(v) > least {
				return nil
			}
		}
		return fmt.Errorf("online %t, %d metrics", d.Online, len(d.Metrics))
	})
	return time.Since(begun)
}

// run lets the plant run for some scans, a random number up to most.
func (r *rig) run(most int) {
	r.t.Helper()
	r.changes(1 + r.rand.IntN(most))
}

// changes lets the equipment change n times.
func (r *rig) changes(n int) {
	r.t.Helper()
	to := r.ticks.now() + uint16(n)
	until(r.t, "the equipment changes", func() error {
		if now := r.ticks.now(); now < to {
			return fmt.Errorf("at %d of %d", now, to)
		}
		return nil
	})
}

// kills is how often a part is killed: a few times, or as often as the
// environment says.
func kills(t *testing.T, few int) int {
	n, err := strconv.Atoi(os.Getenv("MAGNETO_CHAOS"))
	if err != nil {
		t.Logf("%d kills; MAGNETO_CHAOS=60 for all", few)
		return few
	}
	return n
}

// report prints a line of the table, and fails if anything was lost.
func (r *rig) report(test, did string, worst, bound time.Duration) {
	r.t.Helper()
	l := r.compare()
	r.t.Logf("chaos: | %s | %s | %s; right again within %.1f s, bound %.0f s |", test, did, l, worst.Seconds(), bound.Seconds())
	if l.lost+l.wrong+l.doubled > 0 {
		r.t.Errorf("%s", l)
	}
	if l.samples < 1000 {
		r.t.Errorf("%d samples: this tests nothing", l.samples)
	}
	if worst > bound {
		r.t.Errorf("right again after %v, want %v", worst, bound)
	}
}

// TestChaosEdgeKill kills the agent, again and again, each time after it has
// recovered.
func TestChaosEdgeKill(t *testing.T) {
	t.Parallel()
	r := newRig(t, chaosBroker(t).addr, "")
	var worst time.Duration
	n := kills(t, 4)
	for range n {
		r.run(30)
		r.edge.kill()
		r.note()
		r.startEdge()
		worst = max(worst, r.right())
	}
	r.report("edge kill -9", fmt.Sprintf("%d kills", n), worst, 3*time.Second)
}

// TestChaosHostKill kills the host and with it its history.
func TestChaosHostKill(t *testing.T) {
	t.Parallel()
	r := newRig(t, chaosBroker(t).addr, "")
	var worst time.Duration
	n := kills(t, 4)
	for range n {
		r.run(30)
		r.host.kill()
		r.startHost()
		worst = max(worst, r.right())
		r.note()
	}
	r.report("host and store kill -9", fmt.Sprintf("%d kills", n), worst, 10*time.Second)
}

// TestChaosBrokerKill kills the MQTT server, ours and one that is not.
func TestChaosBrokerKill(t *testing.T) {
	for name, open := range map[string]func(*testing.T) *killable{"magneto": chaosBroker, "mosquitto": chaosMosquitto} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t)
			r := newRig(t, b.addr, "")
			var worst time.Duration
			n := min(kills(t, 3), 20)
			for range n {
				r.run(110) // a session of less than 10 s would slow the next dial down
				r.run(110)
				b.proc.kill()
				b.start()
				worst = max(worst, r.right())
				r.note()
			}
			r.report(name+" broker kill -9", fmt.Sprintf("%d kills", n), worst, 15*time.Second)
		})
	}
}

// killable is an MQTT server in a process of its own, which comes back at the
// same address.
type killable struct {
	addr  string
	proc  *proc
	start func()
}

func chaosBroker(t *testing.T) *killable {
	k := &killable{addr: "127.0.0.1:" + freePort(t)}
	conf := write(t, t.TempDir(), "broker.yaml", fmt.Sprintf("version: 1\ndata_dir: broker\nbroker: {listen: %q}\n", k.addr))
	k.start = func() { k.proc = start(t, program(t, "magneto"), "broker", "-c", conf) }
	k.start()
	return k
}

func chaosMosquitto(t *testing.T) *killable {
	path := need(t, "MAGNETO_MOSQUITTO", "path of mosquitto")
	port := freePort(t)
	k := &killable{addr: "127.0.0.1:" + port}
	conf := write(t, t.TempDir(), "mosquitto.conf", "listener "+port+" 127.0.0.1\nallow_anonymous true\n")
	k.start = func() { k.proc = start(t, path, "-c", conf) }
	k.start()
	return k
}
