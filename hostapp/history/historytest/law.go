package historytest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// model is a store for one series, as simple as the contract: what stands at
// each time is a value or a marker.
type model struct {
	at  map[int64]history.Sample
	res history.WriteResult
}

func (m *model) last() int64 {
	if len(m.at) == 0 {
		return -1
	}
	return slices.Max(slices.Collect(maps.Keys(m.at)))
}

func (m *model) before(t int64) (s history.Sample, ok bool) {
	for ts, x := range m.at {
		if ts <= t && (!ok || ts > s.Timestamp) {
			s, ok = x, true
		}
	}
	return s, ok
}

func (m *model) mark(ts int64) {
	last := m.last()
	if last < 0 || m.at[last].Stale {
		m.res.Duplicates++
		return
	}
	ts = max(ts, last+1)
	m.at[ts] = history.Sample{Timestamp: ts, Stale: true}
	m.res.Markers++
}

func (m *model) write(p history.Point) {
	old, taken := m.at[p.Timestamp]
	null := p.Value.IsNull()
	switch {
	case p.Stale, null && p.Timestamp >= m.last():
		m.mark(p.Timestamp)
	case taken && !old.Stale && !null && Same(old.Value, p.Value), taken && old.Stale && null:
		m.res.Duplicates++
	case taken && !old.Stale:
		m.res.Conflicts++
	case null:
		m.at[p.Timestamp] = history.Sample{Timestamp: p.Timestamp, Stale: true}
		m.res.Markers++
	default:
		m.at[p.Timestamp] = history.Sample{Timestamp: p.Timestamp, Value: p.Value, Quality: p.Quality}
		m.res.Written++
	}
}

func (m *model) values() (all []history.Point) {
	for _, ts := range slices.Sorted(maps.Keys(m.at)) {
		if s := m.at[ts]; !s.Stale {
			all = append(all, history.Point{Timestamp: ts, Value: s.Value, Quality: s.Quality})
		}
	}
	return all
}

// randomPoint is dense in time, so that everything meets everything.
func randomPoint(r *rand.Rand, h history.Series) history.Point {
	p := history.Point{Series: h, Timestamp: at(0) + r.Int64N(40), Quality: history.QualityGood, Historical: r.IntN(2) == 0}
	switch r.IntN(12) {
	case 0, 1:
		p.Stale = true
	case 2:
		p.Value = sparkplug.Null(sparkplug.TypeDouble)
	case 3:
		p.Value = sparkplug.String(fmt.Sprint(r.IntN(2)))
	case 4:
		p.Value = sparkplug.Int(sparkplug.TypeInt64, 1<<60+r.Int64N(2))
	case 5, 6:
		p.Value = sparkplug.Int(sparkplug.TypeInt32, r.Int64N(2))
	default:
		p.Value = sparkplug.Double(float64(r.IntN(2)))
	}
	return p
}

// testLaw writes random batches into a few series and compares all that is
// read, and counted, to the model.
func testLaw(t *testing.T, f *fixture) {
	const rounds, series = 60, 3
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 1))
		models := make([]model, series)
		k := func(i int) history.Key { return key(fmt.Sprintf("law/%d/%d", seed, i)) }
		for i := range models {
			models[i].at = map[int64]history.Sample{}
		}
		for round := range rounds {
			var batch []history.Point
			var want history.WriteResult
			for range 1 + r.IntN(6) {
				i := r.IntN(series)
				p := randomPoint(r, f.series(k(i), sparkplug.TypeDouble))
				batch = append(batch, p)
				models[i].res = history.WriteResult{}
				models[i].write(p)
				want.Add(models[i].res)
			}
			f.write(want, batch...)
			for i := range models {
				f.expect(k(i), models[i].values()...)
				ts := at(0) + r.Int64N(50)
				if s, ok := models[i].before(ts); ok && !s.Stale {
					f.valueAt(k(i), ts, &s.Value)
				} else {
					f.valueAt(k(i), ts, nil)
				}
			}
			if t.Failed() {
				for _, p := range batch {
					t.Logf("wrote series %d at %d: %v num=%v stale=%v", p.Series, p.Timestamp-at(0), p.Value.Type(), p.Value.Float64(), p.Stale)
				}
				t.Fatalf("seed %d, round %d", seed, round)
			}
			if r.IntN(15) == 0 {
				f.reopen()
			}
		}
	}
}
