package world

import (
	"fmt"
	"slices"

	"github.com/magneto-iiot/magneto/internal/journal"
	"github.com/magneto-iiot/magneto/internal/journal/journaltest"
	"github.com/magneto-iiot/magneto/internal/samples"
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// metrics is how many the one device of each edge node has.
const metrics = 3

// deviceName is that of the one device.
const deviceName = "D"

// edge is an edge node: a machine with a disk, and perhaps the agent running.
type edge struct {
	w       *world
	id      int
	disk    *journaltest.Disk
	running bool
	life    int // counts the starts, so that what an earlier one planned is void
	skew    int64

	spool    *journal.Journal
	delivery *session.Delivery
	session  *session.Edge
	fx       []session.EdgeEffect
	conn     *conn
	number   uint32 // of the session
	kept     edgeState
	current  [metrics]taken
	last     [metrics]int64 // time of the newest sample
	out      outgoing
	first    uint64  // births before this life
	late     []taken // BugAppendLate
	stamps   []int64 // by count, for BugIgnoreStamp
	bornIn   uint32
	bornAt   int64 // of the first birth on the connection
}

// taken is one sample, with its place in the spool.
type taken struct {
	metric int
	time   int64
	value  int64
	pos    uint64
}

type outgoing struct {
	list       []taken
	historical bool
	spans      []session.Span
}

// edgeState is the file that an agent keeps.
type edgeState struct {
	Next   uint8
	Births uint64
	Acks   bool
}

const (
	stateFile     = "state.json"
	deliveredFile = "delivered.json"
	spoolCursor   = "delivered"
)

// clock is what the edge node takes for the time.
func (e *edge) clock() int64 { return e.w.now + e.skew }

// start starts the agent on what its disk has.
func (e *edge) start() {
	if e.running {
		return
	}
	e.running = true
	e.life++
	e.kept = edgeState{}
	var spans session.Spans
	var err error
	if err = readFile(e.disk, stateFile, &e.kept); err == nil {
		_ = readFile(e.disk, deliveredFile, &spans) // none, if it was torn
		e.spool, err = journal.Open(e.w.journalConfig(e.disk))
	}
	if err != nil {
		e.w.breaks("the agent of edge node %d does not start: %v", e.id, err)
		return
	}
	e.w.ledger.reopened(e)
	e.first = e.kept.Births
	next := e.kept.Next
	if e.w.bug(BugVolatileBdSeq) {
		next = 0
	}
	e.delivery = session.NewDelivery(session.DeliveryConfig{
		Host: hostID, Acks: true, First: e.spool.Cursor(spoolCursor), Next: e.spool.Next(), Delivered: spans,
	})
	e.session = session.NewEdge(session.EdgeConfig{
		Group: "G", Node: fmt.Sprint("N", e.id), PrimaryHost: hostID, NextBdSeq: next, MQTT5: true, Seed: uint64(e.id),
	})
	e.late, e.bornIn, e.conn = nil, 0, nil
	e.step(session.EdgeEvent{Kind: session.EdgeDeviceReady, Device: deviceName})
	e.step(session.EdgeEvent{Kind: session.EdgeStart})
	e.every(100, e.tick)
	e.every(1000, func() { _ = e.spool.Sync() }) // a disk that fails is replaced with the machine
	e.every(2000, e.save)
	e.every(e.w.cfg.Every, e.sample)
}

// every does something again and again while this life lasts.
func (e *edge) every(ms int64, do func()) {
	life := e.life
	var again func()
	again = func() {
		if e.life == life && e.running {
			do()
			e.w.after(ms, again)
		}
	}
	e.w.after(1+e.w.rand.Int64N(ms), again)
}

// crash ends the agent; without power the machine loses what was not synced.
func (e *edge) crash(power bool) {
	if !e.running {
		return
	}
	e.running = false
	e.w.server.hangUp(e.conn, true, power)
	e.conn = nil
	if power {
		e.disk.Reboot(e.w.rand.Float64())
	}
}

// sample takes a new value of one metric.
func (e *edge) sample() {
	if !e.w.quiet {
		e.take(e.w.rand.IntN(metrics))
	}
}

func (e *edge) take(metric int) {
	at := e.clock()
	if at <= e.last[metric] && !e.w.bug(BugSameMillisecond) {
		at = e.last[metric] + 1
	}
	e.last[metric] = max(at, e.last[metric])
	e.w.values++
	t := taken{metric: metric, time: at, value: e.w.values}
	e.current[metric] = t
	var spans []session.Span
	if e.w.bug(BugAppendLate) {
		e.late = append(e.late, t)
	} else {
		spans = e.keep(&t)
	}
	e.w.ledger.took(e, t)
	e.out = outgoing{list: []taken{t}, spans: spans}
	e.step(session.EdgeEvent{Kind: session.EdgeData, Device: deviceName})
	e.out = outgoing{}
}

// keep appends a sample to the spool.
func (e *edge) keep(t *taken) []session.Span {
	b, err := samples.Append(nil, []samples.Sample{{
		ID: uint32(t.metric), Time: t.time, Quality: sparkplug.QualityGood, Value: sparkplug.Int(sparkplug.TypeInt64, t.value),
	}})
	if err != nil {
		panic("world: a number that cannot be encoded: " + err.Error())
	}
	pos, err := e.spool.Append(b)
	if err != nil {
		e.w.breaks("edge node %d: the spool is not written: %v", e.id, err)
		return nil
	}
	t.pos = pos
	e.delivery.Appended(pos + 1)
	return []session.Span{{From: pos, To: pos + 1}}
}

func (e *edge) step(ev session.EdgeEvent) {
	ev.At = e.clock()
	e.fx = e.session.Step(ev, e.fx[:0])
	for _, fx := range slices.Clone(e.fx) {
		e.carryOut(&fx)
	}
}

func (e *edge) carryOut(fx *session.EdgeEffect) {
	switch fx.Do {
	case session.EdgePersist:
		e.kept.Next = fx.Next
		e.persist()
	case session.EdgeConnect:
		e.connect(fx)
	case session.EdgeSubscribe:
		life, c := e.life, e.conn
		e.w.server.subscribe(c, func() {
			if e.life == life && e.conn == c {
				e.step(session.EdgeEvent{Kind: session.EdgeSubscribed, Session: fx.Session})
			}
		})
	case session.EdgeNBirth:
		e.kept.Births++
		e.persist()
		if e.bornIn != e.number {
			e.bornAt = e.w.now
		}
		e.delivery.Born(e.kept.Births, e.bornIn == e.number, e.clock())
		e.bornIn = e.number
		e.stamps = e.stamps[:0]
		if e.w.bug(BugNoReplay) {
			e.delivery.Passed(e.spool.Next())
		}
		e.publish(fx)
	case session.EdgeDBirth, session.EdgeDDeath, session.EdgePublish:
		e.publish(fx)
	case session.EdgeDisconnect, session.EdgeAbandon:
		e.w.server.hangUp(e.conn, fx.Do == session.EdgeAbandon, false)
		e.conn = nil
	}
}

func (e *edge) persist() {
	if err := writeFile(e.disk, stateFile, &e.kept); err != nil {
		e.w.breaks("edge node %d: its state is not written: %v", e.id, err)
	}
}

func (e *edge) connect(fx *session.EdgeEffect) {
	life, number := e.life, fx.Session
	e.number = number
	will := message{typ: sparkplug.NDEATH, edge: e.id, payload: &sparkplug.Payload{
		Timestamp: e.clock(), HasTimestamp: true, Metrics: []sparkplug.Metric{bdSeq(fx.BdSeq)},
	}}
	c := &conn{edge: e.id, will: &will}
	alive := func() bool { return e.life == life && e.running && e.conn == c }
	c.client = func(m message) {
		if alive() {
			e.receive(m)
		}
	}
	c.lost = func() {
		if alive() {
			e.conn = nil
			e.step(session.EdgeEvent{Kind: session.EdgeLost, Session: number})
		}
	}
	e.w.server.dial(c, func(ok bool) {
		if e.life != life || !e.running {
			if ok {
				e.w.server.hangUp(c, true, false)
			}
			return
		}
		kind := session.EdgeConnectFailed
		if ok {
			e.conn, kind = c, session.EdgeConnected
		}
		e.step(session.EdgeEvent{Kind: kind, Session: number})
	})
}

func bdSeq(n uint8) sparkplug.Metric {
	return sparkplug.Metric{Name: sparkplug.MetricBdSeq, Value: sparkplug.Int(sparkplug.TypeInt64, int64(n))}
}

// alias of a metric is another after each start, as the agent has it: a host that
// has missed the births does not know it.
func (e *edge) alias(metric int) uint64 { return 1 + e.first%16*metrics + uint64(metric) }

func (e *edge) publish(fx *session.EdgeEffect) {
	stamp := e.delivery.Stamp(e.clock())
	p := &sparkplug.Payload{Timestamp: stamp, HasTimestamp: true, Seq: fx.Seq, HasSeq: true}
	m := message{edge: e.id, device: fx.Device != "", payload: p}
	var spans []session.Span
	weight := 0
	switch fx.Do {
	case session.EdgeNBirth:
		m.typ = sparkplug.NBIRTH
		p.Metrics = []sparkplug.Metric{
			bdSeq(fx.BdSeq),
			{Name: sparkplug.MetricRebirth, Value: sparkplug.Boolean(false)},
			session.Announcement(e.kept.Births, hostID, stamp),
		}
	case session.EdgeDBirth:
		m.typ = sparkplug.DBIRTH
		for i := range metrics {
			c := e.current[i]
			v := sparkplug.Int(sparkplug.TypeInt64, c.value)
			if c.value == 0 {
				v = sparkplug.Null(sparkplug.TypeInt64)
			}
			p.Metrics = append(p.Metrics, sparkplug.Metric{
				Name: fmt.Sprint("M", i), Alias: e.alias(i), HasAlias: true, Timestamp: c.time, HasTimestamp: true, Value: v,
			})
		}
	case session.EdgeDDeath:
		m.typ = sparkplug.DDEATH
	case session.EdgePublish:
		m.typ = sparkplug.DDATA
		for _, t := range e.out.list {
			p.Metrics = append(p.Metrics, sparkplug.Metric{
				Alias: e.alias(t.metric), HasAlias: true, Timestamp: t.time, HasTimestamp: true,
				Value: sparkplug.Int(sparkplug.TypeInt64, t.value), Historical: e.out.historical,
			})
		}
		spans = e.out.spans
		if e.out.historical {
			weight = len(e.out.list)
		}
	}
	e.delivery.Sent(stamp, weight, spans...)
	e.stamps = append(e.stamps, stamp)
	if e.conn != nil {
		e.w.server.send(e.conn, m)
	}
}

// receive takes a command or a STATE.
func (e *edge) receive(m message) {
	if m.typ == "" {
		e.step(session.EdgeEvent{Kind: session.EdgeHostState, Session: e.number, Host: m.host, State: m.state})
		return
	}
	for i := range m.payload.Metrics {
		p, host, ok := session.Acknowledged(&m.payload.Metrics[i])
		switch {
		case !ok:
			if session.ControlOf(m.payload).Rebirth {
				e.step(session.EdgeEvent{Kind: session.EdgeRebirth, Session: e.number})
			}
			continue
		case e.w.bug(BugForeignAck):
			host = hostID
		case e.w.bug(BugIgnoreStamp) && p.Count < uint64(len(e.stamps)):
			p.Timestamp = e.stamps[p.Count]
		}
		if e.delivery.Acked(p, host, e.clock()) == session.AckWrong {
			e.w.result.Wrong++
			e.step(session.EdgeEvent{Kind: session.EdgeRebirth, Session: e.number})
		}
	}
}

// tick looks after what is due: the session, what was sent, the replay.
func (e *edge) tick() {
	if d := e.session.Deadline(); d != 0 && e.clock() >= d {
		e.step(session.EdgeEvent{Kind: session.EdgeTick})
	}
	if e.w.bug(BugAppendLate) && len(e.late) > 20 {
		for i := range e.late {
			e.keep(&e.late[i])
		}
		e.late = e.late[:0]
	}
	e.delivery.Tick(e.clock())
	for range 5 {
		next := e.delivery.Replay()
		if next.From == next.To || !e.session.Born(deviceName) || e.delivery.Weight() > 200 {
			return
		}
		e.replay(next)
	}
}

// replay sends a few records again.
func (e *edge) replay(next session.Span) {
	next.To = min(next.To, next.From+20)
	var spans session.Spans
	var list []taken
	expected := next.From
	to, err := e.spool.Read(next.From, func(r journal.Record) bool {
		if r.Pos >= next.To {
			return false
		}
		e.delivery.Gone(session.Span{From: expected, To: r.Pos})
		expected = r.Pos + 1
		read, _, err := samples.Read(nil, r.Payload)
		if err != nil || len(read) != 1 {
			e.w.breaks("edge node %d: record %d cannot be read: %v", e.id, r.Pos, err)
			return true
		}
		list = append(list, taken{metric: int(read[0].ID), time: read[0].Time, value: read[0].Value.Int()})
		spans = spans.Add(session.Span{From: r.Pos, To: r.Pos + 1})
		return true
	})
	if err != nil {
		e.w.breaks("edge node %d: the spool cannot be read: %v", e.id, err)
	}
	to = min(to, next.To)
	if to <= next.From {
		to = next.To
		e.delivery.Gone(next)
	}
	e.delivery.Passed(to)
	if len(list) == 0 {
		return
	}
	e.w.result.Replayed += len(list)
	e.out = outgoing{list: list, historical: true, spans: spans}
	e.step(session.EdgeEvent{Kind: session.EdgeData, Device: deviceName})
	e.out = outgoing{}
}

// save notes what was delivered.
func (e *edge) save() {
	if err := writeFile(e.disk, deliveredFile, e.delivery.Delivered(e.spool.Durable())); err != nil {
		e.w.breaks("edge node %d: what was delivered is not noted: %v", e.id, err)
	}
	if low := min(e.delivery.Low(), e.spool.Durable()); low > e.spool.Cursor(spoolCursor) {
		if err := e.spool.SetCursor(spoolCursor, low); err != nil {
			e.w.breaks("edge node %d: %v", e.id, err)
		}
	}
	n, _ := e.delivery.InFlight()
	e.w.result.InFlight = max(e.w.result.InFlight, n)
}
