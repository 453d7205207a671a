package influx_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/hostapp/history/influx"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// patience is how long a database may take to answer.
const patience = 60 * time.Second

func freePort(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return port
}

// get asks a database.
func get(ctx context.Context, address string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode/100 != 2 {
		err = fmt.Errorf("%s: %s", res.Status, b)
	}
	return string(b), err
}

// run starts a database and waits until it answers at path.
func run(t *testing.T, base, path, program string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it keeps nothing worth keeping
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(out.String())
		}
	})
	require.Eventually(t, func() bool { _, err := get(t.Context(), base+path); return err == nil }, patience, 100*time.Millisecond)
}

// influxd starts an InfluxDB 1.8 with a database "plant".
func influxd(t *testing.T) (base string) {
	t.Helper()
	program := os.Getenv("MAGNETO_INFLUXD")
	if program == "" {
		t.Skip("skipped: MAGNETO_INFLUXD is not set (path of influxd 1.8); make real sets it")
	}
	dir := t.TempDir()
	base = "http://127.0.0.1:" + freePort(t)
	conf := filepath.Join(dir, "influxdb.conf")
	require.NoError(t, os.WriteFile(conf, fmt.Appendf(nil, `reporting-disabled = true
bind-address = "127.0.0.1:%s"
[meta]
  dir = %q
[data]
  dir = %q
  wal-dir = %q
[http]
  bind-address = %q
  log-enabled = false
`, freePort(t), filepath.Join(dir, "meta"), filepath.Join(dir, "data"), filepath.Join(dir, "wal"), strings.TrimPrefix(base, "http://")), 0o600))
	run(t, base, "/health", program, "-config", conf)
	_, err := get(t.Context(), base+"/query?q="+url.QueryEscape("SHOW DATABASES"))
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/query?q="+url.QueryEscape(`CREATE DATABASE "plant" WITH DURATION INF`), nil)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return base
}

func realStore(t *testing.T, base, dir string) *influx.Store {
	t.Helper()
	s, err := influx.Open(influx.Config{
		URL: base, Bucket: "plant/autogen", DeadLetters: filepath.Join(dir, "dead", "influx.jsonl"),
		Log: slog.New(slog.DiscardHandler), Gzip: true,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// Every datatype, written twice, comes back once and as it was.
func TestRealInflux(t *testing.T) {
	base, dir := influxd(t), t.TempDir()
	s := realStore(t, base, dir)
	at := time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC).UnixMilli()
	metric := `Line "1", temp=\inlet`
	h, err := s.Series(t.Context(), history.Key{Group: "Plant A", Node: "n", Device: "d", Metric: metric}, history.Meta{Type: sparkplug.TypeDouble})
	require.NoError(t, err)
	values := []struct {
		value sparkplug.Value
		field string
		want  any
	}{
		{sparkplug.Double(math.Pi), "f", json.Number("3.141592653589793")},
		{sparkplug.Float(0.1), "f", json.Number("0.1")},
		{sparkplug.Double(math.Inf(1)), "s", "Infinity"},
		{sparkplug.Int(sparkplug.TypeInt64, math.MinInt64), "i", json.Number("-9223372036854775808")},
		{sparkplug.Uint(sparkplug.TypeUInt64, math.MaxInt64), "u", json.Number("9223372036854775807")},
		{sparkplug.Uint(sparkplug.TypeUInt64, math.MaxUint64), "s", "18446744073709551615"},
		{sparkplug.Boolean(true), "b", true},
		{sparkplug.String("line\nbreak, \"quote\" and \\"), "s", "line\nbreak, \"quote\" and \\"},
		{sparkplug.String(`\" \\" \\\\ \`), "s", `\" \\" \\\\ \`},
		{sparkplug.DateTime(at), "i", json.Number(fmt.Sprint(at))},
	}
	var points []history.Point
	for i, v := range values {
		points = append(points, history.Point{Series: h, Timestamp: at + int64(i), Value: v.value, Quality: history.QualityGood})
	}
	points = append(points, history.Point{Series: h, Timestamp: at, Quality: history.QualityStale, Stale: true})
	for range 2 {
		res, err := s.Write(t.Context(), points)
		require.NoError(t, err)
		require.Zero(t, res.Rejected)
	}
	where := ` FROM sparkplug WHERE "group"='Plant A' AND edge_node='n' AND device='d' AND metric='Line "1", temp=\\inlet'`
	body, err := get(t.Context(), base+"/query?epoch=ms&db=plant&q="+url.QueryEscape(`SELECT f,i,u,b,s,q`+where))
	require.NoError(t, err)
	var answer struct {
		Results []struct {
			Series []struct {
				Columns []string
				Values  [][]any
			}
		}
	}
	d := json.NewDecoder(strings.NewReader(body))
	d.UseNumber()
	require.NoError(t, d.Decode(&answer))
	require.Len(t, answer.Results[0].Series, 1, body)
	got := answer.Results[0].Series[0]
	require.Len(t, got.Values, len(values)+1, body)
	for i, v := range values {
		row := map[string]any{}
		for c, name := range got.Columns {
			if got.Values[i][c] != nil {
				row[name] = got.Values[i][c]
			}
		}
		want := map[string]any{"time": json.Number(fmt.Sprint(at + int64(i))), v.field: v.want}
		require.Equal(t, want, row, "value %d", i)
	}
}

// What the server refuses for good becomes a dead letter, with what it says.
func TestRealInfluxRefuses(t *testing.T) {
	base, dir := influxd(t), t.TempDir()
	s := realStore(t, base, dir)
	h, err := s.Series(t.Context(), history.Key{Group: "G", Node: "N", Metric: "m"}, history.Meta{})
	require.NoError(t, err)
	const n = 2000
	points := make([]history.Point, n)
	for i := range points {
		points[i] = history.Point{Series: h, Timestamp: 1779278400000 + int64(i), Value: sparkplug.Int(sparkplug.TypeInt32, int64(i)), Quality: history.QualityGood}
	}
	points[7].Value = sparkplug.String(strings.Repeat("x", 1<<16+1))
	points[1500].Timestamp = math.MaxInt64 / 2 // no time in nanoseconds
	res, err := s.Write(t.Context(), points)
	require.NoError(t, err)
	dead := letters(t, dir)
	require.Equal(t, history.WriteResult{Written: n - len(dead), Rejected: len(dead)}, res)
	require.Len(t, dead, 1)
	require.Contains(t, dead[0].Line, "i=1500i")
	require.Contains(t, dead[0].Reason, "time outside range")
	body, err := get(t.Context(), base+"/query?db=plant&q="+url.QueryEscape(`SELECT count(i) FROM sparkplug`))
	require.NoError(t, err)
	require.Contains(t, body, fmt.Sprintf(",%d]", n-2), body)
}

// VictoriaMetrics takes the same lines; of its own it keeps numbers only.
func TestRealVictoria(t *testing.T) {
	program := os.Getenv("MAGNETO_VICTORIA")
	if program == "" {
		t.Skip("skipped: MAGNETO_VICTORIA is not set (path of victoria-metrics); make real sets it")
	}
	dir := t.TempDir()
	base := "http://127.0.0.1:" + freePort(t)
	run(t, base, "/health", program, "-storageDataPath="+filepath.Join(dir, "vm"), "-httpListenAddr="+strings.TrimPrefix(base, "http://"), "-retentionPeriod=100y", "-dedup.minScrapeInterval=1ms")
	s := realStore(t, base, dir)
	h, err := s.Series(t.Context(), history.Key{Group: "G 1", Node: "N", Metric: "a,b=c"}, history.Meta{})
	require.NoError(t, err)
	at := time.Now().Add(-time.Hour).UnixMilli()
	var points []history.Point
	for i := range 1000 {
		points = append(points, history.Point{Series: h, Timestamp: at + int64(i), Value: sparkplug.Double(float64(i)), Quality: history.QualityGood})
	}
	for range 2 {
		res, err := s.Write(t.Context(), points)
		require.NoError(t, err)
		require.Equal(t, history.WriteResult{Written: 1000}, res)
	}
	query := base + "/api/v1/export?match[]=" + url.QueryEscape(`sparkplug_f{group="G 1",edge_node="N",metric="a,b=c"}`)
	require.Eventually(t, func() bool {
		body, err := get(t.Context(), query)
		var line struct{ Values, Timestamps []float64 }
		return err == nil && json.Unmarshal([]byte(body), &line) == nil && len(line.Values) == 1000 && line.Values[999] == 999 && line.Timestamps[0] == float64(at)
	}, patience, 200*time.Millisecond)
}
