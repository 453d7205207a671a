package scenario_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/simulators/netfault"
)

// TestChaosThinLink drains a backlog over a link that is hardly faster than the
// live data: ten minutes of 200 samples a second over 64 kbit/s, or less of it
// over four times that. What is live must not wait behind it.
func TestChaosThinLink(t *testing.T) {
	t.Parallel()
	rate, away := 32000, 4*time.Second // bytes a second
	if whole() {
		rate, away = 8000, time.Minute // ten times the live rate
	}
	b := chaosBroker(t)
	p, err := netfault.Listen(t.Context(), b.addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.Close() })
	r := newRig(t, b.addr, p.Addr())
	r.runFor(2 * time.Second)
	p.Refuse()
	p.Reset()
	r.runFor(away)
	r.ticks.pace(10 * chaosEvery)
	var m meter
	r.follow("group=G&node=E&device=D&kind=data&metric=T0", &m)
	before := takesOf(t, r.edge)
	p.Heal()
	p.Slow(0, rate)
	back := r.right()
	begun, carried, after := time.Now(), p.Stats().Forwarded, before
	untilWithin(t, 20*time.Minute, "the backlog has arrived", func() error {
		after.rss = max(after.rss, takesOf(t, r.edge).rss)
		return r.waiting(400)
	})
	took := time.Since(begun)
	used := float64(p.Stats().Forwarded-carried) / took.Seconds() / float64(rate)
	p99, n := m.p99()
	p.Heal()
	l := r.compare()
	t.Logf("chaos: | backlog over a link of %d kbit/s | %s; right again within %.1f s; drained in %.0f s at %.0f %% of the line; p99 of live data meanwhile %.1f s of %d reports, bound 5 s; agent: RSS %d to %d KiB |",
		rate*8/1000, l, back.Seconds(), took.Seconds(), used*100, p99.Seconds(), n, before.rss, after.rss)
	if l.lost+l.wrong+l.doubled > 0 {
		t.Errorf("%s", l)
	}
	if p99 > 5*time.Second || n < 3 {
		t.Errorf("live data of %d reports is %v old", n, p99)
	}
	if whole() && used < 0.9 {
		t.Errorf("%.0f %% of the line used", used*100)
	}
	if after.rss > before.rss+32<<10 {
		t.Errorf("the agent's memory went from %d to %d KiB", before.rss, after.rss)
	}
}
