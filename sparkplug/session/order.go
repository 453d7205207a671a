package session

import (
	"slices"
	"strings"

	"github.com/magneto-iiot/magneto/sparkplug"
)

// early is the highest seq of a message that may have overtaken the NBIRTH of
// its session, which happens where a broker is a cluster: such a message is
// held for the NBIRTH instead of asking for one.
const early = 16

// heldMessage is a message that waits for an earlier one.
type heldMessage struct {
	at      int64 // when it came
	typ     sparkplug.Type
	device  string
	payload *sparkplug.Payload // our own copy
}

func (m *heldMessage) event(at int64) NodeEvent {
	return NodeEvent{Kind: NodeMessage, At: at, Type: m.typ, Device: m.device, Payload: m.payload}
}

// numbered applies a message that carries seq, holds it until the missing one
// has come, or drops it.
//
// Spec: tck-id-operational-behavior-host-reordering-start,
// tck-id-operational-behavior-host-reordering-success.
func (n *Node) numbered(ev NodeEvent, fx []NodeEffect) []NodeEffect {
	p := ev.Payload
	switch {
	case !p.HasSeq:
		return append(fx, drop(&ev, CauseNoSeq, 0))
	case n.late(ev.At, p):
		return append(fx, drop(&ev, CauseLate, 0))
	case n.resume:
		if fx = n.goOn(&ev, fx); n.state != NodeOnline {
			return n.beforeBirth(ev, fx)
		}
	case n.state != NodeOnline || n.unsure:
		return n.beforeBirth(ev, fx)
	}
	switch ahead := p.Seq - n.expect; {
	case ahead == 0:
		fx = n.apply(ev, fx)
		if len(n.held) != 0 {
			fx = n.release(ev.At, fx)
		}
		return fx
	case ahead < 128:
		return n.hold(ev, fx)
	case p.HasTimestamp && p.Timestamp > n.applied:
		// Newer than what was applied, and yet behind it: 128 messages or more
		// were lost, or it has overtaken the NBIRTH of a new session.
		return n.hold(ev, fx)
	}
	return append(fx, drop(&ev, CauseRepeated, 0))
}

// late says whether a message is from before the present birth, or from the
// session that has just died. Payload times are compared only for a while after
// a birth or death: when they are still older then, the node's clock was set
// back.
func (n *Node) late(at int64, p *sparkplug.Payload) bool {
	if !p.HasTimestamp || !n.born || at-n.turned > n.host.cfg.LateWindow {
		return false
	}
	switch n.state {
	case NodeOnline:
		return p.Timestamp < n.stamp
	case NodeOffline:
		return p.Timestamp <= n.applied
	}
	return false
}

// beforeBirth is for a message of a node that is not known to be born, or of
// which an NBIRTH may have been lost.
func (n *Node) beforeBirth(ev NodeEvent, fx []NodeEffect) []NodeEffect {
	cause := CauseNoBirth
	if n.unsure {
		cause = CauseGap
	}
	seq := ev.Payload.Seq
	dying := n.state == NodeOffline && n.born && ev.At-n.turned <= n.host.cfg.LateWindow
	switch {
	case dying && ev.Type != sparkplug.DBIRTH && seq-n.expect < 128:
		return append(fx, drop(&ev, CauseLate, 0)) // the death overtook it
	case seq <= early && ev.Payload.HasTimestamp:
		return n.hold(ev, fx)
	case dying:
		return append(fx, drop(&ev, CauseLate, 0))
	}
	fx = append(fx, drop(&ev, cause, 0))
	return n.want(ev.At, cause, fx)
}

// hold keeps a copy of a message until the missing one has come, or is given up.
func (n *Node) hold(ev NodeEvent, fx []NodeEffect) []NodeEffect {
	metrics := len(ev.Payload.Metrics)
	for i := range n.held {
		m := &n.held[i]
		if p := m.payload; p.Seq == ev.Payload.Seq && p.Timestamp == ev.Payload.Timestamp &&
			m.typ == ev.Type && m.device == ev.Device {
			return append(fx, drop(&ev, CauseRepeated, 0))
		}
		metrics += len(m.payload.Metrics)
	}
	if len(n.held) == n.host.cfg.MaxHeld || metrics > n.host.cfg.MaxHeldMetrics {
		fx = append(fx, drop(&ev, CauseFull, 0))
		return n.giveUp(ev.At, CauseFull, fx)
	}
	p := ev.Payload.Clone()
	n.held = append(n.held, heldMessage{ev.At, ev.Type, strings.Clone(ev.Device), &p})
	if n.until == 0 {
		n.until = ev.At + n.host.cfg.ReorderTimeout
	}
	return fx
}

// release applies the held messages whose turn has come, and waits on for the
// next that is missing.
func (n *Node) release(at int64, fx []NodeEffect) []NodeEffect {
	for n.state == NodeOnline && !n.unsure {
		i := slices.IndexFunc(n.held, func(m heldMessage) bool {
			return m.payload.Seq == n.expect && (!m.payload.HasTimestamp || m.payload.Timestamp >= n.applied)
		})
		if i < 0 {
			break
		}
		m := n.held[i]
		n.held = slices.Delete(n.held, i, i+1)
		fx = n.apply(m.event(at), fx)
	}
	n.waitOn()
	return fx
}

// waitOn sets the deadline for what is held: the timeout from when the first
// of it came.
func (n *Node) waitOn() {
	n.until = 0
	if len(n.held) == 0 {
		n.held = nil
		return
	}
	first := n.held[0].at
	for i := range n.held {
		first = min(first, n.held[i].at)
	}
	n.until = first + n.host.cfg.ReorderTimeout
}

// giveUp drops what is held because the missing message did not come, and
// asks for a rebirth.
//
// Spec: tck-id-operational-behavior-host-reordering-rebirth.
func (n *Node) giveUp(at int64, cause Cause, fx []NodeEffect) []NodeEffect {
	held := n.held
	n.held, n.until = nil, 0
	switch {
	case n.state != NodeOnline:
		for i := range held {
			ev := held[i].event(at)
			fx = append(fx, drop(&ev, CauseNoBirth, 0))
		}
		cause = CauseNoBirth
	case n.unsure:
		for i := range held {
			ev := held[i].event(at)
			fx = append(fx, drop(&ev, CauseGap, 0))
		}
	default:
		n.unsure = true
		fx = append(fx, NodeEffect{
			Do: NodeDoGap, Cause: cause, At: at, Expected: n.expect, Seq: n.nearest(held), Dropped: len(held),
		})
	}
	return n.want(at, cause, fx)
}

// nearest is the seq in held that comes first after the expected one.
func (n *Node) nearest(held []heldMessage) uint8 {
	ahead := uint8(255)
	for i := range held {
		ahead = min(ahead, held[i].payload.Seq-n.expect)
	}
	return n.expect + ahead
}

// keepSince keeps what was held that can be of the session that began at
// stamp, and has a seq up to most.
func (n *Node) keepSince(stamp int64, most uint8, at int64, fx []NodeEffect) []NodeEffect {
	kept := n.held[:0]
	for i := range n.held {
		if p := n.held[i].payload; p.HasTimestamp && p.Timestamp >= stamp && p.Seq <= most {
			kept = append(kept, n.held[i])
			continue
		}
		ev := n.held[i].event(at)
		fx = append(fx, drop(&ev, CauseLate, 0))
	}
	clear(n.held[len(kept):])
	n.held = kept
	n.waitOn()
	return fx
}
