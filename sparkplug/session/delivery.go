package session

import "cmp"

// DeliveryConfig says how an edge node goes about the delivery of its spool.
// Its zero value works for a node whose host acknowledges nothing. Durations
// are in milliseconds.
type DeliveryConfig struct {
	Host  string // host id whose acknowledgements count; empty: nobody's
	Acks  bool   // that host is known to acknowledge
	First uint64 // position of the oldest record in the spool; 1 if zero
	Next  uint64 // position of the record to come; First if less
	// Delivered is what Delivery.Delivered said in an earlier run; it may be
	// older, or empty: then more is sent again.
	Delivered Spans

	// Doubt is for how long it is not known whether a message arrived, when
	// nobody acknowledges: one and a half keepalives and the time to flush. 17000
	// if zero.
	Doubt int64
	// Grace is how long after its birth a node waits for the first
	// acknowledgement of a host that it does not know to acknowledge, before it
	// takes it for one that does not; 60000 if zero.
	Grace int64
	// Retry is how long an acknowledgement may take before a message is sent
	// again; 30000 if zero.
	Retry int64
	// MaxFlight bounds the messages that wait for their acknowledgement; of more
	// the oldest are sent again when their turn comes. 65536 if zero.
	MaxFlight int
	MaxSpans  int // bounds the runs that are remembered as delivered; 4096 if zero
}

// Delivery is what an edge node knows of the delivery of its spool: which
// records have arrived, which are on their way, and which come next. A record
// counts as delivered once the message that carried it was acknowledged by the
// host after its commit or, with a host that acknowledges nothing, once the
// connection has outlived it long enough.
//
// It keeps these promises: a record is delivered only if a message that
// carried it was acknowledged (or presumed to have arrived, with such a host);
// what is not delivered is offered again after each birth; an acknowledgement
// of what was never sent, or of a message with another timestamp, delivers
// nothing.
//
// Like the machines of this package it does no I/O and reads no clock. Lost
// memory of what was delivered costs only that it is sent again.
type Delivery struct {
	cfg    DeliveryConfig
	next   uint64 // position of the record to come
	scan   uint64 // where the replay goes on
	done   Spans  // delivered; what is before the first record too
	sent   Spans  // published since the birth, for a message in flight
	birth  uint64
	bornAt int64
	base   uint64     // Count of flight[0]
	told   uint64     // Count after the last message acknowledged
	flight []inFlight // by Count
	doubt  []inFlight // of births before on the same connection, when nobody acknowledges
	count  uint64     // of the next message
	stamp  int64      // of the last message
	stamps [256]int64 // of the last messages, by Count modulo 256
	acks   bool
	weight int   // of what is in flight
	window int   // how much of it there may be
	paced  int64 // when window last changed, ms
	forgot bool  // some of what is delivered, for want of memory
	again  int64 // when the replay last began anew because of that
}

// inFlight is a message that was published and not acknowledged.
type inFlight struct {
	stamp  int64
	weight int
	spans  []Span // of the records it carries
	one    Span   // instead of spans
}

// NewDelivery returns what is known before the first birth.
func NewDelivery(cfg DeliveryConfig) *Delivery {
	cfg.First = max(cfg.First, 1)
	cfg.Next = max(cfg.Next, cfg.First)
	cfg.Doubt = cmp.Or(cfg.Doubt, 17000)
	cfg.Grace = cmp.Or(cfg.Grace, 60000)
	cfg.Retry = cmp.Or(cfg.Retry, 30000)
	cfg.MaxFlight = cmp.Or(cfg.MaxFlight, 1<<16)
	cfg.MaxSpans = cmp.Or(cfg.MaxSpans, 4096)
	d := &Delivery{cfg: cfg, next: cfg.Next, acks: cfg.Acks && cfg.Host != "", window: firstWindow}
	for _, s := range cfg.Delivered {
		d.done = d.done.Add(Span{s.From, min(s.To, d.next)})
	}
	d.done = d.done.Add(Span{0, cfg.First}) // what is before the oldest record is no more
	d.scan = d.Low()
	return d
}

// Low is the position before which all is delivered: what is before it can be
// given back.
func (d *Delivery) Low() uint64 {
	if len(d.done) == 0 || d.done[0].From > 0 {
		return 1
	}
	return max(d.done[0].To, 1)
}

// Delivered is what to keep over a restart: what is delivered of the records
// before a position, which must be durable. A loss of power takes those that are
// not, and others get their positions, which must not count as delivered.
func (d *Delivery) Delivered(durable uint64) (out Spans) {
	for _, s := range d.done {
		if s.To = min(s.To, durable); s.From < s.To {
			out = append(out, s)
		}
	}
	return out
}

// Waiting is how many of the records before Next are not delivered.
func (d *Delivery) Waiting() uint64 {
	n := d.next - 1
	for _, s := range d.done {
		n -= min(s.To, d.next) - min(max(s.From, 1), d.next)
	}
	return n
}

// Acks says whether the host is known to acknowledge; it is worth keeping over
// a restart.
func (d *Delivery) Acks() bool { return d.acks }

// Appended notes that the spool holds all before next now.
func (d *Delivery) Appended(next uint64) { d.next = max(d.next, next) }

// Gone notes that records were dropped from the spool.
func (d *Delivery) Gone(s Span) {
	d.deliver(s)
	d.scan = max(d.scan, d.Low())
}

// Born begins an NBIRTH with a number of its own; again says that it is a
// rebirth on the same connection. Nobody knows what became of the messages of
// the last one: their records are offered again. Only with a host that
// acknowledges nothing a rebirth changes nothing about them.
func (d *Delivery) Born(birth uint64, again bool, at int64) {
	if again && d.presumes(at) {
		d.doubt = append(d.doubt, d.flight...)
		d.birth, d.base, d.told, d.count = birth, 0, 0, 0
		d.flight, d.stamps = nil, [256]int64{}
		return
	}
	d.birth, d.bornAt, d.base, d.told, d.count, d.forgot, d.again = birth, at, 0, 0, 0, false, at
	d.flight, d.doubt, d.sent, d.weight, d.stamps = nil, nil, nil, 0, [256]int64{}
	d.window, d.paced = firstWindow, at
	d.scan = d.Low()
}

// Stamp returns the timestamp for the payload of the next message: at, or that
// of the message before when the clock was set back, for hosts tell by it what
// is late; a little more when the messages 256, 512 and so on before had that.
// That of an NBIRTH is later than all before it.
func (d *Delivery) Stamp(at int64) int64 {
	at = max(at, d.stamp)
	if last := d.stamps[d.count%256]; last >= at {
		return last + 1
	}
	if d.count == 0 && at == d.stamp {
		return at + 1
	}
	return at
}

// Sent notes that the next message, the NBIRTH being the first, was published
// with the timestamp of Stamp and the records at those positions. Its weight is
// the runner's, for Weight.
func (d *Delivery) Sent(stamp int64, weight int, spans ...Span) {
	d.stamp = stamp
	m := inFlight{stamp: stamp, weight: weight}
	d.weight += weight
	if len(spans) == 1 {
		m.one = spans[0]
	} else {
		m.spans = append(m.spans, spans...)
	}
	for _, s := range spans {
		d.sent = d.sent.Add(s)
	}
	d.sent = d.sent.bound(d.cfg.MaxSpans)
	if len(d.flight) >= d.cfg.MaxFlight {
		d.unsend(&d.flight[0])
		d.flight = d.flight[1:]
		d.base++
	}
	d.flight = append(d.flight, m)
	d.stamps[d.count%256] = stamp
	d.count++
}

// unsend has the records of a message offered again.
func (d *Delivery) unsend(m *inFlight) {
	m.each(func(s Span) {
		d.sent = d.sent.Remove(s)
		d.scan = min(d.scan, s.From)
	})
	d.weight -= m.weight
	m.spans, m.one, m.weight = nil, Span{}, 0
}

func (m *inFlight) each(f func(Span)) {
	if m.one.To != 0 {
		f(m.one)
	}
	for _, s := range m.spans {
		f(s)
	}
}

// deliver notes that records are delivered. When their runs become too many the
// shortest is forgotten: its records will be sent again, some time.
func (d *Delivery) deliver(s Span) {
	d.sent = d.sent.Remove(s)
	d.done = d.done.Add(s)
	if len(d.done) > d.cfg.MaxSpans {
		d.done, d.forgot = d.done.bound(d.cfg.MaxSpans), true
	}
}

// Verdict is what became of an acknowledgement.
type Verdict uint8

// The verdicts. Of AckWrong the node must be born anew: what the host counts is
// not what it sent.
const (
	AckGood    Verdict = iota
	AckForeign         // of a host that is not asked
	AckLate            // of a birth or message before those that are in flight
	AckWrong           // of a message that was not sent, or with another timestamp
)

// lateAck is how long after a birth an acknowledgement of the one before can
// still arrive, ms.
const lateAck = 10000

// Acked applies an acknowledgement.
func (d *Delivery) Acked(p Position, host string, at int64) Verdict {
	switch {
	case d.cfg.Host == "" || host != d.cfg.Host:
		return AckForeign
	case p.Birth != d.birth && p.Birth < d.birth && at-d.bornAt < lateAck:
		return AckLate
	case p.Birth != d.birth || p.Count >= d.count:
		return AckWrong
	case p.Count < d.told:
		return AckLate
	case p.Count < d.base: // so far behind that it cannot be checked
		return AckWrong
	case d.flight[p.Count-d.base].stamp != p.Timestamp:
		return AckWrong
	}
	d.acks = true
	for i := range d.doubt { // it will be told
		d.unsend(&d.doubt[i])
	}
	d.doubt = nil
	d.pace(d.flight[p.Count-d.base].stamp, at)
	d.arrived(int(p.Count - d.base + 1))
	return AckGood
}

// arrived makes the first n messages in flight delivered.
func (d *Delivery) arrived(n int) {
	for i := range n {
		d.flight[i].each(d.deliver)
		d.flight[i].spans = nil
		d.weight -= d.flight[i].weight
	}
	d.flight = d.flight[n:]
	d.base += uint64(n)
	d.told = d.base
	if len(d.flight) == 0 {
		d.flight = nil // gives the memory back
	}
}

// Tick lets time pass: with a host that acknowledges nothing it presumes that
// old messages have arrived; with one that does it takes those back that have
// waited for too long. How often it is called decides how promptly.
func (d *Delivery) Tick(at int64) {
	if d.forgot && at-d.again >= 10*d.cfg.Retry {
		d.forgot, d.again = false, at
		d.Again()
	}
	if d.presumes(at) {
		old := 0
		for ; old < len(d.doubt) && at-d.doubt[old].stamp >= d.cfg.Doubt; old++ {
			d.doubt[old].each(d.deliver)
			d.weight -= d.doubt[old].weight
		}
		d.doubt = d.doubt[old:]
		n := 0
		for n < len(d.flight) && at-d.flight[n].stamp >= d.cfg.Doubt {
			n++
		}
		d.arrived(n)
		return
	}
	if !d.acks {
		return
	}
	for i := range d.flight {
		if at-d.flight[i].stamp < d.cfg.Retry {
			break
		}
		d.unsend(&d.flight[i])
	}
}

// presumes says whether the host is taken for one that acknowledges nothing.
func (d *Delivery) presumes(at int64) bool {
	return !d.acks && (d.cfg.Host == "" || at-d.bornAt >= d.cfg.Grace)
}

// Replay returns the next run of records that is to be sent, oldest first;
// it is empty when there is none. The runner reads from its start, publishes
// what it can (Sent), and says how far it came (Passed).
func (d *Delivery) Replay() Span {
	from := d.scan
	for {
		a := d.done.gap(from, d.next)
		b := d.sent.gap(a.From, a.To)
		if b.From < b.To || b.From >= d.next {
			return b
		}
		from = b.From
	}
}

// Passed notes that the replay has dealt with all before a position: sent it, or
// left it for later.
func (d *Delivery) Passed(to uint64) { d.scan = max(d.scan, to) }

// Again has the replay begin at the oldest record once more, for what it left:
// a device that was away is born.
func (d *Delivery) Again() { d.scan = d.Low() }

// InFlight is how many messages wait for their acknowledgement, and whether
// anybody is known to send one.
func (d *Delivery) InFlight() (messages int, acked bool) {
	return len(d.flight) + len(d.doubt), d.acks
}

// Weight is the sum of the weights of the messages in flight.
func (d *Delivery) Weight() int { return d.weight }

// Sure says whether the record at a position need not be sent again as things
// are: it is delivered, or was published since the birth to a host that nobody
// knows to acknowledge. The end of the connection can change that.
func (d *Delivery) Sure(pos uint64) bool { return d.done.Has(pos) || !d.acks && d.sent.Has(pos) }

// Covered says whether the record at a position is delivered.
func (d *Delivery) Covered(pos uint64) bool { return d.done.Has(pos) }
