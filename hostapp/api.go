package hostapp

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/magneto-iiot/magneto/hostapp/watch"
	"github.com/magneto-iiot/magneto/internal/metrics"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// bodyLimit is the longest request body, in bytes.
const bodyLimit = 1 << 20

// routes puts every call in its place.
func (h *Host) routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, f func(http.ResponseWriter, *http.Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, bodyLimit)
			if err := f(w, r); err != nil {
				writeProblem(w, r, err)
			}
		})
	}
	// Every path has one method; any other is refused as such.
	call := func(pattern string, f func(http.ResponseWriter, *http.Request) error) {
		handle(pattern, f)
		method, path, _ := strings.Cut(pattern, " ")
		handle(path, func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("Allow", method)
			return refuse(405, "here is %s only", method)
		})
	}
	const node = "/v1/nodes/{group}/{node}"
	call("GET /v1/nodes", h.getNodes)
	call("GET "+node, h.getNode)
	call("GET "+node+"/devices/{device}", h.getDevice)
	call("PUT "+node+"/metrics/{metric...}", h.putMetric)
	call("PUT "+node+"/devices/{device}/metrics/{metric...}", h.putMetric)
	call("POST "+node+"/rebirth", h.postRebirth)
	call("GET /v1/stream", h.getStream)
	call("GET /v1/history/quarantine", h.getQuarantine)
	call("POST /v1/history/quarantine/release", h.postRelease)
	call("POST /v1/history/quarantine/drop", h.postDiscard)
	call("GET /v1/openapi.json", getOpenAPI)
	call("GET /healthz", getHealth)
	call("GET /readyz", h.getReady)
	call("GET /{$}", h.getPage)
	call("GET /style.css", getStyle)
	handle("/v1/", func(http.ResponseWriter, *http.Request) error { return refuse(404, "no such resource") })
	mux.Handle("GET /metrics", metrics.Handler(h.gather))
	if h.cfg.Prometheus != nil {
		mux.Handle("/prometheus/", h.cfg.Prometheus)
	}
	return guard(mux)
}

type nodeJSON struct {
	Group            string       `json:"group"`
	Node             string       `json:"node"`
	Online           bool         `json:"online"`
	State            string       `json:"state"`
	Server           string       `json:"server"`
	BirthAt          stamp        `json:"birth_at"`
	DeathAt          stamp        `json:"death_at"`
	ChangedAt        stamp        `json:"changed_at"`
	BdSeq            uint64       `json:"bdseq"`
	Births           uint64       `json:"births"`
	Deaths           uint64       `json:"deaths"`
	Rebirths         uint64       `json:"rebirths"`
	LastRebirthCause *string      `json:"last_rebirth_cause"`
	Gaps             uint64       `json:"gaps"`
	Conflicts        uint64       `json:"conflicts"`
	Malformed        uint64       `json:"malformed"`
	LatencyMs        int64        `json:"latency_ms"`
	Devices          []deviceJSON `json:"devices"`
	Metrics          []metricJSON `json:"metrics,omitzero"`
}

type deviceJSON struct {
	Device    string       `json:"device"`
	Online    bool         `json:"online"`
	State     string       `json:"state"`
	ChangedAt stamp        `json:"changed_at"`
	Metrics   []metricJSON `json:"metrics,omitzero"`
}

type metricJSON struct {
	Name       string          `json:"name"`
	Alias      *uint64         `json:"alias"`
	DataType   string          `json:"datatype"`
	Value      json.RawMessage `json:"value"`
	Timestamp  stamp           `json:"timestamp"`
	Quality    uint16          `json:"quality"`
	Stale      bool            `json:"stale"`
	StaleAt    stamp           `json:"stale_at"`
	Properties json.RawMessage `json:"properties"`
}

// stamp is a time in ms since the Unix epoch; 0 is null in JSON.
type stamp int64

// MarshalJSON gives RFC 3339 in UTC with milliseconds.
func (s stamp) MarshalJSON() ([]byte, error) { return appendTime(nil, int64(s)), nil }

func nodeOf(n *watch.NodeInfo) nodeJSON {
	out := nodeJSON{
		Group: n.Group, Node: n.Node, Online: n.State == watch.Online, State: n.State.String(), Server: n.Server,
		BirthAt: stamp(n.BirthAt), DeathAt: stamp(n.DeathAt), ChangedAt: stamp(n.ChangedAt), BdSeq: n.BdSeq,
		Births: n.Births, Deaths: n.Deaths, Rebirths: n.Rebirths, Gaps: n.Gaps, Conflicts: n.Conflicts, Malformed: n.Malformed,
		LatencyMs: n.LatencyMs, Devices: make([]deviceJSON, len(n.Devices)),
	}
	if n.LastRebirthCause != "" {
		out.LastRebirthCause = &n.LastRebirthCause
	}
	for i := range n.Devices {
		out.Devices[i] = deviceOf(&n.Devices[i])
	}
	return out
}

func deviceOf(d *watch.DeviceInfo) deviceJSON {
	return deviceJSON{
		Device: d.Device, Online: d.State == watch.Online, State: d.State.String(), ChangedAt: stamp(d.ChangedAt),
	}
}

func metricsOf(all []watch.MetricInfo) []metricJSON {
	out := make([]metricJSON, len(all))
	for i := range all {
		m := &all[i]
		out[i] = metricJSON{
			Name: m.Name, DataType: m.Type.String(), Value: sparkplug.AppendJSON(nil, m.Value),
			Timestamp: stamp(m.Time), Quality: m.Quality, Stale: m.Stale, StaleAt: stamp(m.StaleAt),
			Properties: sparkplug.AppendPropertiesJSON(nil, m.Properties),
		}
		if m.HasAlias {
			out[i].Alias = &m.Alias
		}
	}
	return out
}

func (h *Host) getNodes(w http.ResponseWriter, _ *http.Request) error {
	nodes := h.watch.Nodes()
	out := make([]nodeJSON, len(nodes))
	for i := range nodes {
		out[i] = nodeOf(&nodes[i])
	}
	return writeJSON(w, http.StatusOK, out)
}

func (h *Host) getNode(w http.ResponseWriter, r *http.Request) error {
	group, node := r.PathValue("group"), r.PathValue("node")
	n, ok := h.watch.Node(group, node)
	if !ok {
		return refuse(404, "unknown node %s/%s", group, node)
	}
	out := nodeOf(&n)
	metrics, _ := h.watch.Metrics(group, node, "")
	out.Metrics = metricsOf(metrics)
	return writeJSON(w, http.StatusOK, out)
}

func (h *Host) getDevice(w http.ResponseWriter, r *http.Request) error {
	group, node, device := r.PathValue("group"), r.PathValue("node"), r.PathValue("device")
	n, ok := h.watch.Node(group, node)
	if !ok {
		return refuse(404, "unknown node %s/%s", group, node)
	}
	for i := range n.Devices {
		if n.Devices[i].Device != device {
			continue
		}
		out := deviceOf(&n.Devices[i])
		metrics, _ := h.watch.Metrics(group, node, device)
		out.Metrics = metricsOf(metrics)
		return writeJSON(w, http.StatusOK, out)
	}
	return refuse(404, "unknown device %s of %s/%s", device, group, node)
}

// putMetric writes one metric and answers once the new value came back.
func (h *Host) putMetric(w http.ResponseWriter, r *http.Request) error {
	raw, err := readValue(r.Body)
	if err != nil {
		return err
	}
	t := Target{
		Group: r.PathValue("group"), Node: r.PathValue("node"),
		Device: r.PathValue("device"), Metric: r.PathValue("metric"),
	}
	m, _, err := h.writable(t)
	if err != nil {
		return err
	}
	v, err := valueFor(&m, raw)
	if err != nil {
		return refuse(422, "value: %v", err)
	}
	if v.IsNull() {
		return refuse(422, "value: null cannot be written")
	}
	got, err := h.Write(r.Context(), t, v)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, struct {
		Value     json.RawMessage `json:"value"`
		Timestamp stamp           `json:"timestamp"`
	}{sparkplug.AppendJSON(nil, got.Value), stamp(got.Time)})
}

// valueFor reads a value as the metric has it; of a template instance, some of
// its members.
func valueFor(m *watch.MetricInfo, raw json.RawMessage) (sparkplug.Value, error) {
	if m.Type != sparkplug.TypeTemplate {
		return sparkplug.ParseJSON(m.Type, raw)
	}
	like := m.Value.Template()
	if like == nil || like.IsDefinition {
		return sparkplug.Value{}, errors.New("only the members of a template instance can be written, and the node has sent none")
	}
	return sparkplug.ParseTemplateJSON(like, raw)
}

// readValue takes {"value": X} and nothing else.
func readValue(body io.Reader) (json.RawMessage, error) {
	var in struct {
		Value json.RawMessage `json:"value"`
	}
	if err := readBody(body, &in, `{"value": ...}`); err != nil {
		return nil, err
	}
	if in.Value == nil {
		return nil, refuse(400, `the body has no "value"`)
	}
	return in.Value, nil
}

// readBody takes one JSON value of the shape of in and nothing else.
func readBody(body io.Reader, in any, shape string) error {
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	if err := d.Decode(in); err != nil {
		if tooLong, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return refuse(413, "the body is longer than %d bytes", tooLong.Limit)
		}
		if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return refuse(400, "the body is not %s", shape) // err would name types of ours
		}
		return refuse(400, "the body is not %s: %v", shape, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return refuse(400, "the body goes on after %s", shape)
	}
	return nil
}

func (h *Host) postRebirth(w http.ResponseWriter, r *http.Request) error {
	group, node := r.PathValue("group"), r.PathValue("node")
	err := h.watch.Rebirth(r.Context(), group, node)
	switch {
	case errors.Is(err, watch.ErrUnknown):
		return refuse(404, "unknown node %s/%s", group, node)
	case errors.Is(err, watch.ErrOffline):
		return refuse(409, "node %s/%s is not online", group, node)
	case err != nil:
		return refuse(504, "the request could not be published: %v", err)
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(b) // the client has left
	return nil
}

// problem is an error as RFC 9457 has it.
type problem struct {
	Type     string `json:"type"`
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail"`
	Instance string `json:"instance"`
}

func writeProblem(w http.ResponseWriter, r *http.Request, err error) {
	p := problem{Type: "about:blank", Status: http.StatusInternalServerError, Detail: "internal error", Instance: r.URL.EscapedPath()}
	if we, ok := errors.AsType[*WriteError](err); ok {
		p.Status, p.Detail = we.Status, we.Reason
	} else if r.Context().Err() != nil {
		return // nobody listens
	}
	p.Title = http.StatusText(p.Status)
	b, _ := json.Marshal(p) // strings and a number
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_, _ = w.Write(b)
}
