// Package drivertest is the suite that every driver passes. It is the contract
// of package driver as code:
//
//	func TestDriver(t *testing.T) {
//		drivertest.Run(t, func(t *testing.T) drivertest.Rig { ... })
//	}
package drivertest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// patience bounds a call that should succeed; no test waits that long unless
// something is broken.
const patience = 10 * time.Second

// Rig is a driver with equipment that the suite may play with.
type Rig struct {
	Open   driver.Open
	Config driver.Config

	// Points are at least three readable points with distinct IDs, of one unit,
	// and the values they have. A null Want stands for any value.
	Points []Point
	// Unknown cannot be compiled.
	Unknown driver.Tag
	// Write is a point to set, with a value that it does not have.
	Write driver.Write
	// ReadOnly is a point that compiles and takes no writes, with a value that
	// would fit.
	ReadOnly driver.Write
	// Misfit is a write of a value that the point cannot hold.
	Misfit driver.Write

	// Illegal compiles into one block with the Points, but the device refuses
	// its address; nil if the protocol has no such thing.
	Illegal *driver.Tag
	// Cut makes the equipment vanish and Restore brings it back, at the same
	// place; nil if it cannot vanish.
	Cut, Restore func()
	// Stall makes the equipment take requests without answering (true), and
	// answer again (false); nil if it cannot.
	Stall func(on bool)
}

// Point is a readable point and the value it has.
type Point struct {
	Tag  driver.Tag
	Want sparkplug.Value
}

// Run runs the suite; start makes a fresh rig for each part.
func Run(t *testing.T, start func(t *testing.T) Rig) {
	parts := []struct {
		name string
		run  func(*testing.T, *bench)
	}{
		{"options", testOptions},
		{"compile", testCompile},
		{"compile is stateless", testStateless},
		{"read", testRead},
		{"values stay", testValuesStay},
		{"write", testWrite},
		{"write refused", testWriteRefused},
		{"check write", testCheckWrite},
		{"offline before connect", testNotConnected},
		{"close", testClose},
		{"canceled", testCanceled},
		{"reconnect", testReconnect},
		{"deadline", testDeadline},
		{"bisection", testBisection},
	}
	for _, p := range parts {
		t.Run(p.name, func(t *testing.T) {
			b := &bench{Rig: start(t)}
			d, err := b.Open(b.Config)
			if err != nil {
				t.Fatalf("Open: %v", err)
			}
			b.d = d
			defer func() {
				if err := d.Close(); err != nil {
					t.Errorf("Close at the end: %v", err)
				}
			}()
			p.run(t, b)
		})
	}
}

// bench is a rig with its driver opened.
type bench struct {
	Rig
	d driver.Driver
}

func (b *bench) tags() []driver.Tag {
	tags := make([]driver.Tag, len(b.Points))
	for i, p := range b.Points {
		tags[i] = p.Tag
	}
	return tags
}

func (b *bench) connect(t *testing.T) {
	t.Helper()
	if err := b.d.Connect(within(t, patience)); err != nil {
		t.Fatalf("Connect: %v", err)
	}
}

// read reads blocks and gives the samples by id.
func (b *bench) read(ctx context.Context, blocks []driver.Block) (map[uint32]driver.Sample, error) {
	all := map[uint32]driver.Sample{}
	for i := range blocks {
		out := make([]driver.Sample, len(blocks[i].Tags))
		if err := b.d.Read(ctx, &blocks[i], out); err != nil {
			return all, err
		}
		for j, s := range out {
			if s.ID != blocks[i].Tags[j] {
				return all, errors.New("samples are not in the order of the block's tags")
			}
			all[s.ID] = s
		}
	}
	return all, nil
}

// check reads all points and compares them.
func (b *bench) check(t *testing.T) {
	t.Helper()
	blocks := compile(t, b.d, b.tags())
	from := time.Now().UnixMilli()
	got, err := b.read(within(t, patience), blocks)
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	for _, p := range b.Points {
		s := got[p.Tag.ID]
		switch {
		case s.Quality != driver.Good || s.Value.IsNull():
			t.Errorf("%s: quality %d, value %v; want a good one", p.Tag.Addr, s.Quality, s.Value)
		case s.Value.Type() != p.Tag.Type:
			t.Errorf("%s: a %v; want a %v", p.Tag.Addr, s.Value.Type(), p.Tag.Type)
		case !p.Want.IsNull() && !s.Value.Equal(p.Want):
			t.Errorf("%s = %v; want %v", p.Tag.Addr, s.Value, p.Want)
		case s.Time <= 0 || s.Time > time.Now().UnixMilli():
			t.Errorf("%s: time %d is not between the epoch and now (%d)", p.Tag.Addr, s.Time, from)
		}
	}
}

// compile compiles tags that are all good.
func compile(t *testing.T, d driver.Driver, tags []driver.Tag) []driver.Block {
	t.Helper()
	blocks, bad := d.Compile(tags)
	for _, e := range bad {
		t.Fatalf("Compile: %v", e)
	}
	return blocks
}

// within is a context of the test that ends after d.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// wantClass checks the class of an error.
func wantClass(t *testing.T, what string, err, class error) {
	t.Helper()
	if !errors.Is(err, class) {
		t.Errorf("%s: %v; want an error that wraps %q", what, err, class)
	}
}
