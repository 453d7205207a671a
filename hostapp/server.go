package hostapp

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/magneto-iiot/magneto/hostapp/watch"
	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// stepTimeout bounds each step of a connection: dial, subscribe, publish;
// lastTimeout those of saying good-bye, so that a host ends within 5 s.
const (
	stepTimeout = 10 * time.Second
	lastTimeout = 2 * time.Second
)

// presence is the host on one server: it carries out what a session.Primary
// says. All but the atomic fields belong to the goroutine of run.
type presence struct {
	host    *Host
	server  Server
	link    *watch.Link
	machine *session.Primary
	events  chan presenceEvent
	conn    watch.Conn
	cancel  context.CancelFunc // of the dial in progress and of the watch over conn
	tasks   sync.WaitGroup
	timeout time.Duration // of a step
	done    bool
	// subscribed is the session whose subscriptions were just acknowledged.
	subscribed uint32

	online  atomic.Bool
	words   atomic.Pointer[string]
	rivals  atomic.Uint64 // signs of another host with the id
	rivalAt atomic.Int64  // when the last one was seen, ms
}

// rivalShown is for how long a sign of another host is told of, in ms.
const rivalShown = 600_000

// standing says in one line how the host stands on the server.
func (p *presence) standing() string {
	words := *p.words.Load()
	if p.rivals.Load() > 0 && p.host.now()-p.rivalAt.Load() < rivalShown {
		words += "; another host runs with the id " + p.host.cfg.ID + ": it must be one host's"
	}
	return words
}

// presenceEvent is an event and, of PrimaryConnected, the connection.
type presenceEvent struct {
	session.PrimaryEvent
	conn watch.Conn
}

func (h *Host) newPresence(s Server) *presence {
	id := ""
	if h.cfg.Primary {
		id = h.cfg.ID
	}
	p := &presence{
		host: h, server: s, link: h.watch.Link(s.Name),
		machine: session.NewPrimary(session.PrimaryConfig{Host: id, NewTimestamp: true, Seed: uint64(h.now())}),
		events:  make(chan presenceEvent, 256),
		cancel:  func() {}, timeout: stepTimeout,
	}
	p.words.Store(new("stopped"))
	return p
}

// run keeps the host on the server until ctx ends, then says a proper death.
func (p *presence) run(ctx context.Context) {
	defer p.tasks.Wait()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	work := context.WithoutCancel(ctx)
	stop := ctx.Done()
	p.step(work, session.PrimaryEvent{Kind: session.PrimaryStart})
	for !p.done {
		wait := time.Hour
		if due := p.machine.Deadline(); due != 0 {
			wait = time.Duration(max(due-p.host.now(), 0)) * time.Millisecond
		}
		timer.Reset(wait)
		select {
		case <-stop:
			stop, p.timeout = nil, lastTimeout
			p.step(work, session.PrimaryEvent{Kind: session.PrimaryStop})
		case ev := <-p.events:
			if ev.conn != nil {
				p.conn = ev.conn
			}
			p.step(work, ev.PrimaryEvent)
		case <-timer.C:
			p.step(work, session.PrimaryEvent{Kind: session.PrimaryTick})
		}
	}
	p.hangUp(work)
}

func (p *presence) step(ctx context.Context, ev session.PrimaryEvent) {
	ev.At = p.host.now()
	if ev.Kind == session.PrimaryLost {
		p.hangUp(ctx)
	}
	for _, fx := range p.machine.Step(ev, nil) {
		if err := p.carryOut(ctx, &fx); err != nil {
			// The watch over the connection reports the loss.
			p.host.cfg.Log.Debug("connection given up", "server", p.server.Name, "err", err)
			p.closeConn(ctx)
		}
	}
	if id := p.subscribed; id != 0 {
		p.subscribed = 0
		p.step(ctx, session.PrimaryEvent{Kind: session.PrimarySubscribed, Session: id})
		return
	}
	p.online.Store(p.machine.Online())
	p.words.Store(new(p.machine.Words()))
}

func (p *presence) carryOut(ctx context.Context, fx *session.PrimaryEffect) error {
	switch fx.Do {
	case session.PrimaryConnect:
		p.dial(ctx, fx)
	case session.PrimaryCancel:
		p.cancel()
	case session.PrimarySubscribe:
		return p.subscribe(ctx, fx)
	case session.PrimaryPublish:
		return p.publish(ctx, fx.State)
	case session.PrimaryOnline:
		p.host.turned(p.server.Name, true)
		p.link.Up(p.conn)
	case session.PrimaryOffline:
		p.link.Down()
		p.host.turned(p.server.Name, false)
	case session.PrimaryDisconnect:
		p.hangUp(ctx)
	case session.PrimarySay:
		p.host.cfg.Log.Warn(fx.Words, "server", p.server.Name)
	case session.PrimaryRival:
		p.rivals.Add(1)
		p.rivalAt.Store(p.host.now())
	case session.PrimaryStopped:
		p.done = true
	}
	return nil
}

// dial connects in the background and then watches over the connection; what
// happens comes back as events.
//
// Spec: tck-id-operational-behavior-host-application-connect-will.
func (p *presence) dial(ctx context.Context, fx *session.PrimaryEffect) {
	var will *mqtt.Message
	if fx.HasWill {
		will = new(p.stateMessages(fx.State)[0])
	}
	ctx, p.cancel = context.WithCancel(ctx)
	id := fx.Session
	p.tasks.Go(func() {
		dialing, cancel := context.WithTimeout(ctx, 2*stepTimeout)
		defer cancel()
		conn, err := p.server.Dial(dialing, will, func(m mqtt.Message) { p.receive(id, m) })
		if err != nil {
			p.events <- presenceEvent{PrimaryEvent: session.PrimaryEvent{
				Kind: session.PrimaryConnectFailed, Session: id, Words: "waiting for MQTT server: " + err.Error(),
			}}
			return
		}
		p.events <- presenceEvent{session.PrimaryEvent{Kind: session.PrimaryConnected, Session: id}, conn}
		select {
		case <-ctx.Done():
		case <-conn.Done():
			words := "connection to MQTT server lost"
			if err := conn.Err(); err != nil {
				words += ": " + err.Error()
			}
			lost := presenceEvent{PrimaryEvent: session.PrimaryEvent{Kind: session.PrimaryLost, Session: id, Words: words}}
			if e, ok := errors.AsType[*mqtt.ServerError](conn.Err()); ok && e.Taken() && fx.HasWill {
				lost.Taken = true
				lost.Words = "another client took the session over: does a second host run as " + p.host.cfg.ID + "? trying again with growing pauses"
			}
			select {
			case p.events <- lost:
			case <-ctx.Done():
			}
		}
	})
}

// receive takes a message of the server; it never blocks.
func (p *presence) receive(id uint32, m mqtt.Message) {
	parse := sparkplug.ParseState
	host, v3 := sparkplug.ParseStateTopic(m.Topic)
	ok := v3
	if !ok && p.host.cfg.State != StateV3 {
		parse = sparkplug.ParseStateV2
		host, ok = sparkplug.ParseStateTopicV2(m.Topic)
	}
	if !ok {
		p.link.Deliver(m)
		return
	}
	if host != p.host.cfg.ID {
		return
	}
	state, err := parse(m.Payload)
	if err != nil {
		p.host.cfg.Log.Debug("STATE refused", "server", p.server.Name, "err", err)
		return
	}
	if !v3 && state.Online {
		return // it has no time: it may be ours
	}
	ev := session.PrimaryEvent{Kind: session.PrimaryState, Session: id, State: state, Kept: m.Retain}
	select {
	case p.events <- presenceEvent{PrimaryEvent: ev}:
	default: // a flood of STATEs: the answer to one of those that wait covers this one
	}
}

// subscribe asks for the namespace and the host's own STATE, before the birth.
//
// Spec: tck-id-host-topic-phid-birth-sub-required, tck-id-payloads-state-subscribe,
// tck-id-message-flow-phid-sparkplug-subscription.
func (p *presence) subscribe(ctx context.Context, fx *session.PrimaryEffect) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	filters := watch.Filters(0, p.host.cfg.Filters...)
	if fx.HasWill {
		for _, m := range p.stateMessages(sparkplug.State{}) {
			filters = append(filters, mqtt.Filter{Topic: m.Topic, QoS: 1})
		}
	}
	if err := p.conn.Subscribe(ctx, filters...); err != nil {
		return err
	}
	p.subscribed = fx.Session
	return nil
}

// publish says the host's STATE.
//
// Spec: tck-id-host-topic-phid-birth-qos, tck-id-host-topic-phid-birth-retain.
func (p *presence) publish(ctx context.Context, s sparkplug.State) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	for _, m := range p.stateMessages(s) {
		if err := p.conn.Publish(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// stateMessages is a STATE in the forms that are configured; the first is the
// one for the will.
func (p *presence) stateMessages(s sparkplug.State) (out []mqtt.Message) {
	id := p.host.cfg.ID
	if p.host.cfg.State != StateV2 {
		out = append(out, mqtt.Message{Topic: sparkplug.StateTopic(id), Payload: s.Append(nil), QoS: 1, Retain: true})
	}
	if p.host.cfg.State != StateV3 {
		out = append(out, mqtt.Message{Topic: sparkplug.StateTopicV2(id), Payload: s.AppendV2(nil), QoS: 1, Retain: true})
	}
	return out
}

// hangUp ends the connection for good and the watch over it.
func (p *presence) hangUp(ctx context.Context) {
	p.cancel()
	if p.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	_ = p.conn.Disconnect(ctx) // gone either way
	p.conn = nil
}

// closeConn drops a connection that does not work, so that the server sends
// the will; the loss is then reported by the watch over it.
func (p *presence) closeConn(ctx context.Context) {
	if c, ok := p.conn.(interface{ Close() error }); ok {
		_ = c.Close()
		return
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	_ = p.conn.Disconnect(ctx)
}
