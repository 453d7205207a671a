package modbus

import (
	"bytes"
	"math"
	"testing"

	"github.com/magneto-iiot/magneto/sparkplug"
	"pgregory.net/rapid"
)

// TestOrders compares with bytes written down by hand: A is the most
// significant.
func TestOrders(t *testing.T) {
	tests := []struct {
		order string
		raw   []byte
		want  uint64
	}{
		{"ABCD", []byte{0xA, 0xB}, 0x0A0B},
		{"CDAB", []byte{0xA, 0xB}, 0x0A0B},
		{"BADC", []byte{0xB, 0xA}, 0x0A0B},
		{"DCBA", []byte{0xB, 0xA}, 0x0A0B},
		{"ABCD", []byte{0xA, 0xB, 0xC, 0xD}, 0x0A0B0C0D},
		{"CDAB", []byte{0xC, 0xD, 0xA, 0xB}, 0x0A0B0C0D},
		{"BADC", []byte{0xB, 0xA, 0xD, 0xC}, 0x0A0B0C0D},
		{"DCBA", []byte{0xD, 0xC, 0xB, 0xA}, 0x0A0B0C0D},
		{"ABCD", []byte{1, 2, 3, 4, 5, 6, 7, 8}, 0x0102030405060708},
		{"CDAB", []byte{7, 8, 5, 6, 3, 4, 1, 2}, 0x0102030405060708},
		{"BADC", []byte{2, 1, 4, 3, 6, 5, 8, 7}, 0x0102030405060708},
		{"DCBA", []byte{8, 7, 6, 5, 4, 3, 2, 1}, 0x0102030405060708},
	}
	for _, tt := range tests {
		o, ok := parseOrder(tt.order)
		if !ok {
			t.Fatalf("parseOrder(%s) failed", tt.order)
		}
		if got := o.number(tt.raw); got != tt.want {
			t.Errorf("%s: % x = %#x; want %#x", tt.order, tt.raw, got, tt.want)
		}
		back := make([]byte, len(tt.raw))
		o.put(back, tt.want)
		if !bytes.Equal(back, tt.raw) {
			t.Errorf("%s: put %#x gave % x; want % x", tt.order, tt.want, back, tt.raw)
		}
	}
}

func TestDecode(t *testing.T) {
	tests := map[string]struct {
		addr, order string
		typ         sparkplug.DataType
		raw         []byte
		want        sparkplug.Value
	}{
		"Int8 is the low byte": {"hr:0", "ABCD", sparkplug.TypeInt8, []byte{0x12, 0xFE}, sparkplug.Int(sparkplug.TypeInt8, -2)},
		"UInt8 swapped":        {"hr:0", "DCBA", sparkplug.TypeUInt8, []byte{0x12, 0xFE}, sparkplug.Uint(sparkplug.TypeUInt8, 0x12)},
		"Int32":                {"hr:0", "CDAB", sparkplug.TypeInt32, []byte{0xFF, 0xFE, 0xFF, 0xFF}, sparkplug.Int(sparkplug.TypeInt32, -2)},
		"UInt64":               {"hr:0", "ABCD", sparkplug.TypeUInt64, bytes.Repeat([]byte{0xFF}, 8), sparkplug.Uint(sparkplug.TypeUInt64, math.MaxUint64)},
		"Float NaN":            {"hr:0", "ABCD", sparkplug.TypeFloat, []byte{0x7F, 0xC0, 0, 0}, sparkplug.Float(math.Float32frombits(0x7FC00000))},
		"Double":               {"hr:0", "DCBA", sparkplug.TypeDouble, []byte{0, 0, 0, 0, 0, 0, 0xF0, 0x3F}, sparkplug.Double(1)},
		"DateTime":             {"hr:0", "ABCD", sparkplug.TypeDateTime, []byte{0, 0, 0, 0, 0, 0, 4, 1}, sparkplug.DateTime(1025)},
		"bit swapped":          {"hr:0.0", "BADC", sparkplug.TypeBoolean, []byte{1, 0}, sparkplug.Boolean(true)},
		"register as Boolean":  {"hr:0", "ABCD", sparkplug.TypeBoolean, []byte{0x40, 0}, sparkplug.Boolean(true)},
		"odd text":             {"hr:0[3]", "ABCD", sparkplug.TypeString, []byte("abcd"), sparkplug.String("abc")},
		"swapped text":         {"hr:0[4]", "BADC", sparkplug.TypeText, []byte("badc"), sparkplug.Text(sparkplug.TypeText, "abcd")},
		"text up to NUL":       {"hr:0[4]", "ABCD", sparkplug.TypeString, []byte("a\x00zz"), sparkplug.String("a")},
		"text not UTF-8":       {"hr:0[2]", "ABCD", sparkplug.TypeString, []byte{'a', 0xFF}, sparkplug.String("a\uFFFD")},
		"Bytes":                {"hr:0[3]", "ABCD", sparkplug.TypeBytes, []byte{1, 0, 3, 4}, sparkplug.Bytes(sparkplug.TypeBytes, []byte{1, 0, 3})},
		"Int16Array":           {"hr:0[2]", "ABCD", sparkplug.TypeInt16Array, []byte{0, 1, 0xFF, 0xFF}, sparkplug.ArrayOf([]int16{1, -1})},
		"FloatArray":           {"hr:0[2]", "CDAB", sparkplug.TypeFloatArray, []byte{0, 0, 0x3F, 0x80, 0, 0, 0x40, 0}, sparkplug.ArrayOf([]float32{1, 2})},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			l := mustPlace(t, tt.addr, tt.typ, tt.order)
			if 2*l.width != len(tt.raw) {
				t.Fatalf("%d registers; want %d", l.width, len(tt.raw)/2)
			}
			if got, err := l.decode(tt.raw); err != nil || !got.Equal(tt.want) {
				t.Errorf("decode(% x) = %v, %v; want %v", tt.raw, got, err, tt.want)
			}
		})
	}
}

func mustPlace(t interface{ Fatal(...any) }, addr string, typ sparkplug.DataType, name string) layout {
	a, err := parseAddress(addr)
	if err != nil {
		t.Fatal(err)
	}
	o, _ := parseOrder(name)
	l, err := place(a, typ, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestPlaceFaults(t *testing.T) {
	tests := []struct {
		addr string
		typ  sparkplug.DataType
	}{
		{"hr:0", sparkplug.TypeString},
		{"hr:0", sparkplug.TypeInt16Array},
		{"hr:0[2]", sparkplug.TypeInt16},
		{"hr:0.1", sparkplug.TypeInt16},
		{"hr:0[2]", sparkplug.TypeBooleanArray},
		{"hr:0[2]", sparkplug.TypeStringArray},
		{"hr:0", sparkplug.TypeUUID},
		{"hr:0", sparkplug.TypeDataSet},
		{"hr:0", sparkplug.TypeUnknown},
		{"co:0", sparkplug.TypeInt16},
		{"co:0", sparkplug.TypeBooleanArray},
		{"co:0[2]", sparkplug.TypeBoolean},
	}
	for _, tt := range tests {
		a, err := parseAddress(tt.addr)
		if err != nil {
			t.Fatal(err)
		}
		if l, err := place(a, tt.typ, order{}); err == nil {
			t.Errorf("place(%s, %s) = %+v; want an error", tt.addr, tt.typ, l)
		}
	}
}

// TestEncodeIsInverse draws registers, decodes them, encodes the value over
// other registers, and wants the first ones back.
func TestEncodeIsInverse(t *testing.T) {
	types := []struct {
		typ  sparkplug.DataType
		addr string
	}{
		{sparkplug.TypeInt8, "hr:0"},
		{sparkplug.TypeUInt8, "hr:0"},
		{sparkplug.TypeInt16, "hr:0"},
		{sparkplug.TypeUInt16, "hr:0"},
		{sparkplug.TypeInt32, "hr:0"},
		{sparkplug.TypeUInt32, "hr:0"},
		{sparkplug.TypeInt64, "hr:0"},
		{sparkplug.TypeUInt64, "hr:0"},
		{sparkplug.TypeFloat, "hr:0"},
		{sparkplug.TypeDouble, "hr:0"},
		{sparkplug.TypeDateTime, "hr:0"},
		{sparkplug.TypeBoolean, "hr:0.5"},
		{sparkplug.TypeBytes, "hr:0[6]"},
		{sparkplug.TypeInt64Array, "hr:0[3]"},
		{sparkplug.TypeFloatArray, "hr:0[3]"},
		{sparkplug.TypeUInt16Array, "hr:0[3]"},
	}
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom(types).Draw(t, "type")
		l := mustPlace(t, kind.addr, kind.typ, rapid.SampledFrom(orderNames).Draw(t, "order"))
		size := 2 * l.width
		raw := rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "raw")
		other := rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "other")
		v, err := l.decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.encode(other, v); err != nil {
			t.Fatal(err)
		}
		back, err := l.decode(other)
		if err != nil || !back.Equal(v) {
			t.Fatalf("%v encoded and decoded is %v, %v", v, back, err)
		}
		if !l.shared() && !bytes.Equal(other, raw) {
			t.Fatalf("% x became % x", raw, other)
		}
	})
}
