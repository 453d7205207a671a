package scenario_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/simulators/fleet"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// follow measures how old the values are that the host's stream tells of.
func (r *rig) follow(query string, m *meter) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.http+"/v1/stream?"+query, nil)
	require.NoError(r.t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(r.t, err)
	r.t.Cleanup(func() { _ = res.Body.Close() })
	go func() {
		lines := bufio.NewScanner(res.Body)
		lines.Buffer(nil, 1<<22)
		for lines.Scan() {
			data, ok := strings.CutPrefix(lines.Text(), "data: ")
			if !ok {
				continue
			}
			var u struct {
				Metrics []struct {
					Timestamp  time.Time
					Historical bool
				}
			}
			if json.Unmarshal([]byte(data), &u) != nil || len(u.Metrics) == 0 || u.Metrics[0].Historical {
				continue
			}
			m.hear(mqtt.Message{Payload: binary.LittleEndian.AppendUint64(nil, uint64(u.Metrics[0].Timestamp.UnixNano()))})
		}
	}()
}

// rogue publishes NBIRTHs of one node, each of a new session, so many a second.
func rogue(ctx context.Context, c *mqtt.Conn, rate int, lasts time.Duration) (sent int, err error) {
	metrics := make([]sparkplug.Metric, 0, 101)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for begun := time.Now(); time.Since(begun) < lasts; <-tick.C {
		for due := int(time.Since(begun).Seconds() * float64(rate)); sent < due; sent++ {
			at := time.Now().UnixMilli()
			metrics = append(metrics[:0], sparkplug.Metric{Name: sparkplug.MetricBdSeq, Value: sparkplug.Int(sparkplug.TypeInt64, int64(sent%256))})
			for k := range cap(metrics) - 1 {
				metrics = append(metrics, sparkplug.Metric{
					Name: fmt.Sprint("Line/Cell/Sensor", k), Alias: uint64(k + 1), HasAlias: true,
					Timestamp: at, HasTimestamp: true, Value: sparkplug.Double(float64(sent)),
				})
			}
			p := sparkplug.Payload{Timestamp: at, HasTimestamp: true, HasSeq: true, Metrics: metrics}
			b, err := p.Append(nil)
			if err != nil {
				return sent, err
			}
			if err := c.Publish(ctx, mqtt.Message{Topic: "spBv1.0/G/NBIRTH/Rogue", Payload: b}); err != nil {
				return sent, err
			}
		}
	}
	return sent, nil
}

// TestChaosBirthFlood has one node publish 500 births a second: it is muted. What
// the others say comes as fast as before, and the host's memory is bounded.
func TestChaosBirthFlood(t *testing.T) {
	t.Parallel()
	lasts := 6 * time.Second
	if whole() {
		lasts = time.Minute
	}
	b := chaosBroker(t)
	r := newHost(t, b.addr)
	f, err := fleet.New(fleet.Config{Server: "mqtt://" + b.addr, Nodes: 20, Metrics: 20, Changes: 5, Every: 50 * time.Millisecond, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = f.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	until(t, "the fleet is online", func() error {
		if n := r.counter("magneto_host_nodes_online"); n != 20 {
			return fmt.Errorf("%d nodes", n)
		}
		return nil
	})
	var m meter
	r.follow("group=Fleet&kind=data", &m)
	hears := func(n int) {
		until(t, "the stream tells of the fleet", func() error {
			m.mu.Lock()
			defer m.mu.Unlock()
			if len(m.took) < n {
				return errors.New("not enough yet")
			}
			return nil
		})
	}
	hears(1)
	m.p99()
	hears(1200)
	baseline, _ := m.p99()
	c, err := mqtt.Dial(t.Context(), mqtt.Config{Server: "mqtt://" + b.addr, ClientID: "rogue"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	before := takesOf(t, r.host)
	sent, err := rogue(t.Context(), c, 500, lasts)
	require.NoError(t, err)
	flooded, _ := m.p99()
	after := takesOf(t, r.host)
	born := r.counter("magneto_host_births_total")
	muted := r.counter("magneto_host_muted_total")
	t.Logf("chaos: | one node is born %d times in %.0f s | p99 of the others %.1f ms, %.1f ms before; %d births of it taken, %d messages muted; host: RSS %d to %d KiB |",
		sent, lasts.Seconds(), ms(flooded), ms(baseline), born-20, muted, before.rss, after.rss)
	if most := 30 + 2*int(lasts.Seconds()); born-20 > most || muted < sent*8/10 {
		t.Errorf("%d births of it taken, want %d at most", born-20, most)
	}
	if after.rss > before.rss+64<<10 {
		t.Errorf("the host's memory went from %d to %d KiB", before.rss, after.rss)
	}
	if flooded > max(2*baseline, baseline+250*time.Millisecond) {
		t.Errorf("p99 of the others %v, %v before", flooded, baseline)
	}
	if s := f.Stats(); s.Births != 20 || s.Online != 20 {
		t.Errorf("the others were born %d times, %d are online", s.Births, s.Online)
	}
}
