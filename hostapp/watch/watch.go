package watch

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// Watcher follows a namespace. Make one with New; all methods may be called
// from any goroutine.
type Watcher struct {
	cfg      Config
	queue    chan item
	queued   atomic.Int64 // bytes of payloads in queue
	dropped  atomic.Uint64
	anyLossy atomic.Bool
	ended    chan struct{} // closed when Run returns
	running  atomic.Bool
	asks     chan ask
	acks     chan ack

	// Of the goroutine of Run alone.
	effects []session.NodeEffect
	updates []Update
	samples []Sample
	// untilLoss counts down the items that stand before a dropped one; 0: none.
	untilLoss int
	touched   uint64 // keeps what is touched from being optimized away
	batch     [few]pending
	large     sparkplug.Payload // of messages that are not small

	mu     sync.Mutex // guards all below; never held while calling others
	links  map[string]*Link
	absent *Link // of nodes that are expected and were not heard yet
	host   *session.Host
	nodes  map[nodeID]*node
	order  []*node // as they were first heard of
	routes map[string]route
	timers timers
	ids    uint32
	stats  Stats
}

type nodeID struct{ group, node string }

// route is where the data of a topic belongs.
type route struct {
	node   *node
	entity *entity
}

// device is the name of the device; empty: the node itself.
func (r route) device() string {
	if r.entity == &r.node.own {
		return "" // which need not be read
	}
	return r.entity.device
}

// maxBirths is how many births of a node are taken at once, and one more each
// second: a node that is restarted again and again stays far below.
const maxBirths = 30

// New returns a watcher that has seen nothing yet. A fault in c is an error.
func New(c Config) (*Watcher, error) {
	c, err := c.ready()
	if err != nil {
		return nil, err
	}
	w := &Watcher{
		cfg:   c,
		queue: make(chan item, c.Queue),
		ended: make(chan struct{}),
		asks:  make(chan ask, asksWaiting),
		acks:  make(chan ack, acksWaiting),
		links: map[string]*Link{},
		host: session.NewHost(session.HostConfig{
			ReorderTimeout: c.ReorderTimeout.Milliseconds(),
			RebirthSpread:  c.RebirthSpread.Milliseconds(),
			MaxDevices:     c.MaxDevices,
			MaxBirths:      maxBirths,
		}),
		nodes:  map[nodeID]*node{},
		routes: map[string]route{},
		stats:  Stats{Rebirths: map[string]uint64{}, Faults: map[string]uint64{}},
	}
	w.absent = &Link{watcher: w}
	return w, nil
}

// Expect makes a node known before anything was heard of it, as a history
// remembers it from an earlier run. Its state is Unknown, and it is asked for
// its births, on every server, 2 s after a connection is up: a node whose
// values do not change would otherwise stay unseen. Before Run it returns at
// once, then when Run has taken it in. Of a node that was heard already it
// changes nothing. Ids that are not valid and nodes beyond MaxNodes are refused
// and counted.
func (w *Watcher) Expect(group, name string) {
	if !sparkplug.ValidID(group) || !sparkplug.ValidID(name) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.stats.Refused++
		return
	}
	if !w.running.Load() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.route(w.absent, sparkplug.Topic{Group: group, Node: name})
		return
	}
	select {
	case w.queue <- item{kind: itemExpect, node: &node{group: group, name: name}}:
	case <-w.ended:
	}
}

// expect takes in a node of old while there may be connections.
func (w *Watcher) expect(now int64, group, name string) {
	if w.nodes[nodeID{group, name}] != nil {
		return
	}
	r, ok := w.route(w.absent, sparkplug.Topic{Group: group, Node: name})
	connected := false
	for _, l := range w.links {
		connected = connected || l.conn != nil
	}
	if ok && connected {
		w.step(r.node, session.NodeEvent{Kind: session.NodeExpected, At: now}, nil)
	}
}

// Run owns the state until ctx ends; it then handles what waits in the queue
// and returns nil. It may be called once.
func (w *Watcher) Run(ctx context.Context) error {
	if !w.running.CompareAndSwap(false, true) {
		return errors.New("watch: run: called twice")
	}
	var wg sync.WaitGroup
	wg.Go(func() { w.publishAsks(ctx) })
	wg.Go(func() { w.publishAcks(ctx) })
	defer wg.Wait()
	defer close(w.ended)

	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var set int64 // what timer is set to, ms; 0: nothing
	for {
		if due := w.due(); due != set {
			set = due
			wait := time.Hour
			if due != 0 {
				wait = time.Duration(max(due-w.now(), 0)) * time.Millisecond
			}
			timer.Reset(wait)
		}
		select {
		case <-ctx.Done():
			w.drain()
			return nil
		case it := <-w.queue:
			w.take(it)
		case <-timer.C:
			set = 0
			w.tick()
		}
	}
}

// afterLoss waits, when a birth or a death was dropped, until what stood before
// it is handled: what is in the queue, and so many that were taken from it.
func (w *Watcher) afterLoss(now int64, taken int) {
	switch {
	case w.untilLoss > 1:
		w.untilLoss--
	case w.untilLoss == 1:
		w.untilLoss = 0
		w.relink(now)
	case w.anyLossy.Load() && w.anyLossy.CompareAndSwap(true, false):
		w.untilLoss = taken + len(w.queue)
		if w.untilLoss == 0 {
			w.relink(now)
		}
	}
}

// relink treats the nodes of a link that lost a birth or a death as if the
// connection had been lost and found: stale, and asked for a rebirth.
func (w *Watcher) relink(now int64) {
	for _, l := range w.links {
		if l.lossy.CompareAndSwap(true, false) {
			w.eachOf(l, now, session.NodeHostLost)
			if l.conn != nil {
				w.eachOf(l, now, session.NodeHostBack)
			}
		}
	}
	w.tell()
}

// eachOf gives one event to every node of a link.
func (w *Watcher) eachOf(l *Link, now int64, kind session.NodeEventKind) {
	for _, n := range w.order {
		if n.link == l {
			w.step(n, session.NodeEvent{Kind: kind, At: now}, nil)
		}
	}
}

// tick serves the nodes whose deadline has come, one by one: what a step
// points to is good until the next.
func (w *Watcher) tick() {
	now := w.now()
	for range max(w.overdue(now), 1) {
		w.mu.Lock()
		if len(w.timers) == 0 || w.timers[0].due > now {
			w.mu.Unlock()
			return
		}
		w.step(w.timers[0], session.NodeEvent{Kind: session.NodeTick, At: now}, nil)
		w.tell()
		w.mu.Unlock()
	}
}

// overdue counts the nodes whose deadline has come.
func (w *Watcher) overdue(now int64) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.timers {
		if t.due <= now {
			n++
		}
	}
	return n
}

// tell hands the updates of the last step to the handler, without the lock,
// which is held before and after.
func (w *Watcher) tell() {
	if len(w.updates) == 0 {
		return
	}
	w.mu.Unlock()
	for i := range w.updates {
		u := &w.updates[i]
		if u.Kind == Rebirth && w.cfg.Passive && w.cfg.AskRebirth != nil {
			w.cfg.AskRebirth(u.Group, u.Node, u.Reason())
		}
		if w.cfg.Handler != nil {
			w.cfg.Handler(u)
		}
	}
	w.mu.Lock()
	clear(w.updates)
	w.updates, w.samples = w.updates[:0], w.samples[:0]
}

func (w *Watcher) now() int64 { return w.cfg.Now().UnixMilli() }

func (w *Watcher) due() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.timers) == 0 {
		return 0
	}
	return w.timers[0].due
}

// Link returns the link of that name, which feeds the watcher from one server.
func (w *Watcher) Link(server string) *Link {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.links[server]
	if l == nil {
		l = &Link{watcher: w, server: server}
		w.links[server] = l
	}
	return l
}
