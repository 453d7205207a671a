package monitor_test

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/magneto-iiot/magneto/services/event"
	"github.com/magneto-iiot/magneto/services/monitor"
)

func TestMeter(t *testing.T) {
	nan := math.NaN()
	runtime := monitor.MeterRule{ID: "runtime-h", Kind: monitor.Runtime, Metric: "on"}
	cycles := monitor.MeterRule{ID: "cycles", Kind: monitor.Cycles, Metric: "on"}
	counter := monitor.MeterRule{ID: "parts", Kind: monitor.Counter, Metric: "n"}
	for name, tt := range map[string]struct {
		rule   monitor.MeterRule
		change func(*monitor.MeterRule)
		in     []float64 // one a second
		want   float64   // seconds of runtime, or counts
	}{
		"runtime":               {runtime, nil, []float64{0, 1, 1, 0, 0, 1}, 2},
		"runtime, threshold":    {runtime, func(r *monitor.MeterRule) { r.Threshold = new(5.0) }, []float64{5, 6, 7, 5, 9, 9}, 3},
		"runtime, bad":          {runtime, nil, []float64{1, nan, 1, 1}, 2},
		"runtime, gaps":         {runtime, func(r *monitor.MeterRule) { r.Gap = monitor.Duration(time.Millisecond) }, []float64{1, 1, 1}, 0},
		"cycles":                {cycles, nil, []float64{1, 0, 1, 1, 0, 1}, 2},
		"cycles, first is none": {cycles, nil, []float64{1, 1}, 0},
		"cycles over bad":       {cycles, nil, []float64{0, nan, 1, nan, 1}, 1},
		"counter":               {counter, nil, []float64{100, 101, nan, 110, 110}, 10},
		"counter resets":        {counter, nil, []float64{100, 3, 4}, 4},
		"16 bits":               {counter, func(r *monitor.MeterRule) { r.Bits = 16 }, []float64{65530, 4, 6}, 12},
		"16 bits, reset":        {counter, func(r *monitor.MeterRule) { r.Bits = 16 }, []float64{30000, 4, 6}, 6},
		"16 bits, max step":     {counter, func(r *monitor.MeterRule) { r.Bits, r.MaxStep = 16, 9 }, []float64{65530, 4}, 4},
		"32 bits":               {counter, func(r *monitor.MeterRule) { r.Bits = 32 }, []float64{4294967295, 0, 1}, 2},
		"impossible":            {counter, func(r *monitor.MeterRule) { r.Bits = 16 }, []float64{5, 65536, -1, 6.5, 7}, 2},
		"too large":             {counter, nil, []float64{5, 1e300, 6}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := tt.rule
			if tt.change != nil {
				tt.change(&r)
			}
			m, err := monitor.NewMeter("pump-1", &r)
			require.NoError(t, err)
			for i, v := range tt.in {
				m, _ = m.Observe(&r, monitor.Num(at(float64(i)), v))
			}
			want := tt.want
			if r.Kind == monitor.Runtime {
				want /= 3600
			}
			require.InDelta(t, want, m.Reading(r.Kind), 1e-12)
		})
	}
}

func TestMeterTells(t *testing.T) {
	r := monitor.MeterRule{ID: "runtime-h", Kind: monitor.Runtime, Metric: "on", Units: 0.5, Gap: monitor.Duration(time.Hour)}
	m, err := monitor.NewMeter("pump-1", &r)
	require.NoError(t, err)
	m, e := m.Hold(&r, at(0))
	require.Nil(t, e, "nothing is known to hold")
	m, e = m.Observe(&r, monitor.Flag(at(1), true))
	require.Nil(t, e)
	m, e = m.Hold(&r, at(1201))
	require.Nil(t, e)
	m, e = m.Hold(&r, at(2401))
	require.Equal(t, &event.Meter{Asset: "pump-1", Meter: "runtime-h", Value: 2.0 / 3, ReadAt: at(2401)}, e)
	_, e = m.Hold(&r, at(3601))
	require.Nil(t, e)
	m, e = m.Observe(&r, monitor.Flag(at(4201), false))
	require.Equal(t, &event.Meter{Asset: "pump-1", Meter: "runtime-h", Value: 7.0 / 6, Previous: 2.0 / 3, ReadAt: at(4201)}, e)
	m, e = m.Observe(&r, monitor.Sample{At: at(4202), Type: monitor.Text, Quality: monitor.Good})
	require.Nil(t, e)
	require.Equal(t, uint64(1), m.Faults)

	r = monitor.MeterRule{ID: "cycles", Kind: monitor.Cycles, Metric: "on"}
	m, err = monitor.NewMeter("pump-1", &r)
	require.NoError(t, err)
	var told []float64
	for i := range 3 * 3600 {
		if m, e = m.Observe(&r, monitor.Flag(at(float64(i)), i%2 == 1)); e != nil {
			told = append(told, e.Value)
		}
	}
	require.Equal(t, []float64{1800, 3600}, told, "once an hour")
}

func TestMeterCheck(t *testing.T) {
	good := monitor.MeterRule{ID: "n", Kind: monitor.Counter, Metric: "n", Bits: 16}
	require.NoError(t, good.Check())
	for want, change := range map[string]func(*monitor.MeterRule){
		"id: \"\" is not":          func(r *monitor.MeterRule) { r.ID = "" },
		"kind: \"x\" is none":      func(r *monitor.MeterRule) { r.Kind = "x" },
		"metric: is missing":       func(r *monitor.MeterRule) { r.Metric = "" },
		"threshold: kind counter":  func(r *monitor.MeterRule) { r.Threshold = new(1.0) },
		"threshold: NaN":           func(r *monitor.MeterRule) { r.Threshold = new(math.NaN()) },
		"gap: kind counter":        func(r *monitor.MeterRule) { r.Gap = second },
		"gap: -1s is not":          func(r *monitor.MeterRule) { r.Gap = -second },
		"every: -1s is not":        func(r *monitor.MeterRule) { r.Every = -second },
		"bits: 8 is not":           func(r *monitor.MeterRule) { r.Bits = 8 },
		"bits: kind cycles has no": func(r *monitor.MeterRule) { r.Kind = monitor.Cycles },
		"max_step: 65536 is not":   func(r *monitor.MeterRule) { r.MaxStep = 65536 },
		"units: -1 is negative":    func(r *monitor.MeterRule) { r.Units = -1 },
	} {
		r := good
		change(&r)
		require.ErrorContains(t, r.Check(), "monitor: "+want)
		_, err := monitor.NewMeter("a", &r)
		require.ErrorContains(t, err, "monitor: meter of a: ")
	}
}

// A meter that is kept as JSON between any two samples reads and tells the same, to
// the bit; it never goes back; and what it told adds up.
func TestMeterSplitLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := monitor.MeterRule{ID: "m", Metric: "m", Kind: rapid.SampledFrom([]monitor.MeterKind{monitor.Runtime, monitor.Cycles, monitor.Counter}).Draw(t, "kind")}
		switch r.Kind {
		case monitor.Runtime:
			r.Gap = 5 * second
		case monitor.Counter:
			r.Bits = rapid.SampledFrom([]int{0, 16, 32}).Draw(t, "bits")
		}
		r.Units = rapid.SampledFrom([]float64{0, 0.001, 2}).Draw(t, "units")
		r.Every = rapid.SampledFrom([]monitor.Duration{0, 7 * second}).Draw(t, "every")
		whole, err := monitor.NewMeter("a", &r)
		require.NoError(t, err)
		split, now, told := whole, t0, 0.0
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(-1e9, 9e9).Draw(t, "passes")))
			b, err := json.Marshal(split)
			require.NoError(t, err)
			split = monitor.Meter{}
			require.NoError(t, json.Unmarshal(b, &split))
			before := whole.Reading(r.Kind)
			s := monitor.Num(now, rapid.Float64Range(0, 3).Draw(t, "value"))
			if r.Kind == monitor.Counter && r.Bits > 0 {
				s.Number = float64(rapid.Uint16().Draw(t, "count"))
			}
			s.Quality = rapid.SampledFrom([]int{monitor.Good, monitor.Good, 0}).Draw(t, "quality")
			var e, f *event.Meter
			if whole, e = whole.Observe(&r, s); e != nil {
				require.Equal(t, told, e.Previous)
				require.Greater(t, e.Value, e.Previous)
				told = e.Value
			}
			split, f = split.Observe(&r, s)
			require.Equal(t, e, f)
			require.Equal(t, whole, split)
			require.GreaterOrEqual(t, whole.Reading(r.Kind), before)
			require.Equal(t, told, whole.Told)
		}
	})
}

// Runtime is what a person would add up by hand.
func TestRuntimeLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := monitor.MeterRule{ID: "m", Metric: "m", Kind: monitor.Runtime, Gap: 4 * second}
		m, err := monitor.NewMeter("a", &r)
		require.NoError(t, err)
		now, want, running := t0, time.Duration(0), false
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			d := time.Duration(rapid.IntRange(0, 6000).Draw(t, "ms")) * time.Millisecond
			if running && d <= 4*time.Second {
				want += d
			}
			now = now.Add(d)
			s := monitor.Flag(now, rapid.Bool().Draw(t, "on"))
			s.Quality = rapid.SampledFrom([]int{monitor.Good, monitor.Good, 500}).Draw(t, "quality")
			running = s.Number == 1 && s.Quality == monitor.Good
			m, _ = m.Observe(&r, s)
		}
		require.Equal(t, want, m.Ran)
	})
}

// What does not count as usual is counted for itself.
func TestMeterCounts(t *testing.T) {
	feed := func(r monitor.MeterRule, step float64, values ...float64) monitor.Meter {
		m, err := monitor.NewMeter("a", &r)
		require.NoError(t, err)
		for i, v := range values {
			m, _ = m.Observe(&r, monitor.Num(at(float64(i)*step), v))
		}
		return m
	}
	r := monitor.MeterRule{ID: "m", Metric: "m", Kind: monitor.Runtime, Gap: 4 * second}
	m := feed(r, 4, 1, 1, 1)
	require.Equal(t, 8*time.Second, m.Ran, "a gap as long as is allowed counts")
	require.Zero(t, m.Gaps)
	m = feed(r, 4.5, 1, 1, math.NaN(), 0)
	require.Zero(t, m.Ran)
	require.Equal(t, []uint64{2, 1}, []uint64{m.Gaps, m.Bad})
	r = monitor.MeterRule{ID: "m", Metric: "m", Kind: monitor.Counter, Bits: 16}
	m = feed(r, 1, 65535, 0, 40000, 7, 8, 70000)
	require.Equal(t, []uint64{1, 1, 1}, []uint64{m.Rolled, m.Resets, m.Faults})
}
