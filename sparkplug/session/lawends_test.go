package session_test

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// toEdge gives the edge an event and carries out what it wants.
func (w *world) toEdge(ev session.EdgeEvent) {
	ev.At = w.now + w.skew
	w.efx = w.edge.Step(ev, w.efx[:0])
	for _, fx := range slices.Clone(w.efx) {
		w.edgeEffect(fx)
	}
}

func (w *world) edgeEffect(fx session.EdgeEffect) {
	switch fx.Do {
	case session.EdgeConnect:
		w.dial(fx)
	case session.EdgeSubscribe:
		w.after(2, func() { w.toEdge(session.EdgeEvent{Kind: session.EdgeSubscribed, Session: fx.Session}) })
	case session.EdgeNBirth:
		if fx.Seq != 0 || int(fx.BdSeq) != w.bdSeq {
			w.fail("NBIRTH of seq %d, bdSeq %d; the CONNECT had %d", fx.Seq, fx.BdSeq, w.bdSeq)
		}
		w.birth++
		w.Reborn++
		w.send(sparkplug.NBIRTH, fx)
	case session.EdgeDBirth:
		w.send(sparkplug.DBIRTH, fx)
	case session.EdgeDDeath:
		w.send(sparkplug.DDEATH, fx)
	case session.EdgePublish:
		if fx.Device == "" {
			w.send(sparkplug.NDATA, fx)
		} else {
			w.send(sparkplug.DDATA, fx)
		}
	case session.EdgeAbandon:
		w.linked = false
		w.will(fx.BdSeq)
	}
}

// dial lets the edge in, or not; what left counts for bdSeq.
func (w *world) dial(fx session.EdgeEffect) {
	w.session = fx.Session
	left := !w.chance(0.3)
	if left {
		if w.bdSeq >= 0 && int(fx.BdSeq) != (w.bdSeq+1)%256 {
			w.fail("bdSeq %d after %d", fx.BdSeq, w.bdSeq)
		}
		w.bdSeq = int(fx.BdSeq)
	}
	if !left || w.chance(0.2) {
		w.after(10, func() {
			w.toEdge(session.EdgeEvent{Kind: session.EdgeConnectFailed, Session: fx.Session, Sent: left})
		})
		return
	}
	w.after(10, func() {
		w.linked = true
		w.toEdge(session.EdgeEvent{Kind: session.EdgeConnected, Session: fx.Session})
	})
}

// Each birth numbers its aliases from 10 times itself, so that a value that was
// resolved by the table of another birth is noticed.
func (w *world) metric(device string, typ sparkplug.Type) sparkplug.Metric {
	alias := uint64(w.birth*10 + slices.Index(lawDevices, device) + 1)
	m := sparkplug.Metric{
		Alias: alias, HasAlias: true, Value: sparkplug.Int(sparkplug.TypeInt64, w.values[device]),
	}
	if typ == sparkplug.NBIRTH || typ == sparkplug.DBIRTH {
		m.Name = "value"
	}
	return m
}

func (w *world) send(typ sparkplug.Type, fx session.EdgeEffect) {
	w.now++ // no two messages in one millisecond
	p := &sparkplug.Payload{Timestamp: w.now + w.skew, HasTimestamp: true, Seq: fx.Seq, HasSeq: true}
	if typ == sparkplug.NBIRTH {
		p.Metrics = append(p.Metrics,
			sparkplug.Metric{Name: sparkplug.MetricBdSeq, Value: sparkplug.Int(sparkplug.TypeInt64, int64(fx.BdSeq))},
			sparkplug.Metric{Name: "birth", Value: sparkplug.Int(sparkplug.TypeInt64, int64(w.birth))})
	}
	if typ != sparkplug.DDEATH {
		p.Metrics = append(p.Metrics, w.metric(fx.Device, typ))
	}
	w.log[[2]uint64{uint64(w.birth), fx.Count}] = sent{typ, fx.Device, w.birth, fx.Count, w.values[fx.Device]}
	w.Sent++
	if w.linked {
		w.carry(p, typ, fx.Device)
	}
}

func (w *world) death(bdSeq uint8) *sparkplug.Payload {
	return &sparkplug.Payload{Metrics: []sparkplug.Metric{
		{Name: sparkplug.MetricBdSeq, Value: sparkplug.Int(sparkplug.TypeInt64, int64(bdSeq))},
	}}
}

// carry takes a message to the host, or does not, or does it twice, or late.
func (w *world) carry(p *sparkplug.Payload, typ sparkplug.Type, device string) {
	copies := 1
	switch {
	case w.chance(0.03):
		copies = 0
	case w.chance(0.03):
		copies = 2
		w.Repeated++
	}
	for range copies {
		delay := int64(1)
		if w.chance(0.1) {
			delay += w.rnd.Int64N(400)
			w.Reordered++
		}
		w.after(delay, func() {
			if w.hostLink {
				q := p.Clone() // Step retypes values in place
				w.toNode(session.NodeEvent{Kind: session.NodeMessage, Type: typ, Device: device, Payload: &q})
			}
		})
	}
}

// toNode gives the host's view an event and checks what it makes of it.
func (w *world) toNode(ev session.NodeEvent) {
	ev.At = w.now
	var err error
	if w.nfx, err = w.both.step(ev, w.nfx[:0]); err != nil {
		w.fail("%v", err)
	}
	for i := range w.nfx {
		w.nodeEffect(&w.nfx[i])
	}
}

func (w *world) nodeEffect(fx *session.NodeEffect) {
	s := &w.seen
	switch fx.Do {
	case session.NodeDoBirth:
		birth := int(value(fx, "birth"))
		if birth < s.birth {
			w.fail("birth %d applied after %d", birth, s.birth)
		}
		s.birth, s.online, s.counted = birth, true, map[uint64]bool{}
		if s.blind { // values may go back to what this birth says
			s.blind, s.values = false, map[string]int64{}
		}
		w.apply(fx, sparkplug.NBIRTH)
	case session.NodeDoDeviceBirth:
		s.devices[fx.Device] = true
		w.apply(fx, sparkplug.DBIRTH)
	case session.NodeDoData:
		if !s.online || fx.Device != "" && !s.devices[fx.Device] {
			w.fail("data of %q, which is offline", fx.Device)
		}
		w.apply(fx, fx.Type)
	case session.NodeDoDeviceOffline:
		s.devices[fx.Device] = false
	case session.NodeDoOffline:
		if slices.Contains(slices.Collect(maps.Values(s.devices)), true) {
			w.fail("node offline before its devices")
		}
		s.online = false
	case session.NodeDoStale:
		s.online = false
		clear(s.devices)
	case session.NodeDoGap:
		w.Gaps++
	case session.NodeDoAskRebirth:
		w.Asked++
		if w.hostLink && w.linked && !w.chance(0.2) {
			to := w.session
			w.after(1+w.rnd.Int64N(100), func() {
				w.toEdge(session.EdgeEvent{Kind: session.EdgeRebirth, Session: to})
			})
		}
	}
}

func value(fx *session.NodeEffect, name string) int64 {
	for i, slot := range fx.Slots {
		if slot != session.NoSlot && fx.Shape.Def(slot).Name == name {
			return fx.Payload.Metrics[i].Value.Int()
		}
	}
	return -1
}

// apply checks one applied message against what was sent.
func (w *world) apply(fx *session.NodeEffect, typ sparkplug.Type) {
	s := &w.seen
	w.Applied++
	got := value(fx, "value")
	if got < 0 {
		return // its alias is of a birth that the host has not seen
	}
	// Of a birth that it has not seen, delayed or lost, the host cannot know if
	// the seq happens to be the next. It is unmasked by aliases of that birth.
	if of := int(w.aliasOf(fx) / 10); of > s.birth {
		w.Blind++
		s.blind = true
	}
	again := got == s.values[fx.Device] && (typ == sparkplug.NDATA || typ == sparkplug.DDATA)
	if (got < s.values[fx.Device] || again) && !s.blind {
		w.fail("%s of %q: value %d after %d", typ, fx.Device, got, s.values[fx.Device])
	}
	s.values[fx.Device] = got
	if s.counted[fx.Count] {
		w.fail("message %d of birth %d applied twice", fx.Count, s.birth)
	}
	s.counted[fx.Count] = true
	want := sent{typ, fx.Device, s.birth, fx.Count, got}
	if was := w.log[[2]uint64{uint64(s.birth), fx.Count}]; was != want && !s.blind {
		w.fail("applied %+v, sent %+v", want, was)
	}
}

// aliasOf is the alias of the value of a message.
func (w *world) aliasOf(fx *session.NodeEffect) uint64 {
	return fx.Payload.Metrics[len(fx.Payload.Metrics)-1].Alias
}

// agree checks that both ends know the same in the end.
func (w *world) agree() {
	if w.edge.Phase() != session.Online || w.node.State() != session.NodeOnline || !w.node.InOrder() {
		w.fail("edge %s; host %d, in order %v", w.edge.Words(), w.node.State(), w.node.InOrder())
	}
	if w.node.BdSeq() != uint64(w.edge.BdSeq()) || w.seen.birth != w.birth {
		w.fail("bdSeq %d and %d, birth %d and %d", w.edge.BdSeq(), w.node.BdSeq(), w.birth, w.seen.birth)
	}
	for _, d := range lawDevices {
		if _, online := w.node.Device(d); online != w.edge.Born(d) || online != w.seen.devices[d] {
			w.fail("device %s: edge %v, host %v", d, w.edge.Born(d), online)
		}
	}
	var edge, host []string
	for _, d := range append([]string{""}, lawDevices...) {
		edge = append(edge, d+"="+strconv.FormatInt(w.values[d], 10))
		host = append(host, d+"="+strconv.FormatInt(w.seen.values[d], 10))
	}
	if !slices.Equal(edge, host) {
		w.fail("values: edge %s; host %s", strings.Join(edge, " "), strings.Join(host, " "))
	}
}
