package session

import (
	"cmp"
)

// Edge is an edge node's own session. NewEdge makes one; see the package
// comment for how it runs.
//
// It keeps these promises: bdSeq goes up by one with each CONNECT that left,
// and with no other; nothing is published before the NBIRTH, and no data of a
// device before its DBIRTH; seq counts every message from the NBIRTH's 0; a
// rebirth keeps bdSeq, and requests for it are answered at most once a
// RebirthDebounce, between which no data is published once one is owed.
//
// Spec: tck-id-operational-behavior-data-commands-rebirth-action-1 to -3,
// tck-id-message-flow-edge-node-birth-publish-will-message-payload-bdSeq,
// tck-id-payloads-sequence-num-incrementing.
type Edge struct {
	cfg      EdgeConfig
	seed     uint64
	clock    clock
	phase    Phase
	server   int
	session  uint32
	next     uint8 // bdSeq of the next CONNECT
	bdSeq    uint8 // bdSeq of the present or last CONNECT
	tries    tries
	walks    int   // servers left in a row because the host was not there
	deadline int64 // of Backoff and Waiting
	count    uint64
	devices  []*edgeDevice // in the order they became ready
	byName   map[string]*edgeDevice
	hosts    []hostSeen // one for each server
	known    bool       // the host's state is known on this connection
	asked    int64      // when the last asked rebirth was answered; 0: never
	owed     int64      // when a rebirth that was asked for will be published; 0: none
	said     told
}

// edgeDevice is a device whose equipment answers.
type edgeDevice struct {
	name string
	born bool
}

// hostSeen is what the STATE of the primary host last said on one server.
type hostSeen struct {
	seen   bool
	online bool
	stamp  int64 // the newest timestamp accepted
	since  int64 // when it was first seen offline
}

// NewEdge returns a session that has not been started.
func NewEdge(cfg EdgeConfig) *Edge {
	cfg.Servers = max(cfg.Servers, 1)
	cfg.RebirthDebounce = cmp.Or(cfg.RebirthDebounce, 5000)
	cfg.HostWait = cmp.Or(cfg.HostWait, 5000)
	cfg.BackoffMin = cmp.Or(cfg.BackoffMin, 500)
	cfg.BackoffMax = max(cmp.Or(cfg.BackoffMax, 30000), cfg.BackoffMin)
	return &Edge{
		cfg:   cfg,
		seed:  seedOf(cfg.Seed, cfg.Group, cfg.Node),
		next:  cfg.NextBdSeq,
		bdSeq: cfg.NextBdSeq - 1,
		hosts: make([]hostSeen, cfg.Servers),

		byName: make(map[string]*edgeDevice),
	}
}

// Step applies one event and appends to fx what must be done, in order. An
// EdgeData event costs no allocation.
func (e *Edge) Step(ev EdgeEvent, fx []EdgeEffect) []EdgeEffect {
	if d := e.clock.back(ev.At); d != 0 {
		shift(d, &e.deadline, &e.owed, &e.asked, &e.tries.since, &e.tries.duelAt)
	}
	switch ev.Kind {
	case EdgeData:
		return e.data(ev.Device, fx)
	case EdgeStart:
		if e.phase == Idle {
			e.tries, e.walks = tries{}, 0
			return e.dial(fx)
		}
	case EdgeStop:
		return e.stop(fx)
	case EdgeTick:
		return e.tick(ev.At, fx)
	case EdgeChanged:
		if e.phase == Online {
			return e.rebirth(ev.At, fx)
		}
	case EdgeDeviceReady:
		return e.deviceReady(ev.Device, fx)
	case EdgeDeviceGone:
		return e.deviceGone(ev.Device, fx)
	case EdgeDeviceChanged:
		return e.deviceChanged(ev.Device, fx)
	default:
		if ev.Session == e.session {
			return e.stepConn(ev, fx)
		}
	}
	return fx
}

// stepConn applies an event of the present connection.
func (e *Edge) stepConn(ev EdgeEvent, fx []EdgeEffect) []EdgeEffect {
	switch ev.Kind {
	case EdgeConnected:
		return e.connected(fx)
	case EdgeConnectFailed:
		return e.connectFailed(ev, fx)
	case EdgeSubscribed:
		if e.phase == Subscribing {
			return e.subscribed(ev.At, fx)
		}
	case EdgeLost:
		if e.linked() {
			return e.lost(ev, fx)
		}
	case EdgeHostState:
		if e.linked() && e.cfg.PrimaryHost != "" && ev.Host == e.cfg.PrimaryHost {
			return e.hostState(ev, fx)
		}
	case EdgeRebirth:
		if e.phase == Online {
			return e.rebirthAsked(ev.At, fx)
		}
	case EdgeNextServer:
		if e.linked() && e.cfg.Servers > 1 {
			fx = e.leave(fx)
			e.walks = 0
			return e.walk(ev.At, fx)
		}
	}
	return fx
}

// Deadline is when the runner must send EdgeTick, in ms; 0: no need.
func (e *Edge) Deadline() int64 { return sooner(e.deadline, e.owed) }

// Phase says how far the session has come.
func (e *Edge) Phase() Phase { return e.phase }

// Server is the number of the MQTT server in use or dialed next.
func (e *Edge) Server() int { return e.server }

// BdSeq is the bdSeq of the will of the present or last connection.
func (e *Edge) BdSeq() uint8 { return e.bdSeq }

// Born says whether the device has a DBIRTH in the present birth; the empty
// name asks for the node itself.
func (e *Edge) Born(device string) bool {
	if e.phase != Online || device == "" {
		return e.phase == Online
	}
	d := e.byName[device]
	return d != nil && d.born
}

// linked says whether there is a connection.
func (e *Edge) linked() bool { return e.phase >= Subscribing && e.phase <= Online }

// dial begins a new connection. The bdSeq is made durable as used before the
// CONNECT can leave: a crash in between skips one, and never repeats one,
// which would let the late will of the old session end the new one.
func (e *Edge) dial(fx []EdgeEffect) []EdgeEffect {
	e.phase, e.deadline, e.known, e.tries.since = Connecting, 0, false, 0
	e.session++
	e.bdSeq = e.next
	e.next++
	return append(fx,
		EdgeEffect{Do: EdgePersist, Next: e.next},
		EdgeEffect{Do: EdgeConnect, Server: e.server, BdSeq: e.bdSeq, Session: e.session})
}

func (e *Edge) connected(fx []EdgeEffect) []EdgeEffect {
	switch e.phase {
	case Connecting:
		e.phase = Subscribing
		return append(fx, EdgeEffect{Do: EdgeSubscribe, Session: e.session})
	case Stopping:
		return e.stopped(e.leave(fx))
	}
	return fx
}

func (e *Edge) connectFailed(ev EdgeEvent, fx []EdgeEffect) []EdgeEffect {
	if e.phase != Connecting && e.phase != Stopping {
		return fx
	}
	if !ev.Sent {
		e.next = e.bdSeq
		fx = append(fx, EdgeEffect{Do: EdgePersist, Next: e.next})
	}
	if e.phase == Stopping {
		return e.stopped(fx)
	}
	fx = e.say(fx, ev.Words)
	e.server = (e.server + 1) % e.cfg.Servers
	e.backoff(ev.At, e.tries.failed()/e.cfg.Servers, e.cfg.BackoffMax)
	return fx
}

func (e *Edge) subscribed(at int64, fx []EdgeEffect) []EdgeEffect {
	e.tries.up(at)
	if e.cfg.PrimaryHost == "" {
		return e.begin(fx)
	}
	e.phase = Waiting
	e.deadline = at + e.cfg.HostWait
	if e.known {
		return e.hostKnown(at, fx)
	}
	return fx
}

// duelPause is by how much longer the first pause is after another client took
// the session over: to dial again ends its session.
const duelPause = 8

func (e *Edge) lost(ev EdgeEvent, fx []EdgeEffect) []EdgeEffect {
	fx = e.say(fx, ev.Words)
	e.end()
	if ev.Taken {
		e.phase = Backoff
		e.deadline = ev.At + pause(e.seed+uint64(e.session), e.tries.taken(ev.At), min(e.cfg.BackoffMin*duelPause, e.cfg.BackoffMax), e.cfg.BackoffMax)
		return fx
	}
	e.backoff(ev.At, e.tries.lost(ev.At), e.cfg.BackoffMax)
	return fx
}

func (e *Edge) tick(at int64, fx []EdgeEffect) []EdgeEffect {
	if e.owed != 0 && at >= e.owed {
		return e.rebirth(at, fx)
	}
	if e.deadline == 0 || at < e.deadline {
		return fx
	}
	e.deadline = 0
	switch e.phase {
	case Backoff:
		return e.dial(fx)
	case Waiting:
		fx = e.say(fx, e.Words())
		if e.cfg.Servers > 1 {
			return e.walk(at, e.leave(fx))
		}
	}
	return fx
}
