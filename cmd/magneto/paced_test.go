package main

import (
	"context"
	"testing"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// rowDriver reads a row number and a value, a moment later each time.
type rowDriver struct {
	driver.Driver
	rows []uint64
	now  int64
}

func (d *rowDriver) Compile(tags []driver.Tag) ([]driver.Block, []driver.TagError) { return nil, nil }

func (d *rowDriver) Read(_ context.Context, b *driver.Block, out []driver.Sample) error {
	d.now += 10
	for i, id := range b.Tags {
		out[i] = driver.Sample{ID: id, Quality: driver.Good, Value: sparkplug.Double(1), Time: d.now}
		if id == 7 {
			out[i].Value = sparkplug.Uint(sparkplug.TypeUInt32, d.rows[0])
		}
	}
	d.rows = d.rows[1:]
	return nil
}

// TestPaced checks that a row has one time however often it is read.
func TestPaced(t *testing.T) {
	open := paced(func(driver.Config) (driver.Driver, error) {
		return &rowDriver{rows: []uint64{0, 0, 1, 2, 2}}, nil
	}, "hr:0")
	d, err := open(driver.Config{})
	if err != nil {
		t.Fatal(err)
	}
	d.Compile([]driver.Tag{{ID: 3, Addr: "hr:2"}, {ID: 7, Addr: "hr:0"}})
	block, out := driver.Block{Tags: []uint32{3, 7}}, make([]driver.Sample, 2)
	for i, want := range []int64{10, 10, 30, 40, 40} {
		if err := d.Read(t.Context(), &block, out); err != nil {
			t.Fatal(err)
		}
		if out[0].Time != want || out[1].Time != want {
			t.Errorf("read %d: times %d and %d, want %d", i, out[0].Time, out[1].Time, want)
		}
	}
}
