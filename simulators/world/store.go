package world

import "github.com/magneto-iiot/magneto/internal/samples"

// place is where a sample belongs: one value for a metric and a millisecond.
type place struct {
	edge, metric int
	time         int64
}

// store is the database: durable, and sometimes away.
type store struct {
	up        bool
	values    map[place]int64
	conflicts int
}

func (s *store) write(x *samples.Sample) {
	if !s.up {
		return
	}
	p := place{int(x.ID) / metrics, int(x.ID) % metrics, x.Time}
	if was, ok := s.values[p]; ok {
		if was != x.Value.Int() {
			s.conflicts++ // the first stays
		}
		return
	}
	s.values[p] = x.Value.Int()
}

// ledger is the truth: what was taken at the source.
type ledger struct {
	required map[place]int64
	allowed  map[place]int64 // what a loss of power took from the spool before it was durable
	kept     [][]taken       // by edge: what is in the spool, in its order
}

func (l *ledger) took(e *edge, t taken) {
	l.required[place{e.id, t.metric, t.time}] = t.value
	l.kept[e.id] = append(l.kept[e.id], t)
}

// reopened takes away the promise for what the spool of an edge node has not
// any more.
func (l *ledger) reopened(e *edge) {
	next := e.spool.Next()
	list := l.kept[e.id]
	n := len(list)
	for n > 0 && list[n-1].pos >= next {
		n--
		p := place{e.id, list[n].metric, list[n].time}
		l.allowed[p] = list[n].value
		delete(l.required, p)
	}
	l.kept[e.id] = list[:n]
}
