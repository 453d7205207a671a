package world

import (
	"fmt"
	"math/rand/v2"
)

// FaultKind is what a Fault does.
type FaultKind uint8

// The kinds of faults. For is how long what is away stays away, in ms.
const (
	ResetEdge       FaultKind = iota // an edge node's connection is reset. Edge
	ResetHost                        // the host's
	HalfOpenEdge                     // an edge node's connection takes everything and brings nothing. Edge
	HalfOpenHost                     // the host's
	RestartServer                    // the MQTT server is killed. For
	WipeServer                       // and has lost its retained messages. For
	KillEdge                         // the agent is killed. Edge, For
	PowerEdge                        // its machine loses power, and what was not synced. Edge, For
	KillHost                         // the host is killed. For
	PowerHost                        // its machine loses power. For
	StoreDown                        // the database is away. For
	DiskFull                         // the host's disk is full. For
	Lose256                          // the server loses a run of 256 messages of an edge node. Edge
	LoseFew                          // the server loses a few messages of an edge node. Edge, For (a thousandth of it)
	ClockJump                        // an edge node's clock is set. Edge, For (how far; may be negative)
	ForeignAck                       // another host says that it has stored all. Edge
	SameMillisecond                  // a metric changes twice in a millisecond. Edge

	faultKinds = iota
)

var faultNames = [faultKinds]string{
	"reset edge", "reset host", "half-open edge", "half-open host", "restart server", "wipe server", "kill edge",
	"power edge", "kill host", "power host", "store down", "disk full", "lose 256", "lose a few", "clock jump", "foreign ack",
	"same millisecond",
}

// String names the kind.
func (k FaultKind) String() string {
	if int(k) < len(faultNames) {
		return faultNames[k]
	}
	return "unknown"
}

// Fault is one fault.
type Fault struct {
	At   int64 // ms after the start
	Kind FaultKind
	Edge int
	For  int64
}

func (f Fault) String() string {
	return fmt.Sprintf("%d ms: %s of %d for %d", f.At, f.Kind, f.Edge, f.For)
}

// planFaults draws a list: a random part of the kinds, each at its own rate.
func planFaults(r *rand.Rand, edges int, until int64) (list []Fault) {
	for kind := range FaultKind(faultKinds) {
		if r.IntN(3) != 0 {
			continue
		}
		every := 4000 + r.Int64N(30_000)
		for at := r.Int64N(every); at < until; at += every/2 + r.Int64N(every) {
			f := Fault{At: at, Kind: kind, Edge: r.IntN(edges), For: 100 + r.Int64N(12_000)}
			if kind == ClockJump {
				f.For -= 6000
			}
			list = append(list, f)
		}
	}
	return list
}

// plant carries out one fault.
func (w *world) plant(f Fault) {
	e := w.edges[f.Edge%len(w.edges)]
	w.note('f', int(f.Kind), f.Edge)
	switch f.Kind {
	case ResetEdge:
		if e.conn != nil {
			w.server.reset(e.conn)
		}
	case ResetHost:
		if w.host.conn != nil {
			w.server.reset(w.host.conn)
		}
	case HalfOpenEdge:
		if e.conn != nil {
			w.server.halfOpen(e.conn)
		}
	case HalfOpenHost:
		if w.host.conn != nil {
			w.server.halfOpen(w.host.conn)
		}
	case RestartServer, WipeServer:
		if w.server.up {
			w.server.restart(f.For, f.Kind == WipeServer)
		}
	case KillEdge, PowerEdge:
		e.crash(f.Kind == PowerEdge)
		w.after(f.For, e.start)
	case KillHost, PowerHost:
		w.host.crash(f.Kind == PowerHost)
		w.after(f.For, w.host.start)
	case StoreDown:
		w.store.up = false
		w.after(f.For, func() { w.store.up = true })
	case DiskFull:
		w.host.disk.Limit(1)
		w.after(f.For, func() { w.host.disk.Limit(0) })
	case Lose256:
		w.lose256(e)
	case LoseFew:
		if e.conn != nil {
			e.conn.drop += int(1 + f.For/1000)
		}
	case ClockJump:
		e.skew += f.For
	case ForeignAck:
		w.foreignAck(e)
	case SameMillisecond:
		if e.running {
			e.take(0)
			e.take(0)
		}
	}
}

// lose256 has the server lose the next 256 messages of an edge node, which come
// at once.
func (w *world) lose256(e *edge) {
	if !e.running || e.conn == nil || e.session.Phase() != online {
		return
	}
	c, before := e.conn, len(e.stamps)
	for i := range 256 {
		e.take(i % metrics)
	}
	c.drop += min(max(len(e.stamps)-before, 0), 256) // if a rebirth is owed they were held
}

// foreignAck has the spy acknowledge everything that an edge node has sent.
func (w *world) foreignAck(e *edge) {
	if !e.running || e.conn == nil || len(e.stamps) == 0 {
		return
	}
	w.server.publish(w.spyAck(e))
}
