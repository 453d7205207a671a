package plc

import (
	"sync"
	"time"
)

// UnitState is how a unit behind the server behaves.
type UnitState int

// The states of a unit.
const (
	UnitAlive   UnitState = iota // answers
	UnitSilent                   // takes requests and never answers
	UnitUnknown                  // the gateway answers for it: exception 0B
)

// place is one address of one table.
type place struct {
	table Table
	addr  int
}

// faults are what is wrong with a server.
type faults struct {
	mu     sync.Mutex
	units  map[byte]UnitState
	places map[place]bool
	delay  time.Duration
	counts map[byte]uint64
}

// SetUnit makes a unit behave as state says from the next request on.
func (s *Server) SetUnit(unit byte, state UnitState) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.units[unit] = state
}

// SetIllegal makes one address illegal, or legal again: requests that touch it
// get exception 02.
func (s *Server) SetIllegal(t Table, addr uint16, illegal bool) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	if illegal {
		s.faults.places[place{t, int(addr)}] = true
	} else {
		delete(s.faults.places, place{t, int(addr)})
	}
}

// SetDelay makes every reply leave this much later.
func (s *Server) SetDelay(d time.Duration) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.delay = d
}

// Requests is how many requests came for a unit.
func (s *Server) Requests(unit byte) uint64 {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	return s.faults.counts[unit]
}

// request counts a request and says how its unit behaves and how late it is.
func (f *faults) request(unit byte) (UnitState, time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[unit]++
	return f.units[unit], f.delay
}

func (f *faults) illegal(t Table, addr, n int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.places) == 0 {
		return false
	}
	for i := addr; i < addr+n; i++ {
		if f.places[place{t, i}] {
			return true
		}
	}
	return false
}
