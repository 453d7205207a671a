package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/services/event"
)

// link is one connection to the broker.
type link struct {
	bus  *Bus
	conn Conn
	head uint64    // position up to which events were published
	kept bool      // the broker has kept our status from before: it has not forgotten; of receive
	echo chan bool // kept, once our first status has come back
}

// run subscribes, tells everything that is not told yet and goes on with what is
// new.
func (l *link) run(ctx context.Context) error {
	b := l.bus
	filters := []mqtt.Filter{{Topic: statusRoot + b.cfg.Service + "/" + b.cfg.Instance, QoS: 1}}
	for domain, p := range b.peers {
		filters = append(
			filters,
			mqtt.Filter{Topic: event.Root + "/" + b.cfg.Site + "/evt/" + domain + "/#", QoS: 2},
			mqtt.Filter{Topic: event.Root + "/" + b.cfg.Site + "/cmd/" + domain + "/#", QoS: 2},
			mqtt.Filter{Topic: statusRoot + p.Service + "/+", QoS: 1},
		)
	}
	if err := l.conn.Subscribe(ctx, filters...); err != nil {
		return err
	}
	for _, p := range b.peers {
		p.look() // what was said while we were away
	}
	if err := l.firstHead(ctx); err != nil {
		return err
	}
	if err := l.conn.Publish(ctx, b.status(true, l.head).message()); err != nil {
		return err
	}
	if err := l.remind(ctx); err != nil {
		return err
	}
	beat := time.NewTicker(b.cfg.Heartbeat)
	defer beat.Stop()
	for {
		if err := l.publish(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-b.cfg.Store.Committed():
		case <-beat.C:
			if err := l.conn.Publish(ctx, b.status(true, l.head).message()); err != nil {
				return err
			}
		}
	}
}

// firstHead is the position up to which events were published before.
func (l *link) firstHead(ctx context.Context) error {
	head, err := l.bus.cfg.Store.Head(ctx) // first: what is said meanwhile is not published
	if err != nil {
		return err
	}
	unsent, err := l.bus.cfg.Store.Unsent(ctx, 1)
	l.head = uint64(head)
	if len(unsent) > 0 {
		l.head = uint64(unsent[0].N) - 1
	}
	return err
}

// echoTimeout is how long our own status is waited for.
const echoTimeout = 10 * time.Second

// remind tells the states again to a broker that has forgotten them: one that had
// not kept our status.
func (l *link) remind(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, echoTimeout)
	defer cancel()
	select {
	case <-within.Done(): // the broker lets us not hear ourselves
		if ctx.Err() != nil {
			return ctx.Err()
		}
	case kept := <-l.echo:
		if kept {
			return nil
		}
	}
	after := ""
	for {
		said, err := l.bus.cfg.Store.States(ctx, after, maxPage)
		if err != nil || len(said) == 0 {
			return err
		}
		for _, x := range said {
			after = x.Event.StateTopic()
			if err := l.tell(ctx, &x.Event, after, true); err != nil {
				return err
			}
			l.bus.stats.states.Add(1)
		}
	}
}

// publish tells what the outbox has, in order.
func (l *link) publish(ctx context.Context) error {
	st := l.bus.cfg.Store
	for {
		said, err := st.Unsent(ctx, maxPage)
		if err != nil || len(said) == 0 {
			return err
		}
		sent := make([]int64, 0, len(said))
		for _, x := range said {
			if err = l.tell(ctx, &x.Event, x.Event.Topic(), false); err != nil {
				break
			}
			if topic := x.Event.StateTopic(); topic != "" {
				if err = l.tell(ctx, &x.Event, topic, true); err != nil {
					break
				}
			}
			sent = append(sent, x.N)
			l.head = max(l.head, uint64(x.N))
		}
		l.bus.stats.published.Add(uint64(len(sent)))
		// What was sent is noted also when the rest was not; what is not noted is sent again.
		if err := errors.Join(err, st.Confirm(context.WithoutCancel(ctx), sent...)); err != nil {
			return err
		}
	}
}

func (l *link) tell(ctx context.Context, e *event.Event, topic string, retain bool) error {
	body, err := e.Append(nil)
	if err != nil {
		return err
	}
	entry, ok := e.Type.Entry()
	if !ok {
		return fmt.Errorf("bus: %s is not in the catalogue", e.Type)
	}
	return l.conn.Publish(ctx, mqtt.Message{Topic: topic, Payload: body, QoS: entry.QoS, Retain: retain, ContentType: event.ContentType})
}

// receive takes a message from the broker; it never blocks.
func (l *link) receive(m mqtt.Message) {
	if strings.HasPrefix(m.Topic, statusRoot) {
		l.heard(m)
		return
	}
	e, err := event.Parse(m.Payload)
	if err == nil {
		err = e.CheckTopic(m.Topic)
	}
	p := l.bus.peers[e.Type.Domain()]
	if err != nil || p == nil || e.Source != p.source || e.Position == 0 {
		l.bus.stats.refused.Add(1)
		l.bus.cfg.Log.Warn("a message is refused: it is no event of the service whose topic it came at, or has no position", "topic", m.Topic, "source", e.Source, "err", err)
		return
	}
	select {
	case p.events <- e:
		p.newest.Store(max(p.newest.Load(), e.Position))
	default:
		l.bus.stats.missed.Add(1)
		p.look()
	}
}

// heard takes a status: ours comes back, a peer's tells how much there is.
func (l *link) heard(m mqtt.Message) {
	s, ok := parseStatus(m.Topic, m.Payload)
	switch {
	case !ok:
		l.bus.stats.refused.Add(1)
	case s.Service == l.bus.cfg.Service:
		l.kept = l.kept || m.Retain
		if !m.Retain && s.Online {
			select {
			case l.echo <- l.kept:
			default:
			}
		}
	case s.Site == l.bus.cfg.Site:
		for _, p := range l.bus.peers {
			if p.Service == s.Service && p.differs(s) {
				p.look()
			}
		}
	}
}
