package watch

import (
	"context"
	"errors"

	"github.com/magneto-iiot/magneto/sparkplug"
)

// The reasons why a command cannot be sent.
var (
	ErrUnknown = errors.New("watch: unknown node, device or metric")
	ErrOffline = errors.New("watch: node or device is not online")
	ErrPassive = errors.New("watch: a passive watcher publishes nothing")
)

// Command sends one value to a metric of an online node or device as NCMD or
// DCMD: by alias when the birth gave one, else by name. It returns when the
// message is on its way; that it arrived shows in Updates. The error wraps
// ErrUnknown, ErrOffline or ErrPassive, or is the connection's.
//
// Spec: tck-id-payloads-alias-data-cmd-requirement,
// tck-id-operational-behavior-data-commands-ncmd-verb,
// tck-id-operational-behavior-data-commands-dcmd-verb.
func (w *Watcher) Command(ctx context.Context, group, node, device, metric string, v sparkplug.Value) error {
	if w.cfg.Passive {
		return ErrPassive
	}
	m := sparkplug.Metric{Name: metric, Value: v, OmitType: w.cfg.Untyped}
	conn, err := w.target(group, node, device, &m)
	if err != nil {
		return err
	}
	t := sparkplug.Topic{Group: group, Type: sparkplug.NCMD, Node: node, Device: device}
	if device != "" {
		t.Type = sparkplug.DCMD
	}
	return w.publish(ctx, conn, t, m)
}

// target finds the connection for a command, and puts the metric's alias in
// the place of its name.
func (w *Watcher) target(group, node, device string, m *sparkplug.Metric) (Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.nodes[nodeID{group, node}]
	if n == nil {
		return nil, ErrUnknown
	}
	e := n.find(device)
	if e == nil || e.shape == nil {
		return nil, ErrUnknown
	}
	i, ok := e.slot(m.Name)
	if !ok {
		return nil, ErrUnknown
	}
	if e.state != Online || n.own.state != Online || n.link.conn == nil {
		return nil, ErrOffline
	}
	if d := e.shape.Def(i); d.HasAlias && m.Name != sparkplug.MetricRebirth {
		m.Name, m.Alias, m.HasAlias = "", d.Alias, true
	}
	return n.link.conn, nil
}

// Rebirth asks a node that is not known to be offline for its births, now and
// then again until they come. It returns when the request is queued. Errors as
// for Command.
func (w *Watcher) Rebirth(ctx context.Context, group, node string) error {
	if w.cfg.Passive {
		return ErrPassive
	}
	n, err := w.reachable(group, node)
	if err != nil {
		return err
	}
	select {
	case w.queue <- item{kind: itemRebirth, node: n}:
		return nil
	case <-w.ended:
		return ErrOffline
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *Watcher) reachable(group, name string) (*node, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.nodes[nodeID{group, name}]
	switch {
	case n == nil:
		return nil, ErrUnknown
	case n.own.state == Offline || len(w.conns(n)) == 0:
		return nil, ErrOffline
	}
	return n, nil
}
