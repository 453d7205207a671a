package influx_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	client "github.com/influxdata/influxdb-client-go/v2"
	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/hostapp/history/influx"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// TestRatioWrite writes a million samples to a server that counts lines, and the
// same through the usual call of the client library.
func TestRatioWrite(t *testing.T) {
	total, least := 100_000, 3.0 // the first requests, and a busy machine
	if os.Getenv("MAGNETO_BENCH") != "" {
		total, least = 1_000_000, 7.0
	}
	var lines atomic.Int64
	db := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		buf := make([]byte, 64<<10)
		for {
			n, err := r.Body.Read(buf)
			lines.Add(int64(bytes.Count(buf[:n], []byte{'\n'})))
			if err == io.EOF {
				break
			}
			if err != nil {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer db.Close()
	store, err := influx.Open(influx.Config{URL: db.URL, Bucket: "b", DeadLetters: filepath.Join(t.TempDir(), "dead"), Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer store.Close()

	const series = 10_000
	points := make([]history.Point, series)
	for i := range points {
		h, err := store.Series(t.Context(), history.Key{Group: "Plant", Node: "line1", Device: "press", Metric: fmt.Sprint("Motor/Temp", i)}, history.Meta{Type: sparkplug.TypeDouble})
		require.NoError(t, err)
		points[i] = history.Point{Series: h, Value: sparkplug.Double(float64(i) / 8), Quality: history.QualityGood}
	}
	ours, allocs := measure(t, func() {
		for n := 0; n < total; n += series {
			for i := range points {
				points[i].Timestamp = int64(n)
			}
			_, err := store.Write(t.Context(), points)
			require.NoError(t, err)
		}
	})
	require.EqualValues(t, total, lines.Swap(0))

	cl := client.NewClientWithOptions(db.URL, "", client.DefaultOptions().SetBatchSize(5000).SetPrecision(time.Millisecond))
	defer cl.Close()
	theirs, _ := measure(t, func() {
		w := cl.WriteAPI("", "b")
		for n := range total {
			w.WritePoint(client.NewPoint(history.Measurement,
				map[string]string{"group": "Plant", "edge_node": "line1", "device": "press", "metric": fmt.Sprint("Motor/Temp", n%series)},
				map[string]any{"f": float64(n) / 8}, time.UnixMilli(int64(n))))
		}
		w.Flush()
	})
	require.EqualValues(t, total, lines.Load())

	ratio := theirs.Seconds() / ours.Seconds()
	perLine := float64(allocs) / float64(total)
	t.Logf("%d lines: %.2f million a CPU second with the server, %.3f allocations a line; WriteAPI.WritePoint %.2f million: ratio %.1f",
		total, float64(total)/ours.Seconds()/1e6, perLine, float64(total)/theirs.Seconds()/1e6, ratio)
	require.Less(t, perLine, 0.1)
	require.Greater(t, ratio, least)
}

// measure returns the CPU time of the process and the allocations that do took.
func measure(t *testing.T, do func()) (time.Duration, uint64) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	from := cpu(t)
	do()
	used := cpu(t) - from
	runtime.ReadMemStats(&after)
	return used, after.Mallocs - before.Mallocs
}

func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
