package hostapp_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magneto-iiot/magneto/hostapp"
	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/sparkplug"
	st "github.com/magneto-iiot/magneto/sparkplug/sparkplugtest"
)

func TestGetNodes(t *testing.T) {
	run(t, nil, func(p *plant) {
		if status, body := p.call("GET", "/v1/nodes", ""); status != 200 || body != "[]" {
			t.Errorf("no nodes: %d %s", status, body)
		}
		at := now()
		p.born(at, 7)
		time.Sleep(time.Second)
		p.server.send(t, "spBv1.0/G/DDEATH/N/D", st.Payload(at+500, 2))

		_, body := p.call("GET", "/v1/nodes", "")
		want := `[{"group":"G","node":"N","online":true,"state":"online","server":"test",` +
			`"birth_at":"2000-01-01T00:00:00.000Z","death_at":null,"changed_at":"2000-01-01T00:00:00.000Z",` +
			`"bdseq":7,"births":1,"deaths":0,"rebirths":0,"last_rebirth_cause":null,"gaps":0,"conflicts":0,"malformed":0,"latency_ms":500,` +
			`"devices":[{"device":"D","online":false,"state":"offline","changed_at":"2000-01-01T00:00:00.500Z"}]}]`
		if body != want {
			t.Errorf("nodes:\n%s\nwant\n%s", body, want)
		}
		_, body = p.call("GET", "/v1/nodes/G/N/devices/D", "")
		want = `{"device":"D","online":false,"state":"offline","changed_at":"2000-01-01T00:00:00.500Z","metrics":[` +
			`{"name":"SetSpeed","alias":2,"datatype":"Float","value":100,"timestamp":"2000-01-01T00:00:00.000Z","quality":500,` +
			`"stale":true,"stale_at":"2000-01-01T00:00:00.500Z","properties":{`
		if !strings.HasPrefix(body, want) || !strings.Contains(body, `"value":"1152921504606846976"`) {
			t.Errorf("device:\n%s\nwant\n%s", body, want)
		}
		if status, body := p.call("GET", "/v1/nodes/G/N", ""); status != 200 || !strings.Contains(body, `{"name":"Load","alias":1,"datatype":"Double","value":1,`) {
			t.Errorf("node: %d %s", status, body)
		}
	})
}

func TestStatusCodes(t *testing.T) {
	run(t, nil, func(p *plant) {
		p.born(now(), 0)
		const d = "/v1/nodes/G/N/devices/D"
		for name, tt := range map[string]struct {
			method, path, body string
			want               int
			detail             string
		}{
			"unknown node":       {"GET", "/v1/nodes/G/X", "", 404, "unknown node G/X"},
			"unknown device":     {"GET", "/v1/nodes/G/N/devices/X", "", 404, "unknown device X"},
			"device of nobody":   {"GET", "/v1/nodes/G/X/devices/D", "", 404, "unknown node"},
			"nowhere":            {"GET", "/v1/things", "", 404, "no such resource"},
			"wrong method":       {"DELETE", d + "/metrics/SetSpeed", "", 405, "PUT only"},
			"rebirth: GET":       {"GET", "/v1/nodes/G/N/rebirth", "", 405, "POST only"},
			"write: no JSON":     {"PUT", d + "/metrics/SetSpeed", "900", 400, "the body is not"},
			"write: no value":    {"PUT", d + "/metrics/SetSpeed", "{}", 400, `no "value"`},
			"write: more keys":   {"PUT", d + "/metrics/SetSpeed", `{"value":1,"x":2}`, 400, "unknown field"},
			"write: goes on":     {"PUT", d + "/metrics/SetSpeed", `{"value":1}{}`, 400, "goes on"},
			"write: too long":    {"PUT", d + "/metrics/SetSpeed", `{"value":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "longer"},
			"write: type":        {"PUT", d + "/metrics/SetSpeed", `{"value":"fast"}`, 422, "value"},
			"write: null":        {"PUT", d + "/metrics/SetSpeed", `{"value":null}`, 422, "null"},
			"write: too high":    {"PUT", d + "/metrics/SetSpeed", `{"value":1501}`, 422, "above the maximum, 1500"},
			"write: too low":     {"PUT", d + "/metrics/SetSpeed", `{"value":-1}`, 422, "below the minimum, 0"},
			"write: not a float": {"PUT", d + "/metrics/SetSpeed", `{"value":"NaN"}`, 422, "NaN"},
			"write: read-only":   {"PUT", d + "/metrics/Serial", `{"value":"X"}`, 422, "read-only"},
			"write: metric":      {"PUT", d + "/metrics/X", `{"value":1}`, 404, "unknown metric"},
			"write: device":      {"PUT", "/v1/nodes/G/N/devices/X/metrics/Y", `{"value":1}`, 404, "unknown device"},
			"write: node":        {"PUT", "/v1/nodes/X/N/metrics/Y", `{"value":1}`, 404, "unknown node"},
			"write: rebirth":     {"PUT", "/v1/nodes/G/N/metrics/Node%20Control%2FRebirth", `{"value":true}`, 422, "POST"},
			"write: bdSeq":       {"PUT", "/v1/nodes/G/N/metrics/bdSeq", `{"value":1}`, 422, "bdSeq"},
			"write: silence":     {"PUT", d + "/metrics/SetSpeed", `{"value":900}`, 504, "nothing was seen"},
			"rebirth: node":      {"POST", "/v1/nodes/G/X/rebirth", "", 404, "unknown node"},
			"stream: kind":       {"GET", "/v1/stream?kind=X", "", 400, "none of"},
			"stream: parameter":  {"GET", "/v1/stream?x=1", "", 400, "unknown parameter"},
		} {
			status, body := p.call(tt.method, tt.path, tt.body)
			var problem struct{ Detail string }
			must(t, json.Unmarshal([]byte(body), &problem))
			if status != tt.want || !strings.Contains(problem.Detail, tt.detail) {
				t.Errorf("%s: %d %s, want %d with %q", name, status, body, tt.want, tt.detail)
			}
		}
		if status, body := p.call("POST", "/v1/nodes/G/N/rebirth", ""); status != 202 {
			t.Errorf("rebirth: %d %s", status, body)
		}
		p.server.send(t, "spBv1.0/G/DDEATH/N/D", st.Payload(now(), 2))
		if status, body := p.call("PUT", d+"/metrics/SetSpeed", `{"value":900}`); status != 409 {
			t.Errorf("device offline: %d %s", status, body)
		}
		p.server.send(t, "spBv1.0/G/NDEATH/N", st.NodeDeath(now(), 0))
		if status, body := p.call("PUT", "/v1/nodes/G/N/metrics/Load", `{"value":9}`); status != 409 {
			t.Errorf("node offline: %d %s", status, body)
		}
		if status, body := p.call("POST", "/v1/nodes/G/N/rebirth", ""); status != 409 {
			t.Errorf("rebirth of a dead node: %d %s", status, body)
		}
	})
}

// answers lets the node answer a DCMD for SetSpeed after a while with what it
// makes of the value.
func (p *plant) answers(after time.Duration, f func(seq uint8, v sparkplug.Value) []mqtt.Message) {
	seq := uint8(1)
	p.server.react = func(m mqtt.Message) {
		if !strings.Contains(m.Topic, "/DCMD/") {
			return
		}
		v, err := st.Decode(p.t, m.Payload).Metrics[0].Value.As(sparkplug.TypeFloat)
		must(p.t, err)
		time.AfterFunc(after, func() {
			for _, m := range f(seq, v) {
				seq++
				p.server.deliver(m)
			}
		})
	}
}

func (p *plant) speed(seq uint8, v float32) mqtt.Message {
	return mqtt.Message{
		Topic:   "spBv1.0/G/DDATA/N/D",
		Payload: st.Encode(p.t, st.Payload(now(), seq, st.ByAlias(2, now(), sparkplug.Float(v)))),
	}
}

func TestWrite(t *testing.T) {
	run(t, nil, func(p *plant) {
		p.born(now(), 0)
		p.answers(300*time.Millisecond, func(seq uint8, v sparkplug.Value) []mqtt.Message {
			return []mqtt.Message{p.speed(seq+1, 100), p.speed(seq+2, v.Float32())} // the old value was on its way
		})
		status, body := p.call("PUT", "/v1/nodes/G/N/devices/D/metrics/SetSpeed", `{"value":900}`)
		if want := `{"value":900,"timestamp":"2000-01-01T00:00:00.300Z"}`; status != 200 || body != want {
			t.Errorf("%d %s, want %s", status, body, want)
		}
		cmd := st.Decode(t, p.server.log[len(p.server.log)-1].Payload)
		if cmd.HasSeq || cmd.Metrics[0].Alias != 2 || cmd.Metrics[0].Name != "" || cmd.Metrics[0].Value.Type() != sparkplug.TypeFloat {
			t.Errorf("command %+v", cmd)
		}
	})
}

func TestWriteThatIsNotConfirmed(t *testing.T) {
	const path = "/v1/nodes/G/N/devices/D/metrics/SetSpeed"
	run(t, nil, func(p *plant) {
		p.born(now(), 0)
		p.answers(time.Millisecond, func(seq uint8, _ sparkplug.Value) []mqtt.Message {
			return []mqtt.Message{p.speed(seq+1, 850)}
		})
		if status, body := p.call("PUT", path, `{"value":900}`); status != 504 || !strings.Contains(body, "reported 850 instead") {
			t.Errorf("another value: %d %s", status, body)
		}
		p.answers(time.Millisecond, func(uint8, sparkplug.Value) []mqtt.Message {
			return []mqtt.Message{{Topic: "spBv1.0/G/NDEATH/N", Payload: st.Encode(t, st.NodeDeath(now(), 0))}}
		})
		before := time.Now()
		if status, body := p.call("PUT", path, `{"value":900}`); status != 504 || !strings.Contains(body, "went offline") || time.Since(before) > time.Second {
			t.Errorf("died: %d %s after %s", status, body, time.Since(before))
		}
	})
}

func TestOneWriteAtATime(t *testing.T) {
	run(t, nil, func(p *plant) {
		p.born(now(), 0)
		p.answers(time.Second, func(seq uint8, v sparkplug.Value) []mqtt.Message {
			return []mqtt.Message{p.speed(seq+1, v.Float32())}
		})
		var wg sync.WaitGroup
		wg.Go(func() {
			if status, body := p.call("PUT", "/v1/nodes/G/N/devices/D/metrics/SetSpeed", `{"value":1}`); status != 200 {
				t.Errorf("first: %d %s", status, body)
			}
		})
		synctest.Wait()
		if status, body := p.call("PUT", "/v1/nodes/G/N/devices/D/metrics/SetSpeed", `{"value":2}`); status != 409 {
			t.Errorf("second: %d %s", status, body)
		}
		wg.Wait()
	})
}

func TestEncodedNames(t *testing.T) {
	run(t, func(c *hostapp.Config) { c.CommandTimeout = time.Second }, func(p *plant) {
		p.born(now(), 0)
		for _, path := range []string{"a%2Fb%20c%25", "a/b%20c%25"} {
			if status, body := p.call("PUT", "/v1/nodes/G/N/devices/D/metrics/"+path, `{"value":true}`); status != 504 {
				t.Errorf("%s: %d %s, want a 504 of the right metric", path, status, body)
			}
		}
	})
}

// follower reads the event stream into a string.
type follower struct {
	*httptest.ResponseRecorder
	mu sync.Mutex
}

func (f *follower) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ResponseRecorder.Write(b)
}

func (f *follower) text() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Body.String()
}

func (p *plant) follow(query string) (*follower, func()) {
	ctx, cancel := context.WithCancel(p.t.Context())
	f := &follower{ResponseRecorder: httptest.NewRecorder()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.host.Handler().ServeHTTP(f, httptest.NewRequestWithContext(ctx, "GET", "/v1/stream"+query, nil))
	}()
	synctest.Wait()
	return f, func() { cancel(); <-done }
}

func TestStream(t *testing.T) {
	run(t, nil, func(p *plant) {
		all, stopAll := p.follow("")
		one, stopOne := p.follow("?node=N&device=D&metric=SetSpeed&kind=data,death")
		nodes, stopNodes := p.follow("?device=&kind=birth")
		p.born(now(), 0)
		p.server.deliver(p.speed(2, 7))
		p.server.send(t, "spBv1.0/G/NDEATH/N", st.NodeDeath(now(), 0))
		time.Sleep(20 * time.Second)
		synctest.Wait()
		stopAll()
		stopOne()
		stopNodes()
		want := ": hello\n\nevent: data\ndata: {\"group\":\"G\",\"node\":\"N\",\"device\":\"D\"," +
			"\"received\":\"2000-01-01T00:00:00.000Z\",\"sent\":\"2000-01-01T00:00:00.000Z\"," +
			"\"metrics\":[{\"name\":\"SetSpeed\",\"value\":7,\"timestamp\":\"2000-01-01T00:00:00.000Z\",\"quality\":192}]}\n\n" +
			"event: death\ndata: {\"group\":\"G\",\"node\":\"N\",\"device\":\"D\",\"received\":\"2000-01-01T00:00:00.000Z\"," +
			"\"sent\":\"2000-01-01T00:00:00.000Z\",\"cause\":\"death\"}\n\n: still here\n\n"
		if got := one.text(); got != want {
			t.Errorf("one metric:\n%s\nwant\n%s", got, want)
		}
		if got := strings.Count(nodes.text(), "event: "); got != 1 {
			t.Errorf("births of nodes: %d events\n%s", got, nodes.text())
		}
		if got := strings.Count(all.text(), "event: "); got != 5 {
			t.Errorf("everything: %d events\n%s", got, all.text())
		}
	})
}

// slow is a client whose connection takes nothing until it is let go.
type slow struct {
	*follower
	gate chan struct{}
}

func (s *slow) Write(b []byte) (int, error) {
	if strings.Contains(string(b), "event:") {
		<-s.gate
	}
	return s.follower.Write(b)
}

func TestStreamTellsWhatWasDropped(t *testing.T) {
	run(t, nil, func(p *plant) {
		p.born(now(), 0)
		s := &slow{&follower{ResponseRecorder: httptest.NewRecorder()}, make(chan struct{})}
		ctx, cancel := context.WithCancel(p.t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			p.host.Handler().ServeHTTP(s, httptest.NewRequestWithContext(ctx, "GET", "/v1/stream", nil))
		}()
		synctest.Wait()
		for i := range 1100 {
			p.server.deliver(p.speed(uint8(2+i), float32(i)))
			synctest.Wait()
		}
		close(s.gate)
		synctest.Wait()
		if got := s.text(); !strings.Contains(got, "event: dropped\ndata: {\"dropped\":75}") {
			t.Errorf("%d bytes do not say that 75 events were dropped", len(got))
		}
		cancel()
		<-done
	})
}

func TestPageEscapes(t *testing.T) {
	run(t, nil, func(p *plant) {
		at := now()
		p.server.send(t, "spBv1.0/G/NBIRTH/<script>", st.NodeBirth(at, 0, 0,
			st.Metric("<img src=x>", at, sparkplug.String("<b>\"&"))))
		w := httptest.NewRecorder()
		p.host.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		body := w.Body.String()
		if strings.Contains(body, "<script>") || strings.Contains(body, "<img") || strings.Contains(body, "<b>") || !strings.Contains(body, "&lt;script&gt;") {
			t.Errorf("page does not escape:\n%s", body)
		}
		if csp := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'self'") {
			t.Errorf("CSP %q", csp)
		}
		if status, css := p.call("GET", "/style.css", ""); status != 200 || css == "" {
			t.Errorf("style: %d", status)
		}
	})
}

func TestMetricsAndHealth(t *testing.T) {
	run(t, nil, func(p *plant) {
		p.born(now(), 0)
		_, body := p.call("GET", "/metrics", "")
		for _, want := range []string{"magneto_host_nodes_online 1\n", `magneto_host_server_online{server="test"} 1`, "magneto_host_births_total 2\n"} {
			if !strings.Contains(body, want) {
				t.Errorf("metrics lack %q:\n%s", want, body)
			}
		}
		for _, path := range []string{"/healthz", "/readyz", "/v1/openapi.json"} {
			if status, body := p.call("GET", path, ""); status != 200 {
				t.Errorf("%s: %d %s", path, status, body)
			}
		}
	})
}

func TestOtherSitesAreRefused(t *testing.T) {
	run(t, nil, func(p *plant) {
		p.born(now(), 0)
		r := httptest.NewRequest("POST", "/v1/nodes/G/N/rebirth", nil)
		r.Header.Set("Origin", "https://evil.example")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		w := httptest.NewRecorder()
		p.host.Handler().ServeHTTP(w, r)
		if w.Code != 403 {
			t.Errorf("a request of another site: %d", w.Code)
		}
	})
}
