package plc_test

import (
	"context"
	"fmt"

	"github.com/magneto-iiot/magneto/simulators/plc"
	"github.com/magneto-iiot/magneto/simulators/process"
)

// A pump behind Modbus TCP, and its register map.
func Example() {
	server, err := plc.Listen(context.Background(), "127.0.0.1:0", process.NewPump(42))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = server.Close() }()
	for _, p := range server.Points() {
		fmt.Println(p.Addr(), p.Name, p.Type, p.Unit)
	}
	// Output:
	// hr:0 SetSpeed Float rpm
	// hr:2 Speed Float rpm
	// hr:4 Current Float A
	// hr:6 Flow Float m3/h
	// hr:8 Pressure Float bar
	// hr:10 MotorTemperature Float Cel
	// hr:12 BearingTemperature Float Cel
	// hr:14 Vibration Float mm/s
	// hr:16.0 Running Boolean
}
