package historytest

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// Same says whether two values are the same: of one type, and equal, where
// every NaN equals every other.
func Same(a, b sparkplug.Value) bool {
	if a.Type() != b.Type() || a.IsNull() != b.IsNull() {
		return false
	}
	switch t := a.Type(); {
	case a.IsNull():
		return true
	case t == sparkplug.TypeFloat || t == sparkplug.TypeDouble:
		x, y := a.Float64(), b.Float64()
		return math.Float64bits(x) == math.Float64bits(y) || math.IsNaN(x) && math.IsNaN(y)
	case t == sparkplug.TypeDataSet:
		x, y := a.DataSet(), b.DataSet()
		return slices.Equal(x.Columns, y.Columns) && slices.Equal(x.Types, y.Types) && slices.EqualFunc(x.Rows, y.Rows, Same)
	case t == sparkplug.TypeTemplate:
		x, y := a.Template(), b.Template()
		return x.Version == y.Version && x.Ref == y.Ref && x.IsDefinition == y.IsDefinition &&
			slices.EqualFunc(x.Metrics, y.Metrics, func(m, n sparkplug.Metric) bool { return m.Name == n.Name && Same(m.Value, n.Value) }) &&
			slices.EqualFunc(x.Parameters, y.Parameters, func(p, q sparkplug.Parameter) bool { return p.Name == q.Name && Same(p.Value, q.Value) })
	case t.Textual():
		return a.Str() == b.Str()
	case t.Binary() || t.Array():
		return bytes.Equal(a.Raw(), b.Raw())
	case t == sparkplug.TypeBoolean:
		return a.Bool() == b.Bool()
	case t.Integer() && !t.Signed():
		return a.Uint() == b.Uint()
	}
	return a.Int() == b.Int()
}

// Values returns values of every datatype that a metric may have, the extreme
// ones among them.
func Values() []sparkplug.Value {
	all := []sparkplug.Value{
		sparkplug.Boolean(true), sparkplug.Boolean(false),
		sparkplug.Float(0.1), sparkplug.Float(math.MaxFloat32), sparkplug.Float(float32(math.NaN())), sparkplug.Float(float32(math.Inf(-1))),
		sparkplug.Double(0.1), sparkplug.Double(math.SmallestNonzeroFloat64), sparkplug.Double(math.Copysign(0, -1)),
		sparkplug.Double(math.NaN()), sparkplug.Double(math.Float64frombits(0x7ff0000000000002)), sparkplug.Double(math.Inf(1)),
		sparkplug.DateTime(0), sparkplug.DateTime(1_780_000_000_123), sparkplug.DateTime(math.MaxInt64),
		sparkplug.String(""), sparkplug.String("Größe\n\x00"), sparkplug.Text(sparkplug.TypeText, "text"),
		sparkplug.Text(sparkplug.TypeUUID, "123e4567-e89b-12d3-a456-426614174000"),
		sparkplug.Bytes(sparkplug.TypeBytes, []byte{0, 255}), sparkplug.Bytes(sparkplug.TypeBytes, []byte{}), sparkplug.Bytes(sparkplug.TypeFile, []byte("%PDF")),
		sparkplug.OfDataSet(&sparkplug.DataSet{
			Columns: []string{"a", "b"}, Types: []sparkplug.DataType{sparkplug.TypeInt64, sparkplug.TypeString},
			Rows: []sparkplug.Value{sparkplug.Int(sparkplug.TypeInt64, -1), sparkplug.String("x"), sparkplug.Int(sparkplug.TypeInt64, math.MinInt64), sparkplug.String("")},
		}),
		sparkplug.OfTemplate(&sparkplug.Template{Ref: "motor", Version: "1", Metrics: []sparkplug.Metric{
			{Name: "Speed", Value: sparkplug.Float(1.5)}, {Name: "Run", Value: sparkplug.Boolean(true)},
		}}),
	}
	for t, bits := range map[sparkplug.DataType]uint{sparkplug.TypeInt8: 8, sparkplug.TypeInt16: 16, sparkplug.TypeInt32: 32, sparkplug.TypeInt64: 64} {
		all = append(all, sparkplug.Int(t, math.MinInt64>>(64-bits)), sparkplug.Int(t, math.MaxInt64>>(64-bits)), sparkplug.Int(t, 0))
	}
	for t, bits := range map[sparkplug.DataType]uint{sparkplug.TypeUInt8: 8, sparkplug.TypeUInt16: 16, sparkplug.TypeUInt32: 32, sparkplug.TypeUInt64: 64} {
		all = append(all, sparkplug.Uint(t, math.MaxUint64>>(64-bits)), sparkplug.Uint(t, 1))
	}
	for _, i := range []int64{1<<53 - 1, 1 << 53, 1<<53 + 1, -(1<<53 + 1)} {
		all = append(all, sparkplug.Int(sparkplug.TypeInt64, i))
	}
	for t := sparkplug.TypeInt8Array; t <= sparkplug.TypeDateTimeArray; t++ {
		all = append(all, sparkplug.Bytes(t, []byte{1, 0, 0, 0, 0, 0, 0, 0}))
	}
	return all
}

// testTypes writes values of every type, each into a series of its type and
// all into one series.
func testTypes(t *testing.T, f *fixture) {
	mixed := f.series(key("mixed"), sparkplug.TypeDouble)
	byType := map[history.Key][]history.Point{}
	var points, inMixed []history.Point
	for i, v := range Values() {
		k := key("of/" + v.Type().String())
		ts := at(float64(i))
		p := good(f.series(k, v.Type()), ts, v)
		byType[k] = append(byType[k], p)
		inMixed = append(inMixed, good(mixed, ts, v))
		points = append(points, p, inMixed[i])
	}
	f.write(written(len(points)), points...)
	for range 2 {
		for k, want := range byType {
			f.expect(k, want...)
		}
		f.expect(key("mixed"), inMixed...)
		for _, p := range inMixed {
			f.valueAt(key("mixed"), p.Timestamp, &p.Value)
		}
		f.reopen()
	}
	f.write(history.WriteResult{Invalid: 1}, good(f.series(key("set"), 0), at(0), sparkplug.Bytes(sparkplug.TypePropertySet, []byte{1})))
	// The handles of the first opening are gone.
	for i := range points {
		if i%2 == 0 {
			v := points[i].Value
			points[i].Series = f.series(key("of/"+v.Type().String()), v.Type())
		} else {
			points[i].Series = f.series(key("mixed"), sparkplug.TypeDouble)
		}
	}
	f.write(history.WriteResult{Duplicates: len(points)}, points...)
}

func testTypeChange(t *testing.T, f *fixture) {
	k := key("changing")
	a := f.series(k, sparkplug.TypeInt32)
	one := good(a, at(1), sparkplug.Int(sparkplug.TypeInt32, 7))
	f.write(written(1), one)
	f.series(k, sparkplug.TypeFloat)
	two := good(a, at(3), sparkplug.Float(7.25))
	f.write(written(1), two)
	f.series(k, sparkplug.TypeString)
	three := good(a, at(5), sparkplug.String("seven"))
	f.write(written(1), three)
	f.series(k, sparkplug.TypeBoolean)
	four := good(a, at(7), sparkplug.Boolean(true))
	// Held back under one type, sent under another.
	early := good(a, at(2), sparkplug.Float(2.5))
	earlier := good(a, at(0), sparkplug.String("before"))
	f.write(written(3), four, early, earlier)
	f.expect(k, earlier, one, early, two, three, four)
	f.reopen()
	a = f.series(k, sparkplug.TypeBoolean)
	f.write(history.WriteResult{Duplicates: 2}, good(a, at(2), early.Value), good(a, at(7), four.Value))
	f.expect(k, earlier, one, early, two, three, four)
}

// testFlapping: a datatype that comes with every sample, and another each time.
func testFlapping(_ *testing.T, f *fixture) {
	k := key("flapping")
	h := f.series(k, sparkplug.TypeInt32)
	var all []history.Point
	for i := range 300 {
		v := sparkplug.Int(sparkplug.TypeInt32, int64(i))
		if i%2 == 1 {
			v = sparkplug.Float(float32(i) + 0.5)
		}
		all = append(all, good(h, at(float64(i)), v))
	}
	f.write(written(len(all)), all...)
	f.expect(k, all...)
	f.reopen()
	f.expect(k, all...)
}

func testQuality(t *testing.T, f *fixture) {
	k := key("q")
	h := f.series(k, sparkplug.TypeDouble)
	p := func(s float64, q uint16) history.Point {
		return history.Point{Series: h, Timestamp: at(s), Value: sparkplug.Double(s), Quality: q}
	}
	f.write(written(5), p(1, 192), p(2, 0), p(3, 0), p(4, 500), p(5, 192))
	f.write(written(3), p(2.5, 192), p(4.5, 0), p(0.5, 0)) // late
	text := f.series(key("text"), sparkplug.TypeString)
	bad := history.Point{Series: text, Timestamp: at(1), Value: sparkplug.String("?"), Quality: 0}
	f.write(written(1), bad)
	for range 2 {
		f.expect(k, p(0.5, 0), p(1, 192), p(2, 0), p(2.5, 192), p(3, 0), p(4, 500), p(4.5, 0), p(5, 192))
		f.expect(key("text"), bad)
		f.reopen()
	}
	if s, _, _ := f.store.LastBefore(t.Context(), k, at(3.5)); s.Quality != 0 {
		t.Errorf("quality at 3.5 s is %d, want 0", s.Quality)
	}
}
