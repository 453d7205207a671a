package drivertest_test

import (
	"fmt"
	"testing"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	"github.com/magneto-iiot/magneto/edgenode/driver/drivertest"
	"github.com/magneto-iiot/magneto/edgenode/driver/process"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// rig is a driver with equipment to play with: here a simulated pump.
func rig(*testing.T) drivertest.Rig {
	setSpeed := driver.Tag{ID: 1, Addr: "SetSpeed", Type: sparkplug.TypeFloat}
	flow := driver.Tag{ID: 2, Addr: "Flow", Type: sparkplug.TypeFloat}
	speed := driver.Tag{ID: 3, Addr: "Speed", Type: sparkplug.TypeFloat}
	return drivertest.Rig{
		Open:     process.Open,
		Config:   driver.Config{Name: "pump", Options: driver.Options{"model": "pump"}},
		Points:   []drivertest.Point{{Tag: setSpeed, Want: sparkplug.Float(1200)}, {Tag: flow}, {Tag: speed}},
		Unknown:  driver.Tag{ID: 4, Addr: "Sped", Type: sparkplug.TypeFloat},
		Write:    driver.Write{Tag: setSpeed, Value: sparkplug.Float(900)},
		ReadOnly: driver.Write{Tag: flow, Value: sparkplug.Float(1)},
		Misfit:   driver.Write{Tag: setSpeed, Value: sparkplug.Float(-1)},
	}
}

// TestRun is how the test of a driver looks.
func TestRun(t *testing.T) { drivertest.Run(t, rig) }

func Example() {
	r := rig(nil)
	d, err := r.Open(r.Config)
	fmt.Println(d.Endpoint(), err)
	// Output: process://pump <nil>
}
