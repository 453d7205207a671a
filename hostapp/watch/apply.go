package watch

import (
	"slices"

	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// born puts a node or device online with the values of its birth.
func (w *Watcher) born(n *node, e *entity, now int64, fx *session.NodeEffect) {
	if e == nil || fx.Shape == nil {
		return
	}
	before := len(e.slots)
	e.declare(fx.Shape)
	n.metrics += len(e.slots) - before
	w.stats.Metrics += len(e.slots) - before
	w.stats.Births++
	sent := sentAt(fx.Payload, now)
	if e == &n.own {
		n.births++
		n.birthAt = sent
		n.asked = false
		w.turn(e, Online, now)
	} else {
		w.turn(e, Online, sent)
	}
	e.staleAt = 0
	w.store(e, fx.Payload.Metrics, fx.Slots, sent)
	samples := w.sample(e, fx.Payload.Metrics, fx.Slots, sent)
	w.updates = append(w.updates, Update{
		Kind: Birth, Again: fx.Again, Group: n.group, Node: n.name, Device: e.device,
		Entity: int(e.id), NodeEntity: int(n.own.id), Shape: e.shape,
		Received: now, Sent: sent, BdSeq: n.machine.BdSeq(), Samples: samples,
		Position: w.position(n, fx.Count, fx.Payload),
	})
	if e == &n.own && !fx.Again {
		w.cfg.Log.Info("edge node born", "group", n.group, "node", n.name, "bdseq", fx.BdSeq, "metrics", len(e.slots))
	}
}

// data applies the new values of p, whose metrics belong in slots.
func (w *Watcher) data(n *node, e *entity, now int64, p *sparkplug.Payload, slots []uint32, count uint64) {
	if e == nil || e.shape == nil {
		return
	}
	sent := sentAt(p, now)
	w.store(e, p.Metrics, slots, sent)
	if w.cfg.Handler == nil {
		return
	}
	// Field by field: a whole Update would be put together elsewhere first.
	w.updates = slices.Grow(w.updates, 1)
	w.updates = w.updates[:len(w.updates)+1]
	u := &w.updates[len(w.updates)-1]
	u.Kind, u.Group, u.Node, u.Device = Data, n.group, n.name, e.device
	u.Entity, u.NodeEntity, u.Shape = int(e.id), int(n.own.id), e.shape
	u.Received, u.Sent, u.BdSeq, u.Samples = now, sent, n.machine.BdSeq(), w.sample(e, p.Metrics, slots, sent)
	u.Position = w.position(n, count, p)
}

// position is that of a message, count messages after the NBIRTH.
func (w *Watcher) position(n *node, count uint64, p *sparkplug.Payload) session.Position {
	if w.cfg.AckAs == "" || !p.HasTimestamp {
		return session.Position{}
	}
	number := n.machine.Number(w.cfg.AckAs)
	if number == 0 {
		return session.Position{}
	}
	return session.Position{Birth: number, Count: count, Timestamp: p.Timestamp}
}

// store puts the metrics of one payload into their slots.
func (w *Watcher) store(e *entity, metrics []sparkplug.Metric, which []uint32, sent int64) {
	left := 0
	for i, at := range which {
		if uint64(at) >= uint64(len(e.slots)) { // NoSlot is beyond any
			left++
			continue
		}
		m, s := &metrics[i], &e.slots[at]
		time := timeOf(m, sent)
		if m.Properties == nil && !m.Historical && s.put(&m.Value, time, good) {
			continue
		}
		if !m.Historical {
			e.complete(s, &m.Value)
			e.set(s, &m.Value, time, quality(m))
		}
		e.note(at, m)
	}
	w.stats.Samples += uint64(len(which) - left)
}

// complete adds to a template instance of a data message, which may hold only
// the members that changed, those that slot s has of it since the birth.
//
// Spec: tck-id-payloads-template-instance-members-data.
func (e *entity) complete(s *slot, v *sparkplug.Value) {
	part := v.Template()
	if part == nil || part.IsDefinition || s.meta&(slotSome|slotAside) != slotSome|slotAside {
		return
	}
	if whole := e.asides[s.bits].value.Template(); whole != nil && !whole.IsDefinition {
		*v = sparkplug.OfTemplate(whole.Merged(part))
	}
}

// sample returns the metrics of one payload as samples, which live in the
// watcher's scratch memory; nil if there is no handler to see them.
func (w *Watcher) sample(e *entity, metrics []sparkplug.Metric, which []uint32, sent int64) []Sample {
	if w.cfg.Handler == nil {
		return nil
	}
	start := len(w.samples)
	w.samples = slices.Grow(w.samples, len(which))
	out := w.samples[start : start+len(which)]
	n := 0
	for i, at := range which {
		if uint64(at) >= uint64(len(e.slots)) {
			continue
		}
		m, s := &metrics[i], &out[n]
		n++
		s.Value = m.Value
		s.Index, s.Time, s.Quality = int(at), timeOf(m, sent), quality(m)
		s.Historical, s.Transient = m.Historical, m.Transient || e.shape.Def(at).Transient
	}
	w.samples = w.samples[:start+n]
	return out[:n]
}

// timeOf is when a metric had its value: it says so, or its payload does.
func timeOf(m *sparkplug.Metric, sent int64) int64 {
	if m.HasTimestamp {
		return m.Timestamp
	}
	return sent
}

// quality is what a metric says of itself. A value without the property is
// good, a null without it is bad.
func quality(m *sparkplug.Metric) uint16 {
	q := uint16(sparkplug.QualityGood)
	if _, number := m.Value.Number(); number && m.Properties == nil {
		return q
	}
	if m.Value.IsNull() {
		q = sparkplug.QualityBad
	}
	if m.Properties == nil {
		return q
	}
	for i, k := range m.Properties.Keys {
		if k != sparkplug.PropQuality {
			continue
		}
		if v := m.Properties.Values[i].Value; !v.IsNull() && v.Int() >= 0 && v.Int() <= 0xFFFF {
			q = uint16(v.Int())
		}
	}
	return q
}

// note keeps what the properties of a metric, but PropQuality, say anew.
func (e *entity) note(slot uint32, m *sparkplug.Metric) {
	if m.Properties == nil || m.Historical {
		return
	}
	others := false
	for _, k := range m.Properties.Keys {
		others = others || k != sparkplug.PropQuality
	}
	if others && !m.Properties.Equal(e.shape.Def(slot).Properties) {
		if e.props == nil {
			e.props = map[uint32]*sparkplug.PropertySet{}
		}
		e.props[slot] = merged(e.properties(slot), m.Properties)
	}
}

// properties are those of the birth, with what has changed since.
func (e *entity) properties(slot uint32) *sparkplug.PropertySet {
	if p := e.props[slot]; p != nil {
		return p
	}
	return e.shape.Def(slot).Properties
}

// merged returns a copy of old with the properties of with, but PropQuality,
// put over it.
func merged(old, with *sparkplug.PropertySet) *sparkplug.PropertySet {
	out := old.Clone()
	if out == nil {
		out = &sparkplug.PropertySet{}
	}
	with = with.Clone()
next:
	for i, k := range with.Keys {
		if k == sparkplug.PropQuality {
			continue
		}
		for j := range out.Keys {
			if out.Keys[j] == k {
				out.Values[j] = with.Values[i]
				continue next
			}
		}
		out.Keys, out.Values = append(out.Keys, k), append(out.Values, with.Values[i])
	}
	return out
}

// gone puts a node or device offline, or out of sight, at the time at.
//
// Spec: tck-id-operational-behavior-edge-node-termination-host-action-ndeath-node-offline,
// tck-id-operational-behavior-edge-node-termination-host-action-ddeath-devices-offline.
func (w *Watcher) gone(n *node, e *entity, now, at int64, cause session.Cause, kind Kind) {
	if e == nil || (kind == Lost && e.state != Online) {
		return
	}
	to := Offline
	if kind == Lost {
		to = Unknown
	}
	if e == &n.own && kind == Death {
		w.cfg.Log.Info("edge node dead", "group", n.group, "node", n.name, "cause", cause.String())
	}
	w.turn(e, to, at)
	if e.staleAt == 0 {
		e.staleAt = at
	}
	sent := at - n.skew
	if cause == session.CauseDeath && e != &n.own && at != now {
		sent = at // the DDEATH's own time
	}
	w.updates = append(w.updates, Update{
		Kind: kind, Group: n.group, Node: n.name, Device: e.device,
		Entity: int(e.id), NodeEntity: int(n.own.id), Shape: e.shape,
		Received: now, Sent: sent, BdSeq: n.machine.BdSeq(), Cause: cause,
	})
}

// turn changes the state of a node or device.
func (w *Watcher) turn(e *entity, to State, at int64) {
	if e.state == to {
		return
	}
	if e.device == "" {
		if to == Online {
			w.stats.Online++
		} else if e.state == Online {
			w.stats.Online--
		}
	}
	e.state, e.changedAt = to, at
}

func sentAt(p *sparkplug.Payload, now int64) int64 {
	if p != nil && p.HasTimestamp {
		return p.Timestamp
	}
	return now
}
