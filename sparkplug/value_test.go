package sparkplug_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/magneto-iiot/magneto/sparkplug"
	"pgregory.net/rapid"
)

func TestValueSize(t *testing.T) {
	if n := unsafe.Sizeof(sparkplug.Value{}); n > 24 {
		t.Errorf("a Value takes %d bytes, want 24 at most", n)
	}
}

// untyped returns v as a host has it before it knows the birth.
func untyped(tb testing.TB, v sparkplug.Value) sparkplug.Value {
	tb.Helper()
	p := sparkplug.Payload{Metrics: []sparkplug.Metric{{OmitType: true, Value: v}}}
	b, err := p.Append(nil)
	if err == nil {
		err = p.Decode(b)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return p.Metrics[0].Value
}

// TestAsUntyped: what was sent without a datatype is read back whole with it.
func TestAsUntyped(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		v := genValue(rt, 3)
		got, err := untyped(t, v).As(v.Type())
		if err != nil || !got.Equal(v) {
			rt.Fatalf("%s %v came back as %s %v, %v", v.Type(), v, got.Type(), got, err)
		}
	})
}

// TestRetype holds Retype to As, for any value and any type.
func TestRetype(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		v := genValue(rt, 3)
		if rapid.Bool().Draw(rt, "untyped") {
			v = untyped(t, v)
		}
		to := sparkplug.DataType(rapid.IntRange(0, int(sparkplug.TypeDateTimeArray)+1).Draw(rt, "to"))
		want, err := v.As(to)
		got := v
		if ok := got.Retype(to); ok != (err == nil) {
			rt.Fatalf("%s %v to %s: Retype %v, As %v", v.Type(), v, to, ok, err)
		}
		if err != nil {
			want = v
		}
		if got.Type() != want.Type() || !got.Equal(want) {
			rt.Fatalf("%s %v to %s: Retype %v, As %v", v.Type(), v, to, got, want)
		}
	})
}

func TestAs(t *testing.T) {
	tests := map[string]struct {
		in   sparkplug.Value
		to   sparkplug.DataType
		want sparkplug.Value
		err  string
	}{
		"narrower":            {sparkplug.Int(sparkplug.TypeInt64, -5), sparkplug.TypeInt8, sparkplug.Int(sparkplug.TypeInt8, -5), ""},
		"too narrow":          {sparkplug.Int(sparkplug.TypeInt64, 300), sparkplug.TypeInt8, sparkplug.Value{}, "300 is out of range"},
		"negative unsigned":   {sparkplug.Int(sparkplug.TypeInt8, -1), sparkplug.TypeUInt64, sparkplug.Value{}, "-1 is out of range"},
		"UInt64 to Int64":     {sparkplug.Uint(sparkplug.TypeUInt64, 1<<63), sparkplug.TypeInt64, sparkplug.Value{}, "out of range"},
		"integer to Double":   {sparkplug.Int(sparkplug.TypeInt32, -7), sparkplug.TypeDouble, sparkplug.Double(-7), ""},
		"inexact":             {sparkplug.Int(sparkplug.TypeInt64, 1<<53+1), sparkplug.TypeDouble, sparkplug.Value{}, "out of range"},
		"Int64 top to Double": {sparkplug.Int(sparkplug.TypeInt64, math.MaxInt64), sparkplug.TypeDouble, sparkplug.Value{}, "out of range"},
		"Double to Float":     {sparkplug.Double(0.5), sparkplug.TypeFloat, sparkplug.Float(0.5), ""},
		"Double to Int32":     {sparkplug.Double(1), sparkplug.TypeInt32, sparkplug.Value{}, "double_value does not fit"},
		"String to Text":      {sparkplug.String("x"), sparkplug.TypeText, sparkplug.Text(sparkplug.TypeText, "x"), ""},
		"String to Boolean":   {sparkplug.String("x"), sparkplug.TypeBoolean, sparkplug.Value{}, "string_value does not fit"},
		"Bytes to array":      {sparkplug.Bytes(sparkplug.TypeBytes, []byte{1}), sparkplug.TypeInt16Array, sparkplug.Value{}, "not a whole number"},
		"null":                {sparkplug.Null(sparkplug.TypeInt8), sparkplug.TypeString, sparkplug.Null(sparkplug.TypeString), ""},
		"to PropertySet":      {sparkplug.String("x"), sparkplug.TypePropertySet, sparkplug.Value{}, "does not fit"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := tt.in.As(tt.to)
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) || !got.Equal(tt.want) {
				t.Errorf("got %s %v, %v; want %s %v, %q", got.Type(), got, err, tt.want.Type(), tt.want, tt.err)
			}
		})
	}
}

func TestEqual(t *testing.T) {
	nan := sparkplug.Double(math.NaN())
	if !nan.Equal(nan) {
		t.Error("a NaN does not equal itself")
	}
	if sparkplug.Double(0).Equal(sparkplug.Double(math.Copysign(0, -1))) {
		t.Error("0 equals -0")
	}
	if sparkplug.String("1").Equal(sparkplug.Text(sparkplug.TypeText, "1")) {
		t.Error("a String equals a Text")
	}
	if sparkplug.Null(sparkplug.TypeInt8).Equal(sparkplug.Int(sparkplug.TypeInt8, 0)) {
		t.Error("null equals zero")
	}
}

func TestValueString(t *testing.T) {
	strs, _ := sparkplug.StringArray([]string{"a b", ""})
	tests := map[string]sparkplug.Value{
		"null":                     sparkplug.Null(sparkplug.TypeDouble),
		"-5":                       sparkplug.Int(sparkplug.TypeInt16, -5),
		"18446744073709551615":     sparkplug.Uint(sparkplug.TypeUInt64, math.MaxUint64),
		"0.1":                      sparkplug.Float(0.1),
		"NaN":                      sparkplug.Double(math.NaN()),
		"true":                     sparkplug.Boolean(true),
		"on":                       sparkplug.String("on"),
		"2023-11-14T22:13:20.000Z": sparkplug.DateTime(1_700_000_000_000),
		"3 bytes":                  sparkplug.Bytes(sparkplug.TypeFile, []byte("abc")),
		`["a b" ""]`:               strs,
		"[]":                       sparkplug.ArrayOf[float64](nil),
		"[0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 ... 20 in all]": sparkplug.ArrayOf(make([]uint8, 20)),
		"2 bytes":                          sparkplug.Bytes(sparkplug.TypeInt32Array, []byte("ab")),
		"data set of 2 columns and 1 rows": sparkplug.OfDataSet(&sparkplug.DataSet{Columns: []string{"a", "b"}, Rows: make([]sparkplug.Value, 2)}),
		"template motor of 0 members":      sparkplug.OfTemplate(&sparkplug.Template{Ref: "motor"}),
		"template definition of 1 members": sparkplug.OfTemplate(&sparkplug.Template{IsDefinition: true, Metrics: make([]sparkplug.Metric, 1)}),
	}
	for want, v := range tests {
		if got := v.String(); got != want {
			t.Errorf("%s prints as %q, want %q", v.Type(), got, want)
		}
	}
	if got := untyped(t, sparkplug.Float(2)).String(); got != "2" {
		t.Errorf("untyped 2 prints as %q", got)
	}
}

// TestArrays packs and unpacks each of the thirteen array types.
func TestArrays(t *testing.T) {
	strs, err := sparkplug.StringArray([]string{"a", "", "ß"})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		array sparkplug.Value
		want  []sparkplug.Value
	}{
		{sparkplug.ArrayOf([]int8{-1}), []sparkplug.Value{sparkplug.Int(sparkplug.TypeInt8, -1)}},
		{sparkplug.ArrayOf([]int16{-2}), []sparkplug.Value{sparkplug.Int(sparkplug.TypeInt16, -2)}},
		{sparkplug.ArrayOf([]int32{-3}), []sparkplug.Value{sparkplug.Int(sparkplug.TypeInt32, -3)}},
		{sparkplug.ArrayOf([]int64{-4}), []sparkplug.Value{sparkplug.Int(sparkplug.TypeInt64, -4)}},
		{sparkplug.ArrayOf([]uint8{255}), []sparkplug.Value{sparkplug.Uint(sparkplug.TypeUInt8, 255)}},
		{sparkplug.ArrayOf([]uint16{65535}), []sparkplug.Value{sparkplug.Uint(sparkplug.TypeUInt16, 65535)}},
		{sparkplug.ArrayOf([]uint32{1<<32 - 1}), []sparkplug.Value{sparkplug.Uint(sparkplug.TypeUInt32, 1<<32-1)}},
		{sparkplug.ArrayOf([]uint64{1<<64 - 1, 1}), []sparkplug.Value{sparkplug.Uint(sparkplug.TypeUInt64, 1<<64-1), sparkplug.Uint(sparkplug.TypeUInt64, 1)}},
		{sparkplug.ArrayOf([]float32{1.5}), []sparkplug.Value{sparkplug.Float(1.5)}},
		{sparkplug.ArrayOf([]float64{2.5}), []sparkplug.Value{sparkplug.Double(2.5)}},
		{sparkplug.BooleanArray([]bool{false, true}), []sparkplug.Value{sparkplug.Boolean(false), sparkplug.Boolean(true)}},
		{strs, []sparkplug.Value{sparkplug.String("a"), sparkplug.String(""), sparkplug.String("ß")}},
		{sparkplug.DateTimeArray([]int64{7, -7}), []sparkplug.Value{sparkplug.DateTime(7), sparkplug.DateTime(-7)}},
	}
	for i, tt := range tests {
		typ := sparkplug.TypeInt8Array + sparkplug.DataType(i)
		t.Run(typ.String(), func(t *testing.T) {
			got, err := tt.array.AppendElements(nil)
			if err != nil || tt.array.Type() != typ || !slices.EqualFunc(got, tt.want, sparkplug.Value.Equal) {
				t.Errorf("%s has elements %v, %v; want %v", tt.array.Type(), got, err, tt.want)
			}
			packed, err := sparkplug.PackArray(typ, tt.want)
			if err != nil || !packed.Equal(tt.array) {
				t.Errorf("PackArray = %v, %v; want %v", packed, err, tt.array)
			}
			if _, err := sparkplug.PackArray(typ, []sparkplug.Value{sparkplug.Null(typ.Element())}); err == nil {
				t.Error("a null was packed")
			}
		})
	}
	for name, v := range map[string]sparkplug.Value{
		"not an array":   sparkplug.String("x"),
		"cut Double":     sparkplug.Bytes(sparkplug.TypeDoubleArray, make([]byte, 7)),
		"no count":       sparkplug.Bytes(sparkplug.TypeBooleanArray, make([]byte, 3)),
		"count too high": sparkplug.Bytes(sparkplug.TypeBooleanArray, []byte{255, 255, 255, 255, 0}),
		"no NUL":         sparkplug.Bytes(sparkplug.TypeStringArray, []byte("a")),
	} {
		if got, err := v.AppendElements(nil); err == nil || got != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if _, err := sparkplug.StringArray([]string{"a\x00b"}); err == nil {
		t.Error("a string with NUL was packed")
	}
}

func TestJSON(t *testing.T) {
	tests := []struct {
		typ  sparkplug.DataType
		json string
		want sparkplug.Value
	}{
		{sparkplug.TypeInt8, `-128`, sparkplug.Int(sparkplug.TypeInt8, -128)},
		{sparkplug.TypeUInt32, `4294967295`, sparkplug.Uint(sparkplug.TypeUInt32, 1<<32-1)},
		{sparkplug.TypeInt64, `"-9223372036854775808"`, sparkplug.Int(sparkplug.TypeInt64, math.MinInt64)},
		{sparkplug.TypeUInt64, `"18446744073709551615"`, sparkplug.Uint(sparkplug.TypeUInt64, math.MaxUint64)},
		{sparkplug.TypeDouble, `0.1`, sparkplug.Double(0.1)},
		{sparkplug.TypeDouble, `1e+300`, sparkplug.Double(1e300)},
		{sparkplug.TypeDouble, `"-Infinity"`, sparkplug.Double(math.Inf(-1))},
		{sparkplug.TypeFloat, `0.1`, sparkplug.Float(0.1)},
		{sparkplug.TypeFloat, `"Infinity"`, sparkplug.Float(float32(math.Inf(1)))},
		{sparkplug.TypeBoolean, `true`, sparkplug.Boolean(true)},
		{sparkplug.TypeString, `"a\"\u003c\n\\ß"`, sparkplug.String("a\"<\n\\ß")},
		{sparkplug.TypeDateTime, `"1700000000000"`, sparkplug.DateTime(1_700_000_000_000)},
		{sparkplug.TypeBytes, `"AAE="`, sparkplug.Bytes(sparkplug.TypeBytes, []byte{0, 1})},
		{sparkplug.TypeInt64Array, `["1","-1"]`, sparkplug.ArrayOf([]int64{1, -1})},
		{sparkplug.TypeBooleanArray, `[true,false]`, sparkplug.BooleanArray([]bool{true, false})},
		{sparkplug.TypeString, `null`, sparkplug.Null(sparkplug.TypeString)},
		{
			sparkplug.TypeDataSet, `{"columns":[{"name":"a","type":"UInt64"},{"name":"b","type":"Text"}],"rows":[["5","x"],[null,null]]}`,
			sparkplug.OfDataSet(&sparkplug.DataSet{
				Columns: []string{"a", "b"}, Types: []sparkplug.DataType{sparkplug.TypeUInt64, sparkplug.TypeText},
				Rows: []sparkplug.Value{
					sparkplug.Uint(sparkplug.TypeUInt64, 5), sparkplug.Text(sparkplug.TypeText, "x"),
					sparkplug.Null(sparkplug.TypeUInt64), sparkplug.Null(sparkplug.TypeText),
				},
			}),
		},
	}
	for _, tt := range tests {
		got, err := sparkplug.ParseJSON(tt.typ, []byte(tt.json))
		if err != nil || !got.Equal(tt.want) {
			t.Errorf("ParseJSON(%s, %s) = %v, %v; want %v", tt.typ, tt.json, got, err, tt.want)
		}
		if out := string(sparkplug.AppendJSON(nil, tt.want)); out != tt.json {
			t.Errorf("AppendJSON(%s) = %s, want %s", tt.typ, out, tt.json)
		}
	}
	more := map[string]sparkplug.Value{ // other ways to write the same
		` 7 `: sparkplug.Int(sparkplug.TypeInt64, 7), `1700000000000`: sparkplug.DateTime(1_700_000_000_000),
		`"2023-11-14T23:13:20+01:00"`: sparkplug.DateTime(1_700_000_000_000),
		`"12"`:                        sparkplug.Uint(sparkplug.TypeUInt8, 12),
	}
	for in, want := range more {
		if got, err := sparkplug.ParseJSON(want.Type(), []byte(in)); err != nil || !got.Equal(want) {
			t.Errorf("ParseJSON(%s, %s) = %v, %v; want %v", want.Type(), in, got, err, want)
		}
	}
}

func TestParseJSONRefuses(t *testing.T) {
	tests := []struct {
		typ     sparkplug.DataType
		in, err string
	}{
		{sparkplug.TypeInt8, `128`, "Int8: 128 is out of range, -128 to 127"},
		{sparkplug.TypeUInt8, `-1`, "UInt8: -1 is out of range, 0 to 255"},
		{sparkplug.TypeUInt64, `"18446744073709551616"`, "out of range, 0 to 18446744073709551615"},
		{sparkplug.TypeInt32, `1.5`, "Int32: 1.5 is not a whole number"},
		{sparkplug.TypeInt32, `true`, "true is not a whole number"},
		{sparkplug.TypeInt32, `"x"`, `"x" is not a whole number`},
		{sparkplug.TypeInt32, ``, "malformed JSON"},
		{sparkplug.TypeInt32, `1 2`, "malformed JSON"},
		{sparkplug.TypeFloat, `1e39`, "Float: 1e39 is out of range"},
		{sparkplug.TypeDouble, `"1"`, `"1" is not a number`},
		{sparkplug.TypeDouble, `"nan"`, "is not a number"},
		{sparkplug.TypeBoolean, `1`, "1 is not true or false"},
		{sparkplug.TypeString, `1`, "1 is not a string"},
		{sparkplug.TypeBytes, `"%"`, "is not a string of base64"},
		{sparkplug.TypeDateTime, `"yesterday"`, "is not milliseconds"},
		{sparkplug.TypeInt8Array, `[1,300]`, "element 1: Int8: 300 is out of range"},
		{sparkplug.TypeInt8Array, `[null]`, "element 0: null"},
		{sparkplug.TypeInt8Array, `7`, "7 is not an array of Int8"},
		{sparkplug.TypeDataSet, `{"columns":[{"name":"a","type":"Bytes"}]}`, `"Bytes" is not the type of a column`},
		{sparkplug.TypeDataSet, `{"columns":[{"name":"a","type":"Int8"}],"rows":[[1,2]]}`, "row 0: 2 cells for 1 columns"},
		{sparkplug.TypeDataSet, `{"x":1}`, "is not {"},
		{sparkplug.TypeTemplate, `{}`, "Template cannot be given as JSON"},
	}
	for _, tt := range tests {
		v, err := sparkplug.ParseJSON(tt.typ, []byte(tt.in))
		if err == nil || !strings.Contains(err.Error(), tt.err) || !v.Equal(sparkplug.Value{}) {
			t.Errorf("ParseJSON(%s, %s) = %v, %v; want %q", tt.typ, tt.in, v, err, tt.err)
		}
	}
}

// TestJSONRoundTrip: what AppendJSON writes of a scalar ParseJSON reads.
func TestJSONRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := genScalar(t, genType(t))
		raw := sparkplug.AppendJSON(nil, v)
		got, err := sparkplug.ParseJSON(v.Type(), raw)
		same := got.Equal(v) || math.IsNaN(v.Float64()) && math.IsNaN(got.Float64())
		if err != nil || !same {
			t.Fatalf("%s %v is %s, which reads %v, %v", v.Type(), v, raw, got, err)
		}
	})
}

func TestTemplateJSON(t *testing.T) {
	v := sparkplug.OfTemplate(&sparkplug.Template{
		Ref: "motor", Version: "2",
		Metrics: []sparkplug.Metric{
			{Name: "Speed", Value: sparkplug.Double(5)},
			{Alias: 4, HasAlias: true, Value: sparkplug.OfTemplate(&sparkplug.Template{})},
		},
		Parameters: []sparkplug.Parameter{{Name: "pole", Value: sparkplug.Int(sparkplug.TypeInt64, 2)}},
	})
	want := `{"ref":"motor","version":"2","members":{"Speed":5,"#4":{"ref":"","version":"","members":{},"parameters":{}}},"parameters":{"pole":"2"}}`
	if got := string(sparkplug.AppendJSON(nil, v)); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	set := &sparkplug.PropertySet{Keys: []string{"Quality", "set", "list"}, Values: []sparkplug.Property{
		{Value: sparkplug.Int(sparkplug.TypeInt32, 192)},
		{Set: &sparkplug.PropertySet{}},
		{List: []*sparkplug.PropertySet{{}, {}}},
	}}
	want = `{"Quality":{"type":"Int32","value":192},"set":{"type":"PropertySet","value":{}},"list":{"type":"PropertySetList","value":[{},{}]}}`
	if got := string(sparkplug.AppendPropertiesJSON(nil, set)); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if got := string(sparkplug.AppendPropertiesJSON(nil, nil)); got != "{}" {
		t.Errorf("no properties are %s", got)
	}
}
