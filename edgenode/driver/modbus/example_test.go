package modbus_test

import (
	"context"
	"fmt"
	"time"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	"github.com/magneto-iiot/magneto/edgenode/driver/modbus"
	"github.com/magneto-iiot/magneto/simulators/plc"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// Three tags are read in one request, and one is set.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	mem := plc.NewMemory()
	mem.SetRegisters(plc.Holding, 100, 0x41AC, 0x0000, 0x0005)
	server, err := plc.ListenMemory(ctx, "127.0.0.1:0", mem)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = server.Close() }()

	d, err := modbus.Open(driver.Config{Name: "press", Options: driver.Options{"url": "tcp://" + server.Addr()}})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := d.Connect(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = d.Close() }()

	run := driver.Tag{ID: 2, Addr: "hr:102.1", Type: sparkplug.TypeBoolean}
	fmt.Println(d.Write(ctx, []driver.Write{{Tag: run, Value: sparkplug.Boolean(true)}}))
	blocks, _ := d.Compile([]driver.Tag{
		{ID: 1, Addr: "hr:100", Type: sparkplug.TypeFloat},
		run,
		{ID: 3, Addr: "hr:102", Type: sparkplug.TypeUInt16},
	})
	for _, b := range blocks {
		out := make([]driver.Sample, len(b.Tags))
		if err := d.Read(ctx, &b, out); err != nil {
			fmt.Println(err)
			return
		}
		for _, s := range out {
			fmt.Println(s.ID, s.Value.Float64())
		}
	}
	// Output:
	// [<nil>]
	// 1 21.5
	// 2 1
	// 3 7
}
