package plc

import (
	"sync"
	"time"

	"github.com/magneto-iiot/magneto/simulators/process"
)

// maxStep bounds the time a machine catches up when nobody looked at it.
const maxStep = time.Hour

// paced is a machine that moves on only when it was read whole.
type paced interface{ Taken() }

// machine is the bank of a simulated machine. The machine advances to the
// present at each request; between requests it costs nothing.
type machine struct {
	points []Point
	kinds  []process.Kind

	mu     sync.Mutex
	sim    process.Machine
	pace   paced // nil if the machine is not paced
	last   time.Time
	image  []uint16 // of the holding registers, as of the latest request
	covers map[uint64]*cover
}

// cover is what one client has read of the present row.
type cover struct {
	read []bool
	left int
}

func newMachine(sim process.Machine) (*machine, error) {
	points, err := layout(sim.Signals())
	if err != nil {
		return nil, err
	}
	m := &machine{points: points, sim: sim, last: time.Now(), covers: map[uint64]*cover{}}
	size := 0
	for _, s := range sim.Signals() {
		m.kinds = append(m.kinds, s.Kind)
		size += width(s.Kind)
	}
	m.image = make([]uint16, size)
	m.pace, _ = sim.(paced)
	return m, nil
}

// begin brings the machine to the present for a request of client.
func (m *machine) begin(client uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.covers[client]; c != nil && c.left == 0 {
		m.pace.Taken()
		clear(m.covers)
	}
	now := time.Now()
	m.sim.Step(min(now.Sub(m.last), maxStep))
	m.last = now
	m.paint()
}

// end forgets a client.
func (m *machine) end(client uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.covers, client)
}

func (m *machine) paint() {
	for i, p := range m.points {
		put(m.image[p.Address:], m.kinds[i], m.sim.Get(i))
	}
}

func (m *machine) readRegisters(client uint64, _ Table, addr int, out []uint16) exception {
	m.mu.Lock()
	defer m.mu.Unlock()
	if addr+len(out) > len(m.image) {
		return illegalAddress
	}
	copy(out, m.image[addr:])
	if m.pace != nil {
		m.mark(client, addr, len(out))
	}
	return none
}

// mark notes that client has read n registers from addr.
func (m *machine) mark(client uint64, addr, n int) {
	c := m.covers[client]
	if c == nil {
		c = &cover{read: make([]bool, len(m.image)), left: len(m.image)}
		m.covers[client] = c
	}
	for i := addr; i < addr+n; i++ {
		if !c.read[i] {
			c.read[i] = true
			c.left--
		}
	}
}

// writeRegisters sets the points that the registers cover. All of them must be
// writable, covered whole and in range, or nothing is set.
func (m *machine) writeRegisters(addr int, values []uint16) exception {
	m.mu.Lock()
	defer m.mu.Unlock()
	type order struct {
		i int
		v float64
	}
	var orders []order
	next := addr
	for i, p := range m.points {
		at := int(p.Address)
		if at+width(m.kinds[i]) <= addr || at >= addr+len(values) {
			continue
		}
		if at != next || at+width(m.kinds[i]) > addr+len(values) || !p.Writable {
			return illegalAddress
		}
		v := take(values[at-addr:], m.kinds[i])
		if !(v >= p.Min && v <= p.Max) {
			return illegalValue
		}
		orders = append(orders, order{i, v})
		next = at + width(m.kinds[i])
	}
	if next != addr+len(values) {
		return illegalAddress
	}
	for _, o := range orders {
		if m.sim.Set(o.i, o.v) != nil {
			return illegalValue
		}
	}
	m.paint()
	return none
}

func (m *machine) readBits(Table, int, []bool) exception { return illegalAddress }

func (m *machine) writeBits(int, []bool) exception { return illegalAddress }
