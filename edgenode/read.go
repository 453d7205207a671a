package edgenode

import (
	"context"
	"errors"
	"slices"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// readBlock reads the next block of a group, unless it is to be left alone. It
// returns false when the block was split: its halves now stand where it stood.
func (e *endpoint) readBlock(ctx context.Context, g *group, t *turn) bool {
	i, l := t.done, g.link
	b := &g.blocks[i]
	now := e.now()
	if b.retryAt > now || l.units[b.Unit].blocked(now) {
		return true
	}
	samples, err := e.read(ctx, l, &b.Block)
	switch {
	case err == nil:
		e.unitAnswered(l, b.Unit)
		if b.bad {
			b.bad, b.retryAt, g.replan = false, 0, true
		}
		for i := range samples {
			e.take(l, &samples[i], false)
		}
	case ctx.Err() != nil:
	case errors.Is(err, driver.ErrAddress):
		e.unitAnswered(l, b.Unit)
		if left, right, ok := split(l.drv, &b.Block); ok {
			g.blocks = slices.Replace(g.blocks, i, i+1, block{Block: left}, block{Block: right})
			t.blocks++
			return false
		}
		if !b.bad {
			e.log.Warn("equipment refuses an address: quality bad, tried again each minute",
				"connection", l.def.name, "metrics", e.names(l, b.Tags), "err", err)
		}
		b.bad, b.retryAt = true, now+badTagRetry
		for _, id := range b.Tags {
			l.tags[id].dev.fresh = true // a refusal is an answer: the device lives, its tag is bad
		}
		e.mark(l, b.Tags, driver.Bad)
	case errors.Is(err, driver.ErrRefused):
		e.mark(l, b.Tags, stale)
	default:
		e.failed(l, b.Unit, err)
	}
	return true
}

// failed deals with an error that is about the unit or the connection; one of
// no class closes the connection too, to be safe.
func (e *endpoint) failed(l *link, unit string, err error) {
	isUnit := errors.Is(err, driver.ErrUnit)
	if isUnit && l.units[unit] != nil {
		e.unitFailed(l, unit, err)
	}
	if !isUnit || errors.Is(err, driver.ErrOffline) {
		e.lose(l, err)
	}
}

func (e *endpoint) read(ctx context.Context, l *link, b *driver.Block) ([]driver.Sample, error) {
	if len(e.buf) < len(b.Tags) {
		e.buf = make([]driver.Sample, len(b.Tags))
	}
	out := e.buf[:len(b.Tags)]
	ctx, cancel := context.WithTimeout(ctx, l.def.timeout)
	defer cancel()
	e.count.reads.Add(1)
	err := guard(func() error { return l.drv.Read(ctx, b, out) })
	if err != nil {
		e.count.readErrors.Add(1)
	}
	return out, err
}

func split(d driver.Driver, b *driver.Block) (left, right driver.Block, ok bool) {
	s, can := d.(driver.Splitter)
	if !can || len(b.Tags) < 2 {
		return left, right, false
	}
	err := guard(func() error {
		left, right, ok = s.Split(b)
		return nil
	})
	return left, right, ok && err == nil && len(left.Tags) > 0 && len(right.Tags) > 0
}

// take scales a sample and puts it into the device's batch if it is worth a
// report, or if force says so.
func (e *endpoint) take(l *link, s *driver.Sample, force bool) {
	ref := l.tags[s.ID]
	d, last := ref.dev, &ref.dev.last[ref.slot]
	m := &d.def.metrics[ref.slot]
	v, ok := sparkplug.Value{}, false
	d.fresh = true
	if s.Quality == driver.Good {
		v, ok = m.scaling.publish(s.Value)
		ok = ok && !v.IsNull()
	}
	q := driver.Good
	if !ok {
		q, v = driver.Bad, last.value
	}
	e.report(d, ref.slot, v, q, s.Time, force)
}

// mark reports tags as not good, with the value that they had.
func (e *endpoint) mark(l *link, tags []uint32, q driver.Quality) {
	at := e.start.Add(e.now()).UnixMilli()
	for _, id := range tags {
		ref := l.tags[id]
		e.report(ref.dev, ref.slot, ref.dev.last[ref.slot].value, q, at, false)
	}
}

// report appends to the batch of the device what passes the filter. Times of
// one metric strictly increase, since a store keeps one value a millisecond.
func (e *endpoint) report(d *scanned, slot uint32, v sparkplug.Value, q driver.Quality, at int64, force bool) {
	m, last := &d.def.metrics[slot], &d.last[slot]
	if v.Type() == sparkplug.TypeUnknown {
		v = sparkplug.Null(m.scaling.pub)
	}
	if !force && !m.filter.passes(last, v, q, at) {
		return
	}
	at = max(at, last.time+1)
	*last = reported{v, at, q, true}
	d.pending.reports = append(d.pending.reports, report{v, at, slot, q})
}

func (e *endpoint) names(l *link, tags []uint32) []string {
	const most = 5
	var out []string
	for _, id := range tags[:min(len(tags), most)] {
		ref := l.tags[id]
		out = append(out, ref.dev.def.id+"/"+ref.dev.def.metrics[ref.slot].name)
	}
	return out
}
