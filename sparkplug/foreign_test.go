package sparkplug_test

import (
	_ "embed"
	"strings"
	"testing"

	"github.com/magneto-iiot/magneto/sparkplug"
)

// foreign is a payload as the npm package sparkplug-payload 1.0.3 encodes it.
//
//go:embed testdata/sparkplug-payload-1.0.3.hex
var foreign string

// TestForeign decodes what another implementation has encoded.
func TestForeign(t *testing.T) {
	var p sparkplug.Payload
	if err := p.Decode(unhex(t, strings.ReplaceAll(foreign, "\n", ""))); err != nil {
		t.Fatal(err)
	}
	want := []struct{ name, typ, json string }{
		{"i8", "Int8", `-5`},
		{"i16", "Int16", `-300`},
		{"i32", "Int32", `-70000`},
		{"i64", "Int64", `"-7"`},
		{"u8", "UInt8", `200`},
		{"u32", "UInt32", `4000000000`},
		{"u64", "UInt64", `"7"`},
		{"f", "Float", `1.5`},
		{"d", "Double", `2.5`},
		{"b", "Boolean", `true`},
		{"s", "String", `"x"`},
		{"dt", "DateTime", `"1700000000000"`},
		{"by", "Bytes", `"AQI="`},
		{"n", "Int32", `null`},
		{"ds", "DataSet", `{"columns":[{"name":"a","type":"Int32"},{"name":"b","type":"String"}],"rows":[[1,"q"],[-2,"r"]]}`},
		{"tp", "Template", `{"ref":"m","version":"1","members":{"x":4},"parameters":{"p":1}}`},
		{"uuid", "UUID", `"abc"`},
		{"txt", "Text", `"t"`},
	}
	if p.Timestamp != 1_700_000_000_000 || p.Seq != 4 || len(p.Metrics) != len(want) {
		t.Fatalf("timestamp %d, seq %d, %d metrics", p.Timestamp, p.Seq, len(p.Metrics))
	}
	for i, w := range want {
		m := p.Metrics[i]
		if got := string(sparkplug.AppendJSON(nil, m.Value)); m.Name != w.name || m.Value.Type().String() != w.typ || got != w.json {
			t.Errorf("got %s %s %s, want %s %s %s", m.Name, m.Value.Type(), got, w.name, w.typ, w.json)
		}
	}
	q, ok := p.Metrics[10].Properties.Get(sparkplug.PropQuality)
	if !ok || q.Value.Int() != sparkplug.QualityGood {
		t.Errorf("quality is %v, %v", q, ok)
	}
	checkRoundTrip(t, &p)
}
