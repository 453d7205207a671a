package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// late is the state of the samples that are too old for the TSDB's head. They
// wait as rows, where Raw and PromQL find them (see overlay), and are written as
// blocks of their own when there are many or the first has waited long: they are
// gone two minutes after they came, with the one that the TSDB takes to load a block.
//
// Nothing but the TSDB's own samples says which rows are in a block, so that it
// does not matter what was interrupted, or what the TSDB has done with the block.
type late struct {
	rows    int // of kind rowLate in the table
	since   time.Time
	written []ulid.ULID // blocks that the TSDB has not loaded yet
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
	if s.late.rows > 0 && s.late.since.IsZero() {
		s.late.since = now
	}
	if len(s.late.written) > 0 && s.loaded() {
		s.late.written = nil
		if _, err := s.settleLate(ctx); err != nil {
			return err
		}
	}
	if s.late.rows > 0 && (s.late.rows >= lateMany || now.Sub(s.late.since) >= lateWait) {
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
	return s.loadSizes(ctx)
}

// loaded says whether the TSDB has loaded the blocks that were written: they are
// there, or in blocks that they were merged into, or gone with the retention.
func (s *Store) loaded() bool {
	known := map[ulid.ULID]bool{}
	for _, b := range s.db.Blocks() {
		for _, id := range b.Meta().Compaction.Sources {
			known[id] = true
		}
	}
	for _, id := range s.late.written {
		if known[id] {
			continue
		}
		if _, err := os.Stat(filepath.Join(s.cfg.Dir, "tsdb", id.String())); !errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	return true
}

// settleLate takes the late rows whose samples the TSDB has, and returns the
// others, by block. A row that says more than its number stays, as an exact one;
// so does one whose time has another number there, as one of its own.
func (s *Store) settleLate(ctx context.Context) (left map[int64][]lateRow, err error) {
	left, err = s.lateRows(ctx)
	if err != nil {
		return nil, err
	}
	type change struct {
		row  lateRow
		kind int // rowLate: not needed any more
	}
	var changes []change
	for k, all := range left {
		known, err := s.blockSamples(ctx, k, all)
		if err != nil {
			return nil, err
		}
		waiting := all[:0]
		for _, l := range all {
			there, ok := known[l.e][l.r.ts]
			bits, err := l.r.bits()
			switch {
			case err != nil:
				return nil, err
			case !ok:
				waiting = append(waiting, l)
			case there != bits, !l.r.isNumber() && l.r.typ != sparkplug.TypeUnknown:
				changes = append(changes, change{l, rowOwn})
			case l.plain():
				changes = append(changes, change{l, rowLate})
			default:
				changes = append(changes, change{l, rowExact})
			}
		}
		if left[k] = waiting; len(waiting) == 0 {
			delete(left, k)
		}
	}
	if len(changes) == 0 {
		return left, nil
	}
	s.settling.Lock() // no reader may have seen the TSDB without the blocks and SQLite without the rows
	defer s.settling.Unlock()
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("embedded: late samples: %w", err)
	}
	for _, c := range changes {
		if c.kind == rowLate {
			_, err = tx.ExecContext(ctx, "DELETE FROM sample WHERE series = ? AND ts = ?", c.row.e.id, c.row.r.ts)
		} else {
			_, err = tx.ExecContext(ctx, "UPDATE sample SET kind = ? WHERE series = ? AND ts = ?", c.kind, c.row.e.id, c.row.r.ts)
		}
		if err != nil {
			_ = tx.Rollback()
			return nil, fmt.Errorf("embedded: late samples: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return nil, fmt.Errorf("embedded: late samples: %w", err)
	}
	if s.late.rows -= len(changes); s.late.rows <= 0 {
		s.late.rows, s.late.since = 0, time.Time{}
		return left, s.loadOverlaid(ctx)
	}
	return left, nil
}

// lateRows reads the oldest of the late rows, by block.
func (s *Store) lateRows(ctx context.Context) (map[int64][]lateRow, error) {
	rows, err := s.write.QueryContext(ctx, "SELECT series, "+rowColumns+" FROM sample WHERE kind = 2 ORDER BY ts, series LIMIT ?", 4*lateMany)
	if err != nil {
		return nil, fmt.Errorf("embedded: late samples: %w", err)
	}
	defer rows.Close() // before anything else: the writer has one connection
	byBlock := map[int64][]lateRow{}
	for rows.Next() {
		var l lateRow
		var id int64
		var typ, quality int
		if err := rows.Scan(&id, &l.r.ts, &l.r.kind, &typ, &l.r.num, &l.r.txt, &quality); err != nil {
			return nil, fmt.Errorf("embedded: late samples: %w", err)
		}
		l.r.typ, l.r.quality = sparkplug.DataType(typ), uint16(quality)
		if l.e = s.byID(history.Series(id)); l.e != nil {
			byBlock[l.r.ts/lateBlock] = append(byBlock[l.r.ts/lateBlock], l)
		}
	}
	return byBlock, rows.Err()
}

// blockSamples is what the TSDB has at the times of rows, which are of one block.
func (s *Store) blockSamples(ctx context.Context, block int64, rows []lateRow) (map[*series]map[int64]uint64, error) {
	q, err := s.db.Querier(max(block*lateBlock, rows[0].r.ts), min((block+1)*lateBlock-1, rows[len(rows)-1].r.ts))
	if err != nil {
		return nil, fmt.Errorf("embedded: late samples: %w", err)
	}
	defer q.Close()
	times := map[*series]map[int64]bool{}
	for _, l := range rows {
		if times[l.e] == nil {
			times[l.e] = map[int64]bool{}
		}
		times[l.e][l.r.ts] = true
	}
	known := map[*series]map[int64]uint64{}
	for e, at := range times {
		there := map[int64]uint64{}
		known[e] = there
		err := samplesOf(ctx, q, e.labels, func(ts int64, bits uint64) bool {
			if at[ts] {
				there[ts] = bits
			}
			return len(there) < len(at)
		})
		if err != nil {
			return nil, err
		}
	}
	return known, nil
}

// bits is the number that the TSDB has, or will have, of r: a marker for what is
// none.
func (r *row) bits() (uint64, error) {
	if !r.isNumber() {
		return staleBits, nil
	}
	v, err := r.value()
	if err != nil {
		return 0, err
	}
	bits, _, _ := number(v)
	return bits, nil
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

// flushLate writes the late rows that the TSDB does not have into blocks.
func (s *Store) flushLate(ctx context.Context) error {
	if s.late.rows == 0 || len(s.late.written) > 0 {
		return nil
	}
	byBlock, err := s.settleLate(ctx)
	if err != nil {
		return err
	}
	for _, k := range sortedKeys(byBlock) {
		id, err := s.writeBlock(ctx, byBlock[k])
		if err != nil {
			return fmt.Errorf("embedded: late samples: block: %w", err)
		}
		s.late.written = append(s.late.written, id)
	}
	return nil
}

func (s *Store) writeBlock(ctx context.Context, all []lateRow) (id ulid.ULID, err error) {
	w, err := tsdb.NewBlockWriter(slog.New(slog.DiscardHandler), filepath.Join(s.cfg.Dir, "tsdb"), 2*lateBlock)
	if err != nil {
		return id, err
	}
	defer w.Close()
	app := w.AppenderV2(ctx)
	for i := range all {
		l := &all[i]
		bits, err := l.r.bits()
		if err != nil {
			return id, err
		}
		if _, err := app.Append(0, l.e.labels, 0, l.r.ts, math.Float64frombits(bits), nil, nil, storage.AOptions{}); err != nil {
			return id, fmt.Errorf("sample of %s at %d: %w", l.e.labels, l.r.ts, err)
		}
	}
	if err := app.Commit(); err != nil {
		return id, err
	}
	return w.Flush(ctx)
}
