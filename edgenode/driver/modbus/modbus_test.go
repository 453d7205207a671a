package modbus_test

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	"github.com/magneto-iiot/magneto/edgenode/driver/drivertest"
	"github.com/magneto-iiot/magneto/edgenode/driver/modbus"
	"github.com/magneto-iiot/magneto/simulators/plc"
	"github.com/magneto-iiot/magneto/sparkplug"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func tag(id uint32, addr string, t sparkplug.DataType) driver.Tag {
	return driver.Tag{ID: id, Addr: addr, Type: t}
}

// listen serves mem on addr until the test ends.
func listen(t testing.TB, addr string, mem *plc.Memory) *plc.Server {
	t.Helper()
	s, err := plc.ListenMemory(context.WithoutCancel(t.Context()), addr, mem)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// open opens and connects a driver on s.
func open(t testing.TB, url string, opts driver.Options) driver.Driver {
	t.Helper()
	all := driver.Options{"url": url, "timeout": "10s"}
	maps.Copy(all, opts)
	d, err := modbus.Open(driver.Config{Name: "plc", Options: all})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	if err := d.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

// filled is a memory with the values that points expects.
func filled() *plc.Memory {
	mem := plc.NewMemory()
	mem.SetRegisters(plc.Holding, 100, 0x4048, 0xF5C3, 0xFFFE, 0x0005)
	mem.SetRegisters(plc.Holding, 110, 0x5075, 0x6D70, 0x2031, 0x0000)
	mem.SetRegisters(plc.Input, 7, 0x1234, 0x5678)
	mem.SetBits(plc.Coil, 20, true, false, true)
	mem.SetBits(plc.Discrete, 3, true)
	return mem
}

var points = []drivertest.Point{
	{Tag: tag(1, "hr:100", sparkplug.TypeFloat), Want: sparkplug.Float(3.14)},
	{Tag: tag(2, "hr:102", sparkplug.TypeInt16), Want: sparkplug.Int(sparkplug.TypeInt16, -2)},
	{Tag: tag(3, "hr:103.2", sparkplug.TypeBoolean), Want: sparkplug.Boolean(true)},
	{Tag: tag(4, "hr:103.1", sparkplug.TypeBoolean), Want: sparkplug.Boolean(false)},
	{Tag: tag(5, "hr:110[8]", sparkplug.TypeString), Want: sparkplug.String("Pump 1")},
	{Tag: tag(6, "ir:7", sparkplug.TypeUInt32), Want: sparkplug.Uint(sparkplug.TypeUInt32, 0x12345678)},
	{Tag: tag(7, "co:20[3]", sparkplug.TypeBooleanArray), Want: sparkplug.BooleanArray([]bool{true, false, true})},
	{Tag: tag(8, "di:3", sparkplug.TypeBoolean), Want: sparkplug.Boolean(true)},
}

// rig is the rig on a server at url that has filled's values. Its gaps are small,
// for hr:105 is an illegal address where a test wants one.
func rig(url string) drivertest.Rig {
	setpoint := tag(30, "hr:200", sparkplug.TypeInt16)
	return drivertest.Rig{
		Open:     modbus.Open,
		Config:   driver.Config{Name: "plc", Options: driver.Options{"url": url, "timeout": "2s", "max_gap": 1}},
		Points:   points,
		Unknown:  tag(31, "hr:65536", sparkplug.TypeInt16),
		Write:    driver.Write{Tag: setpoint, Value: sparkplug.Int(sparkplug.TypeInt16, -900)},
		ReadOnly: driver.Write{Tag: tag(6, "ir:7", sparkplug.TypeUInt32), Value: sparkplug.Uint(sparkplug.TypeUInt32, 1)},
		Misfit:   driver.Write{Tag: points[4].Tag, Value: sparkplug.String("longer than 8")},
	}
}

func TestDriver(t *testing.T) {
	drivertest.Run(t, func(t *testing.T) drivertest.Rig {
		mem := filled()
		s := listen(t, "127.0.0.1:0", mem)
		addr := s.Addr()
		s.SetIllegal(plc.Holding, 105, true)
		r := rig("tcp://" + addr)
		r.Illegal = new(tag(32, "hr:105", sparkplug.TypeInt16))
		r.Cut = func() { _ = s.Close() }
		r.Restore = func() { s = listen(t, addr, mem) }
		r.Stall = func(on bool) {
			state := plc.UnitAlive
			if on {
				state = plc.UnitSilent
			}
			s.SetUnit(1, state)
		}
		return r
	})
}

func TestDriverRTUOverTCP(t *testing.T) {
	drivertest.Run(t, func(t *testing.T) drivertest.Rig {
		s := listen(t, "127.0.0.1:0", filled())
		return rig("rtu+tcp://" + gateway(t, s.Addr()))
	})
}

// TestLateReply has a reply come after its request timed out: it must not be
// taken for the answer to the next.
func TestLateReply(t *testing.T) {
	mem := filled()
	s := listen(t, "127.0.0.1:0", mem)
	d := open(t, "tcp://"+s.Addr(), driver.Options{"timeout": "50ms"})
	blocks, _ := d.Compile([]driver.Tag{tag(1, "hr:100", sparkplug.TypeUInt16), tag(2, "ir:7", sparkplug.TypeUInt16)})
	out := make([]driver.Sample, 1)
	s.SetDelay(200 * time.Millisecond)
	err := d.Read(t.Context(), &blocks[0], out)
	if !errors.Is(err, driver.ErrUnit) || !errors.Is(err, driver.ErrOffline) {
		t.Fatalf("Read of a slow unit: %v; want ErrUnit and ErrOffline", err)
	}
	s.SetDelay(0)
	if err := d.Read(t.Context(), &blocks[1], out); !errors.Is(err, driver.ErrOffline) {
		t.Fatalf("Read after a timeout, without Connect: %v; want ErrOffline", err)
	}
	d = open(t, "tcp://"+s.Addr(), nil)
	for range 3 {
		for i, want := range []uint64{0x4048, 0x1234} {
			if err := d.Read(t.Context(), &blocks[i], out); err != nil || out[0].Value.Uint() != want {
				t.Fatalf("block %d: %#x, %v; want %#x", i, out[0].Value.Uint(), err, want)
			}
		}
	}
}

// TestUnknownUnit has a gateway answer for a dead unit: the others go on over
// the same connection.
func TestUnknownUnit(t *testing.T) {
	s := listen(t, "127.0.0.1:0", filled())
	s.SetUnit(3, plc.UnitUnknown)
	d := open(t, "tcp://"+s.Addr(), nil)
	a, b := tag(1, "hr:102", sparkplug.TypeInt16), tag(2, "hr:102", sparkplug.TypeInt16)
	b.Unit = "3"
	blocks, _ := d.Compile([]driver.Tag{a, b})
	if len(blocks) != 2 || blocks[0].Unit != "1" || blocks[1].Unit != "3" {
		t.Fatalf("blocks %+v; want one of unit 1, one of unit 3", blocks)
	}
	out := make([]driver.Sample, 1)
	for range 2 {
		err := d.Read(t.Context(), &blocks[1], out)
		if !errors.Is(err, driver.ErrUnit) || errors.Is(err, driver.ErrOffline) {
			t.Errorf("Read of a dead unit: %v; want ErrUnit only", err)
		}
		if err := d.Read(t.Context(), &blocks[0], out); err != nil {
			t.Errorf("Read of a live unit beside it: %v", err)
		}
	}
}

// TestCanceledBlamesNobody: a read that the engine gave up is no dead unit.
func TestCanceledBlamesNobody(t *testing.T) {
	s := listen(t, "127.0.0.1:0", filled())
	s.SetUnit(1, plc.UnitSilent)
	d := open(t, "tcp://"+s.Addr(), driver.Options{"timeout": "100ms"})
	blocks, _ := d.Compile([]driver.Tag{tag(1, "hr:102", sparkplug.TypeInt16)})
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() { failed <- d.Read(ctx, &blocks[0], make([]driver.Sample, 1)) }()
	cancel()
	if err := <-failed; !errors.Is(err, driver.ErrOffline) || errors.Is(err, driver.ErrUnit) {
		t.Errorf("a canceled Read: %v; want ErrOffline only", err)
	}
}

// TestWriteKinds writes through every function code and looks at the memory.
func TestWriteKinds(t *testing.T) {
	mem := plc.NewMemory()
	mem.SetRegisters(plc.Holding, 50, 0xFF00, 0xABCD)
	s := listen(t, "127.0.0.1:0", mem)
	d := open(t, "tcp://"+s.Addr(), nil)
	double := tag(3, "hr:60", sparkplug.TypeFloat)
	double.Order = "DCBA"
	errs := d.Write(t.Context(), []driver.Write{
		{Tag: tag(1, "hr:50.3", sparkplug.TypeBoolean), Value: sparkplug.Boolean(true)},
		{Tag: tag(2, "hr:51", sparkplug.TypeInt8), Value: sparkplug.Int(sparkplug.TypeInt8, -1)},
		{Tag: double, Value: sparkplug.Float(3.14)},
		{Tag: tag(4, "hr:70[5]", sparkplug.TypeString), Value: sparkplug.String("ab")},
		{Tag: tag(5, "hr:80[2]", sparkplug.TypeInt32Array), Value: sparkplug.ArrayOf([]int32{-2, 7})},
		{Tag: tag(6, "co:9", sparkplug.TypeBoolean), Value: sparkplug.Boolean(true)},
		{Tag: tag(7, "co:30[9]", sparkplug.TypeBooleanArray), Value: sparkplug.BooleanArray([]bool{8: true})},
		{Tag: tag(8, "hr:90", sparkplug.TypeDouble), Value: sparkplug.Double(1)},
	})
	for i, err := range errs {
		if err != nil {
			t.Errorf("write %d: %v", i, err)
		}
	}
	for addr, want := range map[uint16]uint16{
		50: 0xFF08, 51: 0xABFF, 60: 0xC3F5, 61: 0x4840, 70: 0x6162, 71: 0, 72: 0,
		80: 0xFFFF, 81: 0xFFFE, 82: 0, 83: 7, 90: 0x3FF0, 91: 0,
	} {
		if got := mem.Register(plc.Holding, addr); got != want {
			t.Errorf("hr:%d = %#04x; want %#04x", addr, got, want)
		}
	}
	if !mem.Bit(plc.Coil, 9) || !mem.Bit(plc.Coil, 38) || mem.Bit(plc.Coil, 37) {
		t.Error("the coils do not hold what was written")
	}
}

func TestWriteLimits(t *testing.T) {
	s := listen(t, "127.0.0.1:0", plc.NewMemory())
	d := open(t, "tcp://"+s.Addr(), driver.Options{"max_block": 125})
	tests := map[string]struct {
		write driver.Write
		class error
	}{
		"123 registers": {driver.Write{Tag: tag(1, "hr:0[246]", sparkplug.TypeBytes), Value: sparkplug.Bytes(sparkplug.TypeBytes, make([]byte, 246))}, nil},
		"124 registers": {driver.Write{Tag: tag(1, "hr:0[248]", sparkplug.TypeBytes), Value: sparkplug.Bytes(sparkplug.TypeBytes, make([]byte, 248))}, driver.ErrValue},
		"few bytes":     {driver.Write{Tag: tag(1, "hr:0[8]", sparkplug.TypeBytes), Value: sparkplug.Bytes(sparkplug.TypeBytes, make([]byte, 7))}, driver.ErrValue},
		"1968 coils":    {driver.Write{Tag: tag(1, "co:0[1968]", sparkplug.TypeBooleanArray), Value: sparkplug.BooleanArray(make([]bool, 1968))}, nil},
		"1969 coils":    {driver.Write{Tag: tag(1, "co:0[1969]", sparkplug.TypeBooleanArray), Value: sparkplug.BooleanArray(make([]bool, 1969))}, driver.ErrValue},
		"few elements":  {driver.Write{Tag: tag(1, "hr:0[2]", sparkplug.TypeInt16Array), Value: sparkplug.ArrayOf([]int16{1})}, driver.ErrValue},
		"discretes":     {driver.Write{Tag: tag(1, "di:0", sparkplug.TypeBoolean), Value: sparkplug.Boolean(true)}, driver.ErrReadOnly},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := d.Write(t.Context(), []driver.Write{tt.write})[0]
			if !errors.Is(err, tt.class) {
				t.Errorf("Write: %v; want %v", err, tt.class)
			}
		})
	}
}
