package hostapp

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/hostapp/watch"
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// ingestEvery is how long samples wait for more before they are written.
const ingestEvery = 200 * time.Millisecond

// ingestBatch is how many samples are written without waiting for more.
const ingestBatch = 4096

// ingestBytes bounds the texts, bytes, data sets and templates that wait.
const ingestBytes = 128 << 20

// ingest carries Updates to the history: through the journal, if there is one,
// to each sink, or straight to the only one. The watcher's goroutine fills one
// load while another empties the other.
type ingest struct {
	log     *slog.Logger
	now     func() int64
	room    int // rows and marks that may wait
	journal *intake
	sinks   []*sink
	acks    acknowledger

	mu      sync.Mutex
	waiting load
	full    bool // the last update did not fit
	// unborn are the entities whose newest birth did not fit. What their slots
	// mean is not known to the writer, so their samples are dropped and counted
	// until a birth fits.
	unborn map[int]bool
	// torn are the nodes of which samples were dropped: nothing of them is
	// acknowledged before their next birth.
	torn  map[int]place
	forms map[int]shaped // by entity

	wake    chan struct{} // there is a batch
	dropped atomic.Uint64
	failing atomic.Bool // the journal
}

// shaped is the form of an entity, and of which Shape it is.
type shaped struct {
	shape *session.Shape
	form  *form
}

func newIngest(c Config, acks acknowledger) (*ingest, error) {
	in := &ingest{
		log: c.Log, now: func() int64 { return c.Now().UnixMilli() }, room: c.HistoryQueue, wake: make(chan struct{}, 1),
		unborn: map[int]bool{}, torn: map[int]place{}, forms: map[int]shaped{}, acks: acks,
	}
	if c.Journal != "" {
		var err error
		if in.journal, err = openIntake(c); err != nil {
			return nil, err
		}
	}
	for _, s := range c.sinks() {
		in.sinks = append(in.sinks, newSink(s, c, in.journal))
	}
	return in, nil
}

// take keeps a copy of what is worth storing of an Update. It never blocks.
func (in *ingest) take(u *watch.Update) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if u.Kind != watch.Data {
		in.mark(u)
		if u.Kind != watch.Birth {
			return
		}
	}
	w := &in.waiting
	if in.unborn[u.Entity] || len(w.rows)+len(u.Samples) > in.room || w.bytes > ingestBytes {
		in.dropped.Add(uint64(len(u.Samples)))
		if u.Position.Birth != 0 {
			in.torn[u.NodeEntity] = place{group: u.Group, node: u.Node}
		}
		if !in.full {
			in.full = true
			in.log.Error("history is behind: samples are dropped and counted", "waiting", len(w.rows))
		}
		return
	}
	for i := range u.Samples {
		s := &u.Samples[i]
		if s.Transient {
			continue
		}
		w.rows = append(w.rows, row{
			entity: uint32(u.Entity), slot: uint32(s.Index), time: s.Time, value: own(s.Value),
			quality: s.Quality, historical: s.Historical, birth: u.Kind == watch.Birth,
		})
		w.bytes += weight(s.Value)
	}
	if _, torn := in.torn[u.NodeEntity]; u.Position.Birth != 0 && !torn {
		if w.positions == nil {
			w.positions = map[int]receivedAt{}
		}
		w.positions[u.NodeEntity] = receivedAt{u.Group, u.Node, u.Position}
	}
	if len(w.rows) >= ingestBatch {
		in.nudge()
	}
}

// mark queues what is not a sample. Its number is bounded by the room too, for
// each costs a message of its own.
func (in *ingest) mark(u *watch.Update) {
	w := &in.waiting
	birth := u.Kind == watch.Birth
	if len(w.marks) >= in.room {
		in.dropped.Add(1)
		if birth {
			in.unborn[u.Entity] = true
		}
		return
	}
	m := mark{before: len(w.rows), entity: uint32(u.Entity), at: u.Received, sent: u.Sent, event: eventOf(u)}
	switch {
	case birth:
		delete(in.unborn, u.Entity)
		if u.Device == "" {
			delete(in.torn, u.NodeEntity)
		}
		f := in.forms[u.Entity]
		if f.shape != u.Shape {
			f = shaped{u.Shape, formOf(u.Shape)}
			in.forms[u.Entity] = f
		}
		m.kind, m.place, m.form = markBorn, place{u.Group, u.Node, u.Device}, f.form
	case u.Kind == watch.Death && u.Cause == session.CauseBorn:
		m.kind = markAway
	case u.Kind == watch.Death, u.Kind == watch.Lost:
		m.kind = markGone
	case m.event.Kind == "":
		return
	}
	w.marks = append(w.marks, m)
}

// event queues an event of the host itself.
func (in *ingest) event(e history.Event) { in.say(mark{event: e}) }

func (in *ingest) say(m mark) {
	in.mu.Lock()
	defer in.mu.Unlock()
	w := &in.waiting
	if len(w.marks) >= in.room {
		in.dropped.Add(1)
		return
	}
	m.before, m.at = len(w.rows), in.now()
	w.marks = append(w.marks, m)
}

func (in *ingest) nudge() {
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// lastSinks is how long the sinks may take to catch up when the host ends; what
// is in the journal then waits for the next run.
const lastSinks = 5 * time.Second

// run writes until last is closed, and then what is left.
func (in *ingest) run(last <-chan struct{}) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var sinks sync.WaitGroup
	caughtUp := make(chan struct{})
	in.say(mark{kind: markStarted})
	if in.journal != nil {
		for _, s := range in.sinks {
			sinks.Go(func() { s.follow(ctx, caughtUp) })
		}
	}
	tick := time.NewTicker(ingestEvery)
	defer tick.Stop()
	var spare load
	for open := true; open; {
		select {
		case <-last:
			open = false
			in.say(mark{kind: markEnded})
			last = nil
		case <-tick.C:
		case <-in.wake:
		}
		in.mu.Lock()
		in.waiting, spare = load{rows: spare.rows[:0], marks: spare.marks[:0]}, in.waiting
		var torn []place
		if in.full && len(spare.rows) < in.room/2 && spare.bytes < ingestBytes/2 && len(in.unborn) == 0 {
			in.full = false
			in.log.Info("history has caught up", "dropped", in.dropped.Load())
			for _, p := range in.torn {
				torn = append(torn, p)
			}
		}
		in.mu.Unlock()
		in.acks.again(torn)
		spare.at = in.now()
		in.pass(ctx, &spare, last)
		clear(spare.rows)
		clear(spare.marks)
	}
	close(caughtUp)
	ended := time.AfterFunc(lastSinks, cancel)
	sinks.Wait()
	ended.Stop()
	if in.journal != nil {
		if err := in.journal.close(); err != nil {
			in.log.Error("journal: not closed in order", "err", err)
		}
	}
}

// pass hands a load on, again and again until it is taken or the host has
// ended and it still is not.
func (in *ingest) pass(ctx context.Context, l *load, last <-chan struct{}) {
	if in.journal == nil {
		if s := in.sinks[0]; !s.store(ctx, l, last) {
			lost := len(l.rows) - l.rowsDone + len(s.writer.points)
			in.dropped.Add(uint64(lost))
			in.log.Error("history: samples lost at the end", "dropped", lost)
		}
		return
	}
	for pause := 250 * time.Millisecond; ; pause = min(2*pause, 10*time.Second) {
		err := in.journal.append(l)
		if err == nil {
			if in.failing.CompareAndSwap(true, false) {
				in.log.Info("journal is written again")
			}
			in.acks.stored(l.positions, in.now())
			for _, s := range in.sinks {
				s.nudge()
			}
			return
		}
		if in.failing.CompareAndSwap(false, true) {
			in.log.Error("journal cannot be written, trying again; nothing is acknowledged meanwhile", "err", err)
		}
		if last == nil {
			lost := len(l.rows) - l.rowsDone
			in.dropped.Add(uint64(lost))
			in.log.Error("history: samples lost at the end, unless their edge nodes keep them", "dropped", lost, "err", err)
			return
		}
		select {
		case <-last:
			last = nil
		case <-time.After(pause):
		}
	}
}

// patientSinks is how long a start waits for the history to have what an earlier
// run left in the journal.
const patientSinks = 5 * time.Second

// catchUp waits until the history knows of all nodes that the journal does,
// cannot be written, or takes too long.
func (in *ingest) catchUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patientSinks)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for in.journal != nil && in.sinks[0].behind.Load() > 0 && !in.sinks[0].failing.Load() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// refused is how many series stores have refused.
func (in *ingest) refused() (n uint64) {
	for _, s := range in.sinks {
		n += s.writer.refused.Load()
	}
	return n
}

// behind says why the history is not in order; empty when it is.
func (in *ingest) behind() string {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.failing.Load():
		return "journal cannot be written"
	case in.full:
		return "behind: samples are dropped"
	}
	for _, s := range in.sinks {
		if s.failing.Load() {
			return s.words()
		}
	}
	return ""
}

// weight is about how many bytes v refers to.
func weight(v sparkplug.Value) int {
	n := len(v.Str()) + len(v.Raw())
	if d := v.DataSet(); d != nil {
		for i := range d.Rows {
			n += int(unsafe.Sizeof(v)) + weight(d.Rows[i])
		}
	}
	if t := v.Template(); t != nil {
		for i := range t.Metrics {
			n += int(unsafe.Sizeof(t.Metrics[i])) + len(t.Metrics[i].Name) + weight(t.Metrics[i].Value)
		}
	}
	return n
}

// own returns a copy of v unless it refers to nothing.
func own(v sparkplug.Value) sparkplug.Value {
	if t := v.Type(); t.Numeric() || t == sparkplug.TypeBoolean || t == sparkplug.TypeDateTime {
		return v
	}
	return v.Clone()
}

// eventOf is what an Update is in the list of events; Kind is empty if nothing.
func eventOf(u *watch.Update) history.Event {
	e := history.Event{At: u.Received, Group: u.Group, Node: u.Node, Device: u.Device}
	device := u.Device != ""
	switch u.Kind {
	case watch.Birth:
		e.Kind = history.NBIRTH
		if device {
			e.Kind = history.DBIRTH
		}
	case watch.Death:
		if u.Cause == session.CauseBorn {
			return history.Event{}
		}
		e.Kind, e.Detail = history.NDEATH, u.Reason()
		if device {
			e.Kind = history.DDEATH
		}
	case watch.Lost:
		e.Kind, e.Detail = history.STALE, u.Reason()
	case watch.Rebirth:
		e.Kind, e.Detail = history.REBIRTH, u.Reason()
	case watch.Conflict:
		e.Kind, e.Detail = history.CONFLICT, u.Reason()
	}
	if !device && (e.Kind == history.NBIRTH || e.Kind == history.NDEATH) {
		e.BdSeq = u.BdSeq
	}
	return e
}
