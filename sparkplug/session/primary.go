package session

import (
	"cmp"
	"fmt"

	"github.com/magneto-iiot/magneto/sparkplug"
)

// Primary is a host's own session with one MQTT server; a host on several
// servers has one for each, with a timestamp of its own.
//
// It registers an offline STATE as its will, subscribes, publishes its online
// STATE with the timestamp of the will, publishes it again whenever somebody
// says that the host is offline, and an offline STATE of its own when it stops.
// A STATE that comes before its own birth or after it stopped means nothing.
//
// A host id is one host's. Signs of a second one are told of as they come; the
// two yield to each other with growing pauses, for each change of hands ends the
// sessions of the edge nodes.
//
// Spec: tck-id-message-flow-phid-sparkplug-*, tck-id-message-flow-hid-sparkplug-state-message-delivered,
// tck-id-operational-behavior-host-application-multi-server-timestamp.
type Primary struct {
	cfg      PrimaryConfig
	seed     uint64
	clock    clock
	phase    Phase
	session  uint32
	tries    tries
	deadline int64
	stamp    int64 // of the present will and birth
	newest   int64 // timestamp of a STATE seen on the own topic
	said     told
}

// NewPrimary returns a session that has not been started.
func NewPrimary(cfg PrimaryConfig) *Primary {
	cfg.BackoffMin = cmp.Or(cfg.BackoffMin, 500)
	cfg.BackoffMax = max(cmp.Or(cfg.BackoffMax, 30000), cfg.BackoffMin)
	return &Primary{cfg: cfg, seed: seedOf(cfg.Seed, cfg.Host)}
}

// Step applies one event and appends to fx what must be done, in order.
func (p *Primary) Step(ev PrimaryEvent, fx []PrimaryEffect) []PrimaryEffect {
	if d := p.clock.back(ev.At); d != 0 {
		shift(d, &p.deadline, &p.tries.since, &p.tries.duelAt)
	}
	switch ev.Kind {
	case PrimaryStart:
		if p.phase == Idle {
			p.tries = tries{}
			return p.dial(ev.At, fx)
		}
	case PrimaryStop:
		return p.stop(ev.At, fx)
	case PrimaryTick:
		if p.deadline != 0 && ev.At >= p.deadline {
			return p.dial(ev.At, fx)
		}
	default:
		if ev.Session == p.session {
			return p.stepConn(ev, fx)
		}
	}
	return fx
}

func (p *Primary) stepConn(ev PrimaryEvent, fx []PrimaryEffect) []PrimaryEffect {
	linked := p.phase == Subscribing || p.phase == Online
	switch {
	case ev.Kind == PrimaryConnected && p.phase == Connecting:
		p.phase = Subscribing
		return append(fx, PrimaryEffect{Do: PrimarySubscribe, Session: p.session, HasWill: p.hasWill()})
	case ev.Kind == PrimaryConnected && p.phase == Stopping:
		return p.stopped(p.leave(ev.At, fx))
	case ev.Kind == PrimaryConnectFailed && p.phase == Stopping:
		return p.stopped(fx)
	case ev.Kind == PrimaryConnectFailed && p.phase == Connecting:
		return p.again(ev.At, p.tries.failed(), p.say(fx, ev.Words))
	case ev.Kind == PrimarySubscribed && p.phase == Subscribing:
		return p.online(ev.At, fx)
	case ev.Kind == PrimaryLost && linked:
		return p.lost(ev, fx)
	case ev.Kind == PrimaryState && linked && p.hasWill():
		return p.state(ev, fx)
	}
	return fx
}

// Deadline is when the runner must send PrimaryTick, in ms; 0: no need.
func (p *Primary) Deadline() int64 { return p.deadline }

// Online says whether the host is connected, subscribed and, if it is a
// primary host, has published its STATE.
func (p *Primary) Online() bool { return p.phase == Online }

// Words says in one line what the session is doing or waiting for.
func (p *Primary) Words() string {
	switch p.phase {
	case Idle:
		return "stopped"
	case Backoff:
		return "waiting to dial the MQTT server again"
	case Connecting:
		return "dialing the MQTT server"
	case Subscribing:
		return "subscribing"
	case Online:
		return "online"
	}
	return "stopping"
}

func (p *Primary) hasWill() bool { return p.cfg.Host != "" }

// dial begins a connection. Its timestamp is now, but never before that of the
// connection before, for edge nodes ignore what is older than they have seen.
func (p *Primary) dial(at int64, fx []PrimaryEffect) []PrimaryEffect {
	p.phase, p.deadline, p.tries.since = Connecting, 0, 0
	p.session++
	p.stamp = max(at, p.stamp)
	if p.cfg.NewTimestamp {
		p.stamp = max(p.stamp, p.newest)
	}
	fx = append(fx, PrimaryEffect{Do: PrimaryConnect, Session: p.session, HasWill: p.hasWill()})
	if p.hasWill() {
		fx[len(fx)-1].State = sparkplug.State{Timestamp: p.stamp}
	}
	return fx
}

// online publishes the birth as the first message of the session.
//
// Spec: tck-id-message-flow-phid-sparkplug-state-publish-payload-timestamp,
// tck-id-operational-behavior-primary-application-state-with-multiple-servers-state.
func (p *Primary) online(at int64, fx []PrimaryEffect) []PrimaryEffect {
	p.phase = Online
	p.tries.up(at)
	p.said.clear()
	if p.hasWill() {
		fx = append(fx, p.birth())
	}
	fx = append(fx, PrimaryEffect{Do: PrimaryOnline})
	if p.newest > p.stamp {
		return p.hidden(at, fx)
	}
	return fx
}

func (p *Primary) birth() PrimaryEffect {
	return PrimaryEffect{Do: PrimaryPublish, State: sparkplug.State{Online: true, Timestamp: p.stamp}}
}

// state hears what is said of the host on its own topic.
func (p *Primary) state(ev PrimaryEvent, fx []PrimaryEffect) []PrimaryEffect {
	p.newest = max(p.newest, ev.State.Timestamp)
	if p.phase != Online {
		return fx // what an earlier session left, before our birth
	}
	if ev.State.Online {
		if ev.State.Timestamp != p.stamp && !ev.Kept {
			fx = append(p.say(fx, "another host says that it is online as "+p.cfg.Host+": a host id must be one host's"), PrimaryEffect{Do: PrimaryRival})
		}
		return fx // edge nodes see a host that is online
	}
	fx = append(fx, p.birth())
	if ev.State.Timestamp > p.stamp {
		return p.hidden(ev.At, append(fx, PrimaryEffect{Do: PrimaryRival}))
	}
	return fx
}

// hidden is for a STATE newer than ours: edge nodes that saw it ignore ours.
func (p *Primary) hidden(at int64, fx []PrimaryEffect) []PrimaryEffect {
	fx = p.say(fx, fmt.Sprintf("host %s: somebody's STATE on its topic is newer than ours of %d, so edge nodes may ignore ours: "+
		"is there another host of that id, or was the clock set back?", p.cfg.Host, p.stamp))
	if !p.cfg.NewTimestamp {
		return fx
	}
	fx = p.leave(at, append(fx, PrimaryEffect{Do: PrimaryOffline}))
	return p.again(at, p.tries.lost(at), fx)
}

// rivalPause is by how much longer the longest pause is while another host takes
// the session over.
const rivalPause = 10

func (p *Primary) lost(ev PrimaryEvent, fx []PrimaryEffect) []PrimaryEffect {
	if p.phase == Online {
		fx = append(fx, PrimaryEffect{Do: PrimaryOffline})
	}
	if ev.Taken {
		fx = append(p.say(fx, ev.Words), PrimaryEffect{Do: PrimaryRival})
		p.phase = Backoff
		p.deadline = ev.At + pause(p.seed+uint64(p.session), p.tries.taken(ev.At), p.cfg.BackoffMin*duelPause, p.cfg.BackoffMax*rivalPause)
		return fx
	}
	return p.again(ev.At, p.tries.lost(ev.At), p.say(fx, ev.Words))
}

// again dials once more after the nth pause.
func (p *Primary) again(at int64, n int, fx []PrimaryEffect) []PrimaryEffect {
	p.phase = Backoff
	p.deadline = at + pause(p.seed+uint64(p.session), n, p.cfg.BackoffMin, p.cfg.BackoffMax)
	return fx
}

func (p *Primary) stop(at int64, fx []PrimaryEffect) []PrimaryEffect {
	switch p.phase {
	case Stopping:
		return fx
	case Connecting:
		p.phase = Stopping
		return append(fx, PrimaryEffect{Do: PrimaryCancel, Session: p.session})
	case Online:
		fx = append(fx, PrimaryEffect{Do: PrimaryOffline})
		fx = p.leave(at, fx)
	case Subscribing:
		fx = p.leave(at, fx)
	}
	return p.stopped(fx)
}

// leave ends the connection with a death of the present time.
//
// Spec: tck-id-operational-behavior-host-application-termination,
// tck-id-operational-behavior-host-application-death-payload.
func (p *Primary) leave(at int64, fx []PrimaryEffect) []PrimaryEffect {
	if p.hasWill() {
		p.stamp = max(at, p.stamp)
		fx = append(fx, PrimaryEffect{Do: PrimaryPublish, State: sparkplug.State{Timestamp: p.stamp}})
	}
	return append(fx, PrimaryEffect{Do: PrimaryDisconnect, Session: p.session})
}

func (p *Primary) stopped(fx []PrimaryEffect) []PrimaryEffect {
	p.phase, p.deadline = Idle, 0
	p.said.clear()
	return append(fx, PrimaryEffect{Do: PrimaryStopped})
}

func (p *Primary) say(fx []PrimaryEffect, words string) []PrimaryEffect {
	if !p.said.first(words) {
		return fx
	}
	return append(fx, PrimaryEffect{Do: PrimarySay, Words: words})
}
