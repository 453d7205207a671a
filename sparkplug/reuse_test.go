package sparkplug_test

import (
	"strings"
	"testing"

	"github.com/magneto-iiot/magneto/sparkplug"
	"pgregory.net/rapid"
)

// TestBounds encodes and decodes what lies on both sides of the bounds between
// the fast and the general way.
func TestBounds(t *testing.T) {
	values := []sparkplug.Value{
		sparkplug.Double(1), sparkplug.Float(-1), sparkplug.Boolean(true), sparkplug.DateTime(-1), sparkplug.DateTime(1 << 56),
		sparkplug.Int(sparkplug.TypeInt32, -1<<31), sparkplug.Int(sparkplug.TypeInt64, 1<<56-1), sparkplug.Int(sparkplug.TypeInt8, -1),
		sparkplug.Uint(sparkplug.TypeUInt32, 1<<32-1), sparkplug.Uint(sparkplug.TypeUInt64, 1<<64-1), sparkplug.Uint(sparkplug.TypeUInt64, 0),
		sparkplug.String(""), sparkplug.String("ß"), sparkplug.String(strings.Repeat("x", 100)), sparkplug.String(strings.Repeat("x", 101)),
		sparkplug.Text(sparkplug.TypeUUID, "u"), sparkplug.Null(sparkplug.TypeDouble),
	}
	for _, at := range []int64{-1, 0, 1<<35 - 1, 1 << 35, 1<<42 - 1, 1 << 42, 1<<43 - 1} {
		for _, alias := range []uint64{0, 1<<7 - 1, 1 << 7, 1<<14 - 1, 1 << 14, 1<<64 - 1} {
			var p sparkplug.Payload
			for _, v := range values {
				p.Metrics = append(p.Metrics, sparkplug.Metric{Alias: alias, HasAlias: true, Timestamp: at, HasTimestamp: true, Value: v})
			}
			checkRoundTrip(t, &p)
		}
	}
}

// TestReuse: what was decoded before into the same Payload changes nothing.
func TestReuse(t *testing.T) {
	var reused sparkplug.Payload
	rapid.Check(t, func(t *rapid.T) {
		p := genPayload(t)
		wire, err := p.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		var fresh sparkplug.Payload
		if err := fresh.Decode(wire); err != nil {
			t.Fatal(err)
		}
		if err := reused.Decode(wire); err != nil || !reused.Equal(&fresh) {
			t.Fatalf("reused: %+v, %v; fresh: %+v", reused, err, fresh)
		}
	})
}

// TestReuseFast: a plain data message after one with everything in its metrics.
func TestReuseFast(t *testing.T) {
	full, plain := nbirth(5), ndata(5)
	for i := range full.Metrics {
		m := &full.Metrics[i]
		m.Historical, m.Transient, m.OmitType = true, true, true
		m.Metadata = &sparkplug.Metadata{FileName: "f"}
	}
	var p sparkplug.Payload
	for _, want := range []sparkplug.Payload{full, plain} {
		wire, err := want.Append(nil)
		if err == nil {
			err = p.Decode(wire)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if !p.Equal(&plain) {
		t.Errorf("got %+v, want %+v", p.Metrics, plain.Metrics)
	}
}

// TestReuseForgets: a Payload that is used again keeps no message alive beyond
// the next, or many small ones could pin as many large ones.
func TestReuseForgets(t *testing.T) {
	var p sparkplug.Payload
	decode := func(from sparkplug.Payload) {
		t.Helper()
		wire, err := from.Append(nil)
		if err == nil {
			err = p.Decode(wire)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	table := &sparkplug.DataSet{
		Columns: []string{"a"}, Types: []sparkplug.DataType{sparkplug.TypeString},
		Rows: []sparkplug.Value{sparkplug.String("x")},
	}
	big := nbirth(40)
	big.Metrics[0].Metadata = &sparkplug.Metadata{FileName: "f"}
	big.Metrics[1].Value = sparkplug.OfDataSet(table)
	big.Metrics[2].Value = sparkplug.OfTemplate(&sparkplug.Template{Ref: "r", Metrics: nbirth(2).Metrics})
	decode(big)
	first, last := p.Metrics[0], p.Metrics[39]
	cells, tmpl := p.Metrics[1].Value.DataSet(), p.Metrics[2].Value.Template()
	small := nbirth(1)
	small.Metrics[0].Properties.Keys = small.Metrics[0].Properties.Keys[:1]
	small.Metrics[0].Properties.Values = small.Metrics[0].Properties.Values[:1]
	decode(small)
	for i, m := range p.Metrics[1:cap(p.Metrics)] {
		if !m.Equal(&sparkplug.Metric{}) || m.HasAlias {
			t.Fatalf("slot %d still holds %+v", i+1, m)
		}
	}
	for _, s := range []*sparkplug.PropertySet{first.Properties, last.Properties} {
		for i, key := range s.Keys[len(s.Keys):cap(s.Keys)] {
			if key != "" {
				t.Errorf("key %d still holds %q", i, key)
			}
		}
	}
	if len(last.Properties.Keys) != 0 || first.Metadata.FileName != "" {
		t.Error("properties or metadata are still held")
	}
	if len(cells.Columns) != 0 || cells.Columns[:1][0] != "" || !cells.Rows[:1][0].IsNull() {
		t.Error("the data set is still held")
	}
	if tmpl.Ref != "" || len(tmpl.Metrics) != 0 || tmpl.Metrics[:1][0].Name != "" {
		t.Error("the template is still held")
	}
}

// TestAllocations: births and data decode and encode without any, once there is
// room.
func TestAllocations(t *testing.T) {
	for _, s := range subjects(t) {
		for name, fn := range map[string]func(){"decode": s.decoder(t), "encode": s.encoder(t)} {
			fn()
			if n := testing.AllocsPerRun(20, fn); n != 0 {
				t.Errorf("%s %s: %.0f allocations, want 0", s.name, name, n)
			}
		}
	}
}
