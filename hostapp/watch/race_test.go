package watch_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/magneto-iiot/magneto/hostapp/watch"
	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/sparkplug"
	st "github.com/magneto-iiot/magneto/sparkplug/sparkplugtest"
)

// TestEverythingAtOnce is for the race detector: two servers deliver while
// others read, command and connect.
func TestEverythingAtOnce(t *testing.T) {
	w, err := watch.New(watch.Config{Queue: 1 << 12, Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var running, senders, readers sync.WaitGroup
	running.Go(func() { must(t, w.Run(ctx)) })
	for s := range 2 {
		senders.Go(func() {
			l := w.Link(fmt.Sprint("server", s))
			l.Up(newConn())
			name := fmt.Sprint("N", s)
			for round := range 20 {
				at := now()
				l.Deliver(mqtt.Message{Topic: "spBv1.0/G/NBIRTH/" + name, Payload: st.Encode(t, st.NodeBirth(at, 0, int64(round),
					st.Aliased("A", 1, at, sparkplug.Double(0)), st.Aliased("S", 2, at, sparkplug.String(""))))})
				for seq := 1; seq < 60; seq++ {
					l.Deliver(mqtt.Message{Topic: "spBv1.0/G/NDATA/" + name, Payload: st.Encode(t, st.Payload(at, uint8(seq),
						st.ByAlias(1, at, sparkplug.Double(float64(seq))), st.ByAlias(2, at, sparkplug.String(fmt.Sprint(seq)))))})
				}
			}
			l.Down()
			l.Up(newConn())
		})
	}
	stop := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				_ = w.Nodes()
				if all, ok := w.Metrics("G", "N0", ""); ok && len(all) == 4 && all[3].Value.Str() == "never" {
					t.Error("impossible")
				}
				_, _ = w.Metric("G", "N1", "", "S")
				_ = w.Stats()
				_ = w.Command(ctx, "G", "N0", "", "A", sparkplug.Double(1)) // whatever its state
			}
		})
	}
	senders.Wait()
	close(stop)
	readers.Wait()
	cancel()
	running.Wait()
	if s := w.Stats(); s.Messages+s.Dropped < 2400 || s.Malformed != 0 {
		t.Errorf("Stats = %+v", s)
	}
}
