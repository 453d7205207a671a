package session

import (
	"math"
	"strings"

	"github.com/magneto-iiot/magneto/sparkplug"
)

// birth applies an NBIRTH.
func (n *Node) birth(ev NodeEvent, fx []NodeEffect) []NodeEffect {
	p := ev.Payload
	bdSeq, ok := bdSeqOf(p)
	if !ok {
		return append(fx, drop(&ev, CauseNoBdSeq, 0))
	}
	if cause := n.oldBirth(&ev, bdSeq); cause != CauseNone {
		return append(fx, drop(&ev, cause, 0))
	}
	if !p.HasSeq {
		fx = append(fx, fault(&ev, CauseNoSeq, 1))
	}
	fx = n.replaces(&ev, bdSeq, fx)
	fx = n.devicesOff(ev.At, CauseBorn, fx)
	again := n.born && n.state != NodeOffline && bdSeq == n.bdSeq
	n.state, n.unsure, n.born, n.resume = NodeOnline, false, true, false
	n.bdSeq, n.expect, n.count, n.turned = bdSeq, p.Seq+1, 1, ev.At
	n.stamp, n.applied = 0, 0
	if p.HasTimestamp {
		n.stamp, n.applied = p.Timestamp, p.Timestamp
	}
	number, host := announced(p)
	n.number = number
	if n.ackHost != host {
		n.ackHost = strings.Clone(host)
	}
	n.unstored = false
	n.ask.reborn()
	fx = n.newShape(&ev, &n.shape, fx)
	fx = append(fx, NodeEffect{
		Do: NodeDoBirth, At: ev.At, Seq: p.Seq, BdSeq: bdSeq, Again: again,
		Payload: p, Shape: n.shape, Slots: n.birthSlots(p, n.shape),
	})
	if len(n.held) != 0 {
		fx = n.keepSince(since(p), 255, ev.At, fx)
		fx = n.release(ev.At, fx)
	}
	return fx
}

// since is from when on a held message can be of the birth p: never, if p does
// not say its time.
func since(p *sparkplug.Payload) int64 {
	if !p.HasTimestamp {
		return math.MaxInt64
	}
	return p.Timestamp
}

// oldBirth says whether an NBIRTH is a copy of the last one, or older, and why
// it is to be dropped. As with late, times count only for a while, and not at
// all when births are numbered: the clock may have been set back.
func (n *Node) oldBirth(ev *NodeEvent, bdSeq uint64) Cause {
	p := ev.Payload
	number, _ := announced(p)
	switch {
	case !n.born || n.state == NodeUnknown || !p.HasTimestamp || ev.At-n.turned > n.host.cfg.LateWindow:
		return CauseNone
	case number > n.number && n.number != 0:
		return CauseNone
	case number < n.number && number != 0:
		return CauseLate
	case p.Timestamp < n.stamp && bdSeq != (n.bdSeq+1)%256:
		return CauseLate // and not the next session of a node that lost its clock
	case p.Timestamp == n.stamp && bdSeq == n.bdSeq:
		return CauseRepeated
	}
	return CauseNone
}

// replaces notices two edge nodes that use one id: when a session took the
// place of another without that one's death, and then the other is back.
func (n *Node) replaces(ev *NodeEvent, bdSeq uint64, fx []NodeEffect) []NodeEffect {
	if n.state != NodeOnline || bdSeq == n.bdSeq {
		return fx
	}
	if n.hasPrev && bdSeq == n.prev {
		f := fault(ev, CauseTwoPublishers, 1)
		f.BdSeq = bdSeq
		fx = append(fx, f)
	}
	n.prev, n.hasPrev = n.bdSeq, true
	return fx
}

// death applies an NDEATH, unless it is the late will of another session than
// the present one. One without bdSeq is believed: the node speaks again if it
// lives, and stays online for ever if it does not.
//
// Spec: tck-id-operational-behavior-edge-node-termination-host-action-ndeath-*.
func (n *Node) death(ev NodeEvent, fx []NodeEffect) []NodeEffect {
	bdSeq, ok := bdSeqOf(ev.Payload)
	if ok && n.hasPrev && bdSeq == n.prev {
		n.hasPrev = false
	}
	switch {
	case n.state == NodeOffline:
		return append(fx, drop(&ev, CauseRepeated, 0))
	case ok && n.born && bdSeq != n.bdSeq:
		d := drop(&ev, CauseOtherSession, 0)
		d.BdSeq = bdSeq
		return append(fx, d)
	}
	if n.state == NodeOnline {
		n.ask.at = 0
	} // else it may be the late will of a session before one that the host has missed: the request stands
	fx = n.devicesOff(ev.At, CauseDeath, fx)
	n.state, n.unsure, n.hasPrev, n.turned, n.resume = NodeOffline, false, false, ev.At, false
	fx = append(fx, NodeEffect{Do: NodeDoOffline, Cause: CauseDeath, At: ev.At, BdSeq: n.bdSeq})
	if len(n.held) != 0 {
		fx = n.keepSince(n.applied+1, early, ev.At, fx)
	}
	return fx
}

// devicesOff takes all devices offline with their node, by the host's time.
func (n *Node) devicesOff(at int64, cause Cause, fx []NodeEffect) []NodeEffect {
	for i := range n.devices.list {
		if d := &n.devices.list[i]; d.online {
			d.online = false
			fx = append(fx, NodeEffect{Do: NodeDoDeviceOffline, Cause: cause, At: at, Device: d.name})
		}
	}
	return fx
}

// apply applies the message whose turn it is.
func (n *Node) apply(ev NodeEvent, fx []NodeEffect) []NodeEffect {
	count := n.count
	n.expect++
	n.count++
	if ev.Payload.HasTimestamp {
		n.applied = ev.Payload.Timestamp
	}
	switch ev.Type {
	case sparkplug.NDATA:
		return n.data(&ev, n.shape, count, fx)
	case sparkplug.DDATA:
		d := n.devices.find(ev.Device)
		if d == nil || !d.online {
			n.unstored = true
			fx = append(fx, drop(&ev, CauseUnknownDevice, 0))
			return n.want(ev.At, CauseUnknownDevice, fx)
		}
		return n.data(&ev, d.shape, count, fx)
	case sparkplug.DBIRTH:
		return n.deviceBirth(&ev, count, fx)
	}
	return n.deviceDeath(&ev, fx)
}

func (n *Node) deviceBirth(ev *NodeEvent, count uint64, fx []NodeEffect) []NodeEffect {
	d := n.devices.find(ev.Device)
	if d == nil {
		if len(n.devices.list) == n.host.cfg.MaxDevices {
			return append(fx, drop(ev, CauseTooManyDevices, 0))
		}
		d = n.devices.add(strings.Clone(ev.Device))
	}
	d.online = true
	fx = n.newShape(ev, &d.shape, fx)
	if same := n.sharedAliases(d); same > 0 {
		fx = append(fx, fault(ev, CauseDuplicateAlias, same))
	}
	return append(fx, NodeEffect{
		Do: NodeDoDeviceBirth, At: ev.At, Seq: ev.Payload.Seq, Count: count, BdSeq: n.bdSeq,
		Device: ev.Device, Payload: ev.Payload, Shape: d.shape, Slots: n.birthSlots(ev.Payload, d.shape),
	})
}

// deviceDeath applies a DDEATH.
//
// Spec: tck-id-operational-behavior-edge-node-termination-host-action-ddeath-*.
func (n *Node) deviceDeath(ev *NodeEvent, fx []NodeEffect) []NodeEffect {
	d := n.devices.find(ev.Device)
	if d == nil || !d.online {
		return append(fx, drop(ev, CauseUnknownDevice, 0))
	}
	d.online = false
	at := ev.At
	if ev.Payload.HasTimestamp {
		at = ev.Payload.Timestamp
	}
	return append(fx, NodeEffect{Do: NodeDoDeviceOffline, Cause: CauseDeath, At: at, Device: ev.Device})
}

// sharedAliases counts the aliases of a device that others of its node use.
func (n *Node) sharedAliases(d *hostDevice) int {
	same := d.shape.shared(n.shape)
	for i := range n.devices.list {
		if o := &n.devices.list[i]; o.online && o.name != d.name {
			same += d.shape.shared(o.shape)
		}
	}
	return same
}

// newShape takes the Shape of a birth in place of the one before.
func (n *Node) newShape(ev *NodeEvent, shape **Shape, fx []NodeEffect) []NodeEffect {
	s, faults := n.host.shapes.take(ev.Payload.Metrics)
	n.host.shapes.drop(*shape)
	*shape = s
	if !faults.any() {
		return fx
	}
	if faults.noName > 0 {
		fx = append(fx, drop(ev, CauseNoName, faults.noName))
	}
	if faults.sameName > 0 {
		fx = append(fx, fault(ev, CauseDuplicateName, faults.sameName))
	}
	if faults.sameAlias > 0 {
		fx = append(fx, fault(ev, CauseDuplicateAlias, faults.sameAlias))
	}
	return fx
}

// bdSeqOf returns the bdSeq of an NBIRTH or NDEATH, of any integer type.
//
// Spec: tck-id-payloads-ndeath-bdseq.
func bdSeqOf(p *sparkplug.Payload) (uint64, bool) {
	for i := range p.Metrics {
		if m := &p.Metrics[i]; m.Name == sparkplug.MetricBdSeq {
			v, err := m.Value.As(sparkplug.TypeUInt64)
			return v.Uint(), err == nil && !v.IsNull()
		}
	}
	return 0, false
}
