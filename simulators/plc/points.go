package plc

import (
	"fmt"
	"math"
	"strconv"

	"github.com/magneto-iiot/magneto/simulators/process"
)

// Table is one of the four tables of Modbus, by the prefix of its addresses.
type Table string

// The tables.
const (
	Holding  Table = "hr" // registers, writable
	Input    Table = "ir" // registers, read-only
	Coil     Table = "co" // bits, writable
	Discrete Table = "di" // bits, read-only
)

// Point says where one signal is.
type Point struct {
	Name     string  `json:"name"`
	Table    Table   `json:"table"`
	Address  uint16  `json:"address"` // zero-based
	Type     string  `json:"type"`    // Float, UInt32 or Boolean (bit 0 of the register)
	Unit     string  `json:"unit,omitempty"`
	Writable bool    `json:"writable,omitempty"`
	Min      float64 `json:"min,omitempty"` // range of a writable point
	Max      float64 `json:"max,omitempty"`
}

// Addr is the address in the syntax of an edge node's configuration: "hr:4",
// "hr:16.0".
func (p Point) Addr() string {
	s := string(p.Table) + ":" + strconv.Itoa(int(p.Address))
	if p.Type == process.Bool.String() {
		s += ".0"
	}
	return s
}

// layout gives every signal its registers.
func layout(signals []process.Signal) ([]Point, error) {
	points := make([]Point, len(signals))
	next := 0
	for i, s := range signals {
		points[i] = Point{
			Name: s.Name, Table: Holding, Address: uint16(next), Type: s.Kind.String(),
			Unit: s.Unit, Writable: s.Writable, Min: s.Min, Max: s.Max,
		}
		next += width(s.Kind)
		if next > math.MaxUint16 {
			return nil, fmt.Errorf("plc: %d signals need more than %d registers", len(signals), math.MaxUint16)
		}
	}
	return points, nil
}

// width is how many registers a kind takes.
func width(k process.Kind) int {
	if k == process.Bool {
		return 1
	}
	return 2
}

// put writes v as its registers.
func put(regs []uint16, k process.Kind, v float64) {
	switch k {
	case process.Bool:
		regs[0] = uint16(v)
	case process.UInt32:
		regs[0], regs[1] = uint16(uint32(v)>>16), uint16(uint32(v))
	case process.Float32:
		bits := math.Float32bits(float32(v))
		regs[0], regs[1] = uint16(bits>>16), uint16(bits)
	}
}

// take is the inverse of put.
func take(regs []uint16, k process.Kind) float64 {
	if k == process.Bool {
		return float64(regs[0] & 1)
	}
	bits := uint32(regs[0])<<16 | uint32(regs[1])
	if k == process.UInt32 {
		return float64(bits)
	}
	return float64(math.Float32frombits(bits))
}
