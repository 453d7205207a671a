package session

import (
	"fmt"
	"slices"
)

// hostState applies a STATE of the primary host: one older than the newest
// accepted on this server is ignored, one as old is not.
//
// Spec: tck-id-message-flow-edge-node-birth-publish-phid-wait-timestamp,
// tck-id-operational-behavior-edge-node-termination-host-offline-timestamp.
func (e *Edge) hostState(ev EdgeEvent, fx []EdgeEffect) []EdgeEffect {
	h := &e.hosts[e.server]
	if h.seen && ev.State.Timestamp < h.stamp {
		if ev.State.Online && e.phase != Online {
			fx = e.say(fx, fmt.Sprintf("primary host %s: STATE ignored, its timestamp %d is older than %d",
				ev.Host, ev.State.Timestamp, h.stamp))
		}
		return fx
	}
	if !ev.State.Online && (h.online || !h.seen || h.since == 0) {
		h.since = ev.At
	}
	h.seen, h.online, h.stamp = true, ev.State.Online, ev.State.Timestamp
	e.known = true
	switch e.phase {
	case Waiting:
		return e.hostKnown(ev.At, fx)
	case Online:
		if !h.online {
			return e.hostGone(ev, fx)
		}
	}
	return fx
}

// hostKnown goes on from Waiting when the host's state is known.
//
// Spec: tck-id-message-flow-edge-node-birth-publish-phid-wait,
// tck-id-operational-behavior-edge-node-birth-sequence-wait.
func (e *Edge) hostKnown(at int64, fx []EdgeEffect) []EdgeEffect {
	if e.hosts[e.server].online {
		return e.begin(fx)
	}
	fx = e.say(fx, e.Words())
	if e.cfg.Servers > 1 {
		return e.walk(at, e.leave(fx))
	}
	e.deadline = 0
	return fx
}

// hostGone ends a session because the primary host went offline.
//
// Spec: tck-id-message-flow-edge-node-birth-publish-phid-offline,
// tck-id-operational-behavior-edge-node-termination-host-offline-reconnect.
func (e *Edge) hostGone(ev EdgeEvent, fx []EdgeEffect) []EdgeEffect {
	fx = e.leave(fx)
	fx = e.say(fx, "primary host "+ev.Host+" went offline: session ended, data is held")
	e.walks = 0
	return e.walk(ev.At, fx)
}

// begin publishes the births that open a session.
func (e *Edge) begin(fx []EdgeEffect) []EdgeEffect {
	e.phase, e.deadline, e.walks = Online, 0, 0
	fx = e.births(fx)
	e.said.clear()
	return append(fx, EdgeEffect{Do: EdgeSay, Words: e.Words()})
}

// births publishes the NBIRTH and the DBIRTH of each device that is ready.
func (e *Edge) births(fx []EdgeEffect) []EdgeEffect {
	e.count = 1
	fx = append(fx, EdgeEffect{Do: EdgeNBirth, BdSeq: e.bdSeq})
	for _, d := range e.devices {
		d.born = true
		fx = e.message(fx, EdgeDBirth, d.name)
	}
	return fx
}

// message appends a message that takes the next seq.
func (e *Edge) message(fx []EdgeEffect, do EdgeDo, device string) []EdgeEffect {
	fx = append(fx, EdgeEffect{Do: do, Device: device, Seq: uint8(e.count), Count: e.count})
	e.count++
	return fx
}

// rebirthAsked answers a request at once, or once for all requests when the
// debounce of the one before is over. The births that open a session do not
// start a debounce: a request right after them has a reason.
func (e *Edge) rebirthAsked(at int64, fx []EdgeEffect) []EdgeEffect {
	if e.owed != 0 {
		return fx
	}
	if e.asked != 0 && at-e.asked < e.cfg.RebirthDebounce {
		e.owed = e.asked + e.cfg.RebirthDebounce
		return fx
	}
	return e.rebirth(at, fx)
}

func (e *Edge) rebirth(at int64, fx []EdgeEffect) []EdgeEffect {
	e.asked, e.owed = at, 0
	return e.births(fx)
}

// data lets data of a device, or of the node, be published or held.
func (e *Edge) data(device string, fx []EdgeEffect) []EdgeEffect {
	if e.owed != 0 || !e.Born(device) {
		return append(fx, EdgeEffect{Do: EdgeHold, Device: device})
	}
	return e.message(fx, EdgePublish, device)
}

func (e *Edge) deviceReady(device string, fx []EdgeEffect) []EdgeEffect {
	if device == "" || e.byName[device] != nil {
		return fx
	}
	// While a rebirth is owed the DBIRTH comes with it.
	born := e.phase == Online && e.owed == 0
	d := &edgeDevice{device, born}
	e.devices = append(e.devices, d)
	e.byName[device] = d
	if born {
		fx = e.message(fx, EdgeDBirth, device)
	}
	return fx
}

// deviceGone declares a device dead.
//
// Spec: tck-id-operational-behavior-device-ddeath.
func (e *Edge) deviceGone(device string, fx []EdgeEffect) []EdgeEffect {
	d := e.byName[device]
	if d == nil {
		return fx
	}
	if d.born {
		fx = e.message(fx, EdgeDDeath, device)
	}
	i := slices.Index(e.devices, d)
	e.devices = slices.Delete(e.devices, i, i+1)
	delete(e.byName, device)
	return fx
}

func (e *Edge) deviceChanged(device string, fx []EdgeEffect) []EdgeEffect {
	if e.owed == 0 && device != "" && e.Born(device) {
		fx = e.message(fx, EdgeDDeath, device)
		fx = e.message(fx, EdgeDBirth, device)
	}
	return fx
}
