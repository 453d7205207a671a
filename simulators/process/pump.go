package process

import (
	"math"
	"time"
)

// The signals of a Pump, as indices of Get and Set.
const (
	PumpSetSpeed           = iota // rpm, writable
	PumpSpeed                     // rpm
	PumpCurrent                   // A
	PumpFlow                      // m3/h
	PumpPressure                  // bar, at the discharge
	PumpMotorTemperature          // Cel
	PumpBearingTemperature        // Cel
	PumpVibration                 // mm/s RMS
	PumpRunning                   // Bool: turning faster than 1 % of nominal
)

var pumpSignals = []Signal{
	PumpSetSpeed:           {Name: "SetSpeed", Unit: "rpm", Writable: true, Max: 1500},
	PumpSpeed:              {Name: "Speed", Unit: "rpm"},
	PumpCurrent:            {Name: "Current", Unit: "A"},
	PumpFlow:               {Name: "Flow", Unit: "m3/h"},
	PumpPressure:           {Name: "Pressure", Unit: "bar"},
	PumpMotorTemperature:   {Name: "MotorTemperature", Unit: "Cel"},
	PumpBearingTemperature: {Name: "BearingTemperature", Unit: "Cel"},
	PumpVibration:          {Name: "Vibration", Unit: "mm/s"},
	PumpRunning:            {Name: "Running", Kind: Bool},
}

// A 15 kW centrifugal pump at its nominal point, standing in a room.
const (
	nominalSpeed    = 1450.0 // rpm
	nominalFlow     = 60.0   // m3/h
	shutoffPressure = 6.0    // bar at nominal speed and no flow
	staticPressure  = 0.5    // bar of the column above the pump
	idleCurrent     = 9.0    // A when turning without load
	loadCurrent     = 18.0   // A more at nominal load
	ambient         = 22.0   // Cel
	motorRise       = 48.0   // K at nominal load
	bearingRise     = 26.0   // K at nominal speed, healthy
	wearRise        = 45.0   // K more when worn out, at nominal speed
	tauSpeed        = 3.0    // s, drive and rotor
	tauFlow         = 1.0    // s, water column
	tauMotor        = 600.0  // s, winding and housing
	tauBearing      = 240.0  // s
	newVibration    = 1.2    // mm/s RMS, healthy at nominal speed
	wornVibration   = 12.0   // mm/s RMS, worn out
)

// Limits of the vibration zones of class I machines (small, to 15 kW), mm/s RMS.
//
// Source: ISO 10816-1:1995, annex B, table B.1.
const (
	ZoneB = 0.71 // above: acceptable for long operation
	ZoneC = 1.8  // above: not for long operation
	ZoneD = 4.5  // above: damage to be expected
)

// Pump is a motor-driven centrifugal pump with a rolling bearing that can wear.
// It starts at rest in a cold room, told to run at 1200 rpm.
type Pump struct {
	clock clock
	noise noise
	wear  float64 // 0 new to 1 worn out
	rate  float64 // wear per hour of running at nominal speed

	set, speed, flow, pressure, load float64
	motor, bearing                   float64
	out                              [PumpRunning + 1]float64
}

// NewPump makes a pump whose sensor noise follows seed.
func NewPump(seed uint64) *Pump {
	p := &Pump{noise: newNoise(seed), set: 1200, motor: ambient, bearing: ambient}
	p.measure()
	return p
}

// Wear sets the rate at which the bearing wears, in fractions of its life per
// hour of running at nominal speed; 0, as at the start, stops it. Wear grows
// faster the more of it there is.
func (p *Pump) Wear(perHour float64) { p.rate = max(0, perHour) }

// Worn is the ground truth no sensor shows: 0 for a new bearing, 1 for one that
// is worn out.
func (p *Pump) Worn() float64 { return p.wear }

// Repair puts a new bearing in.
func (p *Pump) Repair() { p.wear, p.rate = 0, 0 }

// Signals lists SetSpeed, Speed, Current, Flow, Pressure, MotorTemperature,
// BearingTemperature, Vibration and Running.
func (p *Pump) Signals() []Signal { return pumpSignals }

// Get is the present reading of signal i.
func (p *Pump) Get(i int) float64 { return p.out[i] }

// Set commands SetSpeed, 0 to 1500 rpm.
func (p *Pump) Set(i int, v float64) error {
	if err := check(pumpSignals[i], v); err != nil {
		return err
	}
	p.set = float64(float32(v))
	p.out[PumpSetSpeed] = p.set
	return nil
}

// Step lets time pass.
func (p *Pump) Step(dt time.Duration) {
	n := p.clock.ticks(dt)
	for range n {
		p.move(tick.Seconds())
		p.measure()
	}
}

// move advances the physics by dt seconds.
func (p *Pump) move(dt float64) {
	p.speed = lag(p.speed, p.set, tauSpeed, dt)
	n := p.speed / nominalSpeed

	// Affinity laws: flow goes with speed, head with its square, power with its
	// cube. A worn bearing lets the impeller run off its axis and leak.
	leak := 1 - 0.08*p.wear
	p.flow = lag(p.flow, nominalFlow*n*leak, tauFlow, dt)
	head := shutoffPressure*n*n - 2.0*square(p.flow/nominalFlow)
	p.pressure = staticPressure + max(0, head)*leak
	p.load = n*n*n + 0.12*p.wear*n

	p.motor = lag(p.motor, ambient+motorRise*p.load, tauMotor, dt)
	p.bearing = lag(p.bearing, ambient+(bearingRise+wearRise*p.wear)*n+0.08*(p.motor-ambient), tauBearing, dt)
	p.wear = min(1, p.wear+p.rate*n*(1+3*p.wear)*dt/3600)
}

// measure reads every sensor once.
func (p *Pump) measure() {
	n := p.speed / nominalSpeed
	running := n > 0.01
	current := 0.0
	if running {
		current = idleCurrent*math.Sqrt(n) + loadCurrent*p.load
	}
	vibration := 0.05 + n*(newVibration+(wornVibration-newVibration)*math.Pow(p.wear, 1.5))
	jitter := 0.04 * (1 + 2*p.wear) // a damaged bearing also shakes less evenly

	p.out[PumpSetSpeed] = p.set
	p.out[PumpSpeed] = p.noise.around(p.speed, 1.5*n)
	p.out[PumpCurrent] = p.noise.around(current, 0.01*current)
	p.out[PumpFlow] = p.noise.around(p.flow, 0.3*n)
	p.out[PumpPressure] = p.noise.around(p.pressure, 0.02)
	p.out[PumpMotorTemperature] = p.noise.around(p.motor, 0.1)
	p.out[PumpBearingTemperature] = p.noise.around(p.bearing, 0.1)
	p.out[PumpVibration] = max(0, p.noise.around(vibration, jitter*vibration))
	p.out[PumpRunning] = 0
	if running {
		p.out[PumpRunning] = 1
	}
}

func square(x float64) float64 { return x * x }
