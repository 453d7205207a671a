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

	// Of the goroutine of Run alone.
	payload sparkplug.Payload
	effects []session.NodeEffect
	updates []Update
	samples []Sample
	// untilLoss counts down the items that stand before a dropped one; 0: none.
	untilLoss int
	touched   uint8 // keeps what touch reads from being optimized away

	mu     sync.Mutex // guards all below; never held while calling others
	links  map[string]*Link
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

// New returns a watcher that has seen nothing yet. A fault in c is an error.
func New(c Config) (*Watcher, error) {
	c, err := c.ready()
	if err != nil {
		return nil, err
	}
	return &Watcher{
		cfg:   c,
		queue: make(chan item, c.Queue),
		ended: make(chan struct{}),
		asks:  make(chan ask, asksWaiting),
		links: map[string]*Link{},
		host: session.NewHost(session.HostConfig{
			ReorderTimeout: c.ReorderTimeout.Milliseconds(),
			RebirthSpread:  c.RebirthSpread.Milliseconds(),
			MaxDevices:     c.MaxDevices,
		}),
		nodes:  map[nodeID]*node{},
		routes: map[string]route{},
		stats:  Stats{Rebirths: map[string]uint64{}, Faults: map[string]uint64{}},
	}, nil
}

// Run owns the state until ctx ends; it then handles what waits in the queue
// and returns nil. It may be called once.
func (w *Watcher) Run(ctx context.Context) error {
	if !w.running.CompareAndSwap(false, true) {
		return errors.New("watch: run: called twice")
	}
	var wg sync.WaitGroup
	wg.Go(func() { w.publishAsks(ctx) })
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

// drain handles what is in the queue now.
func (w *Watcher) drain() {
	for range len(w.queue) {
		w.handle(w.now(), <-w.queue)
	}
}

// take handles one item and those that wait behind it, up to a number that
// lets Run look at the clock and at ctx now and then. The time is asked for
// once for a few items: it costs as much as a metric or two.
func (w *Watcher) take(it item) {
	const most, few = 256, 16
	var now int64
	for i := range most {
		if i%few == 0 {
			now = w.now()
		}
		w.handle(now, it)
		w.afterLoss(now)
		if i == most-1 || len(w.queue) == 0 {
			break
		}
		it = <-w.queue
	}
}

// handle applies one item under the lock, then tells the handler.
func (w *Watcher) handle(now int64, it item) {
	w.mu.Lock()
	switch it.kind {
	case itemMessage:
		w.queued.Add(-int64(len(it.msg.Payload)))
		w.message(now, it.link, &it.msg)
	case itemUp:
		it.link.conn = it.conn
		w.eachOf(it.link, now, session.NodeHostBack)
	case itemDown:
		it.link.conn = nil
		w.eachOf(it.link, now, session.NodeHostLost)
	case itemRebirth:
		w.step(it.node, session.NodeEvent{Kind: session.NodeRebirth, At: now}, nil)
	}
	w.mu.Unlock()
	w.tell()
}

// afterLoss waits, when a birth or a death was dropped, until what stood in the
// queue before it is handled.
func (w *Watcher) afterLoss(now int64) {
	switch {
	case w.untilLoss > 1:
		w.untilLoss--
	case w.untilLoss == 1:
		w.untilLoss = 0
		w.relink(now)
	case w.anyLossy.CompareAndSwap(true, false):
		w.untilLoss = len(w.queue)
		if w.untilLoss == 0 {
			w.relink(now)
		}
	}
}

// relink treats the nodes of a link that lost a birth or a death as if the
// connection had been lost and found: stale, and asked for a rebirth.
func (w *Watcher) relink(now int64) {
	w.mu.Lock()
	for _, l := range w.links {
		if l.lossy.CompareAndSwap(true, false) {
			w.eachOf(l, now, session.NodeHostLost)
			if l.conn != nil {
				w.eachOf(l, now, session.NodeHostBack)
			}
		}
	}
	w.mu.Unlock()
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
		w.mu.Unlock()
		w.tell()
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

// tell hands the updates of the last step to the handler.
func (w *Watcher) tell() {
	for i := range w.updates {
		u := &w.updates[i]
		if u.Kind == Rebirth && w.cfg.Passive && w.cfg.AskRebirth != nil {
			w.cfg.AskRebirth(u.Group, u.Node, u.Reason())
		}
		w.cfg.Handler(u)
	}
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
