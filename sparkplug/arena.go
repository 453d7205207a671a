package sparkplug

// arena holds the parts of decoded metrics that live behind pointers, so that
// the next Decode can use them again.
type arena struct {
	sets      pool[PropertySet]
	metadata  pool[Metadata]
	tables    pool[DataSet]
	templates pool[Template]
	pad       [2 * reach]byte // for fastTail; nothing refers to it
}

// begin makes all objects free for use.
func (a *arena) begin() {
	a.sets.begin()
	a.metadata.begin()
	a.tables.begin()
	a.templates.begin()
}

// end empties the objects that the last run used and this one did not, so that
// they do not keep alive the bytes they were decoded from.
func (a *arena) end() {
	a.sets.end(func(s *PropertySet) {
		clear(s.Keys)
		clear(s.Values)
		s.Keys, s.Values = s.Keys[:0], s.Values[:0]
	})
	a.metadata.end(func(m *Metadata) { *m = Metadata{} })
	a.tables.end(func(d *DataSet) {
		clear(d.Columns)
		clear(d.Rows)
		d.Columns, d.Rows = d.Columns[:0], d.Rows[:0]
	})
	a.templates.end(func(t *Template) {
		clear(t.Metrics)
		clear(t.Parameters)
		*t = Template{Metrics: t.Metrics[:0], Parameters: t.Parameters[:0]}
	})
}

// tidy clears what s, filled anew from its start, still holds of the before
// elements that it had.
func tidy[T any](s []T, before int) {
	if before > len(s) {
		clear(s[len(s):before])
	}
}

// pool hands out objects, the same ones again in the next run.
type pool[T any] struct {
	all        []*T
	used, last int // in this run and in the one before
}

func (p *pool[T]) begin() { p.used, p.last = 0, p.used }

func (p *pool[T]) end(empty func(*T)) {
	for i := p.used; i < p.last; i++ {
		empty(p.all[i])
	}
}

// get returns an object with the content of its last use.
func (p *pool[T]) get() *T {
	if p.used == len(p.all) {
		chunk := make([]T, max(1, min(p.used, 64)))
		for i := range chunk {
			p.all = append(p.all, &chunk[i])
		}
	}
	p.used++
	return p.all[p.used-1]
}
