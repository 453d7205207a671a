package hostapp_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/hostapp"
	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/hostapp/history/embedded"
	"github.com/magneto-iiot/magneto/hostapp/watch"
	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// TestQuarantineAPI lists, releases and drops samples from the future.
func TestQuarantineAPI(t *testing.T) {
	noon := time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC)
	quiet := slog.New(slog.DiscardHandler)
	store, err := embedded.Open(embedded.Config{Dir: t.TempDir(), Now: func() time.Time { return noon }, Log: quiet})
	require.NoError(t, err)
	defer store.Close()
	nobody := func(context.Context, *mqtt.Message, func(mqtt.Message)) (watch.Conn, error) {
		return nil, errors.New("nobody")
	}
	host, err := hostapp.New(hostapp.Config{ID: "plant", History: store, Log: quiet, Servers: []hostapp.Server{{Name: "test", Dial: nobody}}})
	require.NoError(t, err)
	call := func(method, path, body string) (int, string) {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		host.Handler().ServeHTTP(w, r)
		got, err := io.ReadAll(w.Result().Body)
		require.NoError(t, err)
		checkContract(t, httptest.NewRequest(method, path, strings.NewReader(body)), body, w)
		return w.Code, string(got)
	}
	for _, node := range []string{"N", "O"} {
		h, err := store.Series(t.Context(), history.Key{Group: "G", Node: node, Device: "D", Metric: "m"}, history.Meta{Type: sparkplug.TypeInt64})
		require.NoError(t, err)
		for i := range 3 {
			_, err := store.Write(t.Context(), []history.Point{{Series: h, Timestamp: noon.Add(24*time.Hour + time.Duration(i)*time.Second).UnixMilli(), Value: sparkplug.Int(sparkplug.TypeInt64, int64(i)), Quality: history.QualityGood}})
			require.NoError(t, err)
		}
	}
	const path = "/v1/history/quarantine"
	status, body := call("GET", path+"?group=G&node=N&limit=1", "")
	require.Equal(t, 200, status)
	require.JSONEq(t, `{"nodes":[{"group":"G","node":"N","samples":3,"from":"2026-05-21T12:00:00.000Z","to":"2026-05-21T12:00:02.000Z",
		"received_first":"2026-05-20T12:00:00.000Z","received_last":"2026-05-20T12:00:00.000Z"}],
		"samples":[{"group":"G","node":"N","device":"D","metric":"m","timestamp":"2026-05-21T12:00:00.000Z","received":"2026-05-20T12:00:00.000Z",
		"datatype":"Int64","value":"0","quality":192}]}`, body)
	for offset, values := range map[string]string{"0": "01", "1": "12", "2": "2", "3": ""} {
		_, body = call("GET", path+"?group=G&node=O&limit=2&offset="+offset, "")
		var got strings.Builder
		for _, m := range regexp.MustCompile(`"value":"(\d)"`).FindAllStringSubmatch(body, -1) {
			got.WriteString(m[1])
		}
		require.Equal(t, values, got.String(), "offset %s: %s", offset, body)
		require.Contains(t, body, `"samples":3`)
	}
	_, body = call("GET", path+"?limit=0", "")
	require.Equal(t, 2, strings.Count(body, `"node":`), body)
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", path + "?limit=x", "", 400, "limit"},
		{"GET", path + "?limit=10001", "", 400, "limit"},
		{"GET", path + "?offset=-1", "", 400, "offset"},
		{"POST", path + "/release", "{", 400, "is not"},
		{"POST", path + "/release", `{"group":"G","node":"N","shift":-86400000}`, 400, "unknown field"},
		{"POST", path + "/release", `{"group":"G","node":"N"}{}`, 400, "goes on"},
		{"POST", path + "/drop", `{"group":"G","node":"N","metric":"m"}`, 400, "unknown field"},
		{"POST", path + "/release", `{"group":"G"}`, 422, "name both"},
		{"POST", path + "/drop", `{"node":"G"}`, 422, "name both"},
		{"POST", path + "/release", `{"group":"G","node":"N"}`, 200, `{"stored":0,"duplicates":0,"conflicts":0,"expired":0}`},
		{"POST", path + "/release", `{"group":"G","node":"N","shift_ms":-86400000000}`, 200, `{"stored":0,"duplicates":0,"conflicts":0,"expired":3}`},
		{"POST", path + "/release", `{"group":"G","node":"N","shift_ms":-86400000}`, 200, `{"stored":3,"duplicates":0,"conflicts":0,"expired":0}`},
		{"POST", path + "/drop", `{"group":"G","node":"O"}`, 200, `{"dropped":3}`},
		{"GET", path, "", 200, `{"nodes":[],"samples":[]}`},
	} {
		status, body := call(c.method, c.path, c.body)
		require.Equal(t, c.status, status, body)
		require.Contains(t, body, c.want)
	}
	n := 0
	require.NoError(t, store.Raw(t.Context(), history.Key{Group: "G", Node: "N", Device: "D", Metric: "m"}, 0, noon.UnixMilli()+5000, func(history.Sample) bool { n++; return true }))
	require.Equal(t, 3, n)
}
