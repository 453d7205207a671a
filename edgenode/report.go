package edgenode

import (
	"math"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// stale is the third quality of Sparkplug, beside driver.Bad and driver.Good:
// the last value known is shown, but it is not being read.
const stale driver.Quality = 500

// filter is what is worth a report (report by exception).
type filter struct {
	deadband float64 // absolute; 0: every change
	min, max int64   // ms between reports; 0: none
}

// reported is what was last reported of a metric.
type reported struct {
	value   sparkplug.Value
	time    int64
	quality driver.Quality
	seen    bool
}

// passes says whether a value is worth a report after the last one. A change of
// quality always is; a number is when it differs by more than the deadband; one
// that is no number or infinite when its bits differ.
func (f *filter) passes(last *reported, v sparkplug.Value, q driver.Quality, at int64) bool {
	switch {
	case !last.seen || q != last.quality:
		return true
	case f.max > 0 && at-last.time >= f.max:
		return true
	case v == last.value:
		return false
	case f.min > 0 && at-last.time < f.min:
		return false
	}
	if t := v.Type(); !t.Numeric() {
		return !v.Equal(last.value)
	}
	if f.deadband == 0 || v.IsNull() || last.value.IsNull() {
		return true
	}
	d := math.Abs(v.Float64() - last.value.Float64())
	return d > f.deadband || math.IsNaN(d)
}

// weight is about how much a value takes beyond a number, in bytes.
func weight(v sparkplug.Value) int {
	n := len(v.Str()) + len(v.Raw())
	if d := v.DataSet(); d != nil {
		for _, c := range d.Columns {
			n += 40 + len(c)
		}
		for _, cell := range d.Rows {
			n += 24 + weight(cell)
		}
	}
	return n
}
