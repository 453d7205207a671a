package watch

import (
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// few items are handled together: the time is asked for once, which costs as
// much as a metric or two, and memory is waited for side by side.
const few = 16

// small is the most bytes of a message that is decoded ahead: it bounds what
// the payloads of a batch keep for reuse.
const small = 4096

// pending is an item of a batch, with what is known ahead of its turn.
type pending struct {
	item    item
	route   route // zero: not known yet
	decoded bool  // payload and err are of the item
	err     error
	payload sparkplug.Payload
	shape   *session.Shape // that has resolved payload, or tried to; nil: none
	whole   bool           // every metric has its slot
	slots   []uint32
}

// drain handles what is in the queue now.
func (w *Watcher) drain() {
	for n := len(w.queue); n > 0; {
		batch := w.collect(<-w.queue, n)
		n -= len(batch)
		w.handle(w.now(), batch)
	}
}

// take handles one item and those that wait behind it, up to a number that
// lets Run look at the clock and at ctx now and then.
func (w *Watcher) take(it item) {
	const most = 256 / few
	for i := 1; ; i++ {
		w.handle(w.now(), w.collect(it, few))
		if i == most || len(w.queue) == 0 {
			return
		}
		it = <-w.queue
	}
}

// collect returns it and what waits behind it, as a batch of most items at most.
func (w *Watcher) collect(it item, most int) []pending {
	n := 1
	w.batch[0].item = it
	size := len(it.msg.Payload)
	for ; n < min(most, few) && len(w.queue) > 0; n++ {
		it := &w.batch[n].item
		*it = <-w.queue
		size += len(it.msg.Payload)
	}
	w.queued.Add(-int64(size))
	return w.batch[:n]
}

// handle applies a batch in order, under the lock, which it leaves to tell the
// handler of each item.
func (w *Watcher) handle(now int64, batch []pending) {
	w.mu.Lock()
	w.prepare(batch)
	for i := range batch {
		w.apply(now, &batch[i])
		w.tell()
		w.afterLoss(now, len(batch)-1-i)
		batch[i].item = item{}
	}
	w.mu.Unlock()
}

// prepare looks up, decodes and resolves the messages of known topics, and
// brings into the cache what they will change. Each step is done for all of
// them before the next, for one by one they would wait for memory several
// times each: of a million metrics few are in the cache.
func (w *Watcher) prepare(batch []pending) {
	for i := range batch {
		b := &batch[i]
		b.route = w.routes[b.item.msg.Topic]
	}
	for i := range batch {
		if r := batch[i].route; r.node != nil {
			w.touched += r.node.touch(r.entity)
			if w.cfg.Handler != nil {
				w.touched += r.node.touchNames(r.entity)
			}
		}
	}
	for i := range batch {
		batch[i].decode(w.cfg.Limits)
	}
	for i := range batch {
		if b := &batch[i]; b.whole {
			w.touched += b.route.entity.touch(b.slots[:1])
		}
	}
	for i := range batch {
		if b := &batch[i]; b.whole {
			w.touched += b.route.entity.touch(b.slots[1:])
		}
	}
}

// decode decodes and resolves a data message ahead of its turn, if it is one.
func (b *pending) decode(lim sparkplug.Limits) {
	m := &b.item.msg
	b.decoded, b.whole, b.shape = false, false, nil
	if b.route.node == nil || m.Retain || len(m.Payload) > small {
		return
	}
	b.decoded = true
	b.err = b.payload.DecodeLimits(m.Payload, lim)
	if b.payload.UUID == sparkplug.CompressedUUID {
		b.decoded = false
		return
	}
	n := len(b.payload.Metrics)
	if b.route.entity.shape == nil || n == 0 {
		return
	}
	b.shape = b.route.entity.shape
	if n > cap(b.slots) {
		b.slots = make([]uint32, n, 2*n)
	}
	b.slots = b.slots[:n]
	b.whole = b.shape.Resolve(b.payload.Metrics, b.slots)
}

// apply applies one item.
func (w *Watcher) apply(now int64, p *pending) {
	switch it := &p.item; it.kind {
	case itemMessage:
		w.message(now, p)
	case itemUp:
		it.link.conn = it.conn
		w.eachOf(it.link, now, session.NodeHostBack)
		w.eachOf(w.absent, now, session.NodeExpected)
	case itemDown:
		it.link.conn = nil
		w.eachOf(it.link, now, session.NodeHostLost)
	case itemExpect:
		w.expect(now, it.node.group, it.node.name)
	case itemRebirth:
		w.step(it.node, session.NodeEvent{Kind: session.NodeRebirth, At: now}, nil)
	}
}

// touch reads what a data message needs of a node.
func (n *node) touch(e *entity) uint64 {
	return uint64(len(e.slots)) + n.messages + n.machine.Count() + uint64(n.machine.Deadline())
}

// touchNames reads what an Update needs besides.
func (n *node) touchNames(e *entity) uint64 {
	return uint64(len(n.group)) + uint64(n.own.id) + uint64(len(e.device)) + n.machine.BdSeq()
}

// touch reads slots that will change.
func (e *entity) touch(slots []uint32) (sum uint64) {
	for _, at := range slots {
		if uint64(at) < uint64(len(e.slots)) {
			sum += e.slots[at].meta
		}
	}
	return sum
}
