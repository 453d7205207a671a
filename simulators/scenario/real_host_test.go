package scenario_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// face is the HTTP face of a running host.
type face struct {
	t   *testing.T
	url string
}

// call sends a request; out may be nil. It returns the status.
func (f face) call(method, path string, body, out any) (int, error) {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return 0, err
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(f.t.Context(), method, f.url+path, r)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	if res.StatusCode >= 400 {
		return res.StatusCode, fmt.Errorf("%s %s: %d %s", method, path, res.StatusCode, b)
	}
	if out == nil {
		return res.StatusCode, nil
	}
	return res.StatusCode, json.Unmarshal(b, out)
}

type nodeState struct {
	Online  bool   `json:"online"`
	BdSeq   int    `json:"bdseq"`
	Births  int    `json:"births"`
	Deaths  int    `json:"deaths"`
	State   string `json:"state"`
	Devices []struct {
		Device string `json:"device"`
		Online bool   `json:"online"`
	} `json:"devices"`
	Metrics []metricState `json:"metrics"`
}

type metricState struct {
	Name      string          `json:"name"`
	Datatype  string          `json:"datatype"`
	Value     json.RawMessage `json:"value"`
	Timestamp time.Time       `json:"timestamp"`
	Stale     bool            `json:"stale"`
}

func (f face) node(group, node string) (nodeState, error) {
	var n nodeState
	_, err := f.call(http.MethodGet, "/v1/nodes/"+group+"/"+node, nil, &n)
	return n, err
}

func (f face) device(group, node, device string) (map[string]metricState, error) {
	var d struct {
		Metrics []metricState `json:"metrics"`
	}
	_, err := f.call(http.MethodGet, "/v1/nodes/"+group+"/"+node+"/devices/"+device, nil, &d)
	byName := map[string]metricState{}
	for _, m := range d.Metrics {
		byName[m.Name] = m
	}
	return byName, err
}

// point is one stored sample: ms since the Unix epoch, value.
type point struct {
	at    int64
	value float64
}

// query asks the Prometheus API and returns the points of each series, by the
// label metric.
func (f face) query(path string, args url.Values) (map[string][]point, error) {
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string `json:"metric"`
				Value  *[2]any           `json:"value"`
				Values [][2]any          `json:"values"`
			} `json:"result"`
		} `json:"data"`
	}
	if _, err := f.call(http.MethodGet, "/prometheus/api/v1/"+path+"?"+args.Encode(), nil, &answer); err != nil {
		return nil, err
	}
	out := map[string][]point{}
	for _, series := range answer.Data.Result {
		if series.Value != nil {
			series.Values = append(series.Values, *series.Value)
		}
		name := series.Metric["metric"]
		for _, v := range series.Values {
			at, _ := v[0].(float64)
			text, _ := v[1].(string)
			value, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return nil, err
			}
			out[name] = append(out[name], point{int64(at*1000 + 0.5), value})
		}
	}
	return out, nil
}

// stored is every sample of a device in the history, by metric.
func (f face) stored(group, node, device string) (map[string][]point, error) {
	selector := fmt.Sprintf("sparkplug_value{group=%q,edge_node=%q,device=%q}[1h]", group, node, device)
	return f.query("query", url.Values{"query": {selector}})
}

// plantFile writes a plant configuration with free ports and returns its path.
func plantFile(t *testing.T, more string) string {
	t.Helper()
	return write(t, t.TempDir(), "plant.yaml", "version: 1\ndata_dir: data\nhttp: {listen: \"127.0.0.1:0\"}\n"+more)
}

// startAll starts broker and host in one process.
func startAll(t *testing.T) (f face, mqtt string) {
	t.Helper()
	mqtt = "127.0.0.1:" + freePort(t)
	p := start(t, program(t, "magneto"), "all", "-c", plantFile(t, "broker: {listen: \""+mqtt+"\"}\n"))
	f = face{t, "http://" + p.err.await(t, `msg=started.* http=(\S+)`)[1]}
	f.ready()
	return f, mqtt
}

// ready waits until the host is connected, has said so and can store.
func (f face) ready() {
	f.t.Helper()
	until(f.t, "the host is ready", func() error {
		_, err := f.call(http.MethodGet, "/readyz", nil, nil)
		return err
	})
}

// online waits for a birth and returns the node's state.
func (f face) online(group, node string) nodeState {
	f.t.Helper()
	var n nodeState
	until(f.t, node+" is online", func() error {
		var err error
		if n, err = f.node(group, node); err == nil && !n.Online {
			err = fmt.Errorf("%s is %s", node, n.State)
		}
		return err
	})
	require.True(f.t, n.Online)
	return n
}
