package sparkplug_test

import (
	"testing"

	"github.com/magneto-iiot/magneto/sparkplug"
)

func TestMerged(t *testing.T) {
	member := func(name string, v sparkplug.Value) sparkplug.Metric { return sparkplug.Metric{Name: name, Value: v} }
	inner := func(v float64) sparkplug.Value {
		return sparkplug.OfTemplate(&sparkplug.Template{Ref: "Bearing", Metrics: []sparkplug.Metric{
			member("Temp", sparkplug.Double(v)), member("Wear", sparkplug.Double(1)),
		}})
	}
	whole := &sparkplug.Template{
		Ref: "Motor", Version: "1",
		Metrics:    []sparkplug.Metric{member("Amps", sparkplug.Float(1)), member("RPM", sparkplug.Int(sparkplug.TypeInt32, 5)), member("Front", inner(20))},
		Parameters: []sparkplug.Parameter{{Name: "Power", Value: sparkplug.Double(7.5)}},
	}
	before := whole.Clone()
	part := &sparkplug.Template{
		Ref: "Motor",
		Metrics: []sparkplug.Metric{
			member("RPM", sparkplug.Int(sparkplug.TypeInt32, 6)),
			member("Front", sparkplug.OfTemplate(&sparkplug.Template{Ref: "Bearing", Metrics: []sparkplug.Metric{member("Temp", sparkplug.Double(30))}})),
			member("New", sparkplug.Boolean(true)),
		},
		Parameters: []sparkplug.Parameter{{Name: "Power", Value: sparkplug.Double(8)}},
	}
	got := whole.Merged(part)
	want := before.Clone()
	want.Metrics[1].Value = sparkplug.Int(sparkplug.TypeInt32, 6)
	want.Metrics[2].Value = inner(30)
	want.Metrics = append(want.Metrics, member("New", sparkplug.Boolean(true)))
	want.Parameters[0].Value = sparkplug.Double(8)
	if !got.Equal(want) {
		t.Errorf("Merged: %v, want %v", sparkplug.OfTemplate(got), sparkplug.OfTemplate(want))
	}
	if !whole.Equal(before) {
		t.Errorf("Merged changed its receiver to %v", sparkplug.OfTemplate(whole))
	}
}
