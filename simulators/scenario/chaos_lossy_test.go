package scenario_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/simulators/netfault"
)

// TestChaosLossy has every tenth packet between agent and server come late, as
// TCP has it when they are lost, and resets the connection now and then.
func TestChaosLossy(t *testing.T) {
	t.Parallel()
	resets, lasts := 1, 5*time.Second
	if whole() {
		resets, lasts = 7, 15*time.Second // a session of less than 10 s would slow the next dial down
	}
	b := chaosBroker(t)
	p, err := netfault.Listen(t.Context(), b.addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.Close() })
	r := newRig(t, b.addr, p.Addr())
	var m meter
	r.follow("group=G&node=E&device=D&kind=data&metric=T0", &m)
	p.Lossy(0.1, 200*time.Millisecond)
	var worst time.Duration
	r.runFor(lasts)
	for range resets {
		r.run(1 + rand.IntN(20))
		p.Reset()
		worst = max(worst, r.right())
		r.note()
		r.runFor(lasts)
	}
	p99, n := m.p99()
	p.Heal()
	r.report("a tenth of the packets lost", fmt.Sprintf("%d resets; p99 %.2f s of %d live reports of a tag", resets, p99.Seconds(), n), worst, 20*time.Second)
	if n < 50 {
		t.Errorf("%d live reports", n)
	}
}
