package scenario_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestChaosTwoHosts runs a second host with the id of the first, which has to
// tell of it within 5 s. Each sample is in the history of one of them at least, and
// in none twice.
func TestChaosTwoHosts(t *testing.T) {
	for name, client := range map[string]string{"one client id": "", "two client ids": "client_id: other, "} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lasts := 5 * time.Second
			if whole() {
				lasts = time.Minute
			}
			b := chaosBroker(t)
			r := newRig(t, b.addr, "")
			port := freePort(t)
			conf := write(t, r.dir, "plant2.yaml", fmt.Sprintf(`version: 1
data_dir: plant2
mqtt: {servers: ["mqtt://%s"], keepalive: 5s, %s}
http: {listen: "127.0.0.1:%s"}
`, b.addr, client, port))
			r.runFor(2 * time.Second)
			begun := time.Now()
			other := start(t, program(t, "magneto"), "host", "-c", conf)
			untilWithin(t, 10*time.Second, "the host tells of the other", func() error {
				words, err := r.ready()
				if err == nil && !strings.Contains(words, "another host runs with the id plant") {
					err = errors.New(words)
				}
				return err
			})
			alarm := time.Since(begun)
			births, signs := r.births("E"), r.rivals()
			r.runFor(lasts)
			t.Logf("%d births of the node, %d signs of the other host in that time", r.births("E")-births, r.rivals()-signs)
			other.stop()
			r.right()
			r.quiet()
			r.delivered()
			r.note()
			r.host.stop()
			stored, doubled := r.stored("plant")
			one := len(stored)
			more, twice := r.stored("plant2")
			for at, v := range more {
				if was, ok := stored[at]; ok && was != v {
					t.Errorf("%+v is %v in one history and %v in the other", at, was, v)
				}
			}
			maps.Copy(stored, more)
			l := r.against(stored, doubled+twice)
			t.Logf("chaos: | two hosts of one id, %s, for %.0f s | %s; alarm within %.1f s, bound 5 s; %d samples in one history, %d in the other |",
				name, lasts.Seconds(), l, alarm.Seconds(), one, len(more))
			if l.lost+l.wrong+l.doubled > 0 {
				t.Errorf("%s", l)
			}
			if alarm > 5*time.Second {
				t.Errorf("alarm after %v", alarm)
			}
			require.NotEmpty(t, more)
		})
	}
}

// ready is what the host says of itself, ready or not.
func (r *rig) ready() (string, error) {
	body, err := r.get("/readyz")
	if body == nil {
		return "", err
	}
	return string(body), nil
}

// rivals is how many signs of another host the host has seen.
func (r *rig) rivals() int {
	return r.counter(fmt.Sprintf(`magneto_host_rivals_total{server="mqtt://%s"}`, r.mqtt))
}
