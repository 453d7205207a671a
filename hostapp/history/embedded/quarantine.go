package embedded

import (
	"context"
	"fmt"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// Quarantined is a sample whose time was further in the future than the
// tolerance when it came in.
type Quarantined struct {
	Key      history.Key
	Sample   history.Sample
	Received int64 // ms, in the host's clock
}

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

// Quarantined yields what is in quarantine in the order it came, until yield
// returns false.
func (s *Store) Quarantined(ctx context.Context, yield func(Quarantined) bool) error {
	rows, err := s.read.QueryContext(ctx, "SELECT series, received, ts, 0, type, num, txt, quality FROM quarantine ORDER BY id")
	if err != nil {
		return fmt.Errorf("embedded: quarantine: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var q Quarantined
		var r row
		var typ, quality int
		if err := rows.Scan(&id, &q.Received, &r.ts, &r.kind, &typ, &r.num, &r.txt, &quality); err != nil {
			return fmt.Errorf("embedded: quarantine: %w", err)
		}
		r.typ, r.quality = sparkplug.DataType(typ), uint16(quality)
		v, err := r.value()
		if err != nil {
			return err
		}
		s.mu.RLock()
		e := s.byID(history.Series(id))
		s.mu.RUnlock()
		if e == nil {
			continue
		}
		q.Key, q.Sample = e.key, history.Sample{Timestamp: r.ts, Value: v, Quality: r.quality}
		if !yield(q) {
			return nil
		}
	}
	return rows.Err()
}

// Release takes the samples of a node out of quarantine and writes them at
// their time plus shift (ms, to undo a wrong clock); those that are still too
// far in the future stay. It returns what became of those it wrote.
func (s *Store) Release(ctx context.Context, group, node string, shift int64) (history.WriteResult, error) {
	var points []history.Point
	var times []int64
	limit := s.cfg.Now().Add(s.cfg.FutureTolerance).UnixMilli()
	err := s.Quarantined(ctx, func(q Quarantined) bool {
		if q.Key.Group == group && q.Key.Node == node && q.Sample.Timestamp+shift <= limit {
			s.mu.RLock()
			e := s.index[q.Key]
			s.mu.RUnlock()
			points = append(points, history.Point{
				Series: history.Series(e.id), Timestamp: q.Sample.Timestamp + shift, Value: q.Sample.Value,
				Quality: q.Sample.Quality, Historical: true,
			})
			times = append(times, q.Sample.Timestamp)
		}
		return true
	})
	if err != nil || len(points) == 0 {
		return history.WriteResult{}, err
	}
	res, err := s.Write(ctx, points)
	if err != nil {
		return res, err
	}
	s.wmu.Lock()
	defer s.wmu.Unlock()
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return res, fmt.Errorf("embedded: quarantine: %w", err)
	}
	for i := range points {
		if _, err := tx.ExecContext(ctx, "DELETE FROM quarantine WHERE series = ? AND ts = ?", int64(points[i].Series), times[i]); err != nil {
			_ = tx.Rollback()
			return res, fmt.Errorf("embedded: quarantine: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return res, fmt.Errorf("embedded: quarantine: %w", err)
	}
	s.quarantined = max(0, s.quarantined-len(points))
	s.mu.Lock()
	s.stats.QuarantineSize = s.quarantined
	s.mu.Unlock()
	return res, nil
}
