// Package process is a driver for a simulated machine in the same process, for
// trying things out without any equipment:
//
//	connections:
//	  pump: {driver: process, model: pump, seed: 42}
//
// Addresses are the names of the machine's signals ("Speed"). The options are
//
//	model  pump (the default) or tank
//	seed   of the sensor noise, a whole number from 0; default 1
//	wear   pump only: how fast its bearing wears, in lives per hour; default 0
//
// The machine lives as long as the driver: it keeps its state over Close and
// Connect, and moves on with the time of day whenever it is read.
package process

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	sim "github.com/magneto-iiot/magneto/simulators/process"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// maxStep bounds the time a machine catches up when it was not read.
const maxStep = time.Hour

// machine is the driver.
type machine struct {
	name      string
	sim       sim.Machine
	last      time.Time
	connected bool
}

// Open makes the machine of a connection. It is a driver.Open.
func Open(cfg driver.Config) (driver.Driver, error) {
	r := cfg.Reader()
	model := r.Choice("model", "pump", sim.Models()...)
	seed := r.Int("seed", 1, 0, math.MaxInt64)
	wear := r.Float("wear", 0, 0, 1e6)
	if wear > 0 && model != "pump" {
		r.Fail("wear", "only a pump wears, not a %s", model)
	}
	if err := r.Done(); err != nil {
		return nil, err
	}
	m, err := sim.New(model, uint64(seed))
	if err != nil {
		return nil, err
	}
	if p, ok := m.(*sim.Pump); ok {
		p.Wear(wear)
	}
	return &machine{name: cfg.Name, sim: m, last: time.Now()}, nil
}

func (m *machine) Endpoint() string { return "process://" + m.name }

func (m *machine) Connect(ctx context.Context) error {
	m.connected = ctx.Err() == nil
	if !m.connected {
		return m.offline("connect", context.Cause(ctx))
	}
	return nil
}

func (m *machine) Close() error {
	m.connected = false
	return nil
}

// Compile puts all tags in one block: reading costs nothing.
func (m *machine) Compile(tags []driver.Tag) (blocks []driver.Block, bad []driver.TagError) {
	var b driver.Block
	var p []point
	for _, t := range tags {
		i, err := m.find(t)
		if err != nil {
			bad = append(bad, *err)
			continue
		}
		b.Tags = append(b.Tags, t.ID)
		p = append(p, point{i, t.Type})
	}
	if len(p) == 0 {
		return nil, bad
	}
	b.Plan = p
	return []driver.Block{b}, bad
}

// point is one compiled tag.
type point struct {
	signal int
	typ    sparkplug.DataType
}

// find looks a tag's signal up.
func (m *machine) find(t driver.Tag) (int, *driver.TagError) {
	fault := func(field, format string, args ...any) *driver.TagError {
		return &driver.TagError{ID: t.ID, Addr: t.Addr, Field: field, Reason: fmt.Sprintf(format, args...)}
	}
	var names []string
	for i, s := range m.sim.Signals() {
		switch {
		case s.Name != t.Addr:
			names = append(names, s.Name)
		case t.Order != "":
			return 0, fault("order", "a simulated machine has no word order")
		case t.Unit != "":
			return 0, fault("unit", "a simulated machine has no units")
		case s.Kind == sim.Bool && t.Type != sparkplug.TypeBoolean:
			return 0, fault("type", "is a Boolean, not %s", t.Type)
		case s.Kind != sim.Bool && !t.Type.Numeric():
			return 0, fault("type", "is a number, not %s", t.Type)
		default:
			return i, nil
		}
	}
	return 0, fault("addr", "no such signal%s", driver.Suggest(t.Addr, names))
}

// CheckWrite says of signals that cannot be set that they take no writes. The
// process driver is a driver.WriteChecker.
func (m *machine) CheckWrite(t driver.Tag) *driver.TagError {
	i, bad := m.find(t)
	if bad != nil || m.sim.Signals()[i].Writable {
		return bad
	}
	return &driver.TagError{ID: t.ID, Addr: t.Addr, Field: "addr", Reason: "the signal takes no writes"}
}

func (m *machine) Read(ctx context.Context, b *driver.Block, out []driver.Sample) error {
	if err := m.ready(ctx, "read"); err != nil {
		return err
	}
	points, ok := b.Plan.([]point)
	if !ok || len(out) < len(points) {
		return &driver.Error{Op: "read", At: m.Endpoint(), Class: driver.ErrRefused, Err: errors.New("the block is of another driver, or has too little room for its samples")}
	}
	now := time.Now()
	m.sim.Step(min(now.Sub(m.last), maxStep))
	m.last = now
	for i, p := range points {
		v, ok := number(p.typ, m.sim.Get(p.signal))
		out[i] = driver.Sample{ID: b.Tags[i], Value: v, Time: now.UnixMilli()}
		if ok {
			out[i].Quality = driver.Good
		}
	}
	return nil
}

func (m *machine) Write(ctx context.Context, writes []driver.Write) []error {
	errs := make([]error, len(writes))
	for i, w := range writes {
		errs[i] = m.write(ctx, w)
	}
	return errs
}

func (m *machine) write(ctx context.Context, w driver.Write) error {
	op := "write " + w.Tag.Addr
	if err := m.ready(ctx, op); err != nil {
		return err
	}
	i, bad := m.find(w.Tag)
	if bad != nil {
		return &driver.Error{Op: op, At: m.Endpoint(), Class: driver.ErrAddress, Err: *bad}
	}
	if !m.sim.Signals()[i].Writable {
		return &driver.Error{Op: op, At: m.Endpoint(), Class: driver.ErrReadOnly}
	}
	if w.Value.Type() != w.Tag.Type || w.Value.IsNull() {
		return &driver.Error{Op: op, At: m.Endpoint(), Class: driver.ErrValue, Err: fmt.Errorf("%s wanted, not %s", w.Tag.Type, w.Value.Type())}
	}
	if err := m.sim.Set(i, w.Value.Float64()); err != nil {
		return &driver.Error{Op: op, At: m.Endpoint(), Class: driver.ErrValue, Err: err}
	}
	return nil
}

func (m *machine) ready(ctx context.Context, op string) error {
	switch {
	case !m.connected:
		return m.offline(op, errors.New("not connected"))
	case ctx.Err() != nil:
		m.connected = false
		return m.offline(op, context.Cause(ctx))
	}
	return nil
}

func (m *machine) offline(op string, cause error) error {
	return &driver.Error{Op: op, At: m.Endpoint(), Class: driver.ErrOffline, Err: cause}
}

// number gives x as a value of type t, integers rounded; ok is false, and the
// value null, when t cannot hold it.
func number(t sparkplug.DataType, x float64) (v sparkplug.Value, ok bool) {
	switch {
	case t == sparkplug.TypeFloat:
		return sparkplug.Float(float32(x)), true
	case t == sparkplug.TypeDouble:
		return sparkplug.Double(x), true
	case t == sparkplug.TypeBoolean:
		return sparkplug.Boolean(x != 0), true
	}
	x = math.Round(x)
	low, high := limits(t)
	switch {
	case !(x >= low && x < high):
		return sparkplug.Null(t), false
	case t.Signed():
		return sparkplug.Int(t, int64(x)), true
	}
	return sparkplug.Uint(t, uint64(x)), true
}

// limits are the least value of an integer type and the first beyond the most.
func limits(t sparkplug.DataType) (low, high float64) {
	switch t {
	case sparkplug.TypeInt8, sparkplug.TypeInt16, sparkplug.TypeInt32, sparkplug.TypeInt64:
		high = math.Ldexp(1, 8<<(t-sparkplug.TypeInt8)-1)
		return -high, high
	}
	return 0, math.Ldexp(1, 8<<(t-sparkplug.TypeUInt8))
}
