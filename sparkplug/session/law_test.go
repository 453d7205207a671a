package session_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// TestLaw runs an Edge and a Node back to back over a network that delays,
// drops, repeats and reorders messages, cuts either end off and refuses dials.
//
// All the while: what the host applies within a birth is exactly what the edge
// sent, in its order and without a hole; a value goes to the metric it was
// sent for, forward in time and not twice; bdSeq goes up by one with each
// CONNECT that left; rebirths and requests for them are bounded. Some time
// after the network has come to rest both ends agree, and nothing is asked,
// dropped or born any more.
func TestLaw(t *testing.T) {
	seeds := uint64(300)
	if testing.Short() {
		seeds = 30
	}
	var sum tally
	for seed := range seeds {
		w := newWorld(seed)
		w.run(30_000, 120_000)
		if len(w.faults) != 0 {
			t.Fatalf("seed %d: %s", seed, w.faults[0])
		}
		w.Quick = w.both.taken
		sum.add(w.tally)
	}
	t.Logf("%d seeds: %+v", seeds, sum)
	if sum.Reordered == 0 || sum.Gaps == 0 || sum.Asked == 0 || sum.Reborn == 0 || sum.Cuts == 0 || sum.Repeated == 0 {
		t.Errorf("the network was too kind: %+v", sum)
	}
	if sum.Quick*2 < sum.Applied {
		t.Errorf("Data took too little: %+v", sum)
	}
	if sum.Blind*100 > sum.Applied {
		t.Errorf("too much was applied that belongs to a birth not seen: %+v", sum)
	}
}

// tally counts what happened, so that a law that proves nothing is noticed.
type tally struct{ Sent, Applied, Reordered, Repeated, Gaps, Asked, Reborn, Cuts, HostCuts, Blind, Quick int }

func (a *tally) add(b tally) {
	a.Sent += b.Sent
	a.Applied += b.Applied
	a.Reordered += b.Reordered
	a.Repeated += b.Repeated
	a.Gaps += b.Gaps
	a.Asked += b.Asked
	a.Reborn += b.Reborn
	a.Cuts += b.Cuts
	a.HostCuts += b.HostCuts
	a.Blind += b.Blind
	a.Quick += b.Quick
}

// sent is a message as the edge sent it: the oracle's memory.
type sent struct {
	typ    sparkplug.Type
	device string
	birth  int // which NBIRTH it belongs to, from 1
	count  uint64
	value  int64
}

// world is one edge, one host, and the network between them, in virtual time.
type world struct {
	rnd    *rand.Rand
	now    int64
	queue  []scheduled // sorted by time
	still  bool        // the equipment gives no new values
	calm   bool        // the network is at rest
	skew   int64       // the edge's clock is ahead by so much
	faults []string
	tally

	edge    *session.Edge
	session uint32
	linked  bool
	bdSeq   int // of the last CONNECT that left, -1: none
	birth   int
	counter int64            // all values are different, and grow
	values  map[string]int64 // of the equipment, by device
	log     map[[2]uint64]sent
	efx     []session.EdgeEffect

	both     *pair
	node     *session.Node // of both
	hostLink bool
	seen     hostSeen
	nfx      []session.NodeEffect
}

// hostSeen is what the host was told by the effects.
type hostSeen struct {
	birth   int
	online  bool
	devices map[string]bool
	values  map[string]int64
	counted map[uint64]bool // of this birth
	blind   bool            // something of a birth not seen was applied
}

type scheduled struct {
	at int64
	do func()
}

var lawDevices = []string{"pump", "tank", "valve"}

func newWorld(seed uint64) *world {
	w := &world{
		rnd: rand.New(rand.NewPCG(seed, 1)), now: 1_700_000_000_000, bdSeq: -1, hostLink: true,
		values: map[string]int64{}, log: map[[2]uint64]sent{},
	}
	w.skew = w.rnd.Int64N(200_000) - 100_000
	w.edge = session.NewEdge(session.EdgeConfig{Group: "g", Node: "n", Seed: seed, MQTT5: seed%2 == 0})
	w.both = newPair(session.HostConfig{RebirthMax: 10_000})
	w.node = w.both.stepped
	w.seen = hostSeen{devices: map[string]bool{}, values: map[string]int64{}}
	return w
}

func (w *world) fail(format string, args ...any) {
	w.faults = append(w.faults, fmt.Sprintf("at %d: ", w.now)+fmt.Sprintf(format, args...))
}

// after schedules do; what is due at the same time is done in order.
func (w *world) after(ms int64, do func()) {
	at := w.now + ms
	i, _ := slices.BinarySearchFunc(w.queue, at+1, func(s scheduled, t int64) int { return int(s.at - t) })
	w.queue = slices.Insert(w.queue, i, scheduled{at, do})
}

func (w *world) chance(p float64) bool { return !w.calm && w.rnd.Float64() < p }

// run lets the network rage for some ms, then rest for some, and checks the end.
func (w *world) run(rage, rest int64) {
	w.toEdge(session.EdgeEvent{Kind: session.EdgeStart})
	w.after(20, w.equipment)
	w.after(500, w.weather)
	start := w.now
	w.until(start + rage)
	w.calm = true
	w.until(w.now + 1000)
	if w.rnd.IntN(4) == 0 {
		w.skew -= 3_600_000 // the edge's clock is set back by an hour
	}
	w.until(start + rage + rest - 30_000)
	settled := w.tally
	w.until(start + rage + rest - 1_000)
	w.still = true
	w.until(start + rage + rest)
	if settled.Asked != w.Asked || settled.Gaps != w.Gaps || settled.Reborn != w.Reborn {
		w.fail("not at rest: %+v, then %+v", settled, w.tally)
	}
	if w.Asked > int(rage+rest)/1000 {
		w.fail("%d requests for a rebirth", w.Asked)
	}
	w.agree()
}

func (w *world) until(end int64) {
	for len(w.faults) == 0 {
		next := end
		for _, d := range []int64{w.edgeDeadline(), w.node.Deadline()} {
			if d != 0 {
				next = min(next, max(d, w.now))
			}
		}
		if len(w.queue) > 0 && w.queue[0].at <= next {
			s := w.queue[0]
			w.queue = slices.Delete(w.queue, 0, 1)
			w.now = max(w.now, s.at)
			s.do()
			continue
		}
		w.now = next
		if next == end {
			return
		}
		w.toEdge(session.EdgeEvent{Kind: session.EdgeTick})
		w.toNode(session.NodeEvent{Kind: session.NodeTick})
	}
}

func (w *world) edgeDeadline() int64 {
	if d := w.edge.Deadline(); d != 0 {
		return d - w.skew
	}
	return 0
}

// equipment gives a new value, or a device comes and goes.
func (w *world) equipment() {
	if w.still {
		return
	}
	device := ""
	if n := w.rnd.IntN(len(lawDevices) + 1); n > 0 {
		device = lawDevices[n-1]
	}
	switch {
	case device != "" && w.chance(0.02):
		w.toEdge(session.EdgeEvent{Kind: session.EdgeDeviceGone, Device: device})
	case device != "" && w.chance(0.02):
		w.toEdge(session.EdgeEvent{Kind: session.EdgeDeviceChanged, Device: device})
	case w.chance(0.002):
		w.toEdge(session.EdgeEvent{Kind: session.EdgeChanged})
	default:
		if device != "" {
			w.toEdge(session.EdgeEvent{Kind: session.EdgeDeviceReady, Device: device})
		}
		w.counter++
		w.values[device] = w.counter
		w.toEdge(session.EdgeEvent{Kind: session.EdgeData, Device: device})
	}
	pause := 5 + w.rnd.Int64N(40)
	if w.calm {
		pause *= 5
	}
	w.after(pause, w.equipment)
}

// weather cuts either end off now and then.
func (w *world) weather() {
	if w.chance(0.08) && w.linked {
		w.Cuts++
		w.cut()
	}
	if w.hostLink && w.chance(0.04) {
		w.HostCuts++
		w.hostLink = false
		w.toNode(session.NodeEvent{Kind: session.NodeHostLost})
		w.after(100+w.rnd.Int64N(5000), func() {
			w.hostLink = true
			w.toNode(session.NodeEvent{Kind: session.NodeHostBack})
		})
	}
	w.after(500, w.weather)
}

// cut breaks the edge's connection: the server publishes the will, and the
// edge notices some time later.
func (w *world) cut() {
	w.linked = false
	session1, bdSeq := w.session, w.edge.BdSeq()
	w.will(bdSeq)
	w.after(w.rnd.Int64N(3000), func() {
		w.toEdge(session.EdgeEvent{Kind: session.EdgeLost, Session: session1})
	})
}

func (w *world) will(bdSeq uint8) {
	if w.chance(0.2) {
		return
	}
	w.after(w.rnd.Int64N(1500), func() { w.carry(w.death(bdSeq), sparkplug.NDEATH, "") })
}
