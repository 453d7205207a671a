package watch

import (
	"cmp"
	"maps"
	"slices"

	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// Nodes is the picture of all nodes, by group and node.
func (w *Watcher) Nodes() []NodeInfo {
	w.mu.Lock()
	all := make([]NodeInfo, len(w.order))
	for i, n := range w.order {
		all[i] = n.info()
	}
	w.mu.Unlock()
	slices.SortFunc(all, func(a, b NodeInfo) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Node, b.Node))
	})
	return all
}

// Node is the picture of one node; ok is false when nothing was heard of it.
func (w *Watcher) Node(group, node string) (info NodeInfo, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.nodes[nodeID{group, node}]
	if n == nil {
		return NodeInfo{}, false
	}
	return n.info(), true
}

func (n *node) info() NodeInfo {
	info := NodeInfo{
		Group: n.group, Node: n.name, State: n.own.state, Server: n.link.server,
		BirthAt: n.birthAt, DeathAt: n.deathAt, ChangedAt: n.own.changedAt, BdSeq: n.machine.BdSeq(),
		Births: uint64(n.births), Deaths: uint64(n.deaths), Rebirths: uint64(n.rebirths), Gaps: uint64(n.gaps), Conflicts: uint64(n.conflicts),
		Messages: n.messages, Malformed: n.malformed,
		LatencyMs: n.latency, SkewMs: n.skew, Metrics: len(n.own.slots),
	}
	if n.cause != session.CauseNone {
		info.LastRebirthCause = n.cause.String()
	}
	if len(n.devices) > 0 {
		info.Devices = make([]DeviceInfo, 0, len(n.devices))
	}
	for _, e := range n.sorted() {
		info.Devices = append(info.Devices, DeviceInfo{
			Device: e.device, State: e.state, ChangedAt: e.changedAt, Metrics: len(e.slots),
		})
	}
	return info
}

// Metrics is the picture of all metrics of a node (device empty) or device,
// in the order of its birth; ok is false when nothing was heard of it.
func (w *Watcher) Metrics(group, node, device string) (metrics []MetricInfo, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.entity(group, node, device)
	if e == nil {
		return nil, false
	}
	metrics = make([]MetricInfo, len(e.slots))
	for i := range e.slots {
		metrics[i] = e.metric(uint32(i))
	}
	return metrics, true
}

// Metric is the picture of one metric.
func (w *Watcher) Metric(group, node, device, name string) (m MetricInfo, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.entity(group, node, device)
	if e == nil || e.shape == nil {
		return MetricInfo{}, false
	}
	i, ok := e.slot(name)
	if !ok {
		return MetricInfo{}, false
	}
	return e.metric(i), true
}

func (w *Watcher) entity(group, node, device string) *entity {
	n := w.nodes[nodeID{group, node}]
	if n == nil {
		return nil
	}
	return n.find(device)
}

// slot finds the metric of that name.
func (e *entity) slot(name string) (uint32, bool) {
	i := e.shape.ByName(name)
	return i, i != session.NoSlot && int(i) < len(e.slots)
}

// metric is the picture of one slot. Quality is QualityStale while it is stale.
func (e *entity) metric(i uint32) MetricInfo {
	d, s := e.shape.Def(i), &e.slots[i]
	m := MetricInfo{
		Name: d.Name, Type: d.Type, Alias: d.Alias, HasAlias: d.HasAlias,
		Value: e.value(i), Time: e.time(s), Quality: s.quality(), Properties: e.properties(i),
	}
	if e.staleAt != 0 {
		m.Stale, m.StaleAt, m.Quality = true, e.staleAt, sparkplug.QualityStale
	}
	return m
}

// Stats are the counters so far.
func (w *Watcher) Stats() Stats {
	w.mu.Lock()
	s := w.stats
	s.Nodes = len(w.order)
	s.Rebirths, s.Faults = maps.Clone(s.Rebirths), maps.Clone(s.Faults)
	w.mu.Unlock()
	s.Dropped, s.Queued = w.dropped.Load(), len(w.queue)
	return s
}
