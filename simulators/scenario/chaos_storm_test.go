package scenario_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/simulators/fleet"
)

// newHost is a rig of a host alone, which is ready.
func newHost(t *testing.T, server string) *rig {
	port := freePort(t)
	r := &rig{t: t, dir: t.TempDir(), mqtt: server, http: "http://127.0.0.1:" + port}
	r.plant = write(t, r.dir, "plant.yaml", fmt.Sprintf("version: 1\ndata_dir: plant\nmqtt: {servers: [\"mqtt://%s\"]}\nhttp: {listen: \"127.0.0.1:%s\"}\n", server, port))
	r.startHost()
	r.host.err.await(t, `msg=ready`)
	return r
}

// TestChaosRebirthStorm restarts the host of a thousand edge nodes, or a few
// hundred when it must be short: after a kill
// it asks each for its births, at most 50 a second; after a stop in good order
// it asks nobody that goes on where it was.
func TestChaosRebirthStorm(t *testing.T) {
	nodes, metrics := 300, 100
	if os.Getenv("MAGNETO_CHAOS") != "" {
		nodes = 1000
	}
	b := chaosBroker(t)
	f, err := fleet.New(fleet.Config{Server: "mqtt://" + b.addr, Nodes: nodes, Metrics: metrics, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	r := newHost(t, b.addr) // it cannot know of nodes that it has never heard
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = f.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	online := regexp.MustCompile(`(?m)^magneto_host_nodes_online (\d+)$`)
	all := func() time.Duration {
		begun := time.Now()
		untilWithin(t, time.Minute, "all nodes are online", func() error {
			body, err := r.get("/metrics")
			if err != nil {
				return err
			}
			m := online.FindSubmatch(body)
			if m == nil {
				return errors.New("no count")
			}
			if n, err := strconv.Atoi(string(m[1])); err != nil || n != nodes {
				return fmt.Errorf("%s nodes", m[1])
			}
			return nil
		})
		return time.Since(begun)
	}
	all()
	stored := regexp.MustCompile(`(?m)^magneto_host_history_written_total (\d+)`)
	until(t, "the births are stored", func() error {
		body, err := r.get("/metrics")
		if err != nil {
			return err
		}
		m := stored.FindSubmatch(body)
		if m == nil {
			return errors.New("no count")
		}
		if n, err := strconv.Atoi(string(m[1])); err != nil || n < nodes*metrics {
			return fmt.Errorf("%s samples", m[1])
		}
		return nil
	})
	f.Forget()
	r.host.kill()
	r.startHost()
	took, s := all(), f.Stats()
	t.Logf("chaos: | host killed over %d nodes of %d metrics | all right within %.1f s, bound 30 s; %d asked, at most %d within a second, bound 50 |", nodes, metrics, took.Seconds(), s.Asked, s.AskedMost)
	if took > 30*time.Second || s.AskedMost > 55 || s.Asked < nodes {
		t.Errorf("%v; %+v", took, s)
	}
	f.Forget()
	r.host.stop()
	r.startHost()
	r.host.err.await(t, `msg=ready`)
	f.Speak()
	took, s = all(), f.Stats()
	t.Logf("chaos: | host stopped in order over %d nodes | all right within %.1f s; %d asked, want none |", nodes, took.Seconds(), s.Asked)
	if s.Asked != 0 {
		t.Errorf("%+v", s)
	}
}
