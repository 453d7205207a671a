package session

import "github.com/magneto-iiot/magneto/sparkplug"

// birthSlots lists the slots of a birth's metrics: their order, unless some
// have no name or another's.
func (n *Node) birthSlots(p *sparkplug.Payload, s *Shape) []uint32 {
	slots := n.host.scratch(len(p.Metrics))
	plain := s.Len() == len(p.Metrics)
	for i := range p.Metrics {
		slots[i] = uint32(i)
		if name := p.Metrics[i].Name; !plain {
			slots[i] = NoSlot
			if name != "" {
				slots[i] = s.ByName(name)
			}
		}
	}
	return slots
}

// data applies an NDATA or DDATA: finds each metric's slot and gives its value
// the type that the birth declared.
func (n *Node) data(ev *NodeEvent, s *Shape, count uint64, fx []NodeEffect) []NodeEffect {
	slots := n.host.scratch(len(ev.Payload.Metrics))
	var wrong misfits
	for i := range ev.Payload.Metrics {
		m := &ev.Payload.Metrics[i]
		slot := NoSlot
		if m.Name == "" && m.HasAlias {
			if j := m.Alias - s.first; j < uint64(len(s.dense)) {
				slot = s.dense[j]
			}
		}
		if slot == NoSlot { // a name, a sparse alias or an unknown one
			slot = s.slot(m)
		}
		switch {
		case slot == NoSlot:
			wrong.missing(m)
		case !retype(m, s.defs[slot].Type):
			wrong.typ++
			slot = NoSlot
		}
		slots[i] = slot
	}
	fx = append(fx, NodeEffect{
		Do: NodeDoData, At: ev.At, Seq: ev.Payload.Seq, Count: count, BdSeq: n.bdSeq, Type: ev.Type,
		Device: ev.Device, Payload: ev.Payload, Shape: s, Slots: slots,
	})
	if wrong == (misfits{}) {
		return fx
	}
	return n.misfits(ev, wrong, fx)
}

// Data is Step for the commonest event without its cost: an NDATA, or a DDATA
// of the device, whose turn it is and whose metrics s has resolved, all of
// them. It applies the message as Step does; what NodeDoData would tell the
// caller knows. Everything else it leaves to Step: it is then false and no
// state has changed, and Step must get the payload as it came, not resolved.
func (n *Node) Data(at int64, device string, p *sparkplug.Payload, s *Shape) bool {
	if n.state != NodeOnline || n.unsure || len(n.held) != 0 || at < n.clock.last ||
		!p.HasSeq || p.Seq != n.expect || n.late(at, p) {
		return false
	}
	present := n.shape
	if device != "" {
		d := n.devices.find(device)
		if d == nil || !d.online {
			return false
		}
		present = d.shape
	}
	if s != present {
		return false
	}
	n.clock.last, n.ask.heard = at, true
	n.expect++
	n.count++
	if p.HasTimestamp {
		n.applied = p.Timestamp
	}
	return true
}

// Resolve finds the slots of the metrics of a data message, slots being as
// long as metrics, and gives their values the types of the birth. False: not
// all were declared, or not with that type.
func (s *Shape) Resolve(metrics []sparkplug.Metric, slots []uint32) bool {
	slots = slots[:len(metrics)]
	for i := range metrics {
		m := &metrics[i]
		var slot uint32
		if j := m.Alias - s.first; m.Name == "" && m.HasAlias && j < uint64(len(s.dense)) {
			slot = s.dense[j]
		} else {
			slot = s.slot(m)
		}
		if uint64(slot) >= uint64(len(s.types)) { // NoSlot is beyond any
			return false
		}
		if t := s.types[slot]; t != sparkplug.TypeUnknown && !m.Value.Retype(t) {
			return false
		}
		slots[i] = slot
	}
	return true
}

// misfits counts the metrics of a data message that were left out.
type misfits struct{ alias, name, typ int }

// missing counts a metric without a slot.
func (w *misfits) missing(m *sparkplug.Metric) {
	if m.Name == "" {
		w.alias++
	} else {
		w.name++
	}
}

// retype gives a metric's value the type of its birth, if that has one, and
// reports whether the value fits it.
func retype(m *sparkplug.Metric, t sparkplug.DataType) bool {
	return m.Value.Type() == t || t == sparkplug.TypeUnknown || m.Value.Retype(t)
}

func (n *Node) misfits(ev *NodeEvent, wrong misfits, fx []NodeEffect) []NodeEffect {
	if wrong.typ > 0 {
		fx = append(fx, drop(ev, CauseBadType, wrong.typ))
	}
	n.unstored = n.unstored || wrong.name > 0 || wrong.alias > 0
	if wrong.name > 0 {
		fx = append(fx, drop(ev, CauseUnknownName, wrong.name))
		fx = n.want(ev.At, CauseUnknownName, fx)
	}
	if wrong.alias > 0 {
		fx = append(fx, drop(ev, CauseUnknownAlias, wrong.alias))
		fx = n.want(ev.At, CauseUnknownAlias, fx)
	}
	return fx
}
