package sparkplug_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/magneto-iiot/magneto/sparkplug"
	"pgregory.net/rapid"
)

// unhex reads hexadecimal text with spaces.
func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// TestWire holds the bytes of one metric of each kind, worked out by hand.
func TestWire(t *testing.T) {
	strs, err := sparkplug.StringArray([]string{"ab", ""})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		metric sparkplug.Metric
		wire   string // of the metric
	}{
		"Int8 sign-extended":    {sparkplug.Metric{Name: "a", Value: sparkplug.Int(sparkplug.TypeInt8, -5)}, "0a0161 2001 50fbffffff0f"},
		"UInt32 as long":        {sparkplug.Metric{Value: sparkplug.Uint(sparkplug.TypeUInt32, 1<<32-1)}, "2007 58ffffffff0f"},
		"UInt64 top":            {sparkplug.Metric{Value: sparkplug.Uint(sparkplug.TypeUInt64, 1<<64-1)}, "2008 58ffffffffffffffffff01"},
		"Float":                 {sparkplug.Metric{Value: sparkplug.Float(1)}, "2009 650000803f"},
		"null":                  {sparkplug.Metric{Value: sparkplug.Null(sparkplug.TypeInt32)}, "2003 3801"},
		"without datatype":      {sparkplug.Metric{OmitType: true, Alias: 2, HasAlias: true, Value: sparkplug.Boolean(true)}, "1002 7001"},
		"historical, transient": {sparkplug.Metric{Historical: true, Transient: true, Value: sparkplug.String("x")}, "200c 2801 3001 7a0178"},
		"Int16Array":            {sparkplug.Metric{Value: sparkplug.ArrayOf([]int16{1, -2})}, "2017 82010401 00feff"},
		"BooleanArray":          {sparkplug.Metric{Value: sparkplug.BooleanArray([]bool{true, false, true, false, false, false, false, false, true})}, "2020 820106 09000000 a080"},
		"StringArray":           {sparkplug.Metric{Value: strs}, "2021 820104 61620000"},
		"DateTimeArray":         {sparkplug.Metric{Value: sparkplug.DateTimeArray([]int64{1})}, "2022 820108 0100000000000000"},
		"metadata":              {sparkplug.Metric{Metadata: &sparkplug.Metadata{FileName: "f"}}, "3801 42032a0166"},
		"property": {sparkplug.Metric{Properties: &sparkplug.PropertySet{
			Keys: []string{sparkplug.PropQuality}, Values: []sparkplug.Property{{Value: sparkplug.Int(sparkplug.TypeInt32, 192)}},
		}}, "3801 4a10 0a075175616c697479 1205 0803 18c001"},
		"data set": {sparkplug.Metric{Value: sparkplug.OfDataSet(&sparkplug.DataSet{
			Columns: []string{"c"}, Types: []sparkplug.DataType{sparkplug.TypeInt32},
			Rows: []sparkplug.Value{sparkplug.Int(sparkplug.TypeInt32, 1), sparkplug.Null(sparkplug.TypeInt32)},
		})}, "2010 8a0113 0801 120163 1803 22040a020801 22020a00"},
		"template": {sparkplug.Metric{Value: sparkplug.OfTemplate(&sparkplug.Template{Ref: "m"})}, "2013 9201 05 22016d 2800"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			body := unhex(t, tt.wire)
			if name == "data set" {
				body[4] = byte(len(body) - 5)
			}
			p := sparkplug.Payload{Metrics: []sparkplug.Metric{tt.metric}}
			got, err := p.Append(nil)
			want := append([]byte{0x12, byte(len(body))}, body...)
			if err != nil || string(got) != string(want) {
				t.Errorf("encoded %x, %v; want %x", got, err, want)
			}
			var back sparkplug.Payload
			if err := back.Decode(want); err != nil {
				t.Fatal(err)
			}
			checkRoundTrip(t, &back)
			if v, err := back.Metrics[0].Value.As(tt.metric.Value.Type()); err == nil {
				back.Metrics[0].Value = v
			}
			if !back.Equal(&p) {
				t.Errorf("decoded %+v, want %+v", back.Metrics, p.Metrics)
			}
		})
	}
}

// TestDecodeLenient: other encoders' ways that are read as well.
func TestDecodeLenient(t *testing.T) {
	tests := map[string]struct {
		metric string
		want   sparkplug.Value
	}{
		"Int8 masked":               {"2001 50fb01", sparkplug.Int(sparkplug.TypeInt8, -5)},
		"Int8 in long, extended":    {"2001 58fbffffffffffffffff01", sparkplug.Int(sparkplug.TypeInt8, -5)},
		"Int8 in long, 32 bits":     {"2001 58fbffffff0f", sparkplug.Int(sparkplug.TypeInt8, -5)},
		"Int64 in int":              {"2004 5007", sparkplug.Int(sparkplug.TypeInt64, 7)},
		"UInt32 in int":             {"2007 50ffffffff0f", sparkplug.Uint(sparkplug.TypeUInt32, 1<<32-1)},
		"DateTime in int":           {"200d 5007", sparkplug.DateTime(7)},
		"Double from float":         {"200a 650000803f", sparkplug.Double(1)},
		"Float from double":         {"2009 69000000000000f03f", sparkplug.Float(1)},
		"Boolean from int":          {"200b 5001", sparkplug.Boolean(true)},
		"datatype behind value":     {"5005 2003", sparkplug.Int(sparkplug.TypeInt32, 5)},
		"is_null wins":              {"2003 3801 5005", sparkplug.Null(sparkplug.TypeInt32)},
		"no value":                  {"2003", sparkplug.Null(sparkplug.TypeInt32)},
		"last value wins":           {"2003 7a0178 5005", sparkplug.Int(sparkplug.TypeInt32, 5)},
		"unknown fields":            {"c03e05 2003 ca3e0161 5005", sparkplug.Int(sparkplug.TypeInt32, 5)},
		"known field, other wire":   {"0805 2003 5005", sparkplug.Int(sparkplug.TypeInt32, 5)},
		"long tag":                  {"a08000 03 5005", sparkplug.Int(sparkplug.TypeInt32, 5)},
		"data set without datatype": {"8a0102 0800", sparkplug.OfDataSet(&sparkplug.DataSet{})},
		"packed column types": {"2010 8a010f 120161 120162 1a020303 22 04 0a00 0a00", sparkplug.OfDataSet(&sparkplug.DataSet{
			Columns: []string{"a", "b"}, Types: []sparkplug.DataType{sparkplug.TypeInt32, sparkplug.TypeInt32},
			Rows: []sparkplug.Value{sparkplug.Null(sparkplug.TypeInt32), sparkplug.Null(sparkplug.TypeInt32)},
		})},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			body := unhex(t, tt.metric)
			if name == "packed column types" {
				body[4] = byte(len(body) - 5)
			}
			var p sparkplug.Payload
			if err := p.Decode(append([]byte{0x12, byte(len(body))}, body...)); err != nil {
				t.Fatal(err)
			}
			if got := p.Metrics[0].Value; !got.Equal(tt.want) {
				t.Errorf("got %s %v, want %s %v", got.Type(), got, tt.want.Type(), tt.want)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	many := strings.Repeat("1200", 6)
	tests := map[string]struct {
		wire, path, reason string
	}{
		"cut varint":       {"0880", "", "bad varint"},
		"long varint":      {"08ffffffffffffffffff02", "", "bad varint"},
		"field number 0":   {"0001", "", "bad field number"},
		"length":           {"120501", "metrics[0]", "runs past the end"},
		"group":            {"3b3c", "", "wire type"},
		"seq":              {"188002", "seq", "256 is over 255"},
		"uuid":             {"2201ff", "uuid", "invalid UTF-8"},
		"name":             {"12030a01ff", "metrics[0].name", "invalid UTF-8"},
		"long name":        {"1204 0a02 6162 1206 0a04 61626364", "metrics[1].name", "4 bytes, the limit is 3"},
		"datatype":         {"1203 20 8002", "metrics[0].value", "datatype 256"},
		"Int8 range":       {"1205 2001 50 ac02", "metrics[0].value", "Int8: int_value 300 does not fit"},
		"UInt8 range":      {"1205 2005 50 ac02", "metrics[0].value", "300 is out of range"},
		"misfit":           {"1205 2003 7a0178", "metrics[0].value", "Int32: string_value does not fit"},
		"text":             {"1205 200c 7a01ff", "metrics[0].value", "invalid UTF-8"},
		"array":            {"1206 2017 82010161", "metrics[0].value", "1 bytes are not a whole number"},
		"metadata twice":   {"1204 4200 4200", "metrics[0].metadata", "given twice"},
		"data set twice":   {"1206 8a0100 8a0100", "metrics[0].value", "given twice"},
		"keys":             {"1205 4a03 0a0161", "metrics[0].properties", "1 keys but 0 values"},
		"property type":    {"120b 4a09 0a0161 1204 080c 1805", "metrics[0].properties.values[0]", "String: int_value 5"},
		"set of type Int":  {"120b 4a09 0a0161 1204 0803 4a00", "metrics[0].properties.values[0]", "type 3 does not fit"},
		"columns":          {"1205 8a0102 0802", "metrics[0].value", "0 columns, but num_of_columns is 2"},
		"column types":     {"1206 8a0103 120161", "metrics[0].value", "1 columns but 0 types"},
		"column type":      {"1205 8a0102 1810", "metrics[0].value.types[0]", "datatype 16 is not for columns"},
		"empty row":        {"1205 8a0102 2200", "metrics[0].value.rows[0]", "0 cells"},
		"cell":             {"120f 8a010c 120161 1803 22050a033201 78", "metrics[0].value.rows[0][0]", "string_value does not fit"},
		"parameter":        {"120a 9201071a05 1005 18 ac02", "metrics[0].value.parameters[0]", "300 is out of range"},
		"metrics":          {many, "metrics[5]", "more than 5 metrics"},
		"template metrics": {"120f 92010c 1200 1200 1200 1200 1200 1200", "metrics[0].value.metrics[4]", "more than 5 metrics"},
		"too large":        {strings.Repeat("1000", 600), "", "1200 bytes, the limit is 1000"},
	}
	limits := sparkplug.Limits{Bytes: 1000, Metrics: 5, Name: 3, Depth: 4}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := unhex(t, tt.wire)
			p := ndata(2)
			err := p.DecodeLimits(b, limits)
			bad, ok := errors.AsType[*sparkplug.DecodeError](err)
			if !ok || bad.Path != tt.path || !strings.Contains(bad.Reason, tt.reason) {
				t.Fatalf("got %v, want %q at %q", err, tt.reason, tt.path)
			}
			if len(p.Metrics) != 0 || p.HasSeq || p.HasTimestamp {
				t.Errorf("the payload is not empty after an error: %+v", p)
			}
		})
	}
}

// nest returns a payload with a template in a template, depth of them, and as
// many property sets in one another.
func nest(depth int) sparkplug.Payload {
	set := &sparkplug.PropertySet{}
	for range depth - 1 {
		set = &sparkplug.PropertySet{Keys: []string{"k"}, Values: []sparkplug.Property{{Set: set}}}
	}
	m := sparkplug.Metric{Name: "leaf", Value: sparkplug.Boolean(true), Properties: set}
	for range depth {
		m = sparkplug.Metric{Name: "t", Value: sparkplug.OfTemplate(&sparkplug.Template{Metrics: []sparkplug.Metric{m}})}
	}
	return sparkplug.Payload{Metrics: []sparkplug.Metric{m}}
}

func TestDepth(t *testing.T) {
	p := nest(16)
	checkRoundTrip(t, &p)
	wire, err := p.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.DecodeLimits(wire, sparkplug.Limits{Depth: 15}); err == nil || !strings.Contains(err.Error(), "nested deeper than 15") {
		t.Errorf("depth 16 with limit 15: %v", err)
	}
	p = nest(17)
	if out, err := p.Append([]byte("x")); err == nil || string(out) != "x" {
		t.Errorf("encoding depth 17: %q, %v", out, err)
	}
	loop := &sparkplug.PropertySet{Keys: []string{"k"}, Values: make([]sparkplug.Property, 1)}
	loop.Values[0].Set = loop
	p = sparkplug.Payload{Metrics: []sparkplug.Metric{{Properties: loop}}}
	if _, err := p.Append(nil); err == nil {
		t.Error("a property set in itself was encoded")
	}
}

func TestAppendRefuses(t *testing.T) {
	table := func(d sparkplug.DataSet) sparkplug.Metric { return sparkplug.Metric{Value: sparkplug.OfDataSet(&d)} }
	tests := map[string]struct {
		metric       sparkplug.Metric
		path, reason string
	}{
		"Int8":       {sparkplug.Metric{Value: sparkplug.Int(sparkplug.TypeInt8, 128)}, "metrics[0].value", "128 is out of range of Int8"},
		"Int32 fast": {sparkplug.Metric{HasAlias: true, HasTimestamp: true, Timestamp: benchTime, Value: sparkplug.Int(sparkplug.TypeInt32, 1<<40)}, "metrics[0].value", "out of range of Int32"},
		"UInt16":     {sparkplug.Metric{Value: sparkplug.Uint(sparkplug.TypeUInt16, 1<<16)}, "metrics[0].value", "65536 is out of range"},
		"name":       {sparkplug.Metric{Name: "\xff"}, "metrics[0].name", "UTF-8"},
		"text fast":  {sparkplug.Metric{HasAlias: true, HasTimestamp: true, Timestamp: benchTime, Value: sparkplug.String("\xff")}, "metrics[0].value", "UTF-8"},
		"array":      {sparkplug.Metric{Value: sparkplug.Bytes(sparkplug.TypeInt32Array, []byte{1})}, "metrics[0].value", "whole number"},
		"keys":       {sparkplug.Metric{Properties: &sparkplug.PropertySet{Keys: []string{"a"}}}, "metrics[0].properties", "1 keys but 0"},
		"property":   {sparkplug.Metric{Properties: &sparkplug.PropertySet{Keys: []string{"a"}, Values: []sparkplug.Property{{Value: sparkplug.Bytes(sparkplug.TypeBytes, nil)}}}}, "metrics[0].properties.values[0]", "Bytes cannot be here"},
		"types":      {table(sparkplug.DataSet{Columns: []string{"a"}}), "metrics[0].value", "1 columns but 0 types"},
		"ragged":     {table(sparkplug.DataSet{Columns: []string{"a", "b"}, Types: make([]sparkplug.DataType, 2), Rows: make([]sparkplug.Value, 3)}), "metrics[0].value", "3 cells"},
		"cell": {
			table(sparkplug.DataSet{Columns: []string{"a"}, Types: []sparkplug.DataType{sparkplug.TypeInt32}, Rows: []sparkplug.Value{sparkplug.String("x")}}),
			"metrics[0].value.rows[0][0]", "String in a column of Int32",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := sparkplug.Payload{Metrics: []sparkplug.Metric{tt.metric}}
			out, err := p.Append([]byte("x"))
			bad, ok := errors.AsType[*sparkplug.EncodeError](err)
			if !ok || bad.Path != tt.path || !strings.Contains(bad.Reason, tt.reason) || string(out) != "x" {
				t.Errorf("got %q, %v; want %q at %q", out, err, tt.reason, tt.path)
			}
			if _, err := sparkplug.ToProto(&p); err == nil {
				t.Error("ToProto accepts it")
			}
		})
	}
}

// soup makes a message of fields with known and unknown numbers in any order.
func soup(t *rapid.T, depth int) []byte {
	var b []byte
	for range rapid.IntRange(0, 6).Draw(t, "fields") {
		tag := rapid.Uint64Range(1, 20).Draw(t, "number") << 3
		switch kind := rapid.IntRange(0, 5).Draw(t, "wire type"); {
		case kind <= 1:
			b = appendVarint(b, tag, rapid.Uint64().Draw(t, "varint")>>rapid.IntRange(0, 63).Draw(t, "shift"))
		case kind == 2:
			b = append(appendVarint(b, tag|5), rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "fixed32")...)
		case kind == 3:
			b = append(appendVarint(b, tag|1), rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "fixed64")...)
		case depth == 0 || kind == 4:
			s := rapid.StringN(0, 5, 20).Draw(t, "text")
			b = append(appendVarint(b, tag|2, uint64(len(s))), s...)
		default:
			s := soup(t, depth-1)
			b = append(appendVarint(b, tag|2, uint64(len(s))), s...)
		}
	}
	return b
}

func appendVarint(b []byte, list ...uint64) []byte {
	for _, v := range list {
		for ; v >= 0x80; v >>= 7 {
			b = append(b, byte(v)|0x80)
		}
		b = append(b, byte(v))
	}
	return b
}

// TestDecodeSoup holds the law of FuzzDecode on messages that are mostly
// well-formed.
func TestDecodeSoup(t *testing.T) {
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		s := soup(t, 4)
		b := append(appendVarint(nil, 2<<3|2, uint64(len(s))), s...)
		var p sparkplug.Payload
		if checkDecode(rapidTB{t: t}, &p, b) {
			accepted++
		}
	})
	if accepted == 0 {
		t.Error("nothing was accepted: the soup is too thin")
	}
}

// TestDecodeCut holds the law of FuzzDecode on every beginning of a payload, cut
// both in place and in memory of its own, where the race detector sees a read
// beyond the end.
func TestDecodeCut(t *testing.T) {
	data := ndata(12)
	data.Metrics[9].Value = sparkplug.String(strings.Repeat("long ", 16))
	wire, err := data.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := range wire {
		var p sparkplug.Payload
		p.Metrics = make([]sparkplug.Metric, 0, 16)
		whole := checkDecode(t, &p, bytes.Clone(wire[:n]))
		p.Metrics = make([]sparkplug.Metric, 0, 16)
		if inPlace := checkDecode(t, &p, wire[:n]); whole != inPlace {
			t.Errorf("the first %d bytes: accepted %v, in place %v", n, whole, inPlace)
		}
	}
}

// TestDecodeTrailing holds the law of FuzzDecode on metrics that begin as the
// fast decoder likes it and then go on.
func TestDecodeTrailing(t *testing.T) {
	head := unhex(t, "1005 18a088b8f8bc31")
	values := []string{"200a 690000000000000840", "2003 5007", "2004 5807", "200b 7001", "200c 7a0178", "2009 650000803f", "5007", "690000000000000840"}
	tails := []string{"", "2801", "3001", "3801", "5009", "69000000000000f03f", "2003", "c03e05", "0a0161", "1009", "1801", "4a00", "4200", "00", "50"}
	after, err := (&sparkplug.Payload{Metrics: ndata(3).Metrics}).Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range values {
		for _, tail := range tails {
			body := slices.Concat(head, unhex(t, value), unhex(t, tail))
			p := sparkplug.Payload{Metrics: make([]sparkplug.Metric, 0, 8)}
			checkDecode(t, &p, slices.Concat([]byte{0x12, byte(len(body))}, body, after))
			checkDecode(t, &p, slices.Concat(after, []byte{0x12, byte(len(body))}, body))
			checkDecode(t, &p, slices.Concat(after, []byte{0x12, byte(len(body))}, body, []byte{0x18, 7}))
		}
	}
}

// TestDecodeDamaged holds the law of FuzzDecode on data messages, which have a
// decoder of their own for speed, with bytes changed, cut and added.
func TestDecodeDamaged(t *testing.T) {
	var p sparkplug.Payload
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		data := sparkplug.Payload{HasSeq: true}
		for range rapid.IntRange(1, 8).Draw(t, "metrics") {
			v := genScalar(t, genType(t))
			data.Metrics = append(data.Metrics, sparkplug.Metric{
				Alias: rapid.Uint64Range(0, 1<<15).Draw(t, "alias"), HasAlias: true,
				Timestamp: benchTime + rapid.Int64Range(-1<<43, 1<<43).Draw(t, "later"), HasTimestamp: true,
				OmitType: rapid.Bool().Draw(t, "omit type"), Value: v,
			})
		}
		b, err := data.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		p.Metrics = slices.Grow(p.Metrics, 16) // the fast decoder wants room
		for range rapid.IntRange(0, 2).Draw(t, "damages") {
			at := rapid.IntRange(0, len(b)-1).Draw(t, "at")
			switch rapid.IntRange(0, 3).Draw(t, "damage") {
			case 0:
				b[at] = rapid.Byte().Draw(t, "byte")
			case 1:
				b[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
			case 2:
				b = slices.Insert(b, at, rapid.Byte().Draw(t, "byte"))
			case 3:
				b = b[:at+1]
			}
		}
		if checkDecode(rapidTB{t: t}, &p, b) {
			accepted++
		}
	})
	if accepted == 0 {
		t.Error("nothing was accepted")
	}
}
