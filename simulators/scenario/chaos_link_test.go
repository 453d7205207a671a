package scenario_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/simulators/netfault"
)

// offline waits until the host shows the node as dead, and returns how long
// that took.
func (r *rig) offline(limit time.Duration) time.Duration {
	r.t.Helper()
	begun := time.Now()
	untilWithin(r.t, limit, "the host shows the node offline", func() error {
		body, err := r.get("/v1/nodes/G/E")
		if err != nil {
			return err
		}
		var n struct {
			State string `json:"state"`
		}
		if err := json.Unmarshal(body, &n); err != nil {
			return err
		}
		if n.State != "offline" {
			return errors.New(n.State)
		}
		return nil
	})
	return time.Since(begun)
}

// TestChaosHalfOpen makes the agent's link half-open: it writes, and nothing
// arrives.
func TestChaosHalfOpen(t *testing.T) {
	t.Parallel()
	b := chaosBroker(t)
	p, err := netfault.Listen(t.Context(), b.addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.Close() })
	r := newRig(t, b.addr, p.Addr())
	var worst, seen time.Duration
	n := min(kills(t, 1), 10)
	for range n {
		r.run(30)
		p.HalfOpen()
		begun := time.Now()
		seen = max(seen, r.offline(25*time.Second))
		r.runFor(30*time.Second - time.Since(begun))
		p.Heal()
		worst = max(worst, r.right())
		r.note()
	}
	t.Logf("%d bytes swallowed", p.Stats().Swallowed)
	require.Positive(t, p.Stats().Swallowed)
	r.report("half-open link of 30 s", fmt.Sprintf("%d times; death seen within %.1f s, bound 16 s", n, seen.Seconds()), worst, 35*time.Second)
	if seen > 16*time.Second {
		t.Errorf("the death was seen after %v", seen)
	}
}

// TestChaosStopped stops the host for a while as a machine does that is out of
// memory: its connection stays.
func TestChaosStopped(t *testing.T) {
	t.Parallel()
	r := newRig(t, chaosBroker(t).addr, "")
	var worst time.Duration
	n := min(kills(t, 1), 10)
	for i := range n {
		r.run(20)
		p := r.host
		if i%2 == 1 {
			p = r.edge
		}
		require.NoError(t, p.cmd.Process.Signal(syscall.SIGSTOP))
		r.run(100) // up to 10 s
		require.NoError(t, p.cmd.Process.Signal(syscall.SIGCONT))
		worst = max(worst, r.right())
		r.note()
	}
	r.report("SIGSTOP of host and agent", fmt.Sprintf("%d times", n), worst, 20*time.Second)
}

// TestChaosDiskFull lets the agent run on a disk that is far too small while the
// MQTT server is away: the oldest go, and the rest arrives.
func TestChaosDiskFull(t *testing.T) {
	t.Parallel()
	disk := filepath.Join(t.TempDir(), "disk")
	require.NoError(t, os.Mkdir(disk, 0o700))
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", disk).CombinedOutput(); err != nil {
		t.Skipf("skipped: a small disk needs the right to mount: %v %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.CommandContext(context.WithoutCancel(t.Context()), "umount", disk).CombinedOutput(); err != nil {
			t.Errorf("umount: %v %s", err, out)
		}
	})
	b := chaosBroker(t)
	r := newRigOn(t, b.addr, "", disk)
	r.run(10)
	b.proc.kill()
	r.edge.err.await(t, "the oldest records are dropped for want of space")
	r.run(50)
	b.start()
	r.report("agent's disk full", "while the server is away", r.right(), 35*time.Second) // the next dial may be half a minute off
}
