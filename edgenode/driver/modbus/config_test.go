package modbus_test

import (
	"strings"
	"testing"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	"github.com/magneto-iiot/magneto/edgenode/driver/modbus"
	"github.com/magneto-iiot/magneto/sparkplug"
)

func TestOptions(t *testing.T) {
	tests := map[string]struct {
		opts     driver.Options
		endpoint string
		fault    string // part of the error; empty when the options are good
	}{
		"port by default": {driver.Options{"url": "tcp://PLC1"}, "tcp://plc1:502", ""},
		"IPv6":            {driver.Options{"url": "tcp://[::1]:1502"}, "tcp://[::1]:1502", ""},
		"device server":   {driver.Options{"url": "rtu+tcp://10.0.0.1:4001"}, "tcp://10.0.0.1:4001", ""},
		"serial":          {driver.Options{"url": "serial:///dev/serial/by-id/usb-x?baud=9600&parity=even&data=8&stop=1"}, "serial:///dev/serial/by-id/usb-x", ""},
		"all": {driver.Options{
			"url": "tcp://h", "unit": 255, "order": "CDAB", "max_block": 125, "max_gap": 0,
			"timeout": "250ms", "connect_delay": "1s",
		}, "tcp://h:502", ""},
		"no url":         {driver.Options{}, "", "url: \"\" is not a url"},
		"scheme":         {driver.Options{"url": "tpc://h"}, "", "did you mean tcp?"},
		"no host":        {driver.Options{"url": "tcp://:502"}, "", "must be a host and a port"},
		"path":           {driver.Options{"url": "tcp://h/x"}, "", "must be a host and a port"},
		"no rtu port":    {driver.Options{"url": "rtu+tcp://h"}, "", "must be a host and a port"},
		"serial host":    {driver.Options{"url": "serial://ttyUSB0"}, "", "three slashes"},
		"serial parity":  {driver.Options{"url": "serial:///dev/x?parity=evn"}, "", "none, even or odd"},
		"serial baud":    {driver.Options{"url": "serial:///dev/x?baud=fast"}, "", "baud=fast must be a number"},
		"serial setting": {driver.Options{"url": "serial:///dev/x?bauds=9600"}, "", "did you mean baud?"},
		"unit":           {driver.Options{"url": "tcp://h", "unit": 256}, "", "256 is outside 0 to 255"},
		"order":          {driver.Options{"url": "tcp://h", "order": "ABDC"}, "", "is not one of ABCD"},
		"block":          {driver.Options{"url": "tcp://h", "max_block": 126}, "", "126 is outside 1 to 125"},
		"timeout":        {driver.Options{"url": "tcp://h", "timeout": 1}, "", "must be a duration"},
		"unknown":        {driver.Options{"url": "tcp://h", "maxblock": 1}, "", "did you mean max_block?"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d, err := modbus.Open(driver.Config{Name: "x", Options: tt.opts})
			switch {
			case tt.fault == "" && err != nil:
				t.Fatalf("Open: %v", err)
			case tt.fault == "" && d.Endpoint() != tt.endpoint:
				t.Errorf("Endpoint = %q; want %q", d.Endpoint(), tt.endpoint)
			case tt.fault != "" && (err == nil || !strings.Contains(err.Error(), tt.fault)):
				t.Errorf("Open: %v; want an error with %q", err, tt.fault)
			}
		})
	}
}

func TestTagFaults(t *testing.T) {
	d, err := modbus.Open(driver.Config{Name: "x", Options: driver.Options{"url": "tcp://h"}})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		tag   driver.Tag
		field string
	}{
		"address":       {driver.Tag{Addr: "40001", Type: sparkplug.TypeInt16}, "addr"},
		"end of table":  {driver.Tag{Addr: "hr:65535", Type: sparkplug.TypeFloat}, "addr"},
		"wide":          {driver.Tag{Addr: "hr:0[242]", Type: sparkplug.TypeString}, "addr"},
		"wide bits":     {driver.Tag{Addr: "co:0[1921]", Type: sparkplug.TypeBooleanArray}, "addr"},
		"type":          {driver.Tag{Addr: "hr:0", Type: sparkplug.TypeUUID}, "type"},
		"order":         {driver.Tag{Addr: "hr:0", Type: sparkplug.TypeInt16, Order: "abcd"}, "order"},
		"unit":          {driver.Tag{Addr: "hr:0", Type: sparkplug.TypeInt16, Unit: "256"}, "unit"},
		"negative unit": {driver.Tag{Addr: "hr:0", Type: sparkplug.TypeInt16, Unit: "-1"}, "unit"},
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
