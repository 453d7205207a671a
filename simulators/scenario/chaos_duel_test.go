package scenario_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sightings are the lines of a process that match a pattern.
type sightings struct {
	mu    sync.Mutex
	times []time.Time // guarded by mu
	last  string      // guarded by mu
}

// look notes the lines that match from now on. Nobody else may await lines of
// the process.
func look(l lines, pattern string) *sightings {
	re, s := regexp.MustCompile(pattern), &sightings{}
	go func() {
		for line := range l {
			if re.MatchString(line) {
				s.mu.Lock()
				s.times, s.last = append(s.times, time.Now()), line
				s.mu.Unlock()
			}
		}
	}()
	return s
}

// count is how many there were.
func (s *sightings) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.times)
}

// births are the NBIRTHs of a node as the host counts them.
func (r *rig) births(node string) int {
	r.t.Helper()
	body, err := r.get("/v1/nodes/G/" + node)
	require.NoError(r.t, err)
	var n struct{ Births int }
	require.NoError(r.t, json.Unmarshal(body, &n))
	return n.Births
}

// counter is a number of the host's metrics; 0 if it is not there.
func (r *rig) counter(name string) int {
	r.t.Helper()
	body, err := r.get("/metrics")
	require.NoError(r.t, err)
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindSubmatch(body)
	if m == nil {
		return 0
	}
	f, err := strconv.ParseFloat(string(m[1]), 64)
	require.NoError(r.t, err)
	return int(f)
}

// whole says whether the tests have the time that they want.
func whole() bool { return os.Getenv("MAGNETO_CHAOS") != "" }

// TestChaosDuel runs two agents as one node. They take the session from each
// other, less and less often; the node beside them notices nothing.
func TestChaosDuel(t *testing.T) {
	t.Parallel()
	b := chaosBroker(t)
	r := newRig(t, b.addr, "")
	before := r.births("E")
	lasts := 12 * time.Second
	if whole() {
		lasts = time.Minute
	}
	var twins [2]*sightings
	for i := range twins {
		dir := filepath.Join(r.dir, fmt.Sprint("twin", i))
		require.NoError(t, os.Mkdir(dir, 0o700))
		write(t, dir, "tags.csv", "name,addr,type\nT0,hr:0,UInt16\n")
		conf := write(t, dir, "edge.yaml", fmt.Sprintf(`version: 1
node: {group: G, id: Twin}
mqtt: {servers: ["mqtt://%s"], primary_host: plant, keepalive: 10s}
connections: {plc: {driver: modbus, url: "tcp://%s"}}
devices: [{id: D, connection: plc, class: fast, csv: tags.csv}]
`, b.addr, r.plc))
		p := start(t, program(t, "magneto-edge"), "run", "-c", conf, "--log", "warn")
		twins[i] = look(p.err, `another client with the id G/Twin took the session`)
	}
	r.runFor(lasts)
	first, second := twins[0].count(), twins[1].count()
	t.Logf("chaos: | two agents as one node for %.0f s | they were thrown out %d and %d times, bound 6 a minute; births of the node beside them: %d |",
		lasts.Seconds(), first, second, r.births("E")-before)
	if first+second < 2 || max(first, second) > 6 {
		t.Errorf("thrown out %d and %d times", first, second)
	}
	if n := r.births("E"); n != before {
		t.Errorf("the node beside them was born %d times", n-before)
	}
	if l := r.compare(); l.lost+l.wrong+l.doubled > 0 {
		t.Errorf("%s", l)
	}
}
