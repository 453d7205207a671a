// Package plc is a programmable logic controller that does not exist: a Modbus
// TCP server in front of a simulated machine or of plain memory, with the
// faults of real ones to switch on.
//
// [Listen] serves a process.Machine. Its register map, published by
// [Server.Points], holds every signal in holding registers from address 0 on,
// in the order of the machine's signals, and once more, read-only, at the same
// addresses of the input registers:
//
//	Float32  two registers, IEEE 754, high word first (ABCD)
//	UInt32   two registers, high word first
//	Bool     bit 0 of one register
//
// A pump, for example: hr:0 SetSpeed (writable), hr:2 Speed, hr:4 Current,
// hr:6 Flow, hr:8 Pressure, hr:10 MotorTemperature, hr:12 BearingTemperature,
// hr:14 Vibration, hr:16.0 Running.
//
// One read sees one moment of the machine. A machine that is paced by its
// reader (process.Replay) moves on only after one client has read all of its
// registers and has come back with another request, which proves that it got
// the reply: a row that needs several reads is the same in all of them, and a
// row whose reply was lost is served again. This holds for one client at a
// time: a second one that reads everything moves the machine on as well.
//
// The server answers every unit id, and speaks function codes 1 to 6, 15 and 16.
package plc
