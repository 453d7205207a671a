package main

import (
	"context"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// paced opens a driver whose samples all carry the time at which the present
// row of a recording was first read. A row that is read twice, because the PLC
// has no next one yet, is then the same report twice, and the history, where a
// metric has one value at a time, keeps it once.
func paced(open driver.Open, rowAddr string) driver.Open {
	return func(c driver.Config) (driver.Driver, error) {
		d, err := open(c)
		if err != nil {
			return nil, err
		}
		return &pacedDriver{Driver: d, rowAddr: rowAddr}, nil
	}
}

type pacedDriver struct {
	driver.Driver

	rowAddr string
	rowTag  uint32 // the engine's id of Row

	row  sparkplug.Value // the row seen last
	time int64           // and when it was first
}

func (d *pacedDriver) Compile(tags []driver.Tag) ([]driver.Block, []driver.TagError) {
	for _, t := range tags {
		if t.Addr == d.rowAddr {
			d.rowTag = t.ID
		}
	}
	return d.Driver.Compile(tags)
}

func (d *pacedDriver) Read(ctx context.Context, b *driver.Block, out []driver.Sample) error {
	if err := d.Driver.Read(ctx, b, out); err != nil {
		return err
	}
	for i, id := range b.Tags {
		if id == d.rowTag && !out[i].Value.Equal(d.row) {
			d.row, d.time = out[i].Value, max(out[i].Time, d.time+1)
		}
	}
	for i := range b.Tags {
		out[i].Time = d.time
	}
	return nil
}

// Split makes a driver.Splitter of d if the driver under it is one.
func (d *pacedDriver) Split(b *driver.Block) (left, right driver.Block, ok bool) {
	if s, can := d.Driver.(driver.Splitter); can {
		return s.Split(b)
	}
	return left, right, false
}
