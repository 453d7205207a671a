package embedded

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/magneto-iiot/magneto/hostapp/history"
)

// matchersOf select the series with labels l, and those that have more labels.
func matchersOf(l labels.Labels) []*labels.Matcher {
	ms := make([]*labels.Matcher, 0, l.Len())
	l.Range(func(l labels.Label) { ms = append(ms, labels.MustNewMatcher(labels.MatchEqual, l.Name, l.Value)) })
	return ms
}

// samples yields what the TSDB has of one series, markers too, in time order.
func (s *Store) samples(ctx context.Context, l labels.Labels, from, to int64, yield func(ts int64, bits uint64) bool) error {
	q, err := s.db.Querier(from, to)
	if err != nil {
		return fmt.Errorf("embedded: read: %w", err)
	}
	defer q.Close()
	return samplesOf(ctx, q, l, yield)
}

func samplesOf(ctx context.Context, q storage.Querier, l labels.Labels, yield func(ts int64, bits uint64) bool) error {
	set := q.Select(ctx, false, nil, matchersOf(l)...)
	for set.Next() {
		if !labels.Equal(set.At().Labels(), l) {
			continue
		}
		it := set.At().Iterator(nil)
		for it.Next() == chunkenc.ValFloat {
			ts, v := it.At()
			if !yield(ts, math.Float64bits(v)) {
				return nil
			}
		}
		if err := it.Err(); err != nil {
			return fmt.Errorf("embedded: read: %w", err)
		}
	}
	if err := set.Err(); err != nil {
		return fmt.Errorf("embedded: read: %w", err)
	}
	return nil
}

// windows are how far back, in ms, one looks for the last value before a time:
// dense series end at the first, sparse ones have few samples to read.
var windows = []int64{30e3, 5 * 60e3, 60 * 60e3, 6 * 60 * 60e3, 24 * 60 * 60e3, 7 * 24 * 60 * 60e3, 30 * 24 * 60 * 60e3, math.MaxInt64}

// lastSample returns the newest sample of the TSDB at or before t.
func (s *Store) lastSample(ctx context.Context, l labels.Labels, t int64) (ts int64, bits uint64, ok bool, err error) {
	to := min(t, s.db.Head().MaxTime()) // the newest, if there are only blocks
	for _, b := range s.db.Blocks() {
		to = max(to, min(t, b.MaxTime()))
	}
	if to < 0 {
		return 0, 0, false, nil
	}
	for _, w := range windows {
		from := max(0, to-w) // the whole window again: its first part held nothing
		err := s.samples(ctx, l, from, to, func(at int64, v uint64) bool { ts, bits, ok = at, v, true; return true })
		if ok || err != nil || from == 0 {
			return ts, bits, ok, err
		}
	}
	return ts, bits, ok, nil
}

// loadSeries reads what the writer must know of a series: its newest sample.
func (s *Store) loadSeries(ctx context.Context, e *series) error {
	ts, bits, ok, err := s.lastSample(ctx, e.labels, math.MaxInt64)
	if err != nil {
		return err
	}
	e.last, e.inTSDB, e.open, e.numOpen, e.qKnown = math.MinInt64, false, false, false, false
	e.numeric = ok
	if ok {
		e.numOpen = !value.IsStaleNaN(math.Float64frombits(bits))
		e.last, e.bits, e.inTSDB, e.open = ts, bits, true, e.numOpen
	}
	r, err := lastRow(ctx, s.read, e.id, math.MaxInt64) // a batch may have the writer's connection
	if err != nil {
		return err
	}
	if r != nil && r.ts >= e.last && r.kind != rowExact {
		null := r.kind == rowStale || r.typ == 0
		e.last, e.inTSDB, e.open = r.ts, false, !null
		e.numOpen = !null && r.isNumber()
	}
	if e.quality != nil {
		_, bits, ok, err := s.lastSample(ctx, e.quality.labels, math.MaxInt64)
		if err != nil {
			return err
		}
		if f := math.Float64frombits(bits); ok && !value.IsStaleNaN(f) {
			e.lastQ, e.qKnown = uint16(f), true
		}
	}
	e.loaded = true
	return nil
}

// lastRow returns the newest row at or before t, nil when there is none.
func lastRow(ctx context.Context, db queryer, id, t int64) (*row, error) {
	rows, err := db.QueryContext(ctx, "SELECT "+rowColumns+" FROM sample WHERE series = ? AND ts <= ? ORDER BY ts DESC LIMIT 1", id, t)
	if err != nil {
		return nil, fmt.Errorf("embedded: sample: %w", err)
	}
	defer rows.Close()
	if !rows.Next() {
		return nil, rows.Err()
	}
	return scanRow(rows)
}

// qualityBefore is the quality that a sample at ts has by the quality series.
func (s *Store) qualityBefore(ctx context.Context, e *series, ts int64) (uint16, error) {
	s.mu.RLock()
	g := e.quality
	s.mu.RUnlock()
	if g == nil {
		return history.QualityGood, nil
	}
	_, bits, ok, err := s.lastSample(ctx, g.labels, ts)
	f := math.Float64frombits(bits)
	if err != nil || !ok || value.IsStaleNaN(f) {
		return history.QualityGood, err
	}
	return uint16(f), nil
}

// seen is what a reader needs of a series.
type seen struct {
	e       *series
	spans   []span
	quality *gauge
}

func (s *Store) lookup(key history.Key) (seen, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e := s.index[key]
	if e == nil {
		return seen{}, false
	}
	return seen{e, e.spans, e.quality}, true
}

// LastBefore returns the newest sample or marker at or before t.
func (s *Store) LastBefore(ctx context.Context, key history.Key, t int64) (history.Sample, bool, error) {
	v, ok := s.lookup(key)
	if !ok {
		return history.Sample{}, false, nil
	}
	s.settling.RLock()
	defer s.settling.RUnlock()
	ts, bits, ok, err := s.lastSample(ctx, v.e.labels, t)
	if err != nil {
		return history.Sample{}, false, err
	}
	r, err := lastRow(ctx, s.read, v.e.id, t)
	v, _ = s.lookup(key) // again: its spans may be newer now
	switch {
	case err != nil:
		return history.Sample{}, false, err
	case r != nil && (!ok || r.ts >= ts):
		if r.kind == rowStale || r.typ == 0 {
			return staleSample(r.ts), true, nil
		}
		val, err := r.value()
		return history.Sample{Timestamp: r.ts, Value: val, Quality: r.quality}, err == nil, err
	case !ok:
		return history.Sample{}, false, nil
	case value.IsStaleNaN(math.Float64frombits(bits)):
		return staleSample(ts), true, nil
	}
	q, err := s.qualityBefore(ctx, v.e, ts)
	return history.Sample{Timestamp: ts, Value: fromNumber(bits, typeOf(v.spans, ts)), Quality: q}, err == nil, err
}

func staleSample(ts int64) history.Sample {
	return history.Sample{Timestamp: ts, Quality: history.QualityStale, Stale: true}
}

// Catalog yields the known series; see history.Reader. It is answered from
// memory.
func (s *Store) Catalog(ctx context.Context, f history.Filter, yield func(history.Entry) bool) error {
	var all []history.Entry
	s.mu.RLock()
	for _, e := range s.list {
		if e != nil && matches(f, e.key) {
			all = append(all, history.Entry{Key: e.key, Meta: e.meta, FirstSeen: e.firstSeen, ChangedAt: e.changedAt})
		}
	}
	s.mu.RUnlock()
	slices.SortFunc(all, func(a, b history.Entry) int {
		return cmp.Or(cmp.Compare(a.Key.Group, b.Key.Group), cmp.Compare(a.Key.Node, b.Key.Node),
			cmp.Compare(a.Key.Device, b.Key.Device), cmp.Compare(a.Key.Metric, b.Key.Metric))
	})
	for i, e := range all {
		if f.Limit > 0 && i >= f.Limit || !yield(e) {
			break
		}
	}
	return ctx.Err()
}

func matches(f history.Filter, k history.Key) bool {
	return (f.Group == "" || f.Group == k.Group) && (f.Node == "" || f.Node == k.Node) &&
		(f.Device == "" || f.Device == k.Device) && (f.Metric == "" || f.Metric == k.Metric) && (!f.NodeOnly || k.Device == "")
}

// Events yields the events by time; see history.Reader.
func (s *Store) Events(ctx context.Context, f history.Filter, yield func(history.Event) bool) error {
	to, limit := f.To, f.Limit
	if to == 0 {
		to = math.MaxInt64
	}
	if limit <= 0 {
		limit = -1
	}
	rows, err := s.read.QueryContext(ctx, `SELECT at, grp, node, device, kind, bdseq, detail FROM event
		WHERE at BETWEEN ? AND ? AND (? = '' OR grp = ?) AND (? = '' OR node = ?) AND (? = '' OR device = ?) AND (NOT ? OR device = '')
		ORDER BY at, grp, node, device, kind LIMIT ?`,
		f.From, to, f.Group, f.Group, f.Node, f.Node, f.Device, f.Device, f.NodeOnly, limit)
	if err != nil {
		return fmt.Errorf("embedded: events: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var ev history.Event
		var bdseq int64
		if err := rows.Scan(&ev.At, &ev.Group, &ev.Node, &ev.Device, &ev.Kind, &bdseq, &ev.Detail); err != nil {
			return fmt.Errorf("embedded: events: %w", err)
		}
		ev.BdSeq = uint64(bdseq)
		if !yield(ev) {
			return nil
		}
	}
	if err := rows.Err(); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("embedded: events: %w", err)
	}
	return nil
}
