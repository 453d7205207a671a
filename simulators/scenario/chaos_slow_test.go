package scenario_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/internal/mqtt"
)

// meter notes how long messages were on the way: they begin with the time they
// were sent at, in ns.
type meter struct {
	mu   sync.Mutex
	took []time.Duration // guarded by mu; since the last p99
	all  int             // guarded by mu
}

func (m *meter) hear(msg mqtt.Message) {
	took := time.Since(time.Unix(0, int64(binary.LittleEndian.Uint64(msg.Payload))))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.took = append(m.took, took)
	m.all++
}

// p99 is the time within which 99 of 100 messages came since the last call, and
// how many came since the first.
func (m *meter) p99() (took time.Duration, all int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	slices.Sort(m.took)
	if n := len(m.took); n > 0 {
		took = m.took[n*99/100]
	}
	m.took = nil
	return took, m.all
}

// hearer subscribes a client of an MQTT server.
func hearer(t *testing.T, addr, id string, hear func(mqtt.Message)) *mqtt.Conn {
	t.Helper()
	c, err := mqtt.Dial(t.Context(), mqtt.Config{Server: "mqtt://" + addr, ClientID: id, OnMessage: hear})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.Subscribe(t.Context(), mqtt.Filter{Topic: "load/#"}))
	return c
}

// loader publishes so many messages a second, of so many bytes.
type loader struct {
	rate, size int
	sent       int
	longest    time.Duration // that a publish took
}

func (l *loader) run(ctx context.Context, c *mqtt.Conn, lasts time.Duration) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	b := make([]byte, l.size)
	for begun, n := time.Now(), 0; time.Since(begun) < lasts; <-tick.C {
		for due := int(time.Since(begun).Seconds() * float64(l.rate)); n < due; n++ {
			at := time.Now()
			binary.LittleEndian.PutUint64(b, uint64(at.UnixNano()))
			if err := c.Publish(ctx, mqtt.Message{Topic: "load/x", Payload: b}); err != nil {
				return err
			}
			l.sent++
			l.longest = max(l.longest, time.Since(at))
		}
	}
	return nil
}

// TestChaosSlowConsumer lets one of four subscribers of our broker take nothing
// for a while, at 5,000 messages a second. The others and the publisher notice
// nothing; it is cut, the broker says so, and it can come back.
func TestChaosSlowConsumer(t *testing.T) {
	t.Parallel()
	lasts := 9 * time.Second
	if whole() {
		lasts = time.Minute
	}
	b := chaosBroker(t)
	until(t, "the broker answers", func() error {
		c, err := mqtt.Dial(t.Context(), mqtt.Config{Server: "mqtt://" + b.addr})
		if err == nil {
			err = c.Close()
		}
		return err
	})
	cut := look(b.proc.err, `client takes no bytes, cut" client=slow .*dropped=[1-9]`)
	var meters [3]meter
	for i := range meters {
		hearer(t, b.addr, fmt.Sprint("good", i), meters[i].hear)
	}
	worst := func() (p99 time.Duration) {
		for i := range meters {
			took, _ := meters[i].p99()
			p99 = max(p99, took)
		}
		return p99
	}
	pub, err := mqtt.Dial(t.Context(), mqtt.Config{Server: "mqtt://" + b.addr, ClientID: "load"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = pub.Close() })
	load := &loader{rate: 5000, size: 512}
	require.NoError(t, load.run(t.Context(), pub, 3*time.Second))
	baseline := worst()

	wake := make(chan struct{})
	slow := hearer(t, b.addr, "slow", func(mqtt.Message) { <-wake })
	load.longest = 0
	require.NoError(t, load.run(t.Context(), pub, lasts))
	stalled := worst()
	until(t, "the broker says that it has cut the client", func() error {
		if cut.count() == 0 {
			return errors.New("no line")
		}
		return nil
	})
	close(wake)
	select {
	case <-slow.Done():
	case <-time.After(patience):
		t.Fatal("the client does not notice that it was cut")
	}
	var back meter
	hearer(t, b.addr, "slow", back.hear)
	require.NoError(t, load.run(t.Context(), pub, time.Second))
	until(t, "all messages have arrived", func() error {
		_, again := back.p99()
		if again < load.rate*9/10 {
			return fmt.Errorf("%d messages at the client that is back", again)
		}
		for i := range meters {
			if _, n := meters[i].p99(); n != load.sent {
				return fmt.Errorf("%d of %d messages at client %d", n, load.sent, i)
			}
		}
		return nil
	})
	t.Logf("chaos: | one of four subscribers stalls for %.0f s at %d messages/s | %d messages, 0 lost by the others; their p99 %.1f ms, %.1f ms before; a publish took %.1f ms at most; the stalled one was cut, with what it missed in the log |",
		lasts.Seconds(), load.rate, load.sent, ms(stalled), ms(baseline), ms(load.longest))
	if stalled > max(2*baseline, baseline+250*time.Millisecond) {
		t.Errorf("p99 of the others %v, %v before", stalled, baseline)
	}
	if load.longest > time.Second {
		t.Errorf("a publish took %v", load.longest)
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
