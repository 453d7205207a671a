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

// hostID is the host that edge nodes listen to, spyID one that also says it has
// stored everything.
const (
	hostID = "plant"
	spyID  = "spy"
)

const sinkCursor = "store"

// host is the primary host: a machine with a disk, and perhaps the program
// running.
type host struct {
	w       *world
	disk    *journaltest.Disk
	running bool
	life    int

	journal *journal.Journal
	primary *session.Primary
	shared  *session.Host
	nodes   []*session.Node
	fx      []session.NodeEffect
	conn    *conn
	number  uint32

	rows      []samples.Sample // not in the journal yet
	positions []session.Position
	receipts  []session.Receipt
	shown     [][metrics]taken
	forms     []*session.Shape // BugOlderAlias: the first of each device
	next      uint64           // of the sink
}

func (h *host) start() {
	if h.running {
		return
	}
	n := len(h.w.edges)
	h.running = true
	h.life++
	c := h.w.journalConfig(h.disk)
	c.WhenFull = journal.Refuse
	var err error
	if h.journal, err = journal.Open(c); err != nil {
		h.w.breaks("the host does not start: %v", err)
		return
	}
	h.next = h.journal.Cursor(sinkCursor)
	h.primary = session.NewPrimary(session.PrimaryConfig{Host: hostID, NewTimestamp: true})
	h.shared = session.NewHost(session.HostConfig{})
	h.nodes, h.rows, h.conn = nil, nil, nil
	h.positions, h.receipts = make([]session.Position, n), make([]session.Receipt, n)
	h.shown, h.forms = make([][metrics]taken, n), make([]*session.Shape, n)
	for i := range n {
		h.nodes = append(h.nodes, h.shared.NewNode("G", fmt.Sprint("N", i)))
		h.nodes[i].Step(session.NodeEvent{Kind: session.NodeExpected, At: h.w.now}, nil)
	}
	h.step(session.PrimaryEvent{Kind: session.PrimaryStart})
	h.every(100, h.tick)
	h.every(200, h.flush)
	h.every(200, h.sink)
	h.every(1000, h.save)
}

func (h *host) every(ms int64, do func()) {
	life := h.life
	var again func()
	again = func() {
		if h.life == life && h.running {
			do()
			h.w.after(ms, again)
		}
	}
	h.w.after(1+h.w.rand.Int64N(ms), again)
}

func (h *host) crash(power bool) {
	if !h.running {
		return
	}
	h.running = false
	h.w.server.hangUp(h.conn, true, power)
	h.conn = nil
	if power {
		h.disk.Reboot(h.w.rand.Float64())
	}
}

func (h *host) step(ev session.PrimaryEvent) {
	ev.At = h.w.now
	for _, fx := range h.primary.Step(ev, nil) {
		h.carryOut(&fx)
	}
}

func (h *host) carryOut(fx *session.PrimaryEffect) {
	switch fx.Do {
	case session.PrimaryConnect:
		h.connect(fx)
	case session.PrimarySubscribe:
		life, c, number := h.life, h.conn, fx.Session
		h.w.server.subscribe(c, func() {
			if h.life == life && h.conn == c {
				h.step(session.PrimaryEvent{Kind: session.PrimarySubscribed, Session: number})
			}
		})
	case session.PrimaryPublish:
		if h.conn != nil {
			h.w.server.send(h.conn, message{host: hostID, state: fx.State})
		}
	case session.PrimaryOnline:
		h.tellAll(session.NodeHostBack)
	case session.PrimaryOffline:
		h.tellAll(session.NodeHostLost)
	case session.PrimaryDisconnect:
		h.w.server.hangUp(h.conn, false, false)
		h.conn = nil
	}
}

func (h *host) connect(fx *session.PrimaryEffect) {
	life, number := h.life, fx.Session
	h.number = number
	c := &conn{edge: -1, will: &message{host: hostID, state: fx.State}}
	alive := func() bool { return h.life == life && h.running && h.conn == c }
	c.client = func(m message) {
		if alive() {
			h.receive(m)
		}
	}
	c.lost = func() {
		if alive() {
			h.conn = nil
			h.step(session.PrimaryEvent{Kind: session.PrimaryLost, Session: number})
		}
	}
	h.w.server.dial(c, func(ok bool) {
		if h.life != life || !h.running {
			if ok {
				h.w.server.hangUp(c, true, false)
			}
			return
		}
		kind := session.PrimaryConnectFailed
		if ok {
			h.conn, kind = c, session.PrimaryConnected
		}
		h.step(session.PrimaryEvent{Kind: kind, Session: number})
	})
}

func (h *host) tellAll(kind session.NodeEventKind) {
	for i := range h.nodes {
		h.node(i, session.NodeEvent{Kind: kind}, nil)
	}
}

func (h *host) receive(m message) {
	if h.w.cfg.Consumer != nil {
		h.w.consume(&m)
	}
	if m.typ == "" {
		if m.host == hostID {
			h.step(session.PrimaryEvent{Kind: session.PrimaryState, Session: h.number, State: m.state})
		}
		return
	}
	p := m.payload.Clone()
	if h.w.bug(BugIgnoreBdSeq) && m.typ == sparkplug.NDEATH {
		p.Metrics[0].Value = sparkplug.Int(sparkplug.TypeInt64, int64(h.nodes[m.edge].BdSeq()))
	}
	ev := session.NodeEvent{Kind: session.NodeMessage, Type: m.typ, Payload: &p}
	if m.device {
		ev.Device = deviceName
	}
	h.node(m.edge, ev, &p)
}

// node gives one event to the view of an edge node.
func (h *host) node(i int, ev session.NodeEvent, p *sparkplug.Payload) {
	ev.At = h.w.now
	n := h.nodes[i]
	sure := n.State() == session.NodeOnline
	h.fx = n.Step(ev, h.fx[:0])
	for _, fx := range slices.Clone(h.fx) {
		switch fx.Do {
		case session.NodeDoDeviceBirth, session.NodeDoData:
			h.values(i, &fx)
			h.reached(i, fx.Count, fx.Payload)
		case session.NodeDoBirth:
			h.reached(i, fx.Count, fx.Payload)
		case session.NodeDoOffline:
			if sure { // else it may be a late will: the host still asks
				h.w.declaredDead(i)
			}
		case session.NodeDoAskRebirth:
			if !h.w.bug(BugForgetRebirth) {
				h.command(i, sparkplug.Metric{Name: sparkplug.MetricRebirth, Value: sparkplug.Boolean(true)})
			}
		}
	}
	if h.w.bug(BugAckReceived) && p != nil && p.HasSeq && n.Count() > 0 && n.State() == session.NodeOnline {
		h.reached(i, n.Count()-1+uint64(p.Seq-uint8(n.Count()-1)), p)
	}
}

// reached notes how far a node was heard.
func (h *host) reached(i int, count uint64, p *sparkplug.Payload) {
	if number := h.nodes[i].Number(hostID); number != 0 && p != nil {
		h.positions[i] = session.Position{Birth: number, Count: count, Timestamp: p.Timestamp}
		if h.w.bug(BugAckEarly) {
			h.receipts[i].Stored(h.positions[i])
			if p, ok := h.receipts[i].Due(h.w.now); ok {
				h.command(i, session.Acknowledgement(p, hostID))
			}
		}
	}
}

// values takes in what a birth or data tells.
func (h *host) values(i int, fx *session.NodeEffect) {
	shape := fx.Shape
	if h.w.bug(BugOlderAlias) {
		if h.forms[i] == nil {
			h.forms[i] = shape
		}
		shape = h.forms[i]
	}
	for k, slot := range fx.Slots {
		m := &fx.Payload.Metrics[k]
		if slot == session.NoSlot || m.Value.IsNull() {
			continue
		}
		name := fx.Shape.Def(slot).Name
		if h.w.bug(BugOlderAlias) && m.Name == "" {
			old := shape.ByAlias((m.Alias-1)%metrics + 1)
			if old == session.NoSlot {
				old = uint32(m.Alias % metrics)
			}
			name = shape.Def(old).Name
		}
		metric := int(name[1] - '0')
		t := taken{metric: metric, time: m.Timestamp, value: m.Value.Int()}
		if !m.Historical || h.w.bug(BugReplayOverwrites) {
			h.shown[i][metric] = t
		}
		h.rows = append(h.rows, samples.Sample{
			ID: uint32(i*metrics + metric), Time: t.time, Quality: sparkplug.QualityGood, Value: m.Value,
		})
	}
	h.w.result.Held = max(h.w.result.Held, len(h.rows))
}

func (h *host) command(edge int, m sparkplug.Metric) {
	if h.conn == nil {
		return
	}
	p := &sparkplug.Payload{Timestamp: h.w.now, HasTimestamp: true, Metrics: []sparkplug.Metric{m}}
	h.w.server.send(h.conn, message{typ: sparkplug.NCMD, edge: edge, payload: p})
}

func (h *host) tick() {
	if d := h.primary.Deadline(); d != 0 && h.w.now >= d {
		h.step(session.PrimaryEvent{Kind: session.PrimaryTick})
	}
	for i, n := range h.nodes {
		if d := n.Deadline(); d != 0 && h.w.now >= d {
			h.node(i, session.NodeEvent{Kind: session.NodeTick}, nil)
		}
	}
}

// flush makes durable what was taken in, and then says so.
func (h *host) flush() {
	if len(h.rows) > 0 {
		b, err := samples.Append(nil, h.rows)
		if err == nil {
			_, err = h.journal.Append(b)
		}
		if err != nil {
			return // full: again later, and nothing is acknowledged
		}
		h.rows = h.rows[:0]
	}
	if !h.w.bug(BugNoSync) {
		if err := h.journal.Sync(); err != nil {
			return
		}
	}
	for i, p := range h.positions {
		if p.Birth != 0 && !h.w.bug(BugAckEarly) {
			h.receipts[i].Stored(p)
		}
		if p, ok := h.receipts[i].Due(h.w.now); ok {
			h.command(i, session.Acknowledgement(p, hostID))
		}
	}
}

// sink brings what is durable to the store.
func (h *host) sink() {
	ahead := h.w.bug(BugCursorAhead)
	if !h.w.store.up && !ahead {
		return
	}
	next, err := h.journal.Read(h.next, func(r journal.Record) bool {
		list, _, err := samples.Read(nil, r.Payload)
		if err != nil {
			h.w.breaks("the host's journal: record %d: %v", r.Pos, err)
		}
		for i := range list {
			h.w.store.write(&list[i])
		}
		return true
	})
	if err != nil {
		h.w.breaks("the host's journal cannot be read: %v", err)
		return
	}
	h.next = next
}

// save notes how far the store has come.
func (h *host) save() {
	if pos := min(h.next, h.journal.Durable()); pos > h.journal.Cursor(sinkCursor) {
		_ = h.journal.SetCursor(sinkCursor, pos) // full: again later
	}
}
