package embedded

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"

	"github.com/magneto-iiot/magneto/hostapp/history"
)

// Raw yields the measured samples; see history.Reader. It holds the rows of
// the series that are in SQLite in memory, and streams the rest.
//
// The TSDB's view is opened first: all that SQLite and the index have to say
// about a number was there before it.
func (s *Store) Raw(ctx context.Context, key history.Key, from, to int64, yield func(history.Sample) bool) error {
	if from > to {
		return nil
	}
	s.settling.RLock()
	q, rows, v, err := s.openRaw(ctx, key, from, to)
	s.settling.RUnlock()
	if err != nil || q == nil {
		return err
	}
	defer q.Close()
	m := merger{rows: rows, order: sortedKeys(rows), yield: yield, spans: v.spans}
	if v.quality != nil {
		if err := m.loadQuality(ctx, s, v, from, to); err != nil {
			return err
		}
	}
	if err := samplesOf(ctx, q, v.e.labels, m.number); err != nil {
		return err
	}
	m.rowsUntil(math.MaxInt64)
	return m.err
}

// openRaw opens the views that Raw merges; the querier is nil for an unknown key.
func (s *Store) openRaw(ctx context.Context, key history.Key, from, to int64) (q storage.Querier, rows map[int64]*row, v seen, err error) {
	if q, err = s.db.Querier(from, to); err != nil {
		return nil, nil, seen{}, fmt.Errorf("embedded: read: %w", err)
	}
	v, ok := s.lookup(key)
	if ok {
		rows, err = rowsIn(ctx, s.read, v.e.id, from, to)
	}
	if !ok || err != nil {
		return nil, nil, v, errors.Join(err, q.Close())
	}
	return q, rows, v, nil
}

// merger puts the numbers of the TSDB and the rows of SQLite in one order; a
// row stands before a number of its time.
type merger struct {
	rows    map[int64]*row
	order   []int64 // of the rows that are still to come
	spans   []span
	quality []step
	yield   func(history.Sample) bool
	done    bool
	err     error
}

// step is a change of the quality.
type step struct {
	ts int64
	q  uint16
}

func (m *merger) loadQuality(ctx context.Context, s *Store, v seen, from, to int64) error {
	q, err := s.qualityBefore(ctx, v.e, from)
	if err != nil {
		return err
	}
	m.quality = append(m.quality, step{math.MinInt64, q})
	return s.samples(ctx, v.quality.labels, from, to, func(ts int64, bits uint64) bool {
		f := math.Float64frombits(bits)
		q := uint16(history.QualityGood)
		if !value.IsStaleNaN(f) {
			q = uint16(f)
		}
		m.quality = append(m.quality, step{ts, q})
		return true
	})
}

func (m *merger) number(ts int64, bits uint64) bool {
	if !m.rowsUntil(ts) {
		return false
	}
	if value.IsStaleNaN(math.Float64frombits(bits)) || m.rows[ts] != nil {
		return true
	}
	m.done = !m.yield(history.Sample{Timestamp: ts, Value: fromNumber(bits, typeOf(m.spans, ts)), Quality: m.qualityAt(ts)})
	return !m.done
}

// qualityAt is asked in time order.
func (m *merger) qualityAt(ts int64) uint16 {
	if len(m.quality) == 0 {
		return history.QualityGood
	}
	for len(m.quality) > 1 && m.quality[1].ts <= ts {
		m.quality = m.quality[1:]
	}
	return m.quality[0].q
}

// rowsUntil yields the rows up to ts; it is false once yield was.
func (m *merger) rowsUntil(ts int64) bool {
	for !m.done && len(m.order) > 0 && m.order[0] <= ts {
		r := m.rows[m.order[0]]
		m.order = m.order[1:]
		if r.kind == rowStale || r.typ == 0 {
			continue
		}
		v, err := r.value()
		if err != nil {
			m.err, m.done = err, true
			break
		}
		m.done = !m.yield(history.Sample{Timestamp: r.ts, Value: v, Quality: r.quality})
	}
	return !m.done
}
