package scenario_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// takes is what a process takes of the machine.
type takes struct{ rss, files, threads int } // rss in KiB

func takesOf(t *testing.T, p *proc) (u takes) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	require.NoError(t, err)
	number := func(name string) int {
		m := regexp.MustCompile(name + `:\s+(\d+)`).FindSubmatch(status)
		require.NotNil(t, m, name)
		n, err := strconv.Atoi(string(m[1]))
		require.NoError(t, err)
		return n
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	require.NoError(t, err)
	return takes{number("VmRSS"), len(files), number("Threads")}
}

// TestChaosSoak lets the plant run without a fault: what the programs take does
// not grow with time.
func TestChaosSoak(t *testing.T) {
	t.Parallel()
	r := newRig(t, chaosBroker(t).addr, "")
	minutes := 1
	if os.Getenv("MAGNETO_CHAOS") != "" {
		minutes = 10
	}
	r.runFor(20 * time.Second) // until all is warm
	edge, host := takesOf(t, r.edge), takesOf(t, r.host)
	for range minutes {
		r.runFor(time.Minute)
		r.note()
	}
	edge2, host2 := takesOf(t, r.edge), takesOf(t, r.host)
	t.Logf("chaos: | soak of %d min at 2,000 samples/s | agent: RSS %d to %d KiB, %d to %d files; host: RSS %d to %d KiB, %d to %d files |",
		minutes, edge.rss, edge2.rss, edge.files, edge2.files, host.rss, host2.rss, host.files, host2.files)
	// The store keeps the newest two hours in memory: some 10 MiB a minute at this rate, at most.
	if edge2.rss-edge.rss > 4096 || host2.rss-host.rss > 32<<10+minutes*10<<10 {
		t.Errorf("memory grows: %+v to %+v, %+v to %+v", edge, edge2, host, host2)
	}
	if edge2.files > edge.files+2 || host2.files > host.files+8 || edge2.threads > edge.threads+8 || host2.threads > host.threads+8 {
		t.Errorf("files or threads grow: %+v to %+v, %+v to %+v", edge, edge2, host, host2)
	}
	if l := r.compare(); l.lost+l.wrong+l.doubled > 0 {
		t.Errorf("%s", l)
	}
}

// runFor lets the plant run for a time, scan by scan.
func (r *rig) runFor(d time.Duration) {
	r.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		r.run(10)
	}
}
