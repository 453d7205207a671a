package plc

import "encoding/binary"

// exception is an exception code of Modbus; none is success.
//
// Source: MODBUS Application Protocol Specification V1.1b3, section 7.
type exception byte

const (
	none            exception = 0x00
	illegalFunction exception = 0x01
	illegalAddress  exception = 0x02
	illegalValue    exception = 0x03
	gatewayTarget   exception = 0x0B
)

// Function codes.
//
// Source: MODBUS Application Protocol Specification V1.1b3, section 6.
const (
	fcReadCoils      = 1
	fcReadDiscretes  = 2
	fcReadHolding    = 3
	fcReadInput      = 4
	fcWriteCoil      = 5
	fcWriteRegister  = 6
	fcWriteCoils     = 15
	fcWriteRegisters = 16
)

// Most items in one request.
const (
	maxReadRegisters  = 125
	maxWriteRegisters = 123
	maxReadBits       = 2000
	maxWriteBits      = 1968
)

// bank is what a server serves.
type bank interface {
	begin(client uint64) // a request of client comes
	end(client uint64)   // client is gone
	readRegisters(client uint64, t Table, addr int, out []uint16) exception
	writeRegisters(addr int, values []uint16) exception
	readBits(t Table, addr int, out []bool) exception
	writeBits(addr int, values []bool) exception
}

// answer appends the reply PDU for a request PDU to dst. Any bytes may come in.
func (s *Server) answer(dst []byte, client uint64, req []byte) []byte {
	start := len(dst)
	dst, ex := s.serve(dst, client, req)
	if ex == none {
		return dst
	}
	return append(dst[:start], req[0]|0x80, byte(ex))
}

func (s *Server) serve(dst []byte, client uint64, req []byte) ([]byte, exception) {
	if len(req) < 5 {
		return dst, illegalValue
	}
	fc, addr, n := req[0], int(binary.BigEndian.Uint16(req[1:])), int(binary.BigEndian.Uint16(req[3:]))
	switch fc {
	case fcReadHolding:
		return s.readRegisters(dst, client, Holding, req, addr, n)
	case fcReadInput:
		return s.readRegisters(dst, client, Input, req, addr, n)
	case fcReadCoils:
		return s.readBits(dst, Coil, req, addr, n)
	case fcReadDiscretes:
		return s.readBits(dst, Discrete, req, addr, n)
	case fcWriteRegister, fcWriteCoil:
		return s.writeOne(dst, req, addr, n)
	case fcWriteRegisters, fcWriteCoils:
		return s.writeMany(dst, req, addr, n)
	}
	return dst, illegalFunction
}

func (s *Server) readRegisters(dst []byte, client uint64, t Table, req []byte, addr, n int) ([]byte, exception) {
	if n < 1 || n > maxReadRegisters || len(req) != 5 {
		return dst, illegalValue
	}
	if !s.legal(t, addr, n) {
		return dst, illegalAddress
	}
	var buf [maxReadRegisters]uint16
	if ex := s.bank.readRegisters(client, t, addr, buf[:n]); ex != none {
		return dst, ex
	}
	dst = append(dst, req[0], byte(2*n))
	for _, r := range buf[:n] {
		dst = binary.BigEndian.AppendUint16(dst, r)
	}
	return dst, none
}

func (s *Server) readBits(dst []byte, t Table, req []byte, addr, n int) ([]byte, exception) {
	if n < 1 || n > maxReadBits || len(req) != 5 {
		return dst, illegalValue
	}
	if !s.legal(t, addr, n) {
		return dst, illegalAddress
	}
	var buf [maxReadBits]bool
	if ex := s.bank.readBits(t, addr, buf[:n]); ex != none {
		return dst, ex
	}
	size := (n + 7) / 8
	dst = append(dst, req[0], byte(size))
	at := len(dst)
	dst = append(dst, make([]byte, size)...)
	for i, b := range buf[:n] {
		if b {
			dst[at+i/8] |= 1 << (i % 8)
		}
	}
	return dst, none
}

func (s *Server) writeOne(dst []byte, req []byte, addr, v int) ([]byte, exception) {
	coil := req[0] == fcWriteCoil
	if len(req) != 5 || coil && v != 0 && v != 0xFF00 {
		return dst, illegalValue
	}
	var ex exception
	switch {
	case coil && s.legal(Coil, addr, 1):
		ex = s.bank.writeBits(addr, []bool{v != 0})
	case !coil && s.legal(Holding, addr, 1):
		ex = s.bank.writeRegisters(addr, []uint16{uint16(v)})
	default:
		ex = illegalAddress
	}
	return append(dst, req...), ex
}

func (s *Server) writeMany(dst []byte, req []byte, addr, n int) ([]byte, exception) {
	if len(req) < 6 || len(req) != 6+int(req[5]) {
		return dst, illegalValue
	}
	data := req[6:]
	var ex exception
	if req[0] == fcWriteCoils {
		if n < 1 || n > maxWriteBits || len(data) != (n+7)/8 {
			return dst, illegalValue
		}
		if !s.legal(Coil, addr, n) {
			return dst, illegalAddress
		}
		bits := make([]bool, n)
		for i := range bits {
			bits[i] = data[i/8]>>(i%8)&1 == 1
		}
		ex = s.bank.writeBits(addr, bits)
	} else {
		if n < 1 || n > maxWriteRegisters || len(data) != 2*n {
			return dst, illegalValue
		}
		if !s.legal(Holding, addr, n) {
			return dst, illegalAddress
		}
		regs := make([]uint16, n)
		for i := range regs {
			regs[i] = binary.BigEndian.Uint16(data[2*i:])
		}
		ex = s.bank.writeRegisters(addr, regs)
	}
	return append(dst, req[:5]...), ex
}

// legal says whether n addresses of t from addr on exist and none was made
// illegal.
func (s *Server) legal(t Table, addr, n int) bool {
	return addr+n <= tableSize && !s.faults.illegal(t, addr, n)
}
