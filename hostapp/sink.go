package hostapp

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/internal/journal"
)

// sink brings what a host takes in to one store. With a journal it follows that
// with a cursor of its own, so that a store that is down costs disk and nothing
// else.
type sink struct {
	name    string
	log     *slog.Logger
	now     func() time.Time
	writer  *historyWriter
	intake  *intake // nil: there is no journal
	decoder decoder
	wake    chan struct{}
	failing atomic.Bool
	behind  atomic.Int64 // records of the journal that are not written

	next    uint64 // position in the journal
	savedAt time.Time
	mender  history.Mender // until next is at mendTo: all was written again then
	mendTo  uint64
}

// cursorEvery is how often a sink notes how far it has come. After a crash the
// records since then are written again.
const cursorEvery = 5 * time.Second

func newSink(s Sink, c Config, in *intake) *sink {
	out := &sink{name: s.Name, log: c.Log.With("sink", s.Name), now: c.Now, writer: newHistoryWriter(s.Store, c), intake: in, wake: make(chan struct{}, 1)}
	if in != nil {
		out.mend(s.Store)
		out.next = in.journal.Cursor(s.Name)
		out.behind.Store(int64(in.journal.Next() - out.next))
		out.decoder = decoder{names: in.names.Text, forms: map[uint32]*form{}, told: map[uint32]uint32{}}
	}
	return out
}

// mend begins anew with all that the journal has, if the store was damaged.
func (s *sink) mend(store history.Writer) {
	m, ok := store.(history.Mender)
	if !ok || len(m.Damaged()) == 0 {
		return
	}
	if err := s.intake.journal.Rewind(s.name); err != nil {
		s.log.Error("history was damaged, and cannot be written again from the journal", "err", err)
		return
	}
	s.mender, s.mendTo = m, s.intake.journal.Next()
	s.log.Warn("history was damaged: what the journal has is written again", "damaged", m.Damaged(), "records", s.mendTo-s.intake.journal.Cursor(s.name))
}

// mended ends that when all was written again.
func (s *sink) mended() {
	if s.mender == nil || s.next < s.mendTo {
		return
	}
	s.mender.Mended()
	s.mender = nil
	s.log.Info("history was damaged: all that the journal had is written again")
}

func (s *sink) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *sink) words() string { return "sink " + s.name + " cannot be written" }

// follow writes what comes into the journal until last is closed and it has
// caught up, or ctx ends.
func (s *sink) follow(ctx context.Context, last <-chan struct{}) {
	tick := time.NewTicker(ingestEvery)
	defer tick.Stop()
	ending := last
	var l load
	for open := true; open; {
		select {
		case <-ctx.Done():
			return
		case <-ending:
			open, ending = false, nil
		case <-tick.C:
		case <-s.wake:
		}
		for s.one(ctx, &l) {
		}
		if open {
			l = load{at: s.now().UnixMilli(), rows: l.rows[:0], marks: l.marks[:0]}
			s.store(ctx, &l, ctx.Done()) // what is due though nothing has come
		}
		s.save(!open)
	}
}

// one writes the next record; false: there is none.
func (s *sink) one(ctx context.Context, l *load) bool {
	*l = load{rows: l.rows[:0], marks: l.marks[:0]}
	some := false
	next, err := s.intake.journal.Read(s.next, func(r journal.Record) bool {
		some = true
		if err := s.decoder.decode(l, r.Payload); err != nil {
			s.log.Error("journal: part of a record is lost", "position", r.Pos, "err", err)
		}
		return false
	})
	if err != nil {
		s.log.Error("journal: cannot be read", "position", s.next, "err", err)
		return false
	}
	if some {
		if !s.store(ctx, l, ctx.Done()) {
			return false
		}
		clear(l.rows)
		clear(l.marks)
	}
	s.next = max(next, s.next)
	s.mended()
	s.behind.Store(int64(s.intake.journal.Next() - next))
	s.save(false)
	return some
}

// save notes how far the store has come for good.
func (s *sink) save(last bool) {
	now := s.now()
	if !last && now.Sub(s.savedAt) < cursorEvery || s.next == s.intake.journal.Cursor(s.name) {
		return
	}
	s.savedAt = now
	if d, ok := s.writer.store.(history.Syncer); ok {
		if err := d.Sync(context.Background()); err != nil {
			s.log.Error("history is not durable: it is written again after a crash", "err", err)
			return
		}
	}
	if err := s.intake.journal.SetCursor(s.name, min(s.next, s.intake.journal.Durable())); err != nil {
		s.log.Error("journal: space is not given back", "err", err)
	}
}

// store writes a load, again and again until it is taken; false when it was
// not, and the host has ended.
func (s *sink) store(ctx context.Context, l *load, last <-chan struct{}) bool {
	for pause := 250 * time.Millisecond; ; pause = min(2*pause, 10*time.Second) {
		err := s.writer.write(ctx, l)
		if err == nil {
			if s.failing.CompareAndSwap(true, false) {
				s.log.Info("history is written again")
			}
			return true
		}
		if s.failing.CompareAndSwap(false, true) {
			s.log.Error("history cannot be written, trying again", "err", err)
		}
		if last == nil {
			return false
		}
		select {
		case <-last:
			last = nil
		case <-time.After(pause):
		}
	}
}
