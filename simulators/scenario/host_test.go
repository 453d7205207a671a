package scenario_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/hostapp"
	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/hostapp/history/embedded"
	"github.com/magneto-iiot/magneto/hostapp/watch"
	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/simulators/plc"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// hostBench is a host with the embedded history on a real broker.
type hostBench struct {
	t     *testing.T
	host  *hostapp.Host
	store *embedded.Store
	stop  func()
}

func newHostBench(t *testing.T, dir string, servers ...string) *hostBench {
	return newHostBenchWith(t, dir, func(*hostapp.Config) {}, servers...)
}

func newHostBenchWith(t *testing.T, dir string, change func(*hostapp.Config), servers ...string) *hostBench {
	quiet := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	store, err := embedded.Open(embedded.Config{Dir: dir, Log: quiet})
	require.NoError(t, err)
	c := hostapp.Config{
		ID: "plant", Primary: true, History: store, Prometheus: store.PrometheusHandler(), Log: quiet,
		CommandTimeout: 10 * time.Second,
	}
	for _, s := range servers {
		c.Servers = append(c.Servers, hostapp.Server{Name: s, Dial: func(ctx context.Context, will *mqtt.Message, on func(mqtt.Message)) (watch.Conn, error) {
			conn, err := mqtt.Dial(ctx, mqtt.Config{Server: s, ClientID: "plant", KeepAlive: 5 * time.Second, Will: will, OnMessage: on, Log: quiet})
			if err != nil {
				return nil, err
			}
			return conn, nil
		}})
	}
	change(&c)
	h, err := hostapp.New(c)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	once := false
	b := &hostBench{t: t, host: h, store: store}
	b.stop = func() {
		if !once {
			once = true
			cancel()
			require.NoError(t, <-ended)
			require.NoError(t, store.Close())
		}
	}
	t.Cleanup(b.stop)
	b.eventually("the host is on its servers", h.Online)
	return b
}

func (b *hostBench) call(method, path, body string) (int, string) {
	w := httptest.NewRecorder()
	b.host.Handler().ServeHTTP(w, httptest.NewRequestWithContext(b.t.Context(), method, path, strings.NewReader(body)))
	answer, err := io.ReadAll(w.Result().Body)
	require.NoError(b.t, err)
	return w.Code, string(answer)
}

func (b *hostBench) eventually(what string, f func() bool) {
	b.t.Helper()
	require.Eventually(b.t, f, 20*time.Second, 20*time.Millisecond, what)
}

func (b *hostBench) metric(device, name string) watch.MetricInfo {
	m, _ := b.host.Watcher().Metric("G", "E", device, name)
	return m
}

func (b *hostBench) raw(device, name string) (out []history.Sample) {
	key := history.Key{Group: "G", Node: "E", Device: device, Metric: name}
	require.NoError(b.t, b.store.Raw(b.t.Context(), key, 0, math.MaxInt64, func(s history.Sample) bool {
		out = append(out, s)
		return true
	}))
	return out
}

// instant is the number of series that an instant query finds now.
func (b *hostBench) instant(query string) int {
	status, body := b.call(http.MethodGet, "/prometheus/api/v1/query?query="+url.QueryEscape(query), "")
	require.Equal(b.t, 200, status, body)
	var answer struct {
		Data struct{ Result []json.RawMessage }
	}
	require.NoError(b.t, json.Unmarshal([]byte(body), &answer))
	return len(answer.Data.Result)
}

// TestHostJourney is the way of a register to stored history and of a command
// back, over a real broker, with the edge node and the host of this house.
func TestHostJourney(t *testing.T) {
	b := newBench(t)
	b.setFloat(0, 1)
	h := newHostBench(t, t.TempDir(), b.server)
	_, stopEdge := b.start(t)
	h.eventually("the device is online with its value", func() bool {
		m := h.metric("Press", "Speed")
		return !m.Stale && m.Value.Float64() == 1
	})

	for i := range 20 {
		b.setFloat(0, float32(10+i))
		h.eventually("the value comes", func() bool { return h.metric("Press", "Speed").Value.Float64() == float64(10+i) })
	}
	status, body := h.call("PUT", "/v1/nodes/G/E/devices/Press/metrics/SetSpeed", `{"value": 900}`)
	require.Equal(t, 200, status, body)
	require.Contains(t, body, `"value":900`)
	require.Equal(t, uint16(math.Float32bits(900)>>16), b.mem.Register(plc.Holding, 10))
	for want, req := range map[int][2]string{
		404: {"/v1/nodes/G/E/devices/Press/metrics/Nothing", `{"value": 1}`},
		400: {"/v1/nodes/G/E/devices/Press/metrics/SetSpeed", `{"value": `},
		422: {"/v1/nodes/G/E/devices/Press/metrics/SetSpeed", `{"value": 1501}`},
	} {
		status, body = h.call("PUT", req[0], req[1])
		require.Equal(t, want, status, body)
	}
	status, body = h.call("PUT", "/v1/nodes/G/E/devices/Press/metrics/Speed", `{"value": 1}`)
	require.Equal(t, 422, status, "read-only: %s", body)

	status, body = h.call("POST", "/v1/nodes/G/E/rebirth", "")
	require.Equal(t, 202, status, body)
	h.eventually("two births", func() bool { n, _ := h.host.Watcher().Node("G", "E"); return n.Births == 2 && n.State == watch.Online })
	h.eventually("the device is back", func() bool { return !h.metric("Press", "Speed").Stale })

	query := fmt.Sprintf(`%s{%s="Speed"}`, history.MetricValue, history.LabelMetric)
	h.eventually("the history answers", func() bool { return h.instant(query) == 1 })
	stopEdge()
	h.eventually("stale", func() bool { return h.metric("Press", "Speed").Stale })
	h.eventually("a gap", func() bool { return h.instant(query) == 0 })
	status, body = h.call("PUT", "/v1/nodes/G/E/devices/Press/metrics/SetSpeed", `{"value": 1}`)
	require.Equal(t, 409, status, body)

	seen := map[float64]int{}
	for _, s := range h.raw("Press", "Speed") {
		seen[s.Value.Float64()]++
	}
	for i := range 19 { // the last one was born again, and is stored twice
		require.Equal(t, 1, seen[float64(10+i)], "value %d: %v", 10+i, seen)
	}
	require.NotZero(t, seen[29])

	b.start(t)
	h.eventually("back", func() bool { return !h.metric("Press", "Speed").Stale })
	h.eventually("the series is open again", func() bool { return h.instant(query) == 1 })
	h.stop()
	s := h.host.Watcher().Stats()
	require.Zero(t, s.Gaps+s.Malformed+s.Dropped+s.UnknownMetrics, "%+v", s)
}

// TestHostRestart starts a host anew beside an edge node that goes on and has
// nothing to say: the host asks for the births of the nodes in its history, and
// the series are open again though no value has changed.
func TestHostRestart(t *testing.T) {
	b := newBench(t)
	b.setFloat(0, 42)
	dir := t.TempDir()
	h := newHostBench(t, dir, b.server)
	b.start(t)
	h.eventually("online", func() bool { return h.metric("Press", "Speed").Value.Float64() == 42 })
	query := fmt.Sprintf(`%s{%s="Speed"}`, history.MetricValue, history.LabelMetric)
	h.eventually("stored", func() bool { return h.instant(query) == 1 })
	before := h.metric("Press", "Speed").Time
	h.stop()

	h = newHostBench(t, dir, b.server)
	require.Zero(t, h.instant(query), "the series did not end with the host")
	h.eventually("born again", func() bool {
		return !h.metric("Press", "Speed").Stale && h.metric("Press", "Speed").Type == sparkplug.TypeFloat
	})
	h.eventually("the series is open again", func() bool { return h.instant(query) == 1 })
	if now := h.metric("Press", "Speed").Time; now == before {
		require.Len(t, h.raw("Press", "Speed"), 2, "the value as it was measured, and at the birth")
	}
	n, _ := h.host.Watcher().Node("G", "E")
	require.NotZero(t, n.Rebirths)
}
