package embedded

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// overlaid says which rows PromQL must see beside the TSDB: numbers and markers
// that wait for a block, and numbers in the millisecond of a marker, which the
// TSDB cannot replace. The indexes are named so that a query that cannot use them
// fails: a series may have millions of other rows.
var overlaid = [...]string{
	"sample INDEXED BY sample_late WHERE kind = 2",
	"sample INDEXED BY sample_number WHERE kind = 0 AND type IN (1,2,3,4,5,6,7,8,9,10,11,13)",
}

func (r *row) overlaid() bool { return r.kind == rowLate || r.kind == rowOwn && r.isNumber() }

// isNumber says whether number takes the values of r's type.
func (r *row) isNumber() bool {
	return r.typ != sparkplug.TypeUnknown && r.typ <= sparkplug.TypeBoolean || r.typ == sparkplug.TypeDateTime
}

// overlay is what PromQL sees of a series beside the TSDB, by time. Where both
// have something the overlay holds.
//
// It must be read before the TSDB is opened: what leaves SQLite is in the TSDB
// by then.
type overlay struct {
	labels labels.Labels
	points []chunks.Sample
}

// manyOverlays is from how many series on all rows are read instead of those of
// one series after the other.
const manyOverlays = 64

// overlays are the overlays of the series that match, from mint to maxt (ms).
func (s *Store) overlays(ctx context.Context, mint, maxt int64, ms []*labels.Matcher) ([]overlay, error) {
	wanted := map[int64]*overlay{}
	s.mu.RLock()
	for e := range s.overlaid {
		if !slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return !m.Matches(e.labels.Get(m.Name)) }) {
			wanted[e.id] = &overlay{labels: e.labels}
		}
	}
	s.mu.RUnlock()
	ids := sortedKeys(wanted)
	if len(ids) > manyOverlays {
		if err := s.readOverlays(ctx, wanted, " AND ts BETWEEN ? AND ?", mint, maxt); err != nil {
			return nil, err
		}
	} else {
		for _, id := range ids {
			if err := s.readOverlays(ctx, wanted, " AND series = ? AND ts BETWEEN ? AND ?", id, mint, maxt); err != nil {
				return nil, err
			}
		}
	}
	var all []overlay
	for _, id := range ids {
		if o := wanted[id]; len(o.points) > 0 {
			slices.SortFunc(o.points, func(a, b chunks.Sample) int { return cmp.Compare(a.T(), b.T()) })
			all = append(all, *o)
		}
	}
	return all, nil
}

func (s *Store) readOverlays(ctx context.Context, wanted map[int64]*overlay, where string, args ...any) error {
	for _, from := range overlaid {
		rows, err := s.read.QueryContext(ctx, "SELECT series, ts, type, num FROM "+from+where, args...)
		if err != nil {
			return fmt.Errorf("embedded: read: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			var r row
			var id int64
			var typ int
			if err := rows.Scan(&id, &r.ts, &typ, &r.num); err != nil {
				return fmt.Errorf("embedded: read: %w", err)
			}
			r.typ = sparkplug.DataType(typ)
			o := wanted[id]
			if o == nil {
				continue
			}
			bits, err := r.bits()
			if err != nil {
				return err
			}
			o.points = append(o.points, point{r.ts, math.Float64frombits(bits)})
		}
		if err := rows.Err(); err != nil {
			return fmt.Errorf("embedded: read: %w", err)
		}
	}
	return nil
}

// noteOverlay notes that e has, or will have, rows that PromQL must see.
func (s *Store) noteOverlay(e *series) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.overlaid[e] = true
}

// loadOverlaid finds the series that have such rows.
func (s *Store) loadOverlaid(ctx context.Context) error {
	all := map[*series]bool{}
	for _, from := range overlaid {
		rows, err := s.write.QueryContext(ctx, "SELECT DISTINCT series FROM "+from)
		if err != nil {
			return fmt.Errorf("embedded: catalog: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			var id int64
			if err := rows.Scan(&id); err != nil {
				return fmt.Errorf("embedded: catalog: %w", err)
			}
			if e := s.byID(history.Series(id)); e != nil {
				all[e] = true
			}
		}
		if err := rows.Err(); err != nil {
			return fmt.Errorf("embedded: catalog: %w", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.overlaid = all
	return nil
}

// between is the part of o from mint to maxt.
func (o overlay) between(mint, maxt int64) []chunks.Sample {
	from, _ := slices.BinarySearchFunc(o.points, mint, func(p chunks.Sample, t int64) int { return cmp.Compare(p.T(), t) })
	to := from
	for to < len(o.points) && o.points[to].T() <= maxt {
		to++
	}
	return o.points[from:to]
}

// lay puts the points of overlays from mint to maxt into the series of a set, and
// adds the series that only they have.
func lay(over []overlay, mint, maxt int64, set storage.SeriesSet, sorted bool) storage.SeriesSet {
	points := map[string][]chunks.Sample{}
	for _, o := range over {
		if p := o.between(mint, maxt); len(p) > 0 {
			points[string(o.labels.Bytes(nil))] = p
		}
	}
	if len(points) == 0 {
		return set
	}
	var all []storage.Series
	for set.Next() {
		at := set.At()
		key := string(at.Labels().Bytes(nil))
		if p := points[key]; p != nil {
			at = overlaidSeries{at, p}
			delete(points, key)
		}
		all = append(all, at)
	}
	if err := set.Err(); err != nil {
		return storage.ErrSeriesSet(err)
	}
	for _, o := range over {
		if p := points[string(o.labels.Bytes(nil))]; p != nil {
			all = append(all, storage.NewListSeries(o.labels, p))
		}
	}
	if sorted {
		slices.SortFunc(all, func(a, b storage.Series) int { return labels.Compare(a.Labels(), b.Labels()) })
	}
	return &listSet{all: all, i: -1, warnings: set.Warnings()}
}

// overlaidSeries is a series of the TSDB with an overlay.
type overlaidSeries struct {
	storage.Series
	points []chunks.Sample
}

// Iterator implements storage.SampleIterable.
func (s overlaidSeries) Iterator(chunkenc.Iterator) chunkenc.Iterator {
	return &overlaidIterator{Iterator: s.Series.Iterator(nil), points: s.points}
}

// overlaidIterator goes through the samples of the TSDB, all of which are floats,
// and through points at once; a point holds where both have one.
type overlaidIterator struct {
	chunkenc.Iterator
	points  []chunks.Sample // still to come
	waiting bool            // the TSDB's iterator stands at a sample that is still to come
	ended   bool            // the TSDB's iterator
	now     point
	started bool
}

// Next implements chunkenc.Iterator.
func (it *overlaidIterator) Next() chunkenc.ValueType {
	if !it.waiting && !it.ended {
		it.waiting = it.Iterator.Next() == chunkenc.ValFloat
		it.ended = !it.waiting
	}
	it.started = true
	switch {
	case len(it.points) > 0 && (!it.waiting || it.points[0].T() <= it.Iterator.AtT()):
		it.now = point{it.points[0].T(), it.points[0].F()}
		it.points = it.points[1:]
		it.waiting = it.waiting && it.Iterator.AtT() != it.now.t
	case it.waiting:
		it.now.t, it.now.v = it.Iterator.At()
		it.waiting = false
	default:
		it.started = false
		return chunkenc.ValNone
	}
	return chunkenc.ValFloat
}

// millis keeps vet from taking Seek for that of io.Seeker.
type millis = int64

// Seek implements chunkenc.Iterator.
func (it *overlaidIterator) Seek(t millis) chunkenc.ValueType {
	if it.started && it.now.t >= t {
		return chunkenc.ValFloat
	}
	for len(it.points) > 0 && it.points[0].T() < t {
		it.points = it.points[1:]
	}
	if !it.ended && (!it.waiting || it.Iterator.AtT() < t) {
		it.waiting = it.Iterator.Seek(t) == chunkenc.ValFloat
		it.ended = !it.waiting
	}
	return it.Next()
}

// At implements chunkenc.Iterator.
func (it *overlaidIterator) At() (int64, float64) { return it.now.t, it.now.v }

// AtT implements chunkenc.Iterator.
func (it *overlaidIterator) AtT() int64 { return it.now.t }

// AtST implements chunkenc.Iterator.
func (it *overlaidIterator) AtST() int64 { return 0 }
