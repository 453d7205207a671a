package monitor

import (
	"fmt"
	"math"
	"time"

	"github.com/magneto-iiot/magneto/services/event"
)

// MeterKind is what a meter counts.
type MeterKind string

// The kinds.
const (
	Runtime MeterKind = "runtime" // hours in which the metric is above the threshold
	Cycles  MeterKind = "cycles"  // times the metric goes above the threshold
	Counter MeterKind = "counter" // what a counter in the device has counted
)

// MeterRule says what a meter counts, and how often that is told.
type MeterRule struct {
	ID        string    `json:"id"` // runtime-h, cycles ...
	Kind      MeterKind `json:"kind"`
	Metric    string    `json:"metric"`
	Threshold *float64  `json:"threshold,omitempty"` // of runtime and cycles; 0.5 if not given, which suits a bool
	Gap       Duration  `json:"gap,omitempty"`       // of runtime: a longer time between samples does not count; 0: 1 min
	Bits      int       `json:"bits,omitempty"`      // of counter: 16 or 32 roll over there; 0: it never does
	MaxStep   float64   `json:"max_step,omitempty"`  // of counter: a roll over by more is a reset; 0: a quarter of the range
	Units     float64   `json:"units,omitempty"`     // tell after so many hours or counts, or
	Every     Duration  `json:"every,omitempty"`     // after so long, if it has advanced; 0 both: 1 h
}

// maxCount is where float64 stops to count by one.
const maxCount = 1 << 53

// Meter is a meter's reading and what it needs to go on, to be kept as JSON. Its
// zero value, with the ids, is a new one.
type Meter struct {
	Asset  string        `json:"asset"`
	ID     string        `json:"id"`
	Ran    time.Duration `json:"ran,omitempty"`   // of runtime, in ns
	Count  float64       `json:"count,omitempty"` // of the others
	At     time.Time     `json:"at,omitzero"`     // the latest time seen
	Known  bool          `json:"known"`           // there was a good sample
	Fresh  bool          `json:"fresh"`           // and the last one was
	Last   float64       `json:"last,omitempty"`  // the last good value
	Told   float64       `json:"told,omitempty"`  // reading told last
	TellAt time.Time     `json:"tell_at,omitzero"`
	Resets uint64        `json:"resets,omitempty"` // of counter: it began anew
	Rolled uint64        `json:"rolled,omitempty"` // of counter: it rolled over
	Gaps   uint64        `json:"gaps,omitempty"`   // of runtime: while running, not counted
	Bad    uint64        `json:"bad,omitempty"`    // samples without a good value
	Faults uint64        `json:"faults,omitempty"` // good samples that such a counter can not have
}

// Check finds everything that is wrong with r, as Rule.Check does.
func (r *MeterRule) Check() error {
	var f faults
	f.id("id", r.ID)
	oneOf(&f, "kind", r.Kind, Runtime, Cycles, Counter)
	f.text("metric", r.Metric, true)
	if r.Threshold != nil {
		f.finite("threshold", *r.Threshold)
		if r.Kind == Counter {
			f.add("threshold", "kind counter has none")
		}
	}
	if r.Gap != 0 && r.Kind != Runtime {
		f.add("gap", "kind %s has none", r.Kind)
	}
	f.within("gap", r.Gap, 0, MaxDelay)
	f.within("every", r.Every, 0, MaxAfter)
	if (r.Bits != 0 || r.MaxStep != 0) && r.Kind != Counter {
		f.add("bits", "kind %s has no bits and no max_step", r.Kind)
	}
	if r.Bits != 0 && r.Bits != 16 && r.Bits != 32 {
		f.add("bits", "%d is not 0, 16 or 32", r.Bits)
	}
	f.finite("max_step", r.MaxStep)
	if r.MaxStep < 0 || r.MaxStep > 0 && r.MaxStep >= r.span() {
		f.add("max_step", "%v is not from 0 to the range of the counter", r.MaxStep)
	}
	f.finite("units", r.Units)
	if r.Units < 0 {
		f.add("units", "%v is negative", r.Units)
	}
	return f.err()
}

// span is how many values a counter has before it rolls over; 0: it does not.
func (r *MeterRule) span() float64 {
	if r.Bits == 0 {
		return 0
	}
	return math.Ldexp(1, r.Bits)
}

func (r *MeterRule) running(v float64) bool {
	if r.Threshold == nil {
		return v > 0.5
	}
	return v > *r.Threshold
}

// Reading is what m shows: hours, or counts.
func (m Meter) Reading(k MeterKind) float64 {
	if k == Runtime {
		return float64(m.Ran) / float64(time.Hour)
	}
	return m.Count
}

// Hold takes the last value to be still good: for whoever knows that the asset is
// online and tells changes alone. It returns as Observe does.
func (m Meter) Hold(r *MeterRule, at time.Time) (Meter, *event.Meter) {
	if !m.Fresh {
		return m, nil
	}
	return m.Observe(r, Sample{At: at, Type: Number, Number: m.Last, Quality: Good})
}

// Observe takes a sample of r's metric, and returns the next state and the
// MeterAdvanced to be told; nil: none.
func (m Meter) Observe(r *MeterRule, s Sample) (Meter, *event.Meter) {
	at := later(m.At, s.At)
	passed := at.Sub(m.At)
	if m.At.IsZero() {
		passed, m.TellAt = 0, at.Add(r.every())
	}
	m.At = at
	if m.Fresh && r.Kind == Runtime && r.running(m.Last) {
		m.run(r, passed)
	}
	switch {
	case !s.good():
		m.Bad++
		m.Fresh = false
	case !s.numeric() || r.Kind == Counter && !r.possible(s.Number):
		m.Faults++
		m.Fresh = false
	default:
		m.take(r, s.Number)
	}
	return m.tell(r)
}

// run counts a time of running, unless it is a gap.
func (m *Meter) run(r *MeterRule, d time.Duration) {
	gap := time.Duration(r.Gap)
	if gap == 0 {
		gap = time.Minute
	}
	if d > gap {
		m.Gaps++
		return
	}
	m.Ran += d
}

// possible says whether a counter can have the value.
func (r *MeterRule) possible(v float64) bool {
	return v >= 0 && v <= maxCount && (r.Bits == 0 || v < r.span() && v == math.Trunc(v))
}

// take counts what a good value adds to the last one.
func (m *Meter) take(r *MeterRule, v float64) {
	switch {
	case !m.Known:
	case r.Kind == Cycles && r.running(v) && !r.running(m.Last):
		m.Count++
	case r.Kind == Counter:
		m.Count += m.step(r, v)
	}
	m.Known, m.Fresh, m.Last = true, true, v
}

// step is how far a counter went: forward, over its end, or from zero after a reset.
func (m *Meter) step(r *MeterRule, v float64) float64 {
	if v >= m.Last {
		return v - m.Last
	}
	span, most := r.span(), r.MaxStep
	if most == 0 {
		most = span / 4
	}
	if over := v - m.Last + span; span > 0 && over <= most {
		m.Rolled++
		return over
	}
	m.Resets++
	return v
}

func (r *MeterRule) every() time.Duration {
	if r.Every == 0 && r.Units == 0 {
		return time.Hour
	}
	return time.Duration(r.Every)
}

// tell returns m with what is to be told of it.
func (m Meter) tell(r *MeterRule) (Meter, *event.Meter) {
	v, every := m.Reading(r.Kind), r.every()
	byUnits := r.Units > 0 && v-m.Told >= r.Units
	byTime := every > 0 && !m.At.Before(m.TellAt)
	if v <= m.Told || !byUnits && !byTime {
		return m, nil
	}
	e := &event.Meter{Asset: m.Asset, Meter: m.ID, Value: v, Previous: m.Told, ReadAt: m.At}
	m.Told, m.TellAt = v, m.At.Add(every)
	return m, e
}

// NewMeter is that of an asset, at zero. Its error is that of r.Check.
func NewMeter(asset string, r *MeterRule) (Meter, error) {
	if err := r.Check(); err != nil {
		return Meter{}, fmt.Errorf("monitor: meter of %s: %w", asset, err)
	}
	return Meter{Asset: asset, ID: r.ID}, nil
}
