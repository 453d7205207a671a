package session_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// TestPrimaryLaw runs an Edge that waits for its primary host over two servers,
// with a Primary on each, while servers, hosts and connections come and go.
//
// All the while: the edge has one connection at most, is born only when the
// host said on that connection that it is online, and the host's births carry
// the timestamp of its will and come first. When all is quiet the edge is
// online where the host is.
func TestPrimaryLaw(t *testing.T) {
	births := 0
	for seed := range uint64(200) {
		w := newFleet(seed)
		w.run(40_000, 60_000)
		if len(w.faults) != 0 {
			t.Fatalf("seed %d: %s", seed, w.faults[0])
		}
		births += w.births
	}
	t.Logf("%d births", births)
	if births < 400 {
		t.Errorf("%d births: too quiet to prove anything", births)
	}
}

// server is an MQTT server, with what it retains on the host's STATE topic.
type server struct {
	up       bool
	retained sparkplug.State
	has      bool

	host    *session.Primary
	session uint32
	linked  bool
	will    sparkplug.State
	first   bool // nothing was published in this session yet
	wanted  bool // the host is meant to run
}

// fleet is one edge and two servers in virtual time; it borrows the clock of world.
type fleet struct {
	*world
	servers []*server
	edge    *session.Edge
	session uint32
	on      int // server of the edge's connection, -1: none
	online  bool
	births  int
}

func newFleet(seed uint64) *fleet {
	w := &fleet{
		world: &world{rnd: rand.New(rand.NewPCG(seed, 2)), now: 1_700_000_000_000},
		edge: session.NewEdge(session.EdgeConfig{
			Group: "g", Node: "n", PrimaryHost: "plant", Servers: 2, Seed: seed, MQTT5: seed%2 == 0,
		}),
		on: -1,
	}
	for i := range 2 {
		w.servers = append(w.servers, &server{
			up: true, wanted: true,
			host: session.NewPrimary(session.PrimaryConfig{Host: "plant", Seed: seed + uint64(i)}),
		})
	}
	return w
}

func (w *fleet) run(rage, rest int64) {
	w.toEdge(session.EdgeEvent{Kind: session.EdgeStart})
	for _, s := range w.servers {
		w.toHost(s, session.PrimaryEvent{Kind: session.PrimaryStart})
	}
	end := w.now + rage
	for w.after(200, w.storm); w.now < end && len(w.faults) == 0; {
		w.next(end)
	}
	w.calm = true
	only := w.rnd.IntN(3) // 2: the host runs on both servers
	for i, s := range w.servers {
		s.up = true
		w.meant(s, only == 2 || only == i)
	}
	for end += rest; w.now < end && len(w.faults) == 0; {
		w.next(end)
	}
	if w.edge.Phase() != session.Online || w.on < 0 || !w.servers[w.on].host.Online() {
		w.fail("edge %s, on server %d", w.edge.Words(), w.on)
	}
}

// next does what is due next, at most until end.
func (w *fleet) next(end int64) {
	deadlines := []int64{w.edge.Deadline(), w.servers[0].host.Deadline(), w.servers[1].host.Deadline()}
	next := end
	for _, d := range deadlines {
		if d != 0 {
			next = min(next, max(d, w.now))
		}
	}
	if len(w.queue) > 0 && w.queue[0].at <= next {
		s := w.queue[0]
		w.queue = slices.Delete(w.queue, 0, 1)
		w.now = max(w.now, s.at)
		s.do()
		return
	}
	w.now = next
	w.toEdge(session.EdgeEvent{Kind: session.EdgeTick})
	for _, s := range w.servers {
		w.toHost(s, session.PrimaryEvent{Kind: session.PrimaryTick})
	}
}

func (w *fleet) storm() {
	if w.calm {
		return
	}
	s := w.servers[w.rnd.IntN(2)]
	switch w.rnd.IntN(8) {
	case 0:
		s.up = false
		w.cutHost(s)
		w.cutEdge(w.servers[max(w.on, 0)] == s)
	case 1, 2:
		s.up = true
	case 3:
		w.cutHost(s)
	case 4:
		w.cutEdge(true)
	case 5:
		w.meant(s, !s.wanted)
	}
	w.after(300+w.rnd.Int64N(3000), w.storm)
}

// meant starts or stops the host on a server.
func (w *fleet) meant(s *server, run bool) {
	s.wanted = run
	kind := session.PrimaryStop
	if run {
		kind = session.PrimaryStart
	}
	w.toHost(s, session.PrimaryEvent{Kind: kind})
}

func (w *fleet) cutHost(s *server) {
	if !s.linked {
		return
	}
	s.linked = false
	w.publish(s, s.will)
	w.toHost(s, session.PrimaryEvent{Kind: session.PrimaryLost, Session: s.session})
}

func (w *fleet) cutEdge(yes bool) {
	if yes && w.on >= 0 {
		w.on = -1
		w.toEdge(session.EdgeEvent{Kind: session.EdgeLost, Session: w.session})
	}
}

// publish puts a STATE on a server: it is retained, and goes to who listens.
func (w *fleet) publish(s *server, state sparkplug.State) {
	s.retained, s.has = state, true
	w.deliver(s)
	w.stateToEdge(s)
}

func (w *fleet) deliver(s *server) {
	session1, state := s.session, s.retained
	if s.linked && s.has {
		w.after(5, func() {
			w.toHost(s, session.PrimaryEvent{Kind: session.PrimaryState, Session: session1, State: state})
		})
	}
}

func (w *fleet) stateToEdge(s *server) {
	session1, state := w.session, s.retained
	if w.on >= 0 && w.servers[w.on] == s && s.has {
		w.after(5, func() {
			if w.on >= 0 && w.servers[w.on] == s && w.session == session1 {
				w.online = state.Online
			}
			w.toEdge(session.EdgeEvent{
				Kind: session.EdgeHostState, Session: session1, Host: "plant", State: state,
			})
		})
	}
}

func (w *fleet) toEdge(ev session.EdgeEvent) {
	ev.At = w.now
	for _, fx := range w.edge.Step(ev, nil) {
		switch fx.Do {
		case session.EdgeConnect:
			w.dialEdge(fx)
		case session.EdgeSubscribe:
			w.stateToEdge(w.servers[w.on])
			w.after(w.rnd.Int64N(10), func() {
				w.toEdge(session.EdgeEvent{Kind: session.EdgeSubscribed, Session: fx.Session})
			})
		case session.EdgeNBirth:
			w.births++
			if w.on < 0 || !w.online {
				w.fail("born on server %d, host online: %v", w.on, w.online)
			}
		case session.EdgeDisconnect, session.EdgeAbandon:
			w.on = -1
		}
	}
}

func (w *fleet) dialEdge(fx session.EdgeEffect) {
	w.session = fx.Session
	if w.on >= 0 {
		w.fail("dials server %d while connected to %d", fx.Server, w.on)
	}
	w.after(10, func() {
		kind := session.EdgeConnectFailed
		if w.servers[fx.Server].up {
			kind, w.on, w.online = session.EdgeConnected, fx.Server, false
		}
		w.toEdge(session.EdgeEvent{Kind: kind, Session: fx.Session})
	})
}

func (w *fleet) toHost(s *server, ev session.PrimaryEvent) {
	ev.At = w.now
	for _, fx := range s.host.Step(ev, nil) {
		switch fx.Do {
		case session.PrimaryConnect:
			w.dialHost(s, fx)
		case session.PrimarySubscribe:
			w.deliver(s)
			w.after(w.rnd.Int64N(10), func() {
				w.toHost(s, session.PrimaryEvent{Kind: session.PrimarySubscribed, Session: fx.Session})
			})
		case session.PrimaryPublish:
			if fx.State.Online && fx.State.Timestamp != s.will.Timestamp || s.first && !fx.State.Online && s.host.Online() {
				w.fail("published %+v after a will of %+v", fx.State, s.will)
			}
			s.first = false
			if s.linked {
				w.publish(s, fx.State)
			}
		case session.PrimaryDisconnect:
			s.linked = false
		case session.PrimaryStopped:
			if s.wanted { // was asked to run again while it stopped
				w.after(1, func() { w.meant(s, s.wanted) })
			}
		}
	}
}

func (w *fleet) dialHost(s *server, fx session.PrimaryEffect) {
	s.session = fx.Session
	w.after(10, func() {
		if !s.up {
			w.toHost(s, session.PrimaryEvent{Kind: session.PrimaryConnectFailed, Session: fx.Session})
			return
		}
		s.linked, s.will, s.first = true, fx.State, true
		w.toHost(s, session.PrimaryEvent{Kind: session.PrimaryConnected, Session: fx.Session})
	})
}
