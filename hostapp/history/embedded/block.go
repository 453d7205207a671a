package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"time"

	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// late is the state of the samples that are too old for the TSDB's head. They
// wait as rows, where Raw finds them, and are written as blocks of their own,
// where PromQL finds them, when there are many or the first has waited long.
type late struct {
	rows    int // of kind rowLate in the table
	since   time.Time
	written []string // blocks that the TSDB has not loaded yet; their rows stay until then
	pending []lateRow
}

type lateRow struct {
	e *series
	r row
}

const (
	lateMany = 50_000
	lateWait = time.Minute
	// lateBlock is the time range of a late block, ms: 2 h times 9, so that it
	// falls on the TSDB's own block borders.
	lateBlock = 18 * 60 * 60 * 1000
	pruneStep = time.Hour
)

// upkeep does what is due after a write: late blocks, and rows older than the
// retention.
func (s *Store) upkeep(ctx context.Context) error {
	now := s.cfg.Now()
	if err := s.settleLate(ctx); err != nil {
		return err
	}
	if s.late.rows > 0 && s.late.since.IsZero() {
		s.late.since = now
	}
	if len(s.late.written) == 0 && s.late.rows > 0 && (s.late.rows >= lateMany || now.Sub(s.late.since) >= lateWait) {
		if err := s.flushLate(ctx); err != nil {
			return err
		}
	}
	if now.Before(s.pruneAt) {
		return nil
	}
	s.pruneAt = now.Add(pruneStep)
	oldest := now.Add(-s.cfg.Retention).UnixMilli()
	for _, q := range []string{"DELETE FROM sample WHERE ts < ?", "DELETE FROM event WHERE at < ?"} {
		if _, err := s.write.ExecContext(ctx, q, oldest); err != nil {
			return fmt.Errorf("embedded: retention: %w", err)
		}
	}
	return nil
}

// settleLate removes the rows of late blocks that the TSDB has loaded. A row
// that says more than its number stays, as an exact one.
func (s *Store) settleLate(ctx context.Context) error {
	if len(s.late.written) == 0 {
		return nil
	}
	loaded := map[string]bool{}
	for _, b := range s.db.Blocks() {
		loaded[b.Meta().ULID.String()] = true
	}
	for _, id := range s.late.written {
		if !loaded[id] {
			return nil
		}
	}
	s.settling.Lock() // no reader may have seen the TSDB without the blocks and SQLite without the rows
	defer s.settling.Unlock()
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("embedded: late samples: %w", err)
	}
	for _, l := range s.late.pending {
		q := "DELETE FROM sample WHERE series = ? AND ts = ? AND kind = 2"
		if !l.plain() {
			q = "UPDATE sample SET kind = 1 WHERE series = ? AND ts = ? AND kind = 2"
		}
		if _, err := tx.ExecContext(ctx, q, l.e.id, l.r.ts); err != nil {
			_ = tx.Rollback()
			return fmt.Errorf("embedded: late samples: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("embedded: late samples: %w", err)
	}
	s.late.rows = max(0, s.late.rows-len(s.late.pending))
	s.late.pending, s.late.written, s.late.since = nil, nil, time.Time{}
	return nil
}

// plain says whether the TSDB tells all of l.
func (l *lateRow) plain() bool {
	if l.r.typ == sparkplug.TypeUnknown {
		return true
	}
	v, err := l.r.value()
	if err != nil {
		return false
	}
	_, rounded, ok := number(v)
	return ok && !rounded && l.e.typeAt(l.r.ts) == l.r.typ && l.r.quality == history.QualityGood && l.e.quality == nil
}

// flushLate writes the late rows into blocks.
func (s *Store) flushLate(ctx context.Context) error {
	if s.late.rows == 0 || len(s.late.written) > 0 {
		return nil
	}
	rows, err := s.write.QueryContext(ctx, "SELECT series, "+rowColumns+" FROM sample WHERE kind = 2 ORDER BY ts, series LIMIT ?", 4*lateMany)
	if err != nil {
		return fmt.Errorf("embedded: late samples: %w", err)
	}
	defer rows.Close()
	byBlock := map[int64][]lateRow{}
	n := 0
	for rows.Next() {
		var l lateRow
		var id int64
		var typ, quality int
		if err := rows.Scan(&id, &l.r.ts, &l.r.kind, &typ, &l.r.num, &l.r.txt, &quality); err != nil {
			return fmt.Errorf("embedded: late samples: %w", err)
		}
		l.r.typ, l.r.quality = sparkplug.DataType(typ), uint16(quality)
		if l.e = s.byID(history.Series(id)); l.e != nil {
			byBlock[l.r.ts/lateBlock] = append(byBlock[l.r.ts/lateBlock], l)
			n++
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("embedded: late samples: %w", err)
	}
	if err := rows.Close(); err != nil { // now: the writer has one connection
		return fmt.Errorf("embedded: late samples: %w", err)
	}
	for _, k := range sortedKeys(byBlock) {
		id, err := s.writeBlock(ctx, byBlock[k])
		if err != nil {
			return fmt.Errorf("embedded: late samples: block: %w", err)
		}
		s.late.written = append(s.late.written, id)
		s.late.pending = append(s.late.pending, byBlock[k]...)
	}
	s.late.rows = max(s.late.rows, n)
	return nil
}

func (s *Store) writeBlock(ctx context.Context, all []lateRow) (id string, err error) {
	w, err := tsdb.NewBlockWriter(slog.New(slog.DiscardHandler), filepath.Join(s.cfg.Dir, "tsdb"), 2*lateBlock)
	if err != nil {
		return id, err
	}
	defer w.Close()
	app := w.AppenderV2(ctx)
	for i := range all {
		l := &all[i]
		bits := staleBits
		if l.r.typ != sparkplug.TypeUnknown {
			v, err := l.r.value()
			if err != nil {
				return id, err
			}
			bits, _, _ = number(v)
		}
		if _, err := app.Append(0, l.e.labels, 0, l.r.ts, math.Float64frombits(bits), nil, nil, storage.AOptions{}); err != nil {
			return id, fmt.Errorf("sample of %s at %d: %w", l.e.labels, l.r.ts, err)
		}
	}
	if err := app.Commit(); err != nil {
		return id, err
	}
	block, err := w.Flush(ctx)
	return block.String(), err
}
