package edgenode

import (
	"fmt"
	"math"

	"github.com/magneto-iiot/magneto/sparkplug"
)

// scaling is how the raw value of a tag becomes the value of its metric, and
// back.
type scaling struct {
	on       bool // there is a scale or an offset
	scale    float64
	offset   float64
	divisor  float64 // when not 0, scale is exactly 1/divisor: dividing keeps 3 x 0.1 = 0.3
	raw, pub sparkplug.DataType
}

func newScaling(raw, pub sparkplug.DataType, scale, offset *float64) scaling {
	s := scaling{raw: raw, pub: pub, scale: 1}
	if scale != nil {
		s.on, s.scale = true, *scale
	}
	if offset != nil {
		s.on, s.offset = true, *offset
	}
	if n := math.Round(1 / s.scale); n != 0 && !math.IsInf(n, 0) && 1/n == s.scale {
		s.divisor = n
	}
	return s
}

// publish gives the value of the metric for a raw value; ok is false when the
// published type cannot hold it. A null stays null.
func (s *scaling) publish(raw sparkplug.Value) (v sparkplug.Value, ok bool) {
	switch {
	case raw.IsNull():
		return sparkplug.Null(s.pub), true
	case !s.on && s.raw == s.pub:
		return raw, true
	case !s.on:
		v, err := convert(raw, s.pub)
		return v, err == nil
	}
	f := raw.Float64()
	if s.divisor != 0 {
		f = f/s.divisor + s.offset
	} else {
		f = f*s.scale + s.offset
	}
	v, err := number(s.pub, f)
	return v, err == nil
}

// unscale gives the raw value that publishes as v, rounded to the nearest that
// the raw type has.
func (s *scaling) unscale(v sparkplug.Value) (sparkplug.Value, error) {
	if !s.on {
		return convert(v, s.raw)
	}
	f := v.Float64() - s.offset
	if s.divisor != 0 {
		f *= s.divisor
	} else {
		f /= s.scale
	}
	return number(s.raw, f)
}

// convert returns v as another type, when that can hold it.
func convert(v sparkplug.Value, t sparkplug.DataType) (sparkplug.Value, error) {
	from := v.Type()
	if from == t {
		return v, nil
	}
	if from.Numeric() && t.Numeric() && (from == sparkplug.TypeFloat || from == sparkplug.TypeDouble || !t.Integer()) {
		return number(t, v.Float64())
	}
	return v.As(t)
}

// intRange gives the bounds of an integer type as float64s: low and the first
// number above.
func intRange(t sparkplug.DataType) (low, above float64) {
	switch t {
	case sparkplug.TypeInt8:
		return -1 << 7, 1 << 7
	case sparkplug.TypeInt16:
		return -1 << 15, 1 << 15
	case sparkplug.TypeInt32:
		return -1 << 31, 1 << 31
	case sparkplug.TypeInt64:
		return -1 << 63, 1 << 63
	case sparkplug.TypeUInt8:
		return 0, 1 << 8
	case sparkplug.TypeUInt16:
		return 0, 1 << 16
	case sparkplug.TypeUInt32:
		return 0, 1 << 32
	}
	return 0, 1 << 64
}

// number returns f as a numeric type; integers are rounded to nearest.
func number(t sparkplug.DataType, f float64) (sparkplug.Value, error) {
	switch {
	case t == sparkplug.TypeDouble:
		return sparkplug.Double(f), nil
	case t == sparkplug.TypeFloat:
		if v := float32(f); !math.IsInf(float64(v), 0) || math.IsInf(f, 0) {
			return sparkplug.Float(v), nil
		}
	case t.Integer():
		r := math.Round(f)
		if low, above := intRange(t); r >= low && r < above {
			if t.Signed() {
				return sparkplug.Int(t, int64(r)), nil
			}
			return sparkplug.Uint(t, uint64(r)), nil
		}
	}
	return sparkplug.Value{}, fmt.Errorf("%v does not fit %s", f, t)
}
