package hostapp_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magneto-iiot/magneto/hostapp"
	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/hostapp/watch"
	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/sparkplug"
	st "github.com/magneto-iiot/magneto/sparkplug/sparkplugtest"
)

func TestSessionOfThePrimaryHost(t *testing.T) {
	run(t, nil, func(p *plant) {
		c := p.server.conn
		if len(c.subs) != 2 || c.subs[0].Topic != "spBv1.0/#" || c.subs[1] != (mqtt.Filter{Topic: "spBv1.0/STATE/plant", QoS: 1}) {
			t.Errorf("subscribed to %v", c.subs)
		}
		will, err := sparkplug.ParseState(c.will.Payload)
		must(t, err)
		states := p.server.states(t)
		if len(states) != 1 || !states[0].Online || will.Online || states[0].Timestamp != will.Timestamp {
			t.Fatalf("will %+v, births %+v", will, states)
		}

		// Somebody says that we are offline: say that we are not.
		p.server.deliver(mqtt.Message{Topic: "spBv1.0/STATE/plant", Payload: will.Append(nil)})
		synctest.Wait()
		if states = p.server.states(t); len(states) != 2 || !states[1].Online {
			t.Fatalf("after an offline STATE of ours: %+v", states)
		}

		time.Sleep(time.Minute)
		p.server.cut()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		states = p.server.states(t)
		if last := states[len(states)-1]; p.server.dials != 2 || !last.Online || last.Timestamp <= will.Timestamp {
			t.Errorf("3 s after the connection was cut: %d dials, states %+v", p.server.dials, states)
		}
		p.stop()
		states = p.server.states(t)
		if last := states[len(states)-1]; last.Online || last.Timestamp != now() {
			t.Errorf("after the end: %+v at %d", states, now())
		}
	})
}

// TestTellsOfARival checks that another host with the same id is told of: one
// that speaks under it, and one that takes the session over.
func TestTellsOfARival(t *testing.T) {
	run(t, nil, func(p *plant) {
		told := func() string {
			_, ready := p.call("GET", "/readyz", "")
			_, counts := p.call("GET", "/metrics", "")
			said := strings.Contains(ready, "another host runs with the id plant")
			n := regexp.MustCompile(`magneto_host_rivals_total{server="test"} \d+`).FindString(counts)
			return fmt.Sprint(said, strings.TrimPrefix(n, `magneto_host_rivals_total{server="test"}`))
		}
		if got := told(); got != "false 0" {
			t.Errorf("before: %s", got)
		}
		p.server.deliver(mqtt.Message{Topic: "spBv1.0/STATE/plant", Payload: sparkplug.State{Online: true, Timestamp: now() + 5}.Append(nil)})
		synctest.Wait()
		if got := told(); got != "true 1" {
			t.Errorf("after a STATE of another host: %s", got)
		}
		if n := len(p.server.states(t)); n != 1 {
			t.Errorf("%d STATEs published: it is online all the same", n)
		}
		time.Sleep(11 * time.Minute)
		if got := told(); got != "false 1" {
			t.Errorf("long after: %s", got)
		}
		p.server.throwOut(&mqtt.ServerError{Code: 0x8E})
		if got := told(); got != "true 2" {
			t.Errorf("after a takeover: %s", got)
		}
		time.Sleep(5 * time.Second)
		if status, body := p.call("GET", "/readyz", ""); status != 200 || p.server.dials != 2 {
			t.Errorf("5 s after a takeover: %d dials, %d %s", p.server.dials, status, body)
		}
	})
}

func TestWaitsForTheServer(t *testing.T) {
	run(t, func(c *hostapp.Config) {
		s := &server{refuse: true}
		c.Servers = append(c.Servers, hostapp.Server{Name: "other", Dial: s.dial})
	}, func(p *plant) {
		time.Sleep(time.Minute)
		if status, body := p.call("GET", "/readyz", ""); status != 503 {
			t.Errorf("readyz: %d %s", status, body)
		}
		p.born(now(), 0)
		if n, _ := p.host.Watcher().Node("G", "N"); n.State != watch.Online {
			t.Errorf("N is %v on the server that works", n.State)
		}
	})
}

func TestHistory(t *testing.T) {
	run(t, nil, func(p *plant) {
		at := now()
		p.born(at, 0)
		p.server.send(t, "spBv1.0/G/DDATA/N/D", st.Payload(at+10, 2, st.ByAlias(2, at+10, sparkplug.Float(200))))
		old := st.ByAlias(2, at-500, sparkplug.Float(50))
		old.Historical = true
		p.server.send(t, "spBv1.0/G/DDATA/N/D", st.Payload(at+20, 3, old, st.ByAlias(4, at+20, sparkplug.Null(sparkplug.TypeBoolean))))
		time.Sleep(time.Second)
		synctest.Wait()
		got := p.store.of("D", "SetSpeed")
		if len(got) != 3 || got[0].Timestamp != at || got[1].Value.Float32() != 200 || !got[2].Historical {
			t.Errorf("SetSpeed: %+v", got)
		}
		if got := p.store.of("D", "a/b c%"); len(got) != 2 || !got[1].Value.IsNull() || got[1].Quality != history.QualityBad {
			t.Errorf("a null: %+v", got)
		}
		if got := p.store.of("", "bdSeq"); len(got) != 0 {
			t.Errorf("bdSeq is kept: %+v", got)
		}
		meta := p.store.metas[history.Key{Group: "G", Node: "N", Device: "D", Metric: "SetSpeed"}]
		if meta.Unit != "rpm" || meta.Type != sparkplug.TypeFloat {
			t.Errorf("meta %+v", meta)
		}

		time.Sleep(10 * time.Second)
		p.server.send(t, "spBv1.0/G/NDEATH/N", st.NodeDeath(now(), 0))
		time.Sleep(time.Second)
		got = p.store.of("D", "SetSpeed")
		if last := got[len(got)-1]; !last.Stale || last.Timestamp < at+10_000 {
			t.Errorf("after the death: %+v", last)
		}

		// A birth with an old value opens the series again at its own time.
		again := now()
		p.server.send(t, "spBv1.0/G/NBIRTH/N", st.NodeBirth(again, 0, 1))
		p.server.send(t, "spBv1.0/G/DBIRTH/N/D", st.Payload(again, 1, st.Aliased("SetSpeed", 2, at+10, sparkplug.Float(200))))
		time.Sleep(time.Second)
		synctest.Wait()
		got = p.store.of("D", "SetSpeed")
		n := len(got)
		if got[n-2].Timestamp != at+10 || got[n-1].Timestamp != again || got[n-1].Value.Float32() != 200 {
			t.Errorf("after the birth: %+v", got[n-2:])
		}

		// Nothing was lost: a rebirth stores the value only where it was measured.
		p.server.send(t, "spBv1.0/G/NBIRTH/N", st.NodeBirth(again+5, 0, 1))
		p.server.send(t, "spBv1.0/G/DBIRTH/N/D", st.Payload(again+5, 1, st.Aliased("SetSpeed", 2, at+10, sparkplug.Float(200))))
		time.Sleep(time.Minute)
		synctest.Wait()
		if got = p.store.of("D", "SetSpeed"); len(got) != n+1 || got[n].Timestamp != at+10 || got[n].Stale {
			t.Errorf("after the rebirth: %+v", got[n:])
		}

		p.stop()
		got = p.store.of("D", "SetSpeed")
		if !got[len(got)-1].Stale {
			t.Errorf("after the host's end: %+v", got)
		}
		var kinds strings.Builder
		for _, e := range p.store.events {
			kinds.WriteString(string(e.Kind) + " ")
		}
		if want := "STATE NBIRTH DBIRTH DDEATH NDEATH NBIRTH DBIRTH NBIRTH DBIRTH STATE STALE STALE "; kinds.String() != want {
			t.Errorf("events %s\nwant   %s", kinds.String(), want)
		}
	})
}

// A marker in the host's clock would hide the data of a node whose clock is
// slow, and leave the metrics of a dead one with a fast clock visible.
func TestMarkersAreInTheNodesClock(t *testing.T) {
	for name, off := range map[string]int64{"slow": -3_600_000, "fast": 240_000} {
		t.Run(name, func(t *testing.T) {
			run(t, nil, func(p *plant) {
				p.born(now()+off, 0)
				time.Sleep(10 * time.Second)
				p.server.send(t, "spBv1.0/G/NDEATH/N", st.NodeDeath(now()+off, 0))
				host := now()
				time.Sleep(time.Second)
				synctest.Wait()
				got := p.store.of("D", "SetSpeed")
				if last := got[len(got)-1]; !last.Stale || last.Timestamp != host+off {
					t.Errorf("marker at %d, want %d: now in the node's clock", last.Timestamp, host+off)
				}
				if m, _ := p.host.Watcher().Metric("G", "N", "D", "SetSpeed"); m.StaleAt != host {
					t.Errorf("REST says stale since %d, want the host's time %d", m.StaleAt, host)
				}
			})
		})
	}
}

func TestTemplateMembersAreKept(t *testing.T) {
	run(t, nil, func(p *plant) {
		at := now()
		member := func(v float64) sparkplug.Value {
			return sparkplug.OfTemplate(&sparkplug.Template{Ref: "motor", Metrics: []sparkplug.Metric{st.Metric("Speed", at, sparkplug.Double(v))}})
		}
		p.server.send(t, "spBv1.0/G/NBIRTH/N", st.NodeBirth(at, 0, 0, st.Aliased("M1", 1, at, member(1))))
		p.server.send(t, "spBv1.0/G/NDATA/N", st.Payload(at+5, 1, st.ByAlias(1, at+5, member(2))))
		p.server.send(t, "spBv1.0/G/NDEATH/N", st.NodeDeath(at, 0))
		time.Sleep(time.Second)
		synctest.Wait()
		got := p.store.of("", "M1/Speed")
		if len(got) != 3 || got[1].Value.Float64() != 2 || !got[2].Stale {
			t.Errorf("M1/Speed: %+v", got)
		}
		if m := p.store.metas[history.Key{Group: "G", Node: "N", Metric: "M1/Speed"}]; m.Template != "motor" {
			t.Errorf("meta %+v", m)
		}
	})
}

// A device that does not come back after its node's new birth ends 30 s later.
func TestDeviceLeftOutOfARebirth(t *testing.T) {
	run(t, nil, func(p *plant) {
		p.born(now(), 0)
		p.server.send(t, "spBv1.0/G/NBIRTH/N", st.NodeBirth(now()+1, 0, 0))
		time.Sleep(10 * time.Second)
		if got := p.store.of("D", "SetSpeed"); len(got) != 1 {
			t.Errorf("after 10 s: %+v", got)
		}
		time.Sleep(25 * time.Second)
		p.server.send(t, "spBv1.0/G/NDATA/N", st.Payload(now(), 1))
		time.Sleep(time.Second)
		synctest.Wait()
		if got := p.store.of("D", "SetSpeed"); len(got) != 2 || !got[1].Stale {
			t.Errorf("after 36 s: %+v", got)
		}
	})
}

func TestHistoryThatFails(t *testing.T) {
	run(t, func(c *hostapp.Config) { c.HistoryQueue = 100 }, func(p *plant) {
		at := now()
		p.born(at, 0)
		time.Sleep(time.Second)
		p.store.fail(errors.New("disk full"))
		for i := range int64(250) {
			p.server.send(t, "spBv1.0/G/NDATA/N", st.Payload(at+i, uint8(2+i), st.ByAlias(1, at+i, sparkplug.Double(float64(i)))))
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if status, body := p.call("GET", "/readyz", ""); status != 503 {
			t.Errorf("readyz: %d %s", status, body)
		}
		if m, _ := p.host.Watcher().Metric("G", "N", "", "Load"); m.Value.Float64() != 249 {
			t.Errorf("the view stopped at %v", m.Value)
		}
		p.store.fail(nil)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if status, body := p.call("GET", "/readyz", ""); status != 200 {
			t.Errorf("readyz: %d %s", status, body)
		}
		got := p.store.of("", "Load")
		if len(got) < 100 || len(got) > 202 {
			t.Errorf("%d samples kept of 251, want what fits the queue twice at most", len(got))
		}
		for i := range got[1:] {
			if got[i+1].Value.Float64() < got[i].Value.Float64() && i > 0 {
				t.Fatalf("sample %d out of order: %+v", i, got[i:i+2])
			}
		}
	})
}

func TestConfigFaults(t *testing.T) {
	_, err := hostapp.New(hostapp.Config{ID: "a/b", CommandTimeout: -1})
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("New: %v, want three faults", err)
	}
}

// TestBirthThatDoesNotFit: while the history is stuck a device is born with
// other metrics, and the birth finds no room. Its samples are counted as
// dropped; none lands in a series of the birth before.
func TestBirthThatDoesNotFit(t *testing.T) {
	run(t, func(c *hostapp.Config) { c.HistoryQueue = 20 }, func(p *plant) {
		at := now()
		p.born(at, 0)
		time.Sleep(time.Second)
		p.store.fail(errors.New("disk full"))
		seq := uint8(2)
		say := func(kind, device string, metrics ...sparkplug.Metric) {
			at++
			p.server.send(t, "spBv1.0/G/"+kind+"/N/"+device, st.Payload(at, seq, metrics...))
			seq++
		}
		send := func(kind string, metrics ...sparkplug.Metric) { say(kind, "D", metrics...) }
		for range 40 { // more than fit, twice: one load is being written
			say("DBIRTH", "E")
			say("DDEATH", "E")
			time.Sleep(10 * time.Millisecond)
		}
		send("DBIRTH", st.Aliased("Other", 9, at, sparkplug.Double(7)))
		for range 10 {
			send("DDATA", st.ByAlias(9, at, sparkplug.Double(8)))
		}
		p.store.fail(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, name := range []string{"SetSpeed", "Serial"} {
			for _, s := range p.store.of("D", name) {
				if v := s.Value.Float64(); !s.Stale && (v == 7 || v == 8) {
					t.Errorf("%s holds %v, which is Other's", name, s.Value)
				}
			}
		}
		if _, body := p.call("GET", "/metrics", ""); !regexp.MustCompile(`history_dropped_total [1-9]`).MatchString(body) {
			t.Errorf("nothing is counted as dropped:\n%s", body)
		}
		send("DDEATH")
		send("DBIRTH", st.Aliased("Other", 9, at, sparkplug.Double(7)))
		send("DDATA", st.ByAlias(9, at, sparkplug.Double(9)))
		time.Sleep(time.Second)
		synctest.Wait()
		if got := p.store.of("D", "Other"); len(got) == 0 || got[len(got)-1].Value.Float64() != 9 {
			t.Errorf("after the next birth: %+v", got)
		}
	})
}
