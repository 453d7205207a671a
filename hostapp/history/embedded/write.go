package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"

	"github.com/prometheus/prometheus/storage"

	"github.com/magneto-iiot/magneto/hostapp/history"
)

// maxSpans bounds the spans of a series, whose datatype should change at a
// rebirth only, but may be sent otherwise with every sample.
const maxSpans = 64

// batch is one Write under way: samples in the TSDB's appender, rows in a
// SQLite transaction that begins when first needed. SQLite commits first: what
// it has more is found by the repeated batch after a crash.
type batch struct {
	s        *Store
	ctx      context.Context // of the Write that the batch is
	app      storage.AppenderV2
	tx       *sql.Tx
	insert   *sql.Stmt
	res      history.WriteResult
	points   []history.Point
	accepted []accepted
	byLate   map[*series][]accepted // of those with late points, once all points were seen
	late     map[*series][]int      // points that are not newer than the series, by index
	order    []*series              // of late, as they came
	enders   []*row                 // of the series whose late points are placed: rows that end a number unbeknown to the TSDB
	limit    int64                  // newest time that is not quarantined
	oldest   int64                  // oldest time that the retention keeps
}

// accepted is a number or marker put into the TSDB in order by this batch.
type accepted struct {
	e    *series
	ts   int64
	bits uint64
}

// begin readies the batch of the store; its slices are used again.
func (s *Store) begin(ctx context.Context) *batch {
	now := s.cfg.Now()
	b := &s.batch
	clear(b.accepted)
	clear(b.order)
	*b = batch{
		s: s, ctx: ctx, app: s.db.AppenderV2(ctx), accepted: b.accepted[:0], order: b.order[:0],
		limit: now.Add(s.cfg.FutureTolerance).UnixMilli(), oldest: max(0, now.Add(-s.cfg.Retention).UnixMilli()),
	}
	return b
}

// Write stores a batch; see history.Writer.
func (s *Store) Write(ctx context.Context, points []history.Point) (history.WriteResult, error) {
	return s.writeUntil(ctx, points, math.MinInt64)
}

// writeUntil is Write, and takes for certain what is not after limit, ms.
func (s *Store) writeUntil(ctx context.Context, points []history.Point, limit int64) (history.WriteResult, error) {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	for i := range points {
		if s.byID(points[i].Series) == nil {
			return history.WriteResult{}, fmt.Errorf("embedded: point %d has handle %d, which Series never gave", i, points[i].Series)
		}
	}
	b := s.begin(ctx)
	b.limit = max(b.limit, limit)
	err := b.addAll(points)
	if err = b.end(err); err != nil {
		return history.WriteResult{}, errors.Join(err, s.forget(points))
	}
	s.count(b.res)
	return b.res, s.upkeep(ctx)
}

func (s *Store) count(r history.WriteResult) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Add(r)
	s.stats.QuarantineSize = s.quarantined
}

func (b *batch) addAll(points []history.Point) error {
	b.points = points
	for i := range points {
		if err := b.add(i, &points[i]); err != nil {
			return err
		}
	}
	if len(b.order) == 0 {
		return nil
	}
	b.byLate = map[*series][]accepted{}
	for _, a := range b.accepted {
		if len(b.late[a.e]) > 0 {
			b.byLate[a.e] = append(b.byLate[a.e], a)
		}
	}
	for _, e := range b.order {
		if err := b.outOfOrder(e); err != nil {
			return err
		}
	}
	return nil
}

// end commits, or rolls back when there is an error already.
func (b *batch) end(err error) error {
	if err == nil && len(b.s.dirty) > 0 {
		if err = b.begun(); err == nil {
			err = b.s.saveSeries(b.ctx, b.tx)
		}
	}
	if err == nil && b.tx != nil {
		if err = b.tx.Commit(); err == nil {
			b.s.clean()
			b.tx = nil
		}
	}
	if err == nil {
		if err = b.app.Commit(); err == nil {
			return nil
		}
		return fmt.Errorf("embedded: write: %w", err)
	}
	if b.tx != nil {
		_ = b.tx.Rollback()
	}
	return errors.Join(fmt.Errorf("embedded: write: %w", err), b.app.Rollback())
}

// begun begins the SQLite transaction unless it has begun.
func (b *batch) begun() error {
	if b.tx != nil {
		return nil
	}
	tx, err := b.s.write.BeginTx(b.ctx, nil)
	if err != nil {
		return err
	}
	b.tx = tx
	b.insert, err = tx.PrepareContext(b.ctx, `INSERT INTO sample (series, ts, kind, type, num, txt, quality)
		VALUES (?,?,?,?,?,?,?) ON CONFLICT DO NOTHING`)
	return err
}

// add takes one point: at once if it is the newest of its series, else later.
func (b *batch) add(i int, p *history.Point) error {
	e := b.s.byID(p.Series)
	if !e.loaded {
		if err := b.s.loadSeries(b.ctx, e); err != nil {
			return err
		}
	}
	ts := p.Timestamp
	null := p.Value.IsNull()
	if p.Stale && ts < e.last && len(b.s.damaged) > 0 {
		b.postpone(e, i) // of long ago: it stays there
		return nil
	}
	if (p.Stale || null && ts >= e.last) && len(b.late[e]) > 0 {
		// What came before a marker may open the series that it ends.
		if err := b.outOfOrder(e); err != nil {
			return err
		}
	}
	switch {
	case p.Stale:
		return b.mark(e, min(ts, b.limit))
	case ts > b.limit:
		return b.quarantine(e, p)
	case ts < b.oldest:
		b.res.Expired++
		return nil
	case null && ts >= e.last:
		return b.mark(e, ts)
	case null || ts < e.last:
		b.postpone(e, i)
		return nil
	}
	bits, rounded, isNumber := number(p.Value)
	switch {
	case ts > e.last && isNumber:
		return b.newest(e, p, bits, rounded)
	case ts > e.last:
		return b.newestText(e, p)
	case isNumber && !rounded && e.inTSDB && e.open && e.bits == bits && e.typeAt(ts) == p.Value.Type():
		b.res.Duplicates++
		return nil
	}
	b.postpone(e, i)
	return nil
}

func (b *batch) postpone(e *series, i int) {
	if b.late == nil {
		b.late = map[*series][]int{}
	}
	if _, known := b.late[e]; !known {
		b.order = append(b.order, e)
	}
	b.late[e] = append(b.late[e], i)
}

// newest takes a number that is newer than all of its series.
func (b *batch) newest(e *series, p *history.Point, bits uint64, rounded bool) error {
	ts := p.Timestamp
	if err := b.infoAt(e, ts); err != nil {
		return err
	}
	exact := rounded
	if e.typeAt(ts) != p.Value.Type() {
		if len(e.spans) >= maxSpans {
			exact = true // not stable enough for spans: each value carries its type
		} else if err := b.changeType(e, ts, p.Value.Type()); err != nil {
			return err
		}
	}
	late, err := b.put(e, ts, bits, p)
	if err != nil {
		return err
	}
	if !late {
		if exact {
			if _, err := b.row(e, p, rowExact); err != nil {
				return err
			}
		}
		if p.Quality != history.QualityGood || e.quality != nil {
			if err := b.qualityAt(e, ts, p.Quality); err != nil {
				return err
			}
		}
		b.accepted = append(b.accepted, accepted{e, ts, bits})
	}
	e.last, e.bits, e.inTSDB, e.open, e.numOpen = ts, bits, !late, true, true
	b.res.Written++
	return nil
}

// newestText takes a value that is no number and newer than all of its series.
func (b *batch) newestText(e *series, p *history.Point) error {
	r, err := newRow(p.Timestamp, rowOwn, p.Value, p.Quality)
	if err != nil {
		b.res.Invalid++
		return nil
	}
	if err := b.infoAt(e, p.Timestamp); err != nil {
		return err
	}
	if err := b.text(e, &r, e.numOpen); err != nil {
		return err
	}
	if p.Quality != history.QualityGood || e.quality != nil {
		if err := b.qualityAt(e, p.Timestamp, p.Quality); err != nil {
			return err
		}
	}
	e.last, e.inTSDB, e.open, e.numOpen = p.Timestamp, false, true, false
	b.res.Written++
	return nil
}

// put gives a number (or marker, when p is nil) to the TSDB; what is too old
// for its head becomes a late row.
func (b *batch) put(e *series, ts int64, bits uint64, p *history.Point) (late bool, err error) {
	if late, err = b.append(e, ts, bits); !late || err != nil {
		return late, err
	}
	if p == nil {
		p = &history.Point{Timestamp: ts, Quality: history.QualityGood}
	}
	b.s.late.rows++
	_, err = b.row(e, p, rowLate)
	return true, err
}

// append gives a number or marker to the TSDB, or says that it is too old.
func (b *batch) append(e *series, ts int64, bits uint64) (late bool, err error) {
	ref, err := b.app.Append(e.ref, e.labels, 0, ts, math.Float64frombits(bits), nil, nil, storage.AOptions{})
	switch {
	case err == nil:
		e.ref, e.numeric = ref, true
		b.s.newest = max(b.s.newest, ts)
		return false, nil
	case errors.Is(err, storage.ErrTooOldSample) || errors.Is(err, storage.ErrOutOfBounds):
		return true, nil
	}
	return false, fmt.Errorf("sample of %s at %d: %w", e.labels, ts, err)
}

// text stores a value that is no number. It has the number before it end, for
// PromQL, if need be: by a marker in the TSDB, for which the row waits when it is
// too old.
func (b *batch) text(e *series, r *row, ends bool) error {
	if ends {
		late, err := b.append(e, r.ts, staleBits)
		if err != nil {
			return err
		}
		if late {
			r.kind = rowLate
			b.s.late.rows++
		}
	}
	_, err := b.insertRow(e, r)
	return err
}

// row inserts a row for p; stored is false when it was counted as something
// else than written.
func (b *batch) row(e *series, p *history.Point, kind int) (stored bool, err error) {
	r, err := newRow(p.Timestamp, kind, p.Value, p.Quality)
	if err != nil {
		b.res.Invalid++
		return false, nil
	}
	return b.insertRow(e, &r)
}

func (b *batch) insertRow(e *series, r *row) (stored bool, err error) {
	if err := b.begun(); err != nil {
		return false, err
	}
	if r.overlaid() {
		b.s.noteOverlay(e)
	}
	_, err = b.insert.ExecContext(b.ctx, e.id, r.ts, r.kind, int(r.typ), r.num, r.txt, int(r.quality))
	return err == nil, err
}

// forget makes the store read again what it knew of the series of points,
// after their batch failed.
func (s *Store) forget(points []history.Point) error {
	for i := range points {
		s.byID(points[i].Series).loaded = false
	}
	s.mu.Lock()
	for _, e := range s.list {
		e.spans = nil
	}
	s.mu.Unlock()
	return errors.Join(s.loadSpans(context.Background()), s.loadSizes(context.Background()))
}
