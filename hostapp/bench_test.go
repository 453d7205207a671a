package hostapp_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/hostapp"
	"github.com/magneto-iiot/magneto/hostapp/history/embedded"
	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/sparkplug"
	st "github.com/magneto-iiot/magneto/sparkplug/sparkplugtest"
)

// BenchmarkIntoHistory is messages of 100 metrics from the connection into the
// embedded history, without and with a journal before it.
func BenchmarkIntoHistory(b *testing.B) {
	b.Run("memory", func(b *testing.B) { intoHistory(b, "") })
	b.Run("journal", func(b *testing.B) { intoHistory(b, b.TempDir()) })
}

func intoHistory(b *testing.B, journal string) {
	const nodes, metrics = 20, 100
	quiet := slog.New(slog.DiscardHandler)
	store, err := embedded.Open(embedded.Config{Dir: b.TempDir(), Log: quiet})
	must(b, err)
	s := &server{}
	h, err := hostapp.New(hostapp.Config{
		ID: "plant", History: store, Log: quiet, HistoryQueue: 1 << 22, Journal: journal,
		Servers: []hostapp.Server{{Name: "test", Dial: s.dial}},
	})
	must(b, err)
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	for !h.Online() {
		time.Sleep(time.Millisecond)
	}
	at := now() - 1_000_000
	for n := range nodes {
		all := make([]sparkplug.Metric, metrics)
		for k := range all {
			all[k] = st.Aliased(fmt.Sprint("Sensor", k), uint64(k), at, sparkplug.Double(0))
		}
		s.deliver(mqtt.Message{Topic: fmt.Sprint("spBv1.0/G/NBIRTH/N", n), Payload: st.Encode(b, st.NodeBirth(at, 0, 0, all...))})
	}
	payloads := make([][]byte, b.N)
	for i := range payloads {
		t := at + int64(i/nodes) + 1
		all := make([]sparkplug.Metric, metrics)
		for k := range all {
			all[k] = st.ByAlias(uint64(k), t, sparkplug.Double(float64(i+k)))
		}
		payloads[i] = st.Encode(b, st.Payload(t, uint8(i/nodes+1), all...))
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i, p := range payloads {
		s.deliver(mqtt.Message{Topic: fmt.Sprint("spBv1.0/G/NDATA/N", i%nodes), Payload: p})
	}
	cancel()
	must(b, <-ended)
	b.StopTimer()
	if got := store.Stats(); got.Written < b.N*metrics {
		b.Errorf("%d samples stored of %d: %+v, %+v", got.Written, b.N*metrics, got, h.Watcher().Stats())
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*metrics), "ns/metric")
	must(b, store.Close())
}
