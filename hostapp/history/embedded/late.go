package embedded

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/value"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// outOfOrder takes the points of a series that are not newer than it. It looks
// up what is stored at their times, since the TSDB would take two values for
// one time without a word.
func (b *batch) outOfOrder(e *series) error {
	at, points := b.late[e], b.points
	if len(at) == 0 {
		return nil
	}
	b.late[e] = nil // but known to order
	from, to := int64(math.MaxInt64), int64(math.MinInt64)
	for _, i := range at {
		from, to = min(from, points[i].Timestamp), max(to, points[i].Timestamp)
	}
	known := map[int64]uint64{}
	if err := b.s.samples(b.ctx, e.labels, from, to, func(ts int64, bits uint64) bool { known[ts] = bits; return true }); err != nil {
		return err
	}
	pending := b.accepted
	if b.byLate != nil {
		pending = b.byLate[e]
	}
	for _, a := range pending {
		if a.e == e && from <= a.ts && a.ts <= to {
			known[a.ts] = a.bits
		}
	}
	if err := b.begun(); err != nil {
		return err
	}
	rows, next, err := rowsAndNext(b.ctx, b.tx, e.id, from, to)
	if err != nil {
		return err
	}
	b.enders = b.enders[:0]
	for _, ts := range sortedKeys(rows) {
		b.mayEnd(rows[ts])
	}
	b.mayEnd(next)
	for _, i := range at {
		if err := b.place(e, &points[i], known, rows); err != nil {
			return err
		}
	}
	return nil
}

// mayEnd adds r to what ends numbers, if it is of that kind.
func (b *batch) mayEnd(r *row) {
	if r != nil && (r.kind == rowStale || r.kind == rowOwn && !r.isNumber()) {
		b.enders = append(b.enders, r)
	}
}

// endNumber has what comes first after a number that was placed at ts, and that the TSDB
// does not have, end the number there too.
func (b *batch) endNumber(e *series, ts int64, known map[int64]uint64) error {
	i, _ := slices.BinarySearchFunc(b.enders, ts+1, func(r *row, ts int64) int { return cmp.Compare(r.ts, ts) })
	if i == len(b.enders) {
		return nil
	}
	r := b.enders[i]
	b.enders = slices.Delete(b.enders, i, i+1)
	if _, there := known[r.ts]; there {
		return nil
	}
	late, err := b.append(e, r.ts, staleBits)
	if !late {
		return err
	}
	r.kind = rowLate
	b.s.late.rows++
	b.s.noteOverlay(e)
	_, err = b.tx.ExecContext(b.ctx, "UPDATE sample SET kind = ? WHERE series = ? AND ts = ?", rowLate, e.id, r.ts)
	return err
}

// place takes one point whose time may be taken already.
func (b *batch) place(e *series, p *history.Point, known map[int64]uint64, rows map[int64]*row) error {
	ts := p.Timestamp
	if p.Stale {
		null := *p
		null.Value, null.Stale = sparkplug.Value{}, false
		p = &null
	}
	bits, rounded, isNumber := number(p.Value)
	if p.Value.IsNull() {
		bits, rounded, isNumber = staleBits, false, true
	}
	exact := rounded || isNumber && bits != staleBits && e.typeAt(ts) != p.Value.Type()
	r, err := newRow(ts, rowOwn, p.Value, p.Quality)
	if err != nil {
		b.res.Invalid++
		return nil
	}
	there, hasNumber := known[ts]
	old := rows[ts]
	marked := hasNumber && value.IsStaleNaN(math.Float64frombits(there)) || old != nil && old.kind == rowStale
	if len(b.s.damaged) > 0 && old == nil && exact && isNumber && hasNumber && !marked && there == bits {
		b.res.Written++ // its row was lost
		r.kind = rowExact
		rows[ts] = &r
		_, err := b.insertRow(e, &r)
		return err
	}
	hadValue := old != nil && old.kind != rowStale && old.typ != sparkplug.TypeUnknown
	switch {
	case hadValue && !old.same(&r), !hadValue && hasNumber && !marked && (exact || !isNumber || there != bits):
		b.res.Conflicts++
		return nil
	case hadValue && (hasNumber || old.kind != rowExact), !hadValue && hasNumber && !marked:
		b.res.Duplicates++ // but a row without its number was cut off by a crash
		return nil
	case marked && p.Value.IsNull(), old != nil && old.kind == rowLate && p.Value.IsNull():
		b.res.Duplicates++
		return nil
	case marked || !isNumber || old != nil && old.kind == rowLate:
		return b.placeRow(e, &r, old, known, rows, isNumber)
	}
	return b.placeNumber(e, p, &r, bits, exact, known, rows)
}

// placeRow stores what goes to SQLite only. A value takes over the time of a
// marker there: in the TSDB the marker stays, since nothing can be replaced.
func (b *batch) placeRow(e *series, r, old *row, known map[int64]uint64, rows map[int64]*row, isNumber bool) error {
	if old != nil {
		if _, err := b.tx.ExecContext(b.ctx, "DELETE FROM sample WHERE series = ? AND ts = ?", e.id, r.ts); err != nil {
			return err
		}
		switch {
		case old.kind == rowLate && isNumber:
			r.kind = rowLate // the block of the marker may be there already: see settleLate
		case old.kind == rowLate:
			b.s.late.rows--
		}
	}
	var err error
	if isNumber {
		if _, err = b.insertRow(e, r); err == nil {
			err = b.endNumber(e, r.ts, known)
		}
	} else {
		_, marked := known[r.ts]
		err = b.text(e, r, !marked && b.numeric(e))
	}
	if err != nil {
		return err
	}
	rows[r.ts] = r
	if r.ts == e.last {
		e.inTSDB, e.open, e.numOpen = false, true, isNumber
	}
	b.res.Written++
	return nil
}

// numeric says whether PromQL may see something of e.
func (b *batch) numeric(e *series) bool {
	b.s.mu.RLock()
	defer b.s.mu.RUnlock()
	return e.numeric || b.s.overlaid[e]
}

// placeNumber stores a number, or a null as a marker, at a time that is free.
func (b *batch) placeNumber(e *series, p *history.Point, r *row, bits uint64, exact bool, known map[int64]uint64, rows map[int64]*row) error {
	late, err := b.put(e, r.ts, bits, p)
	if err != nil {
		return err
	}
	null := bits == staleBits
	if late {
		r.kind = rowLate
		rows[r.ts] = r
	} else {
		known[r.ts] = bits
		if b.byLate == nil { // outOfOrder may come again for this series
			b.accepted = append(b.accepted, accepted{e, r.ts, bits})
		}
		if !exact && !null {
			q, err := b.s.qualityBefore(b.ctx, e, r.ts)
			if err != nil {
				return err
			}
			exact = q != p.Quality
		}
		if exact && rows[r.ts] == nil {
			r.kind = rowExact
			if _, err := b.insertRow(e, r); err != nil {
				return err
			}
			rows[r.ts] = r
		}
	}
	if null {
		b.res.Markers++
		return nil
	}
	b.res.Written++
	return b.endNumber(e, r.ts, known)
}

type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

const rowColumns = "ts, kind, type, num, txt, quality"

func scanRow(rows *sql.Rows) (*row, error) {
	r := new(row)
	var typ, quality int
	if err := rows.Scan(&r.ts, &r.kind, &typ, &r.num, &r.txt, &quality); err != nil {
		return nil, fmt.Errorf("embedded: sample: %w", err)
	}
	r.typ, r.quality = sparkplug.DataType(typ), uint16(quality)
	return r, nil
}

// rowsIn are the rows of a series from a time to another, by time.
func rowsIn(ctx context.Context, db queryer, id, from, to int64) (map[int64]*row, error) {
	all, _, err := rowsUntil(ctx, db, to, "series = ? AND ts BETWEEN ? AND ?", id, from, to)
	return all, err
}

// rowsAndNext are the same, and the row after them; nil when there is none.
func rowsAndNext(ctx context.Context, db queryer, id, from, to int64) (map[int64]*row, *row, error) {
	return rowsUntil(ctx, db, to, "series = ? AND ts >= ? ORDER BY ts", id, from)
}

func rowsUntil(ctx context.Context, db queryer, to int64, where string, args ...any) (all map[int64]*row, next *row, err error) {
	rows, err := db.QueryContext(ctx, "SELECT "+rowColumns+" FROM sample WHERE "+where, args...)
	if err != nil {
		return nil, nil, fmt.Errorf("embedded: sample: %w", err)
	}
	defer rows.Close()
	all = map[int64]*row{}
	for rows.Next() {
		r, err := scanRow(rows)
		if err != nil {
			return nil, nil, err
		}
		if r.ts > to {
			return all, r, nil
		}
		all[r.ts] = r
	}
	return all, nil, rows.Err()
}

// sortedKeys returns the keys of m in order.
func sortedKeys[V any](m map[int64]V) []int64 { return slices.Sorted(maps.Keys(m)) }
