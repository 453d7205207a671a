package exam

import "github.com/magneto-iiot/magneto/sparkplug"

// The device's Speed has this alias, and this value when it is born.
const (
	speedAlias = 7
	bornSpeed  = 1.0
)

// table is a DataSet.
func table() sparkplug.Value {
	return sparkplug.OfDataSet(&sparkplug.DataSet{
		Columns: []string{"Batch", "Weight", "Good"},
		Types:   []sparkplug.DataType{sparkplug.TypeInt32, sparkplug.TypeDouble, sparkplug.TypeBoolean},
		Rows: []sparkplug.Value{
			sparkplug.Int(sparkplug.TypeInt32, -1), sparkplug.Double(2.5), sparkplug.Boolean(true),
			sparkplug.Int(sparkplug.TypeInt32, 2), sparkplug.Double(-1e300), sparkplug.Boolean(false),
		},
	})
}

func member(name string, v float64) sparkplug.Metric {
	return sparkplug.Metric{Name: name, Value: sparkplug.Double(v)}
}

func power() []sparkplug.Parameter {
	return []sparkplug.Parameter{{Name: "Power", Value: sparkplug.Double(7.5)}}
}

// instance is a template instance with both its members.
func instance(amps, rpm float64) sparkplug.Value {
	return sparkplug.OfTemplate(&sparkplug.Template{
		Version: "1", Ref: "Motor", Parameters: power(),
		Metrics: []sparkplug.Metric{member("Amps", amps), member("RPM", rpm)},
	})
}

// partial is one of the members of the instance in the birth, changed.
func partial() sparkplug.Metric {
	v := sparkplug.OfTemplate(&sparkplug.Template{Version: "1", Ref: "Motor", Metrics: []sparkplug.Metric{member("Amps", 4)}})
	return sparkplug.Metric{Name: "Motor 1", Value: v, OmitType: true}
}

// complex is what the node is born with.
func complex() []sparkplug.Metric {
	definition := sparkplug.OfTemplate(&sparkplug.Template{
		Version: "1", IsDefinition: true, Parameters: power(),
		Metrics: []sparkplug.Metric{member("Amps", 0), member("RPM", 0)},
	})
	properties := &sparkplug.PropertySet{
		Keys: []string{"Quality", "engUnit", "engHigh"},
		Values: []sparkplug.Property{
			{Value: sparkplug.Int(sparkplug.TypeInt32, 192)}, {Value: sparkplug.String("l/s")}, {Value: sparkplug.Double(100)},
		},
	}
	return []sparkplug.Metric{
		{Name: "Motor", Value: definition},
		{Name: "Motor 1", Value: instance(3, 5)},
		{Name: "Table", Value: table()},
		{Name: "Flow", Value: sparkplug.Double(12.5), Properties: properties},
		{Name: "Setpoint", Value: sparkplug.Double(0)},
	}
}

func setpoint(v float64) sparkplug.Metric {
	return sparkplug.Metric{Name: "Setpoint", Value: sparkplug.Double(v), OmitType: true}
}

// deviceMetrics is what the device is born with.
func deviceMetrics() []sparkplug.Metric {
	return []sparkplug.Metric{
		{Name: "Speed", Alias: speedAlias, HasAlias: true, Value: sparkplug.Double(bornSpeed)},
		{Name: "Limit", Value: sparkplug.Double(0)},
	}
}
