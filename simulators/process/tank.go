package process

import (
	"math"
	"time"
)

// The signals of a Tank, as indices of Get and Set.
const (
	TankLevel    = iota // %
	TankInflow          // m3/h
	TankOutflow         // m3/h
	TankValve           // % open, writable: the outlet valve
	TankOverflow        // Bool: the level has reached the overflow pipe
)

var tankSignals = []Signal{
	TankLevel:    {Name: "Level", Unit: "%"},
	TankInflow:   {Name: "Inflow", Unit: "m3/h"},
	TankOutflow:  {Name: "Outflow", Unit: "m3/h"},
	TankValve:    {Name: "Valve", Unit: "%", Writable: true, Max: 100},
	TankOverflow: {Name: "Overflow", Kind: Bool},
}

const (
	tankArea    = 2.0  // m2
	tankHeight  = 3.0  // m to the overflow pipe
	valveFlow   = 40.0 // m3/h through the open valve of a full tank
	meanInflow  = 18.0 // m3/h
	inflowSway  = 4.0  // m3/h, standard deviation of the slow sway
	tauInflow   = 300  // s, of the sway
	tauValve    = 5.0  // s from one end to the other and back
	startHeight = 1.5  // m
)

// Tank is an open tank with a swaying inflow and a valve at its outlet. It
// starts half full with the valve 65 % open.
type Tank struct {
	clock clock
	noise noise

	height, inflow, outflow float64
	set, valve              float64 // commanded and actual opening, %
	out                     [TankOverflow + 1]float64
}

// NewTank makes a tank whose inflow and sensor noise follow seed.
func NewTank(seed uint64) *Tank {
	t := &Tank{noise: newNoise(seed), height: startHeight, inflow: meanInflow, set: 65, valve: 65}
	t.measure()
	return t
}

// Signals lists Level, Inflow, Outflow, Valve and Overflow.
func (t *Tank) Signals() []Signal { return tankSignals }

// Get is the present reading of signal i.
func (t *Tank) Get(i int) float64 { return t.out[i] }

// Set commands the valve, 0 to 100 %.
func (t *Tank) Set(i int, v float64) error {
	if err := check(tankSignals[i], v); err != nil {
		return err
	}
	t.set = float64(float32(v))
	t.out[TankValve] = t.set
	return nil
}

// Step lets time pass.
func (t *Tank) Step(dt time.Duration) {
	for range t.clock.ticks(dt) {
		t.move(tick.Seconds())
		t.measure()
	}
}

// move advances the physics by dt seconds: a mass balance with Torricelli's
// outflow, and an inflow that wanders around its mean (Ornstein-Uhlenbeck).
func (t *Tank) move(dt float64) {
	t.valve = lag(t.valve, t.set, tauValve, dt)
	t.inflow = max(0, lag(t.inflow, meanInflow, tauInflow, dt)+
		inflowSway*math.Sqrt(2*dt/tauInflow)*t.noise.rng.NormFloat64())
	t.outflow = valveFlow * t.valve / 100 * math.Sqrt(t.height/tankHeight)
	t.height = min(tankHeight, max(0, t.height+(t.inflow-t.outflow)/3600/tankArea*dt))
}

// measure reads every sensor once.
func (t *Tank) measure() {
	t.out[TankLevel] = max(0, t.noise.around(100*t.height/tankHeight, 0.05))
	t.out[TankInflow] = max(0, t.noise.around(t.inflow, 0.1))
	t.out[TankOutflow] = max(0, t.noise.around(t.outflow, 0.1))
	t.out[TankValve] = t.set
	t.out[TankOverflow] = 0
	if t.height >= tankHeight {
		t.out[TankOverflow] = 1
	}
}
