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

// row is one sample on its way to the history, 48 bytes.
type row struct {
	entity     uint32
	slot       uint32
	time       int64
	value      sparkplug.Value // a copy, if it refers to anything
	quality    uint16
	historical bool
	birth      bool
}

// mark is what is not a sample: it takes effect between rows.
type mark struct {
	before int // the row it comes before
	update watch.Update
	event  history.Event
}

// load is what waits to be written.
type load struct {
	rows  []row
	marks []mark
	bytes int // that the values of rows refer to
	// How far a writer has come that was stopped by an error.
	rowsDone, marksDone int
}

// ingest carries Updates to the history. The watcher's goroutine fills one
// load while a writer empties the other.
type ingest struct {
	writer *historyWriter
	log    *slog.Logger
	room   int // rows and marks that may wait

	mu      sync.Mutex
	waiting load
	full    bool // the last update did not fit
	// unborn are the entities whose newest birth did not fit. What their slots
	// mean is not known to the writer, so their samples are dropped and counted
	// until a birth fits.
	unborn map[int]bool

	wake    chan struct{} // there is a batch
	dropped atomic.Uint64
	failing atomic.Bool
}

func newIngest(c Config) *ingest {
	return &ingest{
		writer: newHistoryWriter(c), log: c.Log, room: c.HistoryQueue, wake: make(chan struct{}, 1),
		unborn: map[int]bool{},
	}
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
	if birth {
		delete(in.unborn, u.Entity)
	}
	m := mark{before: len(w.rows), update: *u}
	m.update.Samples = nil
	m.event = eventOf(u)
	w.marks = append(w.marks, m)
}

// event queues an event of the host itself.
func (in *ingest) event(e history.Event) {
	in.mu.Lock()
	defer in.mu.Unlock()
	w := &in.waiting
	if len(w.marks) >= in.room {
		in.dropped.Add(1)
		return
	}
	w.marks = append(w.marks, mark{before: len(w.rows), event: e})
}

func (in *ingest) nudge() {
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// run writes until last is closed, and then what is left.
func (in *ingest) run(last <-chan struct{}) {
	ctx := context.Background()
	tick := time.NewTicker(ingestEvery)
	defer tick.Stop()
	in.writer.begin(ctx)
	var spare load
	for open := true; open; {
		select {
		case <-last:
			open = false
			in.writer.last = true
			last = nil
		case <-tick.C:
		case <-in.wake:
		}
		in.mu.Lock()
		in.waiting, spare = load{rows: spare.rows[:0], marks: spare.marks[:0]}, in.waiting
		if in.full && len(spare.rows) < in.room/2 && spare.bytes < ingestBytes/2 && len(in.unborn) == 0 {
			in.full = false
			in.log.Info("history has caught up", "dropped", in.dropped.Load())
		}
		in.mu.Unlock()
		in.store(ctx, &spare, last)
		clear(spare.rows)
		clear(spare.marks)
	}
}

// store writes a load, again and again until it is taken or the host has ended
// and the store still fails.
func (in *ingest) store(ctx context.Context, l *load, last <-chan struct{}) {
	for pause := 250 * time.Millisecond; ; pause = min(2*pause, 10*time.Second) {
		err := in.writer.write(ctx, l)
		if err == nil {
			if in.failing.CompareAndSwap(true, false) {
				in.log.Info("history is written again")
			}
			return
		}
		if in.failing.CompareAndSwap(false, true) {
			in.log.Error("history cannot be written, trying again", "err", err)
		}
		if in.writer.last {
			lost := len(l.rows) - l.rowsDone + len(in.writer.points)
			in.dropped.Add(uint64(lost))
			in.log.Error("history: samples lost at the end", "dropped", lost, "err", err)
			return
		}
		select {
		case <-last:
			in.writer.last = true
		case <-time.After(pause):
		}
	}
}

// behind says why the history is not in order; empty when it is.
func (in *ingest) behind() string {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.failing.Load():
		return "cannot be written"
	case in.full:
		return "behind: samples are dropped"
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
