package session

import (
	"cmp"
	"slices"

	"github.com/magneto-iiot/magneto/sparkplug"
)

// Host is what all Nodes of one owner share: the rules, the birth shapes and
// scratch memory. The Host and its Nodes belong to one goroutine at a time; a
// program that shards nodes over goroutines has one Host for each.
type Host struct {
	cfg    HostConfig
	shapes *Shapes
	slots  []uint32 // of the effects of the present Step
}

// NewHost returns a Host with no nodes.
func NewHost(cfg HostConfig) *Host {
	cfg.ReorderTimeout = cmp.Or(cfg.ReorderTimeout, 2000)
	cfg.MaxHeld = min(max(cmp.Or(cfg.MaxHeld, 64), 1), 127)
	cfg.MaxHeldMetrics = cmp.Or(cfg.MaxHeldMetrics, 20000)
	cfg.RebirthMin = cmp.Or(cfg.RebirthMin, 2000)
	cfg.RebirthMax = max(cmp.Or(cfg.RebirthMax, 120000), cfg.RebirthMin)
	cfg.RebirthTries = cmp.Or(cfg.RebirthTries, 8)
	cfg.ResumeWait = cmp.Or(cfg.ResumeWait, 30000)
	cfg.LateWindow = cmp.Or(cfg.LateWindow, 10000)
	cfg.MaxDevices = cmp.Or(cfg.MaxDevices, 4096)
	return &Host{cfg: cfg, shapes: NewShapes()}
}

// scratch returns n slots that are good until the next Step.
func (h *Host) scratch(n int) []uint32 {
	from := len(h.slots)
	h.slots = slices.Grow(h.slots, n)[:from+n]
	return h.slots[from : from+n : from+n]
}

// Shapes is the table of the birth shapes in use.
func (h *Host) Shapes() *Shapes { return h.shapes }

// Node is a host's view of one edge node: order, gaps, births and deaths,
// aliases, and when to ask for a rebirth.
//
// It keeps these promises: messages are applied in seq order and none twice
// within a birth; after a gap nothing is applied until the next NBIRTH, for a
// birth lost in it may have given the aliases other meanings; a death of
// another session than the present one does nothing; a rebirth is asked for,
// one request in flight, with growing pauses until an NBIRTH comes.
type Node struct {
	// What Data looks at comes first, side by side.
	host    *Host
	state   NodeState
	unsure  bool // after a gap: applies nothing until the next NBIRTH
	born    bool // what follows describes a birth, present or past
	expect  uint8
	hasPrev bool
	clock   clock
	stamp   int64 // payload timestamp of the NBIRTH; 0: it had none
	applied int64 // payload timestamp of the last message applied
	turned  int64 // the host's time of the last birth or death
	count   uint64
	shape   *Shape
	held    []heldMessage

	ask     request
	until   int64 // when a missing message is given up; 0: none is missing
	devices devices
	kept    bool  // it was in order when the host lost it
	muted   int64 // when it is heard again, ms; 0: it is heard
	births  int64 // when the bound on births would be as if there had been none, ms
	resume  bool  // restored from a Saved, and not heard since
	bdSeq   uint64
	prev    uint64 // bdSeq of a session that another replaced without its NDEATH
	seed    uint64

	number   uint64 // of the NBIRTH, if it announced one; 0: acknowledges nothing
	ackHost  string // whose acknowledgements it wants
	unstored bool   // something since that NBIRTH could not be applied, and will come again
}

// NewNode returns the view of a node that nothing is known of yet.
func (h *Host) NewNode(group, node string) *Node {
	n := new(Node)
	h.Init(n, group, node)
	return n
}

// Init makes n what NewNode returns, for owners that keep a Node within a
// struct of theirs.
func (h *Host) Init(n *Node, group, node string) {
	*n = Node{host: h, seed: seedOf(0, group, node)}
}

// Step applies one event and appends to fx what must be done, in order. A
// data message that is in order costs no allocation.
func (n *Node) Step(ev NodeEvent, fx []NodeEffect) []NodeEffect {
	n.host.slots = n.host.slots[:0]
	if d := n.clock.back(ev.At); d != 0 {
		n.shift(d)
	}
	switch ev.Kind {
	case NodeMessage:
		n.ask.heard = true
		return n.message(ev, fx)
	case NodeMalformed:
		n.ask.heard = true
		fx = append(fx, drop(&ev, CauseMalformed, 0))
		return n.want(ev.At, CauseMalformed, fx)
	case NodeTick:
		return n.tick(ev.At, fx)
	case NodeHostLost:
		return n.lose(ev.At, CauseHostLost, fx)
	case NodeHostBack:
		switch {
		case n.state == NodeOffline, n.state == NodeUnknown && n.born:
			return n.want(ev.At, CauseHostLost, fx)
		case n.state == NodeUnknown: // heard before, but never born
			n.wantLater(ev.At, CauseHostLost)
		}
	case NodeExpected:
		switch {
		case n.state != NodeUnknown:
		case n.resume:
			n.ask.cause, n.ask.tries, n.ask.at = CauseHostLost, 0, ev.At+n.host.cfg.ResumeWait+n.spread()
		case !n.born:
			n.wantLater(ev.At, CauseHostLost)
		}
	case NodeRebirth:
		return n.wantNow(ev.At, CauseOperator, fx)
	}
	return fx
}

func (n *Node) message(ev NodeEvent, fx []NodeEffect) []NodeEffect {
	if ev.Payload == nil {
		return append(fx, drop(&ev, CauseMalformed, 0))
	}
	if ev.At < n.muted {
		return append(fx, drop(&ev, CauseMuted, 0))
	}
	n.muted = 0
	switch ev.Type {
	case sparkplug.NDATA, sparkplug.DDATA, sparkplug.DBIRTH, sparkplug.DDEATH:
		if ev.Type.OfDevice() != (ev.Device != "") {
			return append(fx, drop(&ev, CauseUnexpectedType, 0))
		}
		return n.numbered(ev, fx)
	case sparkplug.NBIRTH:
		if n.floods(ev.At) {
			return n.mute(&ev, fx)
		}
		return n.birth(ev, fx)
	case sparkplug.NDEATH:
		return n.death(ev, fx)
	}
	return append(fx, drop(&ev, CauseUnexpectedType, 0))
}

// Times of the bound on births, in ms.
const (
	birthEvery = 1000
	mutedFor   = 10000
)

// floods counts an NBIRTH, and says whether it is one too many.
func (n *Node) floods(at int64) bool {
	most := int64(n.host.cfg.MaxBirths)
	n.births = max(n.births, at) + birthEvery
	if most == 0 || n.births-at <= most*birthEvery {
		return false
	}
	n.births = at + most*birthEvery
	return true
}

// mute leaves a node alone that is born too often.
func (n *Node) mute(ev *NodeEvent, fx []NodeEffect) []NodeEffect {
	fx = append(fx, fault(ev, CauseMuted, 1))
	fx = n.lose(ev.At, CauseMuted, fx)
	n.muted, n.kept = ev.At+mutedFor, false
	n.ask.cause, n.ask.tries, n.ask.at = CauseMuted, 0, n.muted
	return fx
}

// Deadline is when the owner must send NodeTick, in ms; 0: no need.
func (n *Node) Deadline() int64 { return sooner(n.until, n.ask.at) }

// State is what is known of the node.
func (n *Node) State() NodeState { return n.state }

// InOrder says whether the node is online and no message is known to be lost
// or is being waited for.
func (n *Node) InOrder() bool {
	return n.state == NodeOnline && !n.unsure && len(n.held) == 0
}

// BdSeq is that of the last birth.
func (n *Node) BdSeq() uint64 { return n.bdSeq }

// Count is the number of messages applied since the last NBIRTH, with it.
func (n *Node) Count() uint64 { return n.count }

// Number is the number of the last NBIRTH, for a [Position], if its node wants
// the acknowledgements of that host; else it is 0. It is 0 as well after metrics
// that no birth declared, which come again after the rebirth they led to.
func (n *Node) Number(host string) uint64 {
	if n.unstored || n.ackHost != host {
		return 0
	}
	return n.number
}

// Shape describes the node's own metrics; nil before its first birth.
func (n *Node) Shape() *Shape { return n.shape }

// Device says whether a device is online, and describes its metrics; nil
// before its first birth.
func (n *Node) Device(name string) (shape *Shape, online bool) {
	if d := n.devices.find(name); d != nil {
		return d.shape, d.online
	}
	return nil, false
}

// Forget gives the node's shapes back to the Host. The Node knows nothing then.
func (n *Node) Forget() {
	n.host.shapes.drop(n.shape)
	for i := range n.devices.list {
		n.host.shapes.drop(n.devices.list[i].shape)
	}
	*n = Node{host: n.host, seed: n.seed}
}

func (n *Node) tick(at int64, fx []NodeEffect) []NodeEffect {
	if n.until != 0 && at >= n.until {
		fx = n.giveUp(at, CauseGap, fx)
	}
	if n.ask.at != 0 && at >= n.ask.at {
		fx = n.askAgain(at, fx)
	}
	return fx
}

// lose makes the node unknown: what it says now is not heard.
func (n *Node) lose(at int64, cause Cause, fx []NodeEffect) []NodeEffect {
	if n.resume {
		n.ask.at = 0
		return fx // it was not heard yet: what was saved may still hold
	}
	n.kept = false
	if len(n.held) > 0 {
		n.unsure = true // what was held is lost
	}
	n.held, n.until, n.ask.at = nil, 0, 0
	if n.state != NodeOnline {
		return fx
	}
	n.kept, n.state, n.unsure = !n.unsure, NodeUnknown, false
	for i := range n.devices.list {
		d := &n.devices.list[i]
		d.kept, d.online = d.online, false
	}
	return append(fx, NodeEffect{Do: NodeDoStale, Cause: cause, At: at, BdSeq: n.bdSeq})
}

// shift moves everything that is measured by the host's clock, which was set
// back by -d.
func (n *Node) shift(d int64) {
	shift(d, &n.until, &n.ask.at, &n.ask.last, &n.turned, &n.muted, &n.births)
	for i := range n.held {
		n.held[i].at += d
	}
}

func drop(ev *NodeEvent, cause Cause, metrics int) NodeEffect {
	fx := NodeEffect{
		Do: NodeDoDrop, Cause: cause, At: ev.At, Type: ev.Type, Device: ev.Device, Dropped: metrics,
	}
	if ev.Payload != nil {
		fx.Seq = ev.Payload.Seq
	}
	return fx
}

func fault(ev *NodeEvent, cause Cause, times int) NodeEffect {
	fx := drop(ev, cause, times)
	fx.Do = NodeDoFault
	return fx
}
