package plc

import "sync"

const tableSize = 1 << 16

// Memory is a bank of plain memory: every address of every table exists, and
// holds what was last put there. It is safe for concurrent use.
type Memory struct {
	mu   sync.Mutex
	regs map[Table]*[tableSize]uint16
	bits map[Table]*[tableSize]bool
}

// NewMemory makes a memory of zeros.
func NewMemory() *Memory {
	return &Memory{
		regs: map[Table]*[tableSize]uint16{Holding: {}, Input: {}},
		bits: map[Table]*[tableSize]bool{Coil: {}, Discrete: {}},
	}
}

// SetRegisters puts values at addr of Holding or Input; what is beyond the end
// of the table is dropped.
func (m *Memory) SetRegisters(t Table, addr uint16, values ...uint16) {
	m.mu.Lock()
	defer m.mu.Unlock()
	copy(m.regs[t][addr:], values)
}

// SetBits puts values at addr of Coil or Discrete; what is beyond the end of
// the table is dropped.
func (m *Memory) SetBits(t Table, addr uint16, values ...bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	copy(m.bits[t][addr:], values)
}

// Register is the register at addr of Holding or Input.
func (m *Memory) Register(t Table, addr uint16) uint16 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.regs[t][addr]
}

// Bit is the bit at addr of Coil or Discrete.
func (m *Memory) Bit(t Table, addr uint16) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bits[t][addr]
}

func (m *Memory) begin(uint64) {}

func (m *Memory) end(uint64) {}

func (m *Memory) readRegisters(_ uint64, t Table, addr int, out []uint16) exception {
	m.mu.Lock()
	defer m.mu.Unlock()
	copy(out, m.regs[t][addr:])
	return none
}

func (m *Memory) writeRegisters(addr int, values []uint16) exception {
	m.mu.Lock()
	defer m.mu.Unlock()
	copy(m.regs[Holding][addr:], values)
	return none
}

func (m *Memory) readBits(t Table, addr int, out []bool) exception {
	m.mu.Lock()
	defer m.mu.Unlock()
	copy(out, m.bits[t][addr:])
	return none
}

func (m *Memory) writeBits(addr int, values []bool) exception {
	m.mu.Lock()
	defer m.mu.Unlock()
	copy(m.bits[Coil][addr:], values)
	return none
}
