package sparkplug_test

import (
	"math"
	"testing"

	"github.com/magneto-iiot/magneto/sparkplug"
	"pgregory.net/rapid"
)

var scalarTypes = []sparkplug.DataType{
	sparkplug.TypeInt8, sparkplug.TypeInt16, sparkplug.TypeInt32, sparkplug.TypeInt64,
	sparkplug.TypeUInt8, sparkplug.TypeUInt16, sparkplug.TypeUInt32, sparkplug.TypeUInt64,
	sparkplug.TypeFloat, sparkplug.TypeDouble, sparkplug.TypeBoolean, sparkplug.TypeString,
	sparkplug.TypeDateTime, sparkplug.TypeText, sparkplug.TypeUUID,
}

// genScalar makes any value of a scalar type, null now and then.
func genScalar(t *rapid.T, typ sparkplug.DataType) sparkplug.Value {
	if rapid.IntRange(0, 9).Draw(t, "null") == 0 {
		return sparkplug.Null(typ)
	}
	bits := rapid.Uint64().Draw(t, "bits")
	switch typ {
	case sparkplug.TypeInt8:
		return sparkplug.Int(typ, int64(int8(bits)))
	case sparkplug.TypeInt16:
		return sparkplug.Int(typ, int64(int16(bits)))
	case sparkplug.TypeInt32:
		return sparkplug.Int(typ, int64(int32(bits)))
	case sparkplug.TypeInt64:
		return sparkplug.Int(typ, int64(bits))
	case sparkplug.TypeUInt8:
		return sparkplug.Uint(typ, uint64(uint8(bits)))
	case sparkplug.TypeUInt16:
		return sparkplug.Uint(typ, uint64(uint16(bits)))
	case sparkplug.TypeUInt32:
		return sparkplug.Uint(typ, uint64(uint32(bits)))
	case sparkplug.TypeUInt64:
		return sparkplug.Uint(typ, bits)
	case sparkplug.TypeFloat:
		return sparkplug.Float(math.Float32frombits(uint32(bits)))
	case sparkplug.TypeDouble:
		return sparkplug.Double(math.Float64frombits(bits))
	case sparkplug.TypeBoolean:
		return sparkplug.Boolean(bits&1 != 0)
	case sparkplug.TypeDateTime:
		return sparkplug.DateTime(int64(bits))
	}
	return sparkplug.Text(typ, rapid.String().Draw(t, "text"))
}

func genType(t *rapid.T) sparkplug.DataType { return rapid.SampledFrom(scalarTypes).Draw(t, "type") }

func genName(t *rapid.T) string { return rapid.StringN(0, 40, 200).Draw(t, "name") }

// genValue makes a value of any type that a metric can have.
func genValue(t *rapid.T, depth int) sparkplug.Value {
	switch kind := rapid.IntRange(0, 12).Draw(t, "kind"); {
	case kind == 0:
		return sparkplug.Bytes(sparkplug.TypeBytes, rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
	case kind == 1:
		return sparkplug.ArrayOf(rapid.SliceOf(rapid.Int16()).Draw(t, "array"))
	case kind == 2:
		return sparkplug.BooleanArray(rapid.SliceOf(rapid.Bool()).Draw(t, "flags"))
	case kind == 3:
		return sparkplug.OfDataSet(genTable(t))
	case kind == 4 && depth < 3:
		return sparkplug.OfTemplate(genTemplate(t, depth+1))
	}
	return genScalar(t, genType(t))
}

func genTable(t *rapid.T) *sparkplug.DataSet {
	d := &sparkplug.DataSet{}
	for range rapid.IntRange(0, 4).Draw(t, "columns") {
		d.Columns, d.Types = append(d.Columns, genName(t)), append(d.Types, genType(t))
	}
	if len(d.Columns) == 0 {
		return d
	}
	for range rapid.IntRange(0, 3).Draw(t, "rows") {
		for _, typ := range d.Types {
			d.Rows = append(d.Rows, genScalar(t, typ))
		}
	}
	return d
}

func genTemplate(t *rapid.T, depth int) *sparkplug.Template {
	tmpl := &sparkplug.Template{
		Version: genName(t), Ref: genName(t), IsDefinition: rapid.Bool().Draw(t, "definition"),
		Metrics: genMetrics(t, depth),
	}
	for range rapid.IntRange(0, 2).Draw(t, "parameters") {
		tmpl.Parameters = append(tmpl.Parameters, sparkplug.Parameter{Name: genName(t), Value: genScalar(t, genType(t))})
	}
	return tmpl
}

func genSet(t *rapid.T, depth int) *sparkplug.PropertySet {
	s := &sparkplug.PropertySet{}
	for range rapid.IntRange(0, 3).Draw(t, "properties") {
		var p sparkplug.Property
		switch kind := rapid.IntRange(0, 6).Draw(t, "nested"); {
		case kind == 0 && depth < 3:
			p.Set = genSet(t, depth+1)
		case kind == 1 && depth < 3:
			p.List = []*sparkplug.PropertySet{genSet(t, depth+1), genSet(t, depth+1)}
		default:
			p.Value = genScalar(t, genType(t))
		}
		s.Keys, s.Values = append(s.Keys, genName(t)), append(s.Values, p)
	}
	return s
}

func genMetrics(t *rapid.T, depth int) []sparkplug.Metric {
	var list []sparkplug.Metric
	for range rapid.IntRange(0, 4).Draw(t, "metrics") {
		m := sparkplug.Metric{
			HasAlias:     rapid.Bool().Draw(t, "has alias"),
			HasTimestamp: rapid.Bool().Draw(t, "has timestamp"),
			Historical:   rapid.IntRange(0, 9).Draw(t, "historical") == 0,
			Transient:    rapid.IntRange(0, 9).Draw(t, "transient") == 0,
			Value:        genValue(t, depth),
		}
		if m.HasAlias {
			m.Alias = rapid.Uint64().Draw(t, "alias") >> rapid.IntRange(0, 63).Draw(t, "shift")
		}
		if m.HasTimestamp {
			m.Timestamp = rapid.Int64().Draw(t, "timestamp") >> rapid.IntRange(0, 40).Draw(t, "shift")
			if rapid.Bool().Draw(t, "now") {
				m.Timestamp = 1_700_000_000_000
			}
		}
		if rapid.Bool().Draw(t, "long form") {
			m.Name = genName(t)
			m.Properties = genSet(t, 1)
			m.Metadata = &sparkplug.Metadata{
				Size: 3, HasSize: rapid.Bool().Draw(t, "size"), FileName: genName(t),
				HasMultiPart: rapid.Bool().Draw(t, "parts"), MD5: genName(t), Description: genName(t),
			}
			if !m.Metadata.HasSize {
				m.Metadata.Size = 0
			}
		}
		list = append(list, m)
	}
	return list
}

func genPayload(t *rapid.T) sparkplug.Payload {
	p := sparkplug.Payload{
		HasTimestamp: rapid.Bool().Draw(t, "has timestamp"),
		HasSeq:       rapid.Bool().Draw(t, "has seq"),
		Metrics:      genMetrics(t, 0),
		UUID:         genName(t),
		Body:         rapid.SliceOf(rapid.Byte()).Draw(t, "body"),
	}
	if p.HasTimestamp {
		p.Timestamp = rapid.Int64().Draw(t, "timestamp")
	}
	if p.HasSeq {
		p.Seq = rapid.Uint8().Draw(t, "seq")
	}
	return p
}

// goldens are wire bytes of one payload with every part that there is.
func goldens(tb testing.TB) [][]byte {
	arr, err := sparkplug.StringArray([]string{"a", "", "ß"})
	if err != nil {
		tb.Fatal(err)
	}
	set := &sparkplug.PropertySet{
		Keys: []string{"Quality", "nested", "list", "null"},
		Values: []sparkplug.Property{
			{Value: sparkplug.Int(sparkplug.TypeInt32, sparkplug.QualityStale)},
			{Set: &sparkplug.PropertySet{Keys: []string{"x"}, Values: []sparkplug.Property{{Value: sparkplug.Float(1)}}}},
			{List: []*sparkplug.PropertySet{{}, {}}},
			{Value: sparkplug.Null(sparkplug.TypeString)},
		},
	}
	p := sparkplug.Payload{Timestamp: 1, HasTimestamp: true, HasSeq: true, UUID: "u", Body: []byte("b"), Metrics: []sparkplug.Metric{
		{Name: "i8", Value: sparkplug.Int(sparkplug.TypeInt8, -5), Properties: set},
		{Name: "arr", Value: arr, Metadata: &sparkplug.Metadata{FileName: "f", Size: 7, HasSize: true}},
		{Name: "table", Value: sparkplug.OfDataSet(&sparkplug.DataSet{
			Columns: []string{"a", "b"}, Types: []sparkplug.DataType{sparkplug.TypeUInt32, sparkplug.TypeText},
			Rows: []sparkplug.Value{sparkplug.Uint(sparkplug.TypeUInt32, 850), sparkplug.Null(sparkplug.TypeText)},
		})},
		{Name: "tmpl", Value: sparkplug.OfTemplate(&sparkplug.Template{
			Ref: "motor", Version: "1", Metrics: []sparkplug.Metric{{Name: "speed", Value: sparkplug.Double(3)}},
			Parameters: []sparkplug.Parameter{{Name: "p", Value: sparkplug.Boolean(true)}},
		})},
		{Alias: 300, HasAlias: true, Timestamp: 1_700_000_000_000, HasTimestamp: true, OmitType: true, Value: sparkplug.Float(2)},
	}}
	b, err := p.Append(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return [][]byte{b, {0x12, 0x04, 0x20, 0x01, 0x50, 0x80}, {0x12, 0x02, 0x3b, 0x3c}}
}
