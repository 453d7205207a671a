// Package modbus is a driver for Modbus TCP, RTU over TCP and RTU on a serial
// line.
//
//	connections:
//	  press_plc: {driver: modbus, url: "tcp://10.0.0.11:502", unit: 1}
//
// The options of a connection:
//
//	url            tcp://host[:502]              Modbus TCP
//	               rtu+tcp://host:port           RTU frames through a serial device server
//	               serial:///dev/serial/by-id/X?baud=19200&parity=even&data=8&stop=1
//	unit           unit id, 0 to 255; default 1
//	order          word order of tags that name none; default ABCD
//	max_block      most registers in one request, 1 to 125; default 120. Bits: 16 times as many, at most 2000
//	max_gap        most unwanted registers read between two wanted ones; default 16. Bits: 16 times as many
//	timeout        of one request; default 1s
//	connect_delay  pause after connecting, for devices that need one; default 0s
//
// # Addresses
//
// A table, a zero-based decimal address, then a bit or a length:
//
//	hr:100      holding register      functions 3, 6, 16
//	ir:100      input register        function 4        (read-only)
//	co:100      coil                  functions 1, 5, 15
//	di:100      discrete input        function 2        (read-only)
//	hr:100.3    bit 3 of a register, 0 the least significant
//	hr:100[20]  20 characters (String, Text, Bytes: two a register), or 20 elements of an array type
//
// What lies at an address, by type:
//
//	Boolean                  co, di: the bit. hr, ir: the bit named, else whether the register is not 0
//	Int8, UInt8              the low byte of one register
//	Int16, UInt16            one register
//	Int32, UInt32, Float     two registers
//	Int64, UInt64, Double    four registers
//	DateTime                 four registers: ms since the Unix epoch
//	String, Text             characters, the first in the high byte, up to the first NUL
//	Bytes                    as they are
//	arrays of the numbers, of Boolean (co, di only) and of DateTime: elements one after the other
//
// # Word order
//
// A is the most significant byte of a value in the order it is read:
//
//	order  16 bits  32 bits   64 bits
//	ABCD   AB       AB CD     AB CD EF GH
//	CDAB   AB       CD AB     GH EF CD AB
//	BADC   BA       BA DC     BA DC FE HG
//	DCBA   BA       DC BA     HG FE DC BA
//
// BADC and DCBA swap the bytes of each register, so they do so for one-register
// types, bits and characters as well.
//
// # Writing a bit
//
// Modbus has no way to write one bit of a register that all devices know. The
// driver reads the register, changes the bit and writes it back: what the
// device itself changed in the other bits between the two requests is lost. The
// same holds for Int8 and UInt8, which share a register with another byte. Use
// coils where the device has them.
//
// # Errors
//
// Exceptions 01, 02 and 03 are driver.ErrAddress; 0A and 0B (of a gateway) are
// driver.ErrUnit; others are driver.ErrRefused. A request without reply in time
// is driver.ErrUnit and driver.ErrOffline: the connection is closed, since a
// late reply must not be taken for the next. Any other fault of the connection
// is driver.ErrOffline.
package modbus
