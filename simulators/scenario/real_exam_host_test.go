package scenario_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/internal/exam"
)

// hostHands is our host, as built.
type hostHands struct {
	t       *testing.T
	dir     string
	host    *proc
	rest    exam.REST
	reorder time.Duration
	via     func(number int, server string) string // what the host is told instead of a server
}

func newHostHands(t *testing.T) *hostHands {
	return &hostHands{t: t, dir: t.TempDir(), reorder: 2 * time.Second, via: func(_ int, s string) string { return s }}
}

func (h *hostHands) hands() exam.HostHands {
	return exam.HostHands{
		Start: func(_ context.Context, servers []string) error {
			for i, s := range servers {
				servers[i] = h.via(i, s)
			}
			list, err := json.Marshal(servers)
			if err != nil {
				return err
			}
			conf := write(h.t, h.dir, "plant.yaml", fmt.Sprintf(hostExamined, list, h.reorder))
			h.host = start(h.t, program(h.t, "magneto"), "host", "-c", conf)
			h.rest.URL = "http://" + h.host.err.await(h.t, `msg=started.* http=(\S+)`)[1]
			return nil
		},
		Stop:  func(context.Context) error { h.host.stop(); return nil },
		Kill:  func(context.Context) error { h.host.kill(); return nil },
		Write: h.rest.Write,
		Ask:   h.rest.Ask,
	}
}

const hostExamined = `version: 1
data_dir: host
mqtt: {servers: %s, keepalive: 5s}
host: {id: plant, reorder_timeout: %s, untyped_commands: true}
http: {listen: "127.0.0.1:0"}
`
