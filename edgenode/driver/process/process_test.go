package process_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	"github.com/magneto-iiot/magneto/edgenode/driver/drivertest"
	"github.com/magneto-iiot/magneto/edgenode/driver/process"
	"github.com/magneto-iiot/magneto/sparkplug"
)

func tag(id uint32, addr string, t sparkplug.DataType) driver.Tag {
	return driver.Tag{ID: id, Addr: addr, Type: t}
}

func TestDriver(t *testing.T) {
	setSpeed := tag(1, "SetSpeed", sparkplug.TypeFloat)
	drivertest.Run(t, func(*testing.T) drivertest.Rig {
		return drivertest.Rig{
			Open:   process.Open,
			Config: driver.Config{Name: "pump", Options: driver.Options{"model": "pump", "seed": 42}},
			Points: []drivertest.Point{
				{Tag: setSpeed, Want: sparkplug.Float(1200)},
				{Tag: tag(2, "Speed", sparkplug.TypeDouble)},
				{Tag: tag(3, "Flow", sparkplug.TypeInt16)},
				{Tag: tag(4, "Running", sparkplug.TypeBoolean)},
			},
			Unknown:  tag(9, "Sped", sparkplug.TypeFloat),
			Write:    driver.Write{Tag: setSpeed, Value: sparkplug.Float(900)},
			ReadOnly: driver.Write{Tag: tag(2, "Speed", sparkplug.TypeFloat), Value: sparkplug.Float(900)},
			Misfit:   driver.Write{Tag: setSpeed, Value: sparkplug.Float(9000)},
		}
	})
}

func TestCompileFaults(t *testing.T) {
	d, err := process.Open(driver.Config{Name: "pump"})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		tag   driver.Tag
		field string
	}{
		"unknown":      {driver.Tag{Addr: "Sped", Type: sparkplug.TypeFloat}, "addr"},
		"order":        {driver.Tag{Addr: "Speed", Type: sparkplug.TypeFloat, Order: "ABCD"}, "order"},
		"unit":         {driver.Tag{Addr: "Speed", Type: sparkplug.TypeFloat, Unit: "1"}, "unit"},
		"text":         {driver.Tag{Addr: "Speed", Type: sparkplug.TypeString}, "type"},
		"bool":         {driver.Tag{Addr: "Running", Type: sparkplug.TypeFloat}, "type"},
		"not a number": {driver.Tag{Addr: "Speed", Type: sparkplug.TypeBoolean}, "type"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			blocks, bad := d.Compile([]driver.Tag{tt.tag})
			if len(blocks) != 0 || len(bad) != 1 || bad[0].Field != tt.field {
				t.Errorf("Compile: %d blocks, %v; want a fault of %s", len(blocks), bad, tt.field)
			}
		})
	}
}

func TestOpenFaults(t *testing.T) {
	for name, opts := range map[string]driver.Options{
		"model":     {"model": "pomp"},
		"seed":      {"seed": -1},
		"wear":      {"wear": "fast"},
		"worn tank": {"model": "tank", "wear": 1},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := process.Open(driver.Config{Name: "x", Options: opts}); err == nil {
				t.Errorf("Open(%v) gave no error", opts)
			}
		})
	}
}

// TestFollowsSetSpeed lets a minute pass: the pump has reached what it was told.
func TestFollowsSetSpeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := process.Open(driver.Config{Name: "pump"})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		set := driver.Write{Tag: tag(1, "SetSpeed", sparkplug.TypeFloat), Value: sparkplug.Float(900)}
		if err := d.Write(t.Context(), []driver.Write{set})[0]; err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // of the bubble
		blocks, _ := d.Compile([]driver.Tag{tag(2, "Speed", sparkplug.TypeFloat), tag(3, "Speed", sparkplug.TypeInt8)})
		out := make([]driver.Sample, 2)
		if err := d.Read(t.Context(), &blocks[0], out); err != nil {
			t.Fatal(err)
		}
		if v := out[0].Value.Float64(); v < 880 || v > 920 {
			t.Errorf("Speed = %v a minute after SetSpeed 900", v)
		}
		if out[1].Quality != driver.Bad || !out[1].Value.IsNull() {
			t.Errorf("900 rpm as Int8: %v, quality %d; want null and bad", out[1].Value, out[1].Quality)
		}
	})
}

func Example() {
	d, err := process.Open(driver.Config{Name: "pump", Options: driver.Options{"model": "pump", "seed": 42}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	if err := d.Connect(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = d.Close() }()

	blocks, _ := d.Compile([]driver.Tag{{ID: 1, Addr: "SetSpeed", Type: sparkplug.TypeFloat}})
	out := make([]driver.Sample, 1)
	if err := d.Read(ctx, &blocks[0], out); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(out[0].Value.Float32(), "rpm")
	// Output: 1200 rpm
}

func TestCheckWrite(t *testing.T) {
	d, err := process.Open(driver.Config{Options: driver.Options{"model": "pump"}})
	if err != nil {
		t.Fatal(err)
	}
	w := d.(driver.WriteChecker)
	if got := w.CheckWrite(tag(1, "SetSpeed", sparkplug.TypeFloat)); got != nil {
		t.Errorf("SetSpeed: %v", got)
	}
	if got := w.CheckWrite(tag(2, "Speed", sparkplug.TypeFloat)); got == nil || got.ID != 2 || got.Reason != "the signal takes no writes" {
		t.Errorf("Speed: %v", got)
	}
}
