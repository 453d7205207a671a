package edgenode

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// report is one value that is worth telling.
type report struct {
	value   sparkplug.Value
	time    int64 // ms
	slot    uint32
	quality driver.Quality
}

// batch is what one scan found out about one device.
type batch struct {
	dev     *device
	reports []report
	up      bool // the device answers, after the reports
	down    bool // the device does not answer any more
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// free gives b back for reuse.
func (b *batch) free() {
	clear(b.reports)
	*b = batch{reports: b.reports[:0]}
	batches.Put(b)
}

// endpoint is one physical device or line: one goroutine that reads and writes
// through all connections to it, one request at a time. Writes wait in a queue
// ahead of reads; when it is full they are refused.
type endpoint struct {
	name    string
	log     *slog.Logger
	count   *counters
	out     chan<- *batch
	start   time.Time
	writes  chan command
	control chan func() // run by the goroutine between requests

	links  []*link
	groups []group // as long as sched.groups
	sched  schedule
	checks []recheck
	buf    []driver.Sample
	timer  *time.Timer
}

// group is what is read together: all devices of a connection and class.
type group struct {
	link    *link
	period  time.Duration
	devices []*scanned
	blocks  []block
	replan  bool // a bad tag came back: group the blocks afresh
}

// block is one request.
type block struct {
	driver.Block
	retryAt time.Duration // when a tag that was refused is tried again
	bad     bool          // it was refused
}

// badTagRetry is how long a tag that the device refuses is left alone.
const badTagRetry = time.Minute

func newEndpoint(name string, log *slog.Logger, count *counters, out chan<- *batch) *endpoint {
	return &endpoint{
		name: name, log: log, count: count, out: out, start: time.Now(),
		writes: make(chan command, 64), control: make(chan func()),
	}
}

func (e *endpoint) now() time.Duration { return time.Since(e.start) }

// run reads and writes until ctx ends, and then closes all connections.
func (e *endpoint) run(ctx context.Context) {
	e.timer = time.NewTimer(0)
	defer e.timer.Stop()
	defer func() {
		for _, l := range e.links {
			l.close(e)
		}
	}()
	for ctx.Err() == nil {
		e.pending(ctx)
		e.supervise(ctx)
		if g := e.sched.pick(e.now()); g >= 0 {
			e.turn(ctx, g)
			continue
		}
		e.wait(ctx)
	}
}

// pending does what came in while a request was going on.
func (e *endpoint) pending(ctx context.Context) {
	for {
		select {
		case w := <-e.writes:
			e.write(ctx, w)
		case f := <-e.control:
			f()
		default:
			e.recheck(ctx)
			return
		}
	}
}

// wait sleeps until something is due or comes in.
func (e *endpoint) wait(ctx context.Context) {
	due := e.now() + time.Hour
	if next, ok := e.sched.next(); ok {
		due = min(due, next)
	}
	for _, l := range e.links {
		due = min(due, l.wake(due))
	}
	for _, c := range e.checks {
		due = min(due, c.at)
	}
	e.timer.Reset(max(0, due-e.now()))
	select {
	case <-ctx.Done():
	case <-e.timer.C:
	case w := <-e.writes:
		e.write(ctx, w)
	case f := <-e.control:
		f()
	}
}

// turn deals with the next block of a group.
func (e *endpoint) turn(ctx context.Context, i int) {
	g, t := &e.groups[i], &e.sched.groups[i]
	if !g.link.connected {
		for range t.blocks - t.done { // the whole scan is left out
			t.step(e.now())
		}
		return
	}
	if !e.readBlock(ctx, g, t) {
		return // it was split: read the halves
	}
	ended, skipped := t.step(e.now())
	if !ended {
		return
	}
	e.count.scans.Add(1)
	e.count.overruns.Add(skipped)
	for _, d := range g.devices {
		e.flush(ctx, d)
	}
	if g.replan {
		g.replan = false
		g.compile()
		t.blocks = len(g.blocks)
	}
}

// flush sends what is pending of a device, and says that it is up when it is.
func (e *endpoint) flush(ctx context.Context, d *scanned) {
	up := !d.up && d.fresh && e.now() >= d.notBefore
	d.up = d.up || up
	if !d.up || len(d.pending.reports) == 0 && !up {
		return
	}
	b := d.pending
	b.dev, b.up = d.dev, up
	d.pending = batches.Get().(*batch)
	e.count.reports.Add(uint64(len(b.reports)))
	e.send(ctx, b)
}

// send hands b to the agent. When its queue is full the endpoint waits, and
// scans that fall into that time are overruns.
func (e *endpoint) send(ctx context.Context, b *batch) {
	select {
	case e.out <- b:
	case <-ctx.Done():
		b.free()
	}
}
