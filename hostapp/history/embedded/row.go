package embedded

import (
	"bytes"
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/value"

	"github.com/magneto-iiot/magneto/sparkplug"
)

// Kinds of rows in the table sample.
const (
	rowOwn   = 0 // a value that the TSDB does not have: text, or one that fell on a marker (PromQL: see overlay)
	rowExact = 1 // a value that the TSDB has too, but rounded, or of another type or quality
	rowLate  = 2 // a number, or what ends one, too old for the TSDB's head, waiting for a block
	rowStale = 3 // a marker after a value that the TSDB does not have
)

// row is one row of the table sample.
type row struct {
	ts      int64
	kind    int
	typ     sparkplug.DataType
	num     int64
	txt     []byte
	quality uint16
}

// same says whether two rows hold the same value.
func (r *row) same(o *row) bool {
	return r.typ == o.typ && r.num == o.num && bytes.Equal(r.txt, o.txt)
}

var (
	staleBits = value.StaleNaN
	nanBits   = value.NormalNaN // what every NaN that was measured is stored as
)

// maxExact is the first integer that a float64 may hold for another.
const maxExact = 1 << 53

// number returns the bits of the float64 that the TSDB keeps for v, and
// whether it says less than v; ok is false for what is no number.
func number(v sparkplug.Value) (bits uint64, rounded, ok bool) {
	f := 0.0
	switch t := v.Type(); {
	case t == sparkplug.TypeDouble || t == sparkplug.TypeFloat:
		f = v.Float64()
		if math.IsNaN(f) {
			return nanBits, false, true
		}
	case t == sparkplug.TypeUInt64:
		f, rounded = float64(v.Uint()), v.Uint() >= maxExact
	case t == sparkplug.TypeInt64 || t == sparkplug.TypeDateTime:
		f, rounded = float64(v.Int()), v.Int() >= maxExact || v.Int() <= -maxExact
	case t == sparkplug.TypeBoolean:
		if v.Bool() {
			f = 1
		}
	case t.Integer() && t.Signed():
		f = float64(v.Int())
	case t.Integer():
		f = float64(v.Uint())
	default:
		return 0, false, false
	}
	return math.Float64bits(f), rounded, true
}

// fromNumber is the inverse of number, for a value of type t.
func fromNumber(bits uint64, t sparkplug.DataType) sparkplug.Value {
	f := math.Float64frombits(bits)
	switch {
	case t == sparkplug.TypeFloat:
		return sparkplug.Float(float32(f))
	case t == sparkplug.TypeBoolean:
		return sparkplug.Boolean(f != 0)
	case t == sparkplug.TypeDateTime:
		return sparkplug.DateTime(int64(f))
	case t.Integer() && t.Signed():
		return sparkplug.Int(t, int64(f))
	case t.Integer():
		return sparkplug.Uint(t, uint64(f))
	}
	return sparkplug.Double(f)
}

// newRow puts a value into a row. It fails for a value that cannot be stored.
func newRow(ts int64, kind int, v sparkplug.Value, quality uint16) (row, error) {
	r := row{ts: ts, kind: kind, typ: v.Type(), quality: quality}
	switch t := v.Type(); {
	case v.IsNull():
		r.typ = sparkplug.TypeUnknown
	case t == sparkplug.TypeFloat:
		r.num = int64(math.Float32bits(v.Float32()))
	case t == sparkplug.TypeDouble:
		r.num = int64(math.Float64bits(v.Float64()))
	case t == sparkplug.TypeUInt64:
		r.num = int64(v.Uint())
	case t.Integer() || t == sparkplug.TypeDateTime || t == sparkplug.TypeBoolean:
		r.num = v.Int()
	case t.Textual():
		r.txt = []byte(v.Str())
	case t.Binary() || t.Array():
		r.txt = bytes.Clone(v.Raw())
	case t == sparkplug.TypeDataSet || t == sparkplug.TypeTemplate:
		p := sparkplug.Payload{Metrics: []sparkplug.Metric{{Value: v}}}
		b, err := p.Append(nil)
		if err != nil {
			return row{}, fmt.Errorf("embedded: value of type %v: %w", t, err)
		}
		r.txt = b
	default:
		return row{}, fmt.Errorf("embedded: value of type %v cannot be stored", t)
	}
	return r, nil
}

// value is the inverse of newRow. It takes over r.txt.
func (r *row) value() (sparkplug.Value, error) {
	switch t := r.typ; {
	case t == sparkplug.TypeUnknown:
		return sparkplug.Value{}, nil
	case t == sparkplug.TypeFloat:
		return sparkplug.Float(math.Float32frombits(uint32(r.num))), nil
	case t == sparkplug.TypeDouble:
		return sparkplug.Double(math.Float64frombits(uint64(r.num))), nil
	case t == sparkplug.TypeBoolean:
		return sparkplug.Boolean(r.num != 0), nil
	case t == sparkplug.TypeDateTime:
		return sparkplug.DateTime(r.num), nil
	case t.Integer() && t.Signed():
		return sparkplug.Int(t, r.num), nil
	case t.Integer():
		return sparkplug.Uint(t, uint64(r.num)), nil
	case t.Textual():
		return sparkplug.Text(t, string(r.txt)), nil
	case t.Binary() || t.Array():
		if r.txt == nil {
			r.txt = []byte{}
		}
		return sparkplug.Bytes(t, r.txt), nil
	case t == sparkplug.TypeDataSet || t == sparkplug.TypeTemplate:
		var p sparkplug.Payload
		if err := p.Decode(r.txt); err != nil {
			return sparkplug.Value{}, fmt.Errorf("embedded: stored %v: %w", t, err)
		}
		if len(p.Metrics) == 1 {
			return p.Metrics[0].Value, nil
		}
	}
	return sparkplug.Value{}, fmt.Errorf("embedded: stored row of type %v at %d is damaged", r.typ, r.ts)
}
