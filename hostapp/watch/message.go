package watch

import (
	"strings"

	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// message applies one MQTT message.
func (w *Watcher) message(now int64, b *pending) {
	l, m, r := b.item.link, &b.item.msg, b.route
	w.stats.Messages++
	if m.Retain {
		// Kept by the server from some earlier time: it says nothing of now.
		if _, state := sparkplug.ParseStateTopic(m.Topic); !state {
			w.stats.Retained++
		}
		return
	}
	if r.node == nil {
		r = w.routes[m.Topic] // a message just before may have made it
	}
	if r.node != nil {
		kind := sparkplug.NDATA
		if r.entity != &r.node.own {
			kind = sparkplug.DDATA
		}
		w.receive(now, b, r, kind)
		return
	}
	if _, ok := sparkplug.ParseStateTopic(m.Topic); ok || !strings.HasPrefix(m.Topic, sparkplug.Namespace+"/") {
		return
	}
	t, err := sparkplug.ParseTopic(m.Topic)
	if err != nil {
		w.stats.Malformed++
		w.cfg.Log.Debug("message refused", "err", err)
		return
	}
	if t.Type.Command() {
		return
	}
	if r, ok := w.route(l, t); ok {
		if t.Type == sparkplug.NDATA || t.Type == sparkplug.DDATA {
			w.routes[strings.Clone(m.Topic)] = r
		}
		w.receive(now, b, r, t.Type)
	}
}

// route finds or makes the node and device of a topic; ok is false when a
// limit forbids it.
func (w *Watcher) route(l *Link, t sparkplug.Topic) (r route, ok bool) {
	n := w.nodes[nodeID{t.Group, t.Node}]
	if n == nil {
		if len(w.order) >= w.cfg.MaxNodes {
			w.refuse("nodes", w.cfg.MaxNodes, t)
			return route{}, false
		}
		n = &node{group: strings.Clone(t.Group), name: strings.Clone(t.Node), place: -1, link: l}
		n.own.id = w.id()
		w.host.Init(&n.machine, n.group, n.name)
		w.nodes[nodeID{n.group, n.name}] = n
		w.order = append(w.order, n)
	}
	if n.link == w.absent {
		n.link = l
	}
	if t.Device == "" {
		return route{n, &n.own}, true
	}
	e := n.devices[t.Device]
	if e == nil {
		if len(n.devices) >= w.cfg.MaxDevices {
			w.refuse("devices", w.cfg.MaxDevices, t)
			return route{}, false
		}
		e = &entity{id: w.id(), device: strings.Clone(t.Device)}
		if n.devices == nil {
			n.devices = map[string]*entity{}
		}
		n.devices[e.device] = e
		w.stats.Devices++
	}
	return route{n, e}, true
}

func (w *Watcher) id() uint32 {
	w.ids++
	return w.ids - 1
}

// refuse counts what is beyond a limit, and says so the first time.
func (w *Watcher) refuse(what string, limit int, t sparkplug.Topic) {
	if w.stats.Refused == 0 {
		w.cfg.Log.Warn("limit reached, more is refused and counted",
			"limit", what, "max", limit, "group", t.Group, "node", t.Node, "device", t.Device)
	}
	w.stats.Refused++
}

// receive takes one message of a node: most times one that is resolved and
// whose turn it is; else it steps the node's machine.
func (w *Watcher) receive(now int64, b *pending, r route, kind sparkplug.Type) {
	n, p, err := r.node, &b.payload, b.err
	n.messages++
	if b.whole && n.machine.Data(now, r.device(), p, b.shape) {
		w.heard(n, now, p)
		w.data(n, r.entity, now, p, b.slots, n.machine.Count()-1)
		return
	}
	if !b.decoded || b.shape != nil { // the machine wants it as it came
		if len(b.item.msg.Payload) > small {
			p = &w.large
		}
		err = p.DecodeLimits(b.item.msg.Payload, w.cfg.Limits)
		if err == nil && p.UUID == sparkplug.CompressedUUID {
			_, err = p.Inflate(w.cfg.Limits, sparkplug.MaxInflated)
			w.stats.Compressed++
		}
	}
	if err != nil {
		n.malformed++
		w.stats.Malformed++
		w.cfg.Log.Debug("message refused", "group", n.group, "node", n.name, "device", r.entity.device, "err", err)
		w.step(n, session.NodeEvent{Kind: session.NodeMalformed, At: now, Type: kind, Device: r.entity.device}, nil)
		return
	}
	switch kind {
	case sparkplug.NBIRTH:
		n.link = b.item.link
		fallthrough
	case sparkplug.DBIRTH:
		if !w.roomFor(n, r.entity, len(p.Metrics), kind) {
			return
		}
	}
	if kind != sparkplug.NDEATH {
		w.heard(n, now, p)
	}
	w.step(n, session.NodeEvent{Kind: session.NodeMessage, At: now, Type: kind, Device: r.entity.device, Payload: p}, r.entity)
}

// heard notes how old a live message was when it came.
func (w *Watcher) heard(n *node, now int64, p *sparkplug.Payload) {
	if p.HasTimestamp {
		n.heard(now, p.Timestamp)
		w.stats.LatencyMs = n.latency
	}
}

// roomFor says whether the limits allow e to declare that many metrics.
func (w *Watcher) roomFor(n *node, e *entity, metrics int, kind sparkplug.Type) bool {
	more := metrics - len(e.slots)
	t := sparkplug.Topic{Group: n.group, Type: kind, Node: n.name, Device: e.device}
	switch {
	case n.metrics+more > w.cfg.MaxMetricsPerNode:
		w.refuse("metrics of a node", w.cfg.MaxMetricsPerNode, t)
	case w.stats.Metrics+more > w.cfg.MaxMetrics:
		w.refuse("metrics", w.cfg.MaxMetrics, t)
	default:
		return true
	}
	return false
}

// step gives one event to a node's machine and carries out what it says. The
// entity is where the event's message belongs; nil when it has none.
func (w *Watcher) step(n *node, ev session.NodeEvent, e *entity) {
	w.effects = n.machine.Step(ev, w.effects[:0])
	for i := range w.effects {
		w.effect(n, e, ev.At, &w.effects[i])
	}
	if due := n.machine.Deadline(); due != n.due {
		w.timers.schedule(n, due)
	}
}

// effect carries out one effect of a node's machine.
func (w *Watcher) effect(n *node, e *entity, now int64, fx *session.NodeEffect) {
	switch fx.Do {
	case session.NodeDoData:
		if e == nil || e.device != fx.Device {
			e = n.find(fx.Device)
		}
		w.data(n, e, now, fx.Payload, fx.Slots, fx.Count)
	case session.NodeDoBirth:
		w.born(n, &n.own, now, fx)
	case session.NodeDoDeviceBirth:
		w.born(n, n.find(fx.Device), now, fx)
	case session.NodeDoOffline:
		n.deaths++
		n.deathAt = now
		w.stats.Deaths++
		w.gone(n, &n.own, now, fx.At, fx.Cause, Death)
	case session.NodeDoDeviceOffline:
		w.gone(n, n.find(fx.Device), now, fx.At, fx.Cause, Death)
	case session.NodeDoStale:
		w.gone(n, &n.own, now, fx.At, fx.Cause, Lost)
		for _, d := range n.sorted() {
			w.gone(n, d, now, fx.At, fx.Cause, Lost)
		}
	case session.NodeDoResume:
		w.resume(n, now)
	case session.NodeDoAskRebirth:
		w.askRebirth(n, now, fx.Cause)
	case session.NodeDoGap:
		n.gaps++
		w.stats.Gaps++
		w.cfg.Log.Debug("messages are missing", "group", n.group, "node", n.name,
			"seq", fx.Expected, "until", fx.Seq, "held", fx.Dropped)
	case session.NodeDoDrop:
		w.drop(fx)
	case session.NodeDoFault:
		w.stats.Faults[fx.Cause.String()]++
		if fx.Cause == session.CauseTwoPublishers {
			w.conflict(n, now)
			return
		}
		if fx.Cause == session.CauseMuted {
			w.cfg.Log.Warn("edge node is born too often: it is left alone for a while", "group", n.group, "node", n.name, "births", n.births)
			return
		}
		w.cfg.Log.Debug("node breaks a rule", "group", n.group, "node", n.name, "device", fx.Device, "err", fx.Cause.String())
	}
}

// conflict tells that two edge nodes use one id, which will not rest until one
// of them is given another.
func (w *Watcher) conflict(n *node, now int64) {
	if n.conflicts++; n.conflicts == 1 {
		w.cfg.Log.Warn("two edge nodes use one id: give one of them another; more is counted", "group", n.group, "node", n.name)
	}
	w.updates = append(w.updates, Update{
		Kind: Conflict, Group: n.group, Node: n.name, Entity: int(n.own.id), NodeEntity: int(n.own.id),
		Shape: n.own.shape, Received: now, Sent: now - n.skew, BdSeq: n.machine.BdSeq(), Cause: session.CauseTwoPublishers,
	})
}

func (w *Watcher) drop(fx *session.NodeEffect) {
	switch fx.Cause {
	case session.CauseRepeated:
		w.stats.Duplicates++
	case session.CauseLate, session.CauseOtherSession:
		w.stats.Late++
	case session.CauseMuted:
		w.stats.Muted++
	case session.CauseUnknownAlias, session.CauseUnknownName, session.CauseBadType:
		w.stats.UnknownMetrics += uint64(max(fx.Dropped, 1))
	default:
		w.stats.Undelivered++
	}
}
