package embedded

import (
	"context"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// carry is what PromQL reads: the TSDB, seen so that a value reported by
// exception stays visible until the next one or a stale marker.
//
// Where a query asks for a value at a time (an instant selector), each series
// starts with the newest sample at or before the start of the query, looked
// for in widening windows; the engine's lookback is as wide as the retention.
// So a dense series costs its window and half a minute, whatever the lookback. Range selectors (x[5m]) see the samples of their range and nothing
// else, as in Prometheus.
type carry struct {
	db       storage.Queryable
	overlays func(ctx context.Context, mint, maxt int64, ms []*labels.Matcher) ([]overlay, error)
	lookback int64 // ms, the same that the engine uses for the query
}

// Querier implements storage.Queryable.
func (c carry) Querier(mint, maxt int64) (storage.Querier, error) {
	return &carryQuerier{carry: c, mint: mint, maxt: maxt}, nil
}

// carryQuerier opens one querier of the TSDB per window and keeps them open
// until Close, since series point into them. One goroutine uses it at a time.
type carryQuerier struct {
	carry
	mint, maxt int64
	open       []storage.Querier
}

func (q *carryQuerier) in(mint, maxt int64) (storage.Querier, error) {
	o, err := q.db.Querier(mint, maxt)
	if err == nil {
		q.open = append(q.open, o)
	}
	return o, err
}

// LabelValues implements storage.LabelQuerier.
func (q *carryQuerier) LabelValues(ctx context.Context, name string, h *storage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	over, err := q.overlays(ctx, q.mint, q.maxt, ms)
	if err != nil {
		return nil, nil, err
	}
	o, err := q.in(q.mint, q.maxt)
	if err != nil {
		return nil, nil, err
	}
	all, w, err := o.LabelValues(ctx, name, h, ms...)
	for i := range over {
		if v := over[i].labels.Get(name); v != "" {
			all = append(all, v)
		}
	}
	slices.Sort(all)
	return slices.Compact(all), w, err
}

// LabelNames implements storage.LabelQuerier.
func (q *carryQuerier) LabelNames(ctx context.Context, h *storage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	over, err := q.overlays(ctx, q.mint, q.maxt, ms)
	if err != nil {
		return nil, nil, err
	}
	o, err := q.in(q.mint, q.maxt)
	if err != nil {
		return nil, nil, err
	}
	all, w, err := o.LabelNames(ctx, h, ms...)
	for i := range over {
		over[i].labels.Range(func(l labels.Label) { all = append(all, l.Name) })
	}
	slices.Sort(all)
	return slices.Compact(all), w, err
}

// Close implements storage.LabelQuerier.
func (q *carryQuerier) Close() error {
	var first error
	for _, o := range q.open {
		if err := o.Close(); err != nil && first == nil {
			first = err
		}
	}
	q.open = nil
	return first
}

// Select implements storage.Querier.
func (q *carryQuerier) Select(ctx context.Context, sorted bool, h *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	if h == nil || h.Range > 0 || h.Func == "series" {
		mint, maxt := q.mint, q.maxt
		if h != nil {
			mint, maxt = max(mint, h.Start), min(maxt, h.End)
		}
		over, err := q.overlays(ctx, mint, maxt, ms)
		if err != nil {
			return storage.ErrSeriesSet(err)
		}
		o, err := q.in(mint, maxt)
		if err != nil {
			return storage.ErrSeriesSet(err)
		}
		return lay(over, mint, maxt, o.Select(ctx, sorted, h, ms...), sorted)
	}
	all, err := q.carried(ctx, h, ms)
	if err != nil {
		return storage.ErrSeriesSet(err)
	}
	if sorted {
		slices.SortFunc(all, func(a, b storage.Series) int { return labels.Compare(a.Labels(), b.Labels()) })
	}
	return &listSet{all: all, i: -1}
}

// found is one selected series.
type found struct {
	labels labels.Labels
	main   storage.Series // its samples after the start, nil when there are none
	before *point         // the newest at or before the start, nil when not found (yet)
}

// carried selects the series for the window [start, h.End] of a selector whose
// hints begin a lookback earlier.
func (q *carryQuerier) carried(ctx context.Context, h *storage.SelectHints, ms []*labels.Matcher) ([]storage.Series, error) {
	oldest := h.Start
	// The engine excludes the left border. Asked for less than a lookback: take
	// it as it is.
	start := min(oldest+q.lookback-1, h.End)
	over, err := q.overlays(ctx, oldest, h.End, ms)
	if err != nil {
		return nil, err
	}
	f := finder{byHash: map[uint64][]*found{}}
	if start < h.End {
		err := q.each(ctx, h, start+1, h.End, "", over, ms, func(s storage.Series) error { f.add(s.Labels()).main = s; return nil })
		if err != nil {
			return nil, err
		}
	}
	err = q.each(ctx, h, oldest, h.End, "series", over, ms, func(s storage.Series) error { f.add(s.Labels()); return nil })
	if err != nil {
		return nil, err
	}
	to, missing := start, len(f.all)
	var it chunkenc.Iterator
	for _, w := range windows {
		if missing == 0 || to < oldest {
			break
		}
		from := max(oldest, start-min(w, q.lookback))
		err := q.each(ctx, h, from, to, "", over, ms, func(s storage.Series) error {
			e := f.add(s.Labels())
			if e.before != nil {
				return nil
			}
			it = s.Iterator(it)
			p, err := lastPoint(it)
			if p != nil {
				e.before = p
				missing--
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		to = from - 1
	}
	return f.series(), nil
}

// each selects the samples in [mint, maxt] and hands over each series.
func (q *carryQuerier) each(ctx context.Context, h *storage.SelectHints, mint, maxt int64, fn string, over []overlay, ms []*labels.Matcher, take func(storage.Series) error) error {
	o, err := q.in(mint, maxt)
	if err != nil {
		return err
	}
	hints := *h
	hints.Start, hints.End, hints.Limit = mint, maxt, 0
	if fn != "" {
		hints.Func = fn
	}
	set := lay(over, mint, maxt, o.Select(ctx, false, &hints, ms...), false)
	for set.Next() {
		if err := take(set.At()); err != nil {
			return err
		}
	}
	return set.Err()
}

func lastPoint(it chunkenc.Iterator) (*point, error) {
	var p *point
	for it.Next() == chunkenc.ValFloat {
		if p == nil {
			p = new(point)
		}
		p.t, p.v = it.At()
	}
	return p, it.Err()
}

// finder knows series by their labels.
type finder struct {
	all    []*found
	byHash map[uint64][]*found
}

func (f *finder) add(l labels.Labels) *found {
	h := l.Hash()
	for _, e := range f.byHash[h] {
		if labels.Equal(e.labels, l) {
			return e
		}
	}
	e := &found{labels: l}
	f.byHash[h] = append(f.byHash[h], e)
	f.all = append(f.all, e)
	return e
}

// series puts the value before the start in front, unless it is a marker.
func (f *finder) series() []storage.Series {
	all := make([]storage.Series, 0, len(f.all))
	for _, e := range f.all {
		if e.before == nil || value.IsStaleNaN(e.before.v) {
			if e.main != nil {
				all = append(all, e.main)
			}
			continue
		}
		before := storage.NewListSeries(e.labels, []chunks.Sample{*e.before})
		if e.main == nil {
			all = append(all, before)
		} else {
			all = append(all, storage.ChainedSeriesMerge(before, e.main))
		}
	}
	return all
}

// listSet is a storage.SeriesSet over a slice.
type listSet struct {
	all      []storage.Series
	i        int
	warnings annotations.Annotations
}

func (s *listSet) Next() bool                        { s.i++; return s.i < len(s.all) }
func (s *listSet) At() storage.Series                { return s.all[s.i] }
func (s *listSet) Err() error                        { return nil }
func (s *listSet) Warnings() annotations.Annotations { return s.warnings }

// point is a chunks.Sample.
type point struct {
	t int64
	v float64
}

func (p point) T() int64                      { return p.t }
func (p point) ST() int64                     { return 0 }
func (p point) F() float64                    { return p.v }
func (p point) H() *histogram.Histogram       { return nil }
func (p point) FH() *histogram.FloatHistogram { return nil }
func (p point) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (p point) Copy() chunks.Sample           { return p }
