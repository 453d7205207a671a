package embedded

import (
	"context"
	"fmt"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// quarantine keeps p apart; the oldest go when the table is full.
func (b *batch) quarantine(e *series, p *history.Point) error {
	r, err := newRow(p.Timestamp, rowOwn, p.Value, p.Quality)
	if err != nil {
		b.res.Invalid++
		return nil
	}
	b.res.Quarantined++
	if err := b.begun(); err != nil {
		return err
	}
	res, err := b.tx.ExecContext(b.ctx, `INSERT INTO quarantine (series, ts, type, num, txt, quality, received)
		VALUES (?,?,?,?,?,?,?) ON CONFLICT DO NOTHING`, e.id, r.ts, int(r.typ), r.num, r.txt, int(r.quality), b.s.cfg.Now().UnixMilli())
	if err != nil {
		return fmt.Errorf("quarantine: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return err
	}
	b.s.quarantined++
	over := b.s.quarantined - b.s.cfg.QuarantineMax
	if over <= 0 {
		return nil
	}
	_, err = b.tx.ExecContext(b.ctx, "DELETE FROM quarantine WHERE id IN (SELECT id FROM quarantine ORDER BY id LIMIT ?)", over)
	if err != nil {
		return fmt.Errorf("quarantine: %w", err)
	}
	b.s.quarantined -= over
	b.s.mu.Lock()
	b.s.stats.QuarantineDropped += over
	b.s.mu.Unlock()
	return nil
}

// aside is a row of the table quarantine.
type aside struct {
	id int64
	e  *series
	history.Quarantined
}

// asidePage is how many rows are read at once.
const asidePage = 1000

// asides yields the rows of a filter in the order they came, page by page, so
// that nobody waits for the reader.
func (s *Store) asides(ctx context.Context, f history.Filter, yield func(aside) bool) error {
	after, left := int64(0), f.Limit
	for {
		page, err := s.asidesAfter(ctx, f, after)
		if err != nil {
			return fmt.Errorf("embedded: quarantine: %w", err)
		}
		for _, a := range page {
			after = a.id
			if a.e == nil {
				continue // of a series of another process's time: cannot be
			}
			if !yield(a) {
				return nil
			}
			if left--; left == 0 {
				return nil
			}
		}
		if len(page) < asidePage {
			return nil
		}
	}
}

func (s *Store) asidesAfter(ctx context.Context, f history.Filter, after int64) ([]aside, error) {
	where, args := "", []any{after}
	for _, c := range [...]struct{ column, value string }{
		{"grp", f.Group}, {"node", f.Node}, {"device", f.Device}, {"metric", f.Metric},
	} {
		if c.value != "" {
			where += " AND s." + c.column + " = ?"
			args = append(args, c.value)
		}
	}
	if f.NodeOnly {
		where += " AND s.device = ''"
	}
	rows, err := s.read.QueryContext(ctx, `SELECT q.id, q.series, q.received, q.ts, q.type, q.num, q.txt, q.quality
		FROM quarantine q JOIN series s ON s.id = q.series WHERE q.id > ?`+where+" ORDER BY q.id LIMIT ?", append(args, asidePage)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var page []aside
	for rows.Next() {
		var a aside
		var id int64
		var r row
		var typ, quality int
		if err := rows.Scan(&a.id, &id, &a.Received, &r.ts, &typ, &r.num, &r.txt, &quality); err != nil {
			return nil, err
		}
		r.typ, r.quality = sparkplug.DataType(typ), uint16(quality)
		v, err := r.value()
		if err != nil {
			return nil, err
		}
		s.mu.RLock()
		if a.e = s.byID(history.Series(id)); a.e != nil {
			a.Key, a.Sample = a.e.key, history.Sample{Timestamp: r.ts, Value: v, Quality: r.quality}
		}
		s.mu.RUnlock()
		page = append(page, a)
	}
	return page, rows.Err()
}

// Quarantined implements history.Quarantine.
func (s *Store) Quarantined(ctx context.Context, f history.Filter, yield func(history.Quarantined) bool) error {
	return s.asides(ctx, f, func(a aside) bool { return yield(a.Quarantined) })
}

// Release implements history.Quarantine. It stores first, for good, and takes
// away then.
func (s *Store) Release(ctx context.Context, group, node string, shift int64) (sum history.WriteResult, err error) {
	var points []history.Point
	var ids []int64
	now := s.cfg.Now()
	oldest, limit := now.Add(-s.cfg.Retention).UnixMilli(), now.Add(s.cfg.FutureTolerance).UnixMilli()
	flush := func() error {
		// The clock may have been set back meanwhile: what it puts aside again would go below.
		res, err := s.writeUntil(ctx, points, limit)
		sum.Add(res)
		if err == nil {
			err = s.Sync(ctx)
		}
		if err == nil {
			err = s.discard(ctx, ids)
		}
		points, ids = points[:0], ids[:0]
		return err
	}
	var failed error
	err = s.asides(ctx, history.Filter{Group: group, Node: node}, func(a aside) bool {
		ts := a.Sample.Timestamp + shift
		switch {
		case ts > limit || shift > 0 && ts < a.Sample.Timestamp: // beyond all time
			return true
		case ts < oldest:
			sum.Expired++
			return true
		}
		points = append(points, history.Point{
			Series: history.Series(a.e.id), Timestamp: ts, Value: a.Sample.Value, Quality: a.Sample.Quality, Historical: true,
		})
		ids = append(ids, a.id)
		if len(ids) == asidePage {
			failed = flush()
		}
		return failed == nil
	})
	if err == nil {
		err = failed
	}
	if err == nil && len(ids) > 0 {
		err = flush()
	}
	return sum, err
}

// Discard implements history.Quarantine.
func (s *Store) Discard(ctx context.Context, group, node string) (dropped int, err error) {
	var ids []int64
	err = s.asides(ctx, history.Filter{Group: group, Node: node}, func(a aside) bool {
		ids = append(ids, a.id)
		return true
	})
	if err != nil {
		return 0, err
	}
	if err := s.discard(ctx, ids); err != nil {
		return 0, err
	}
	return len(ids), nil
}

// discard deletes rows by their number, which is not given twice: what has come
// for the same time since then stays.
func (s *Store) discard(ctx context.Context, ids []int64) error {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("embedded: quarantine: %w", err)
	}
	for _, id := range ids {
		if _, err := tx.ExecContext(ctx, "DELETE FROM quarantine WHERE id = ?", id); err != nil {
			_ = tx.Rollback()
			return fmt.Errorf("embedded: quarantine: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("embedded: quarantine: %w", err)
	}
	return s.loadSizes(ctx)
}
