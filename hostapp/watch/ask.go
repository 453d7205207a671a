package watch

import (
	"context"
	"fmt"
	"time"

	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// asksWaiting bounds the rebirth requests that wait to be published, at most
// one a node. When it is full a request is not made; the machine asks again.
const asksWaiting = 1 << 14

// publishTimeout bounds one publish of the watcher.
const publishTimeout = 10 * time.Second

// ask is a rebirth request on its way.
type ask struct{ node *node }

// askRebirth queues a rebirth request.
func (w *Watcher) askRebirth(n *node, now int64, cause session.Cause) {
	n.cause = cause
	if w.cfg.Passive {
		w.countAsk(n, now, cause) // tell calls AskRebirth
		return
	}
	if n.asked {
		return
	}
	select {
	case w.asks <- ask{n}:
		n.asked = true
		w.countAsk(n, now, cause)
	default:
	}
}

func (w *Watcher) countAsk(n *node, now int64, cause session.Cause) {
	n.rebirths++
	w.stats.Rebirths[cause.String()]++
	w.updates = append(w.updates, Update{
		Kind: Rebirth, Group: n.group, Node: n.name, Entity: int(n.own.id), NodeEntity: int(n.own.id),
		Shape: n.own.shape, Received: now, Sent: now - n.skew, BdSeq: n.machine.BdSeq(), Cause: cause,
	})
}

// publishAsks publishes the rebirth requests that wait, no more of them in a
// second than is allowed, and leaves out nodes that were born meanwhile.
func (w *Watcher) publishAsks(ctx context.Context) {
	every := time.Second / time.Duration(w.cfg.RebirthsPerSecond)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		var a ask
		select {
		case <-ctx.Done():
			return
		case a = <-w.asks:
		}
		w.mu.Lock()
		wanted, conns := a.node.asked, w.conns(a.node)
		a.node.asked = false
		w.mu.Unlock()
		timer.Reset(0)
		if !wanted || len(conns) == 0 {
			continue
		}
		timer.Reset(every)
		for _, conn := range conns {
			if err := w.publishRebirth(ctx, conn, a.node.group, a.node.name); err != nil && ctx.Err() == nil {
				w.cfg.Log.Debug("rebirth request not sent", "group", a.node.group, "node", a.node.name, "err", err)
			}
		}
	}
}

// acksWaiting bounds the acknowledgements that wait to be published. When it is
// full one is refused; the caller offers a newer one later.
const acksWaiting = 1 << 12

// ack is an acknowledgement on its way.
type ack struct {
	group, node string
	position    session.Position
}

// Acknowledge tells a node that the message at a position, which an Update
// carried, and all before it are stored for good. It may be called from any
// goroutine and does not block; false: too many wait, try again.
func (w *Watcher) Acknowledge(group, node string, p session.Position) bool {
	select {
	case w.acks <- ack{group, node, p}:
		return true
	default:
		return false
	}
}

// publishAcks publishes the acknowledgements that wait.
func (w *Watcher) publishAcks(ctx context.Context) {
	for {
		var a ack
		select {
		case <-ctx.Done():
			return
		case a = <-w.acks:
		}
		w.mu.Lock()
		var conns []Conn
		if n := w.nodes[nodeID{a.group, a.node}]; n != nil {
			conns = w.conns(n)
		}
		w.mu.Unlock()
		for _, conn := range conns {
			t := sparkplug.Topic{Group: a.group, Type: sparkplug.NCMD, Node: a.node}
			m := session.Acknowledgement(a.position, w.cfg.AckAs)
			if err := w.publishOne(ctx, conn, t, m); err != nil && ctx.Err() == nil {
				w.cfg.Log.Debug("acknowledgement not sent", "group", a.group, "node", a.node, "err", err)
			}
		}
	}
}

// conns are the connections on which a node may be reached: its own, or all
// when it was not heard yet. The lock is held.
func (w *Watcher) conns(n *node) (conns []Conn) {
	for _, l := range w.links {
		if l.conn != nil && (n.link == l || n.link == w.absent) {
			conns = append(conns, l.conn)
		}
	}
	return conns
}

// publishRebirth sends one rebirth request.
//
// Spec: tck-id-operational-behavior-data-commands-ncmd-rebirth-verb,
// tck-id-operational-behavior-data-commands-ncmd-rebirth-name,
// tck-id-operational-behavior-data-commands-ncmd-rebirth-value.
func (w *Watcher) publishRebirth(ctx context.Context, conn Conn, group, name string) error {
	m := sparkplug.Metric{Name: sparkplug.MetricRebirth, Value: sparkplug.Boolean(true), OmitType: w.cfg.Untyped}
	return w.publish(ctx, conn, sparkplug.Topic{Group: group, Type: sparkplug.NCMD, Node: name}, m)
}

// publish sends one metric as a command.
//
// Spec: tck-id-payloads-ncmd-timestamp, tck-id-payloads-ncmd-seq,
// tck-id-topics-ncmd-mqtt, tck-id-topics-dcmd-mqtt.
func (w *Watcher) publish(ctx context.Context, conn Conn, topic sparkplug.Topic, m sparkplug.Metric) error {
	m.Timestamp, m.HasTimestamp = w.now(), true
	return w.publishOne(ctx, conn, topic, m)
}

// publishOne is publish for a metric that has its timestamp.
func (w *Watcher) publishOne(ctx context.Context, conn Conn, topic sparkplug.Topic, m sparkplug.Metric) error {
	p := sparkplug.Payload{Timestamp: w.now(), HasTimestamp: true, Metrics: []sparkplug.Metric{m}}
	b, err := p.Append(nil)
	if err != nil {
		return fmt.Errorf("watch: command to %s: %w", topic, err)
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	if err := conn.Publish(ctx, mqtt.Message{Topic: topic.String(), Payload: b}); err != nil {
		return fmt.Errorf("watch: command to %s: %w", topic, err)
	}
	return nil
}
