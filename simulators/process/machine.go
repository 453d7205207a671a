package process

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"
)

// Kind is how a signal is held in a real machine's controller.
type Kind uint8

// The kinds of signals.
const (
	Float32 Kind = iota
	UInt32
	Bool // 0 or 1
)

// String gives the name that Sparkplug uses for the type: Float, UInt32, Boolean.
func (k Kind) String() string {
	switch k {
	case UInt32:
		return "UInt32"
	case Bool:
		return "Boolean"
	}
	return "Float"
}

// Signal is one measured or commanded quantity of a machine.
type Signal struct {
	Name     string
	Unit     string // UCUM-like: rpm, A, m3/h, bar, Cel, mm/s, %; empty if it has none
	Kind     Kind
	Writable bool
	Min, Max float64 // range of a writable signal
}

// Machine is a thing with signals that move with time.
type Machine interface {
	// Signals lists the signals; their places are the indices of Get and Set.
	// The list never changes and is not the caller's to change.
	Signals() []Signal
	// Get is the present value of signal i. Float32 signals hold exactly what
	// fits a float32.
	Get(i int) float64
	// Set commands signal i. It fails when the signal is not writable or v is
	// outside its range.
	Set(i int, v float64) error
	// Step lets time pass. Step(a) and Step(b) equal Step(a+b).
	Step(dt time.Duration)
}

// Models names the machines that New makes.
func Models() []string { return []string{"pump", "tank"} }

// New makes a machine by name, seeded.
func New(model string, seed uint64) (Machine, error) {
	switch model {
	case "pump":
		return NewPump(seed), nil
	case "tank":
		return NewTank(seed), nil
	}
	return nil, fmt.Errorf("process: model %q is not one of %s", model, strings.Join(Models(), ", "))
}

// tick is the inner step of the physics. Step runs whole ticks and keeps the
// rest for the next, so that results do not depend on how time is cut.
const tick = 100 * time.Millisecond

// clock cuts time in ticks.
type clock struct{ rest time.Duration }

// ticks gives how many whole ticks fit in the time kept plus dt.
func (c *clock) ticks(dt time.Duration) int {
	if dt < 0 {
		return 0
	}
	c.rest += dt
	n := c.rest / tick
	c.rest -= n * tick
	return int(n)
}

// check says whether signal s takes v.
func check(s Signal, v float64) error {
	switch {
	case !s.Writable:
		return fmt.Errorf("process: %s is not writable", s.Name)
	case !(v >= s.Min && v <= s.Max): // also NaN
		return fmt.Errorf("process: %s: %v is outside %v to %v %s", s.Name, v, s.Min, s.Max, s.Unit)
	}
	return nil
}

// lag moves x towards target with time constant tau over dt, both in s.
func lag(x, target, tau, dt float64) float64 {
	return target + (x-target)*math.Exp(-dt/tau)
}

// noise is seeded sensor noise.
type noise struct{ rng *rand.Rand }

func newNoise(seed uint64) noise {
	return noise{rand.New(rand.NewPCG(seed, 0x6d61676e65746f))}
}

// around gives x with noise of standard deviation sigma, as a float32 holds it.
func (n noise) around(x, sigma float64) float64 {
	return float64(float32(x + sigma*n.rng.NormFloat64()))
}
