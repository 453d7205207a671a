package watch

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// Follow keeps one connection to a server that only listens: it dials,
// subscribes (QoS 0) and dials again with backoff and jitter until ctx ends,
// then returns nil. Use it beside Run. No filters means spBv1.0/#.
func (w *Watcher) Follow(ctx context.Context, server string, dial Dial, filters ...string) error {
	if len(filters) == 0 {
		filters = []string{sparkplug.Namespace + "/#"}
	}
	l := w.Link(server)
	said := ""
	for attempt := 0; ctx.Err() == nil; attempt++ {
		began := w.cfg.Now()
		up, err := l.once(ctx, dial, filters)
		if ctx.Err() != nil {
			break
		}
		if up && w.cfg.Now().Sub(began) > time.Minute {
			attempt = 0
		}
		if up {
			said = ""
		}
		if text := fmt.Sprint(err); text != said {
			said = text
			w.cfg.Log.Warn("waiting for MQTT server", "server", server, "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(mqtt.Backoff{Max: 30 * time.Second}.Next(attempt, rand.Float64())):
		}
	}
	return nil
}

// once runs one connection; up is true when it came as far as subscribing.
func (l *Link) once(ctx context.Context, dial Dial, filters []string) (up bool, err error) {
	conn, err := dial(ctx, nil, l.Deliver)
	if err != nil {
		return false, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTimeout)
		defer cancel()
		_ = conn.Disconnect(ctx) // it is gone, or going
	}()
	if err := conn.Subscribe(ctx, Filters(0, filters...)...); err != nil {
		return false, err
	}
	l.watcher.cfg.Log.Info("following MQTT server", "server", l.server)
	l.Up(conn)
	defer l.Down()
	select {
	case <-ctx.Done():
		return true, nil
	case <-conn.Done():
		return true, conn.Err()
	}
}

// Filters makes subscriptions of topic filters and leaves out those that
// another one covers, so that no message comes twice.
func Filters(qos byte, topics ...string) []mqtt.Filter {
	var out []mqtt.Filter
	for i, t := range topics {
		covered := false
		for j, other := range topics {
			if i != j && covers(other, t) && (!covers(t, other) || j < i) {
				covered = true
				break
			}
		}
		if !covered {
			out = append(out, mqtt.Filter{Topic: t, QoS: qos})
		}
	}
	return out
}
