package session_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// TestSpansLaw compares the set with a plain one.
func TestSpansLaw(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		var s session.Spans
		want := map[uint64]bool{}
		for range 60 {
			a := session.Span{From: r.Uint64N(60)}
			a.To = a.From + r.Uint64N(9)
			add := r.IntN(3) > 0
			if add {
				s = s.Add(a)
			} else {
				s = s.Remove(a)
			}
			for p := a.From; p < a.To; p++ {
				want[p] = add
			}
			for p := range uint64(80) {
				if s.Has(p) != want[p] {
					t.Fatalf("seed %d: after %v, add %t: %v has %d: %t", seed, a, add, s, p, s.Has(p))
				}
			}
			for i := range s {
				if s[i].From >= s[i].To || i > 0 && s[i].From <= s[i-1].To {
					t.Fatalf("seed %d: not in order, or runs that touch: %v", seed, s)
				}
			}
		}
	}
}

// onWire is one message between the edge and the host of plant.
type onWire struct {
	birth   uint64 // of an NBIRTH
	seq     uint8
	stamp   int64
	records []uint64
}

// plant is an edge node with a spool and a host, with everything in between
// that can go wrong. Each record is its own position.
type plant struct {
	r      *rand.Rand
	now    int64
	d      *session.Delivery
	births uint64
	next   uint64 // of the spool
	count  uint64
	online bool
	saved  session.Spans
	acks   bool
	cfg    session.DeliveryConfig

	wire   []onWire
	ackd   []session.Position // on their way
	stored map[uint64]bool

	// of the host
	birth   uint64
	expect  uint8
	applied uint64
	unsure  bool
	receipt session.Receipt
}

func newPlant(seed uint64, host string) *plant {
	p := &plant{r: rand.New(rand.NewPCG(seed, 7)), now: 1_000_000, next: 1, stored: map[uint64]bool{}}
	p.cfg = session.DeliveryConfig{Host: host, Retry: 3000, Grace: 1 << 40, MaxFlight: 300, MaxSpans: 8}
	p.restart()
	return p
}

func (p *plant) restart() {
	c := p.cfg
	c.Next, c.Delivered, c.Acks = p.next, slices.Clone(p.saved), p.acks
	p.d, p.online = session.NewDelivery(c), false
}

func (p *plant) born() {
	p.births++
	p.d.Born(p.births, p.r.IntN(2) == 0, p.now)
	p.online, p.count, p.wire = true, 0, nil
	p.send(onWire{birth: p.births})
}

func (p *plant) send(m onWire, spans ...session.Span) {
	m.seq, m.stamp = uint8(p.count), p.d.Stamp(p.now)
	p.d.Sent(m.stamp, 1, spans...)
	p.count++
	for _, s := range spans {
		for pos := s.From; pos < s.To; pos++ {
			m.records = append(m.records, pos)
		}
	}
	p.wire = append(p.wire, m)
}

func (p *plant) sample() {
	pos := p.next
	p.next++
	p.d.Appended(p.next)
	if p.online {
		p.send(onWire{}, session.Span{From: pos, To: pos + 1})
	}
}

func (p *plant) replay() {
	for range 3 {
		a := p.d.Replay()
		if !p.online || a.From == a.To {
			return
		}
		a.To = min(a.To, a.From+1+p.r.Uint64N(5))
		p.send(onWire{}, a)
		p.d.Passed(a.To)
	}
}

// host takes the next message off the wire.
func (p *plant) host() {
	if len(p.wire) == 0 {
		return
	}
	m := p.wire[0]
	p.wire = p.wire[1:]
	switch {
	case m.birth != 0:
		p.birth, p.expect, p.applied, p.unsure = m.birth, 1, 1, false
	case p.unsure || m.seq != p.expect:
		p.unsure = true
		return
	default:
		p.expect++
		p.applied++
	}
	for _, pos := range m.records {
		p.stored[pos] = true
	}
	p.receipt.Stored(session.Position{Birth: p.birth, Count: p.applied - 1, Timestamp: m.stamp})
	if pos, ok := p.receipt.Due(p.now); ok {
		p.ackd = append(p.ackd, pos)
	}
}

func (p *plant) ack(t *testing.T) {
	if len(p.ackd) == 0 {
		return
	}
	a := p.ackd[0]
	p.ackd = p.ackd[1:]
	m := session.Acknowledgement(a, "plant")
	got, host, ok := session.Acknowledged(&m)
	if !ok || got != a {
		t.Fatalf("acknowledgement %v came back as %v, %t", a, got, ok)
	}
	if p.d.Acked(got, host, p.now) == session.AckWrong && p.online {
		p.born()
	}
}

// step lets one thing happen.
func (p *plant) step(t *testing.T, faults bool) {
	p.now += p.r.Int64N(40)
	k := p.r.IntN(100)
	switch {
	case k < 30:
		p.sample()
	case k < 75:
		p.host()
		p.host()
	case k < 80:
		p.replay()
	case k < 90:
		p.ack(t)
	case k < 93:
		p.d.Tick(p.now)
	case k < 96 && p.unsure && p.online, k < 96 && !p.online:
		p.born() // it was asked for, or the connection is back
	case !faults:
	case k == 96: // messages are lost, often a run that seq does not show
		n := 1 + p.r.IntN(4)
		if p.r.IntN(2) == 0 {
			n = 256
		}
		for range n {
			p.sample()
		}
		p.wire = p.wire[:len(p.wire)-min(n, len(p.wire))]
	case k == 97: // the edge crashes; it had saved what it knew some time ago
		p.acks = p.acks || p.d.Acks()
		if p.r.IntN(2) == 0 {
			p.saved = p.d.Delivered(p.next)
		}
		p.wire = nil
		p.restart()
	case k == 98: // acknowledgements are lost
		p.ackd = nil
	case k == 99: // the link breaks
		p.wire, p.online = nil, false
	}
}

// TestDeliveryLaw: whatever is lost on the way, a record counts as delivered
// only if the host has it, and in the end the host has all.
func TestDeliveryLaw(t *testing.T) {
	replayed := 0
	for seed := range uint64(400) {
		p := newPlant(seed, "plant")
		check := func(when string) {
			for pos := uint64(1); pos < p.next; pos++ {
				if p.d.Covered(pos) && !p.stored[pos] {
					t.Fatalf("seed %d, %s: record %d counts as delivered, and the host has not got it", seed, when, pos)
				}
			}
		}
		for i := range 1500 {
			p.step(t, true)
			if i%100 == 0 {
				check("on the way")
			}
		}
		for i := 0; p.d.Low() < p.next; i++ {
			if i == 200_000 {
				t.Fatalf("seed %d: the spool is never delivered: %d of %d, %v, flight %v", seed, p.d.Low(), p.next, p.d.Replay(), p.d.Delivered(p.next))
			}
			if p.r.IntN(30) == 0 {
				p.now += 1000
			}
			p.step(t, false)
		}
		check("in the end")
		replayed += len(p.stored)
	}
	if replayed < 100_000 {
		t.Fatalf("only %d records: this tests nothing", replayed)
	}
}

// TestDeliveryUnacknowledged: with a host that acknowledges nothing, what is
// younger than the doubt is offered again after a birth, and nothing else.
func TestDeliveryUnacknowledged(t *testing.T) {
	for _, host := range []string{"", "foreign"} {
		d := session.NewDelivery(session.DeliveryConfig{Host: host, Doubt: 17000, Grace: 60000})
		now := int64(0)
		d.Born(1, false, now)
		d.Sent(d.Stamp(now), 0)
		for pos := uint64(1); pos <= 100; pos++ {
			now += 1000
			d.Appended(pos + 1)
			d.Sent(d.Stamp(now), 0, session.Span{From: pos, To: pos + 1})
			d.Passed(pos + 1)
			d.Tick(now)
			if a := d.Replay(); a.From != a.To {
				t.Fatalf("host %q: %v is offered though it was just sent", host, a)
			}
		}
		if n, acked := d.InFlight(); n != 17 || acked {
			t.Errorf("host %q: %d messages are in doubt, want those of 17 s; acked %t", host, n, acked)
		}
		d.Born(2, true, now)
		if a := d.Replay(); a.From != a.To {
			t.Errorf("host %q: %v is offered again after a rebirth", host, a)
		}
		d.Born(3, false, now)
		if a := d.Replay(); a != (session.Span{From: 84, To: 101}) {
			t.Errorf("host %q: %v is offered again, want the last 17 s", host, a)
		}
	}
}

// TestDeliveryGrace: what a host that may acknowledge has not said anything
// about yet is kept for a while.
func TestDeliveryGrace(t *testing.T) {
	d := session.NewDelivery(session.DeliveryConfig{Host: "plant"})
	d.Born(1, false, 0)
	d.Sent(0, 0)
	d.Appended(2)
	d.Sent(1, 0, session.Span{From: 1, To: 2})
	d.Tick(59_000)
	if d.Covered(1) {
		t.Error("presumed to have arrived before the host had its time to acknowledge")
	}
	if v := d.Acked(session.Position{Birth: 1, Count: 1, Timestamp: 1}, "plant", 59_500); v != session.AckGood || !d.Covered(1) || !d.Acks() {
		t.Errorf("verdict %d, delivered %t, acks %t", v, d.Covered(1), d.Acks())
	}
}

func TestDeliveryVerdicts(t *testing.T) {
	tests := map[string]struct {
		p    session.Position
		host string
		at   int64
		want session.Verdict
	}{
		"good":                {session.Position{Birth: 5, Count: 2, Timestamp: 120}, "plant", 200, session.AckGood},
		"of another host":     {session.Position{Birth: 5, Count: 2, Timestamp: 120}, "spy", 200, session.AckForeign},
		"of the birth":        {session.Position{Birth: 5, Count: 0, Timestamp: 100}, "plant", 200, session.AckGood},
		"not sent":            {session.Position{Birth: 5, Count: 3, Timestamp: 130}, "plant", 200, session.AckWrong},
		"other timestamp":     {session.Position{Birth: 5, Count: 2, Timestamp: 121}, "plant", 200, session.AckWrong},
		"birth before":        {session.Position{Birth: 4, Count: 9, Timestamp: 50}, "plant", 200, session.AckLate},
		"birth long before":   {session.Position{Birth: 4, Count: 9, Timestamp: 50}, "plant", 20_000, session.AckWrong},
		"birth of the future": {session.Position{Birth: 6, Count: 1, Timestamp: 110}, "plant", 200, session.AckWrong},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := session.NewDelivery(session.DeliveryConfig{Host: "plant"})
			d.Born(5, false, 100)
			d.Sent(100, 0)
			for pos := uint64(1); pos <= 2; pos++ {
				d.Appended(pos + 1)
				d.Sent(100+10*int64(pos), 0, session.Span{From: pos, To: pos + 1})
			}
			if got := d.Acked(tt.p, tt.host, tt.at); got != tt.want {
				t.Errorf("verdict %d, want %d", got, tt.want)
			}
			if want := tt.want == session.AckGood && tt.p.Count == 2; d.Covered(2) != want {
				t.Errorf("record 2 delivered: %t", !want)
			}
		})
	}
}

func TestDeliveryStamps(t *testing.T) {
	d := session.NewDelivery(session.DeliveryConfig{})
	d.Born(1, false, 0)
	var stamps []int64
	for i := range 2000 {
		at := int64(1000)
		if i >= 1500 {
			at = -1_000_000 // set back
		}
		stamps = append(stamps, d.Stamp(at))
		d.Sent(stamps[i], 0)
	}
	for i := range stamps {
		for j := i + 256; j < len(stamps); j += 256 {
			if stamps[i] == stamps[j] {
				t.Fatalf("messages %d and %d have the timestamp %d", i, j, stamps[i])
			}
		}
	}
	if stamps[0] != 1000 || stamps[1999] > 1010 || !slices.IsSorted(stamps) {
		t.Errorf("timestamps from %d to %d", stamps[0], stamps[1999])
	}
	d.Born(2, true, 0)
	if got := d.Stamp(1000); got <= stamps[1999] {
		t.Errorf("a birth at %d after a message at %d", got, stamps[1999])
	}
}

// TestDeliveryBounds: the memory of what is in flight and delivered is bounded,
// and what is forgotten is sent again.
func TestDeliveryBounds(t *testing.T) {
	d := session.NewDelivery(session.DeliveryConfig{Host: "plant", MaxFlight: 10, MaxSpans: 4})
	d.Born(1, false, 0)
	d.Sent(0, 0)
	d.Appended(101)
	for pos := uint64(1); pos <= 99; pos += 2 {
		d.Sent(int64(pos), 2, session.Span{From: pos, To: pos + 1})
	}
	if n, _ := d.InFlight(); n != 10 || d.Weight() != 20 {
		t.Errorf("%d messages in flight, want 10; they weigh %d", n, d.Weight())
	}
	if v := d.Acked(session.Position{Birth: 1, Count: 50, Timestamp: 99}, "plant", 100); v != session.AckGood {
		t.Fatalf("verdict %d", v)
	}
	if n := len(d.Delivered(1000)); n > 4 {
		t.Errorf("%d runs are remembered, want 4 at most", n)
	}
	if !d.Covered(99) && !d.Covered(97) {
		t.Error("nothing of what was acknowledged is remembered")
	}
	d.Again()
	if a := d.Replay(); a.From != 1 {
		t.Errorf("%v is offered, want the oldest", a)
	}
}

func TestReceipt(t *testing.T) {
	var r session.Receipt
	if _, ok := r.Due(0); ok {
		t.Error("something is due of nothing")
	}
	said := 0
	for i := range 10_000 { // a message each ms
		r.Stored(session.Position{Birth: 1, Count: uint64(i), Timestamp: int64(i)})
		if _, ok := r.Due(int64(1_000_000 + i)); ok {
			said++
		}
	}
	if said != 10 {
		t.Errorf("%d acknowledgements in 10 s, want 10", said)
	}
	for i := range 10_000 { // all at once
		r.Stored(session.Position{Birth: 2, Count: uint64(i), Timestamp: int64(i)})
		if _, ok := r.Due(2_000_000); ok {
			said++
		}
	}
	if said != 10+10 {
		t.Errorf("%d acknowledgements of 10,000 messages, want one for 1,000", said-10)
	}
	if !r.Owed() {
		t.Error("the last ones are not owed")
	}
}

// TestNumber: who wants acknowledgements says so in its NBIRTH, and gets none
// for what could not be applied.
func TestNumber(t *testing.T) {
	n := session.NewHost(session.HostConfig{}).NewNode("g", "n")
	birth := func(metrics ...sparkplug.Metric) *sparkplug.Payload {
		all := append([]sparkplug.Metric{{Name: sparkplug.MetricBdSeq, Value: sparkplug.Int(sparkplug.TypeInt64, 0)}}, metrics...)
		return &sparkplug.Payload{Timestamp: 1, HasTimestamp: true, HasSeq: true, Metrics: all}
	}
	step := func(typ sparkplug.Type, p *sparkplug.Payload) {
		n.Step(session.NodeEvent{Kind: session.NodeMessage, At: 1, Type: typ, Payload: p}, nil)
	}
	step(sparkplug.NBIRTH, birth())
	if n.Number("plant") != 0 {
		t.Error("a node that wants no acknowledgement gets some")
	}
	p := birth(session.Announcement(7, "plant", 1))
	p.Timestamp = 2
	step(sparkplug.NBIRTH, p)
	if n.Number("plant") != 7 || n.Number("spy") != 0 {
		t.Errorf("number %d for its host, %d for another", n.Number("plant"), n.Number("spy"))
	}
	step(sparkplug.NDATA, &sparkplug.Payload{
		Timestamp: 3, HasTimestamp: true, HasSeq: true, Seq: 1,
		Metrics: []sparkplug.Metric{{Name: "unheard of", Value: sparkplug.Boolean(true)}},
	})
	if n.Number("plant") != 0 {
		t.Error("acknowledged after metrics that no birth declared")
	}
}

// How an edge node learns what of its spool has arrived.
func ExampleDelivery() {
	d := session.NewDelivery(session.DeliveryConfig{Host: "plant"})
	d.Appended(4) // records 1 to 3 are in the spool

	d.Born(1, false, 1000) // the NBIRTH, number 1
	d.Sent(d.Stamp(1000), 0)
	for a := d.Replay(); a.From < a.To; a = d.Replay() {
		fmt.Println("replay", a.From, "to before", a.To)
		d.Sent(d.Stamp(1010), 0, a)
		d.Passed(a.To)
	}
	verdict := d.Acked(session.Position{Birth: 1, Count: 1, Timestamp: 1010}, "plant", 1500)
	fmt.Println(verdict == session.AckGood, "delivered before", d.Low())
	// Output:
	// replay 1 to before 4
	// true delivered before 4
}
