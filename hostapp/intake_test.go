package hostapp_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magneto-iiot/magneto/hostapp"
	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
	st "github.com/magneto-iiot/magneto/sparkplug/sparkplugtest"
)

// edge is an edge node that wants acknowledgements.
type edge struct {
	p     *plant
	birth uint64
	at    int64
	count uint64
	value float64
}

// born publishes an NBIRTH that wants the acknowledgements of a host.
func (e *edge) born(host string) {
	e.birth++
	e.at++
	e.count = 0
	e.p.server.send(e.p.t, "spBv1.0/G/NBIRTH/N", st.NodeBirth(e.at, 0, 1,
		session.Announcement(e.birth, host, e.at), st.Aliased("Load", 1, e.at, sparkplug.Double(-float64(e.birth)))))
}

// tell publishes the next values, a message each.
func (e *edge) tell(n int) {
	for range n {
		e.at++
		e.count++
		e.value++
		e.p.server.send(e.p.t, "spBv1.0/G/NDATA/N", st.Payload(e.at, uint8(e.count), st.ByAlias(1, e.at, sparkplug.Double(e.value))))
	}
}

// said takes the positions that the host has acknowledged since the last call.
func (e *edge) said() (out []session.Position, rebirths int) {
	s := e.p.server
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.log {
		if !strings.HasPrefix(m.Topic, "spBv1.0/G/NCMD/") {
			continue
		}
		var p sparkplug.Payload
		must(e.p.t, p.Decode(m.Payload))
		for i := range p.Metrics {
			if p.Metrics[i].Name == sparkplug.MetricRebirth {
				rebirths++
			}
			if at, host, ok := session.Acknowledged(&p.Metrics[i]); ok {
				if host != "plant" {
					e.p.t.Errorf("acknowledged as %q", host)
				}
				out = append(out, at)
			}
		}
	}
	s.log = nil
	return out, rebirths
}

// missing says which of the values from 1 on are not stored exactly once.
func (e *edge) missing() (out []string) {
	e.p.store.mu.Lock()
	defer e.p.store.mu.Unlock()
	seen := map[float64]int{}
	for _, p := range e.p.store.points[history.Key{Group: "G", Node: "N", Metric: "Load"}] {
		if !p.Stale {
			seen[p.Value.Float64()]++
		}
	}
	for v := 1.0; v <= e.value; v++ {
		if seen[v] != 1 {
			out = append(out, fmt.Sprintf("%v: %d", v, seen[v]))
		}
	}
	return out
}

// inJournal runs a test of a host with a journal, which the test starts.
func inJournal(t *testing.T, test func(p *plant, e *edge, change func(*hostapp.Config))) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		p := newPlant(t)
		test(p, &edge{p: p, at: now()}, func(c *hostapp.Config) { c.Journal = dir })
		p.stop()
	})
}

// TestAcknowledges checks that a node that asks for it is told what is stored,
// about once a second, and no other is.
func TestAcknowledges(t *testing.T) {
	inJournal(t, func(p *plant, e *edge, journal func(*hostapp.Config)) {
		p.start(journal)
		e.born("plant")
		e.tell(300)
		time.Sleep(time.Second)
		got, _ := e.said()
		if len(got) == 0 || got[len(got)-1] != (session.Position{Birth: 1, Count: 300, Timestamp: e.at}) {
			t.Fatalf("acknowledged %v", got)
		}
		for range 50 {
			e.tell(1)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		got, _ = e.said()
		if len(got) < 4 || len(got) > 7 || got[len(got)-1].Count != 350 {
			t.Errorf("acknowledged %v in 5 s", got)
		}
		time.Sleep(time.Minute)
		if got, _ := e.said(); len(got) != 0 {
			t.Errorf("acknowledged %v though nothing came", got)
		}
		e.born("another")
		e.tell(10)
		time.Sleep(5 * time.Second)
		if got, _ := e.said(); len(got) != 0 {
			t.Errorf("acknowledged %v to a node that listens to another host", got)
		}
	})
}

// TestStoreIsDown checks that a store that is down for a while, over a restart
// of the host too, gets all in the end, each sample once, and that it is
// acknowledged meanwhile.
func TestStoreIsDown(t *testing.T) {
	inJournal(t, func(p *plant, e *edge, journal func(*hostapp.Config)) {
		p.start(journal)
		e.born("plant")
		e.tell(20)
		time.Sleep(time.Second)
		p.store.fail(errors.New("connection refused"))
		e.tell(500)
		time.Sleep(time.Minute)
		if got, _ := e.said(); len(got) == 0 || got[len(got)-1].Count != 520 {
			t.Errorf("acknowledged %v while the store is down", got)
		}
		if code, body := p.call("GET", "/readyz", ""); code != 503 || !strings.Contains(body, "sink history cannot be written") {
			t.Errorf("ready: %d %s", code, body)
		}
		p.stop()
		p.start(journal)
		time.Sleep(time.Second) // it tries to bring the history up to date first
		e.born("plant")
		e.tell(30)
		time.Sleep(time.Minute)
		p.store.fail(nil)
		time.Sleep(time.Minute)
		if missing := e.missing(); len(missing) != 0 {
			t.Errorf("of %v values: %v", e.value, missing)
		}
		if code, body := p.call("GET", "/readyz", ""); code != 200 {
			t.Errorf("ready: %d %s", code, body)
		}
	})
}

// TestJournalIsFull checks that nothing is acknowledged that has no room, and
// that the nodes that were hit are born anew when there is some.
func TestJournalIsFull(t *testing.T) {
	inJournal(t, func(p *plant, e *edge, journal func(*hostapp.Config)) {
		p.start(func(c *hostapp.Config) {
			journal(c)
			c.JournalBytes, c.HistoryQueue = 64<<10, 200
		})
		e.born("plant")
		p.store.fail(errors.New("down"))
		last := uint64(0)
		for range 300 {
			e.tell(20)
			time.Sleep(250 * time.Millisecond)
		}
		got, _ := e.said()
		for _, a := range got {
			last = a.Count
		}
		if last < 500 || last >= e.count {
			t.Fatalf("acknowledged up to %d of %d", last, e.count)
		}
		p.store.fail(nil)
		time.Sleep(time.Minute)
		e.tell(1)
		time.Sleep(time.Minute)
		got, rebirths := e.said()
		for _, a := range got {
			if a.Count > last+400 {
				t.Errorf("%d is acknowledged, and what was before it is dropped", a.Count)
			}
		}
		if rebirths == 0 {
			t.Error("no rebirth was asked for")
		}
		e.born("plant")
		e.tell(5)
		time.Sleep(5 * time.Second)
		if got, _ := e.said(); len(got) == 0 || got[len(got)-1] != (session.Position{Birth: 2, Count: 5, Timestamp: e.at}) {
			t.Errorf("acknowledged %v after the rebirth", got)
		}
	})
}

// TestSinks checks that each store gets everything at its own pace.
func TestSinks(t *testing.T) {
	inJournal(t, func(p *plant, e *edge, journal func(*hostapp.Config)) {
		second := newStore()
		second.fail(errors.New("down"))
		p.start(func(c *hostapp.Config) {
			journal(c)
			c.Sinks = []hostapp.Sink{{Name: "second", Store: second}}
		})
		e.born("plant")
		e.tell(100)
		time.Sleep(5 * time.Second)
		if missing := e.missing(); len(missing) != 0 {
			t.Errorf("the first store waits for the second: %v", missing)
		}
		second.fail(nil)
		time.Sleep(30 * time.Second)
		first := p.store
		p.store = second
		if missing := e.missing(); len(missing) != 0 {
			t.Errorf("the second store: %v", missing)
		}
		p.store = first
	})
}

// damaged is a store that has lost all, and says so.
type damaged struct {
	*store
	said, mended bool
}

func (d *damaged) Damaged() []string {
	if d.mended {
		return nil
	}
	d.said = true
	return []string{"all of it"}
}

func (d *damaged) Mended() { d.mended = true }

// TestDamagedStore checks that a store that was damaged gets again what the
// journal has kept, and that one that was not gets nothing.
func TestDamagedStore(t *testing.T) {
	inJournal(t, func(p *plant, e *edge, journal func(*hostapp.Config)) {
		keep := func(c *hostapp.Config) {
			journal(c)
			c.JournalKeep = 1 << 20
		}
		p.start(keep)
		e.born("plant")
		e.tell(300)
		time.Sleep(time.Minute) // the cursor is at the end
		p.stop()
		for range 2 { // also after a start at which all was well
			p.start(keep)
			p.stop()
		}
		lost := &damaged{store: newStore()}
		p.start(func(c *hostapp.Config) {
			keep(c)
			c.History = lost
		})
		time.Sleep(10 * time.Second)
		p.store = lost.store
		if missing := e.missing(); len(missing) != 0 || !lost.said || !lost.mended {
			t.Errorf("missing %d; asked %t, mended %t", len(missing), lost.said, lost.mended)
		}
	})
}

func TestSinkFaults(t *testing.T) {
	for name, c := range map[string]hostapp.Config{
		"no journal":   {History: newStore(), Sinks: []hostapp.Sink{{Name: "x", Store: newStore()}}},
		"no history":   {Journal: "x"},
		"no name":      {History: newStore(), Journal: "x", Sinks: []hostapp.Sink{{Store: newStore()}}},
		"name is used": {History: newStore(), Journal: "x", Sinks: []hostapp.Sink{{Name: "history", Store: newStore()}}},
	} {
		c.ID, c.Servers = "plant", []hostapp.Server{{Name: "test", Dial: (&server{}).dial}}
		if _, err := hostapp.New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
