package modbus_test

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
)

// gateway is a serial device server: RTU frames over TCP on one side, Modbus
// TCP to plcAddr on the other. It gives its address.
func gateway(t *testing.T, plcAddr string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			relay(c, plcAddr) // a serial line has one master at a time
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-ended
	})
	return ln.Addr().String()
}

// relay carries requests and replies until either side goes.
func relay(rtu net.Conn, plcAddr string) {
	defer func() { _ = rtu.Close() }()
	tcp, err := net.Dial("tcp", plcAddr)
	if err != nil {
		return
	}
	defer func() { _ = tcp.Close() }()
	for {
		frame := make([]byte, 8) // unit, function, four bytes, CRC: all requests but 15 and 16
		if _, err := io.ReadFull(rtu, frame); err != nil {
			return
		}
		if fc := frame[1]; fc == 15 || fc == 16 {
			rest := make([]byte, int(frame[6])+1) // data and CRC; one byte of data is here already
			if _, err := io.ReadFull(rtu, rest); err != nil {
				return
			}
			frame = append(frame, rest...)
		}
		body := frame[:len(frame)-2]
		if crc(body) != binary.LittleEndian.Uint16(frame[len(body):]) {
			return
		}
		mbap := binary.BigEndian.AppendUint16([]byte{0, 1, 0, 0}, uint16(len(body)))
		if _, err := tcp.Write(append(mbap, body...)); err != nil {
			return
		}
		head := make([]byte, 6)
		if _, err := io.ReadFull(tcp, head); err != nil {
			return
		}
		reply := make([]byte, binary.BigEndian.Uint16(head[4:]))
		if _, err := io.ReadFull(tcp, reply); err != nil {
			return
		}
		if _, err := rtu.Write(binary.LittleEndian.AppendUint16(reply, crc(reply))); err != nil {
			return
		}
	}
}

// crc is the CRC-16 of Modbus.
//
// Source: MODBUS over Serial Line V1.02, section 6.2.2.
func crc(b []byte) uint16 {
	sum := uint16(0xFFFF)
	for _, x := range b {
		sum ^= uint16(x)
		for range 8 {
			if sum&1 == 1 {
				sum = sum>>1 ^ 0xA001
			} else {
				sum >>= 1
			}
		}
	}
	return sum
}
