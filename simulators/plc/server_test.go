package plc_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log"
	"math"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/simulators/plc"
	"github.com/magneto-iiot/magneto/simulators/process"
	lib "github.com/simonvetter/modbus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listen serves sim until the test ends.
func listen(t *testing.T, sim process.Machine) *plc.Server {
	t.Helper()
	s, err := plc.Listen(context.WithoutCancel(t.Context()), "127.0.0.1:0", sim)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// dial connects a client that is not ours.
func dial(t *testing.T, addr string, timeout time.Duration) *lib.ModbusClient {
	t.Helper()
	c, err := lib.NewClient(&lib.ClientConfiguration{URL: "tcp://" + addr, Timeout: timeout, Logger: log.New(io.Discard, "", 0)})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

const patience = 10 * time.Second

func TestPump(t *testing.T) {
	s := listen(t, process.NewPump(1))
	c := dial(t, s.Addr(), patience)
	points := map[string]plc.Point{}
	for _, p := range s.Points() {
		points[p.Name] = p
	}
	set := points["SetSpeed"]
	if !set.Writable || set.Max != 1500 || points["Running"].Addr() != "hr:16.0" {
		t.Errorf("points %+v", s.Points())
	}
	if err := c.WriteFloat32(set.Address, 900); err != nil {
		t.Fatal(err)
	}
	for _, table := range []lib.RegType{lib.HOLDING_REGISTER, lib.INPUT_REGISTER} {
		if v, err := c.ReadFloat32(set.Address, table); err != nil || v != 900 {
			t.Errorf("SetSpeed = %v, %v; want 900", v, err)
		}
	}
	// The rotor needs seconds; the clock of the test is real.
	for deadline := time.Now().Add(patience); ; {
		v, err := c.ReadFloat32(points["Speed"].Address, lib.INPUT_REGISTER)
		if err != nil {
			t.Fatal(err)
		}
		if v > 10 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("Speed = %v; the pump does not follow", v)
		}
	}
}

func TestPumpRefuses(t *testing.T) {
	s := listen(t, process.NewPump(1))
	c := dial(t, s.Addr(), patience)
	nan := math.Float32bits(float32(math.NaN()))
	tests := map[string]struct {
		err  error
		want error
	}{
		"read-only":       {c.WriteFloat32(2, 1), lib.ErrIllegalDataAddress},
		"half a point":    {c.WriteRegister(0, 1), lib.ErrIllegalDataAddress},
		"two points":      {c.WriteRegisters(0, []uint16{0, 0, 0, 0}), lib.ErrIllegalDataAddress},
		"beyond":          {c.WriteRegisters(17, []uint16{0}), lib.ErrIllegalDataAddress},
		"across the end":  {c.WriteRegisters(16, []uint16{0, 0}), lib.ErrIllegalDataAddress},
		"out of range":    {c.WriteFloat32(0, 1501), lib.ErrIllegalDataValue},
		"NaN":             {c.WriteUint32(0, nan), lib.ErrIllegalDataValue},
		"coil":            {c.WriteCoil(0, true), lib.ErrIllegalDataAddress},
		"end of table":    {second(c.ReadRegisters(65535, 1, lib.HOLDING_REGISTER)), lib.ErrIllegalDataAddress},
		"one register on": {second(c.ReadRegisters(16, 2, lib.INPUT_REGISTER)), lib.ErrIllegalDataAddress},
	}
	for name, tt := range tests {
		if !errors.Is(tt.err, tt.want) {
			t.Errorf("%s: %v; want %v", name, tt.err, tt.want)
		}
	}
	if v, err := c.ReadFloat32(0, lib.HOLDING_REGISTER); err != nil || v != 1200 {
		t.Errorf("SetSpeed = %v, %v after refused writes; want 1200", v, err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestMemory(t *testing.T) {
	mem := plc.NewMemory()
	s, err := plc.ListenMemory(t.Context(), "127.0.0.1:0", mem)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	c := dial(t, s.Addr(), patience)
	err = errors.Join(
		c.WriteRegister(65535, 7), c.WriteRegisters(10, make([]uint16, 123)), c.WriteRegisters(0, []uint16{1, 2}),
		c.WriteCoil(3, true), c.WriteCoils(8, []bool{8: true}),
	)
	if err != nil {
		t.Fatal(err)
	}
	mem.SetBits(plc.Discrete, 5, true)
	mem.SetRegisters(plc.Input, 65535, 9, 10)
	if mem.Register(plc.Holding, 65535) != 7 || mem.Register(plc.Holding, 1) != 2 || !mem.Bit(plc.Coil, 16) {
		t.Error("the memory does not hold what was written")
	}
	coils, err1 := c.ReadCoils(0, 17)
	di, err2 := c.ReadDiscreteInputs(5, 1)
	ir, err3 := c.ReadRegisters(65535, 1, lib.INPUT_REGISTER)
	if err := errors.Join(err1, err2, err3); err != nil || !coils[3] || !coils[16] || coils[4] || !di[0] || ir[0] != 9 {
		t.Errorf("read %v %v %v, %v", coils, di, ir, err)
	}
}

func TestFaults(t *testing.T) {
	s := listen(t, process.NewPump(1))
	c := dial(t, s.Addr(), patience)
	read := func(c *lib.ModbusClient) error { return second(c.ReadRegisters(0, 4, lib.HOLDING_REGISTER)) }

	s.SetIllegal(plc.Holding, 3, true)
	if err := read(c); !errors.Is(err, lib.ErrIllegalDataAddress) {
		t.Errorf("read over an illegal address: %v", err)
	}
	s.SetIllegal(plc.Holding, 3, false)
	s.SetUnit(1, plc.UnitUnknown)
	if err := read(c); !errors.Is(err, lib.ErrGWTargetFailedToRespond) {
		t.Errorf("read of an unknown unit: %v", err)
	}
	s.SetUnit(1, plc.UnitSilent)
	impatient := dial(t, s.Addr(), 50*time.Millisecond)
	if err := read(impatient); !errors.Is(err, lib.ErrRequestTimedOut) {
		t.Errorf("read of a silent unit: %v", err)
	}
	s.SetUnit(1, plc.UnitAlive)
	s.SetDelay(time.Millisecond)
	start := time.Now()
	if err := read(c); err != nil || time.Since(start) < time.Millisecond {
		t.Errorf("delayed read: %v after %v", err, time.Since(start))
	}
	if n := s.Requests(1); n != 4 {
		t.Errorf("%d requests counted; want 4", n)
	}
	s.DropConnections()
	if err := read(c); err == nil {
		t.Error("read over a dropped connection gave no error")
	}
	if err := read(dial(t, s.Addr(), patience)); err != nil {
		t.Errorf("read over a new connection: %v", err)
	}
}

// TestCloseWhileDelayed: Close does not wait for replies that are held back.
func TestCloseWhileDelayed(t *testing.T) {
	s := listen(t, process.NewPump(1))
	s.SetDelay(time.Hour)
	c := dial(t, s.Addr(), patience)
	failed := make(chan error, 1)
	go func() { failed <- second(c.ReadRegisters(0, 1, lib.HOLDING_REGISTER)) }()
	for s.Requests(1) == 0 {
		runtime.Gosched() // until the request is in
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-failed; err == nil {
		t.Error("the held request succeeded")
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close once more: %v", err)
	}
}

func TestEndOfContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, err := plc.Listen(ctx, "127.0.0.1:0", process.NewTank(1))
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, s.Addr(), patience)
	cancel()
	if err := second(c.ReadRegisters(0, 1, lib.HOLDING_REGISTER)); err == nil {
		// The read may have overtaken the end; the next one cannot.
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", s.Addr()); err == nil {
		t.Error("the server still listens after the end of its context")
	}
	if _, err := plc.Listen(t.Context(), "256.0.0.1:0", process.NewTank(1)); err == nil {
		t.Error("Listen on a bad address gave no error")
	}
}

// TestFull: one connection too many is closed at once, the others stay.
func TestFull(t *testing.T) {
	s := listen(t, process.NewPump(1))
	var last *lib.ModbusClient
	for range 64 {
		c := dial(t, s.Addr(), patience)
		if err := second(c.ReadRegisters(0, 1, lib.HOLDING_REGISTER)); err != nil {
			t.Fatal(err)
		}
		last = c
	}
	if err := second(dial(t, s.Addr(), patience).ReadRegisters(0, 1, lib.HOLDING_REGISTER)); err == nil {
		t.Error("the 65th client was served")
	}
	if err := second(last.ReadRegisters(0, 1, lib.HOLDING_REGISTER)); err != nil {
		t.Error(err)
	}
}

// TestGarbage: what is no frame ends the connection, and only that.
func TestGarbage(t *testing.T) {
	s := listen(t, process.NewPump(1))
	for name, b := range map[string][]byte{
		"protocol": {0, 1, 0, 9, 0, 6, 1, 3, 0, 0, 0, 1},
		"length 1": {0, 1, 0, 0, 0, 1, 1},
		"too long": {0, 1, 0, 0, 1, 0, 1},
	} {
		c, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(patience))
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(make([]byte, 1)); n != 0 || errors.Is(err, context.DeadlineExceeded) || err == nil {
			t.Errorf("%s: read %d, %v; want the end of the connection", name, n, err)
		}
		_ = c.Close()
	}
	if err := second(dial(t, s.Addr(), patience).ReadRegisters(0, 1, lib.HOLDING_REGISTER)); err != nil {
		t.Error(err)
	}
}

// wide is a recording with many columns; cell c of row r is 1000 r + c.
func wide(rows, columns int) *process.Recording {
	rec := &process.Recording{Rows: make([][]float32, rows)}
	for c := range columns {
		rec.Columns = append(rec.Columns, "c"+string(rune('A'+c/26))+string(rune('a'+c%26)))
		for r := range rows {
			rec.Rows[r] = append(rec.Rows[r], float32(1000*r+c))
		}
	}
	return rec
}

// TestReplayIsConsistent reads rows that need three requests as fast as it can,
// with a connection lost in the middle of some: no row is torn or skipped, and
// the replay ends only when the last one was read.
func TestReplayIsConsistent(t *testing.T) {
	const rows, columns = 40, 150
	replay, err := process.NewReplay(wide(rows, columns), 1e6)
	if err != nil {
		t.Fatal(err)
	}
	s := listen(t, replay)
	c := dial(t, s.Addr(), patience)
	size := uint16(2 + 2*columns)
	seen := map[uint32]bool{}
	last := uint32(0)
	for scan := 0; len(seen) < rows; scan++ {
		if scan > 4*rows {
			t.Fatalf("%d rows after %d scans", len(seen), scan)
		}
		var regs []uint16
		for at := uint16(0); at < size; at += 120 {
			part, err := c.ReadRegisters(at, min(120, size-at), lib.HOLDING_REGISTER)
			if err != nil {
				t.Fatal(err)
			}
			regs = append(regs, part...)
			if scan%5 == 2 && at == 120 {
				_ = c.Close()
				c = dial(t, s.Addr(), patience)
				break
			}
		}
		if len(regs) < int(size) {
			continue
		}
		row := uint32(regs[0])<<16 | uint32(regs[1])
		if row > last+1 || row < last {
			t.Fatalf("row %d after row %d", row, last)
		}
		for i := range columns {
			v := math.Float32frombits(uint32(regs[2+2*i])<<16 | uint32(regs[3+2*i]))
			if want := float32(1000*int(row) + i); v != want {
				t.Fatalf("row %d column %d = %v; want %v", row, i, v, want)
			}
		}
		seen[row], last = true, row
	}
	select {
	case <-replay.Done():
		t.Error("done before the client came back after the last row")
	default:
	}
	if err := second(c.ReadRegisters(0, 2, lib.HOLDING_REGISTER)); err != nil {
		t.Fatal(err)
	}
	<-replay.Done()
}

// TestReplayLostReply: a row whose reply the client did not get is served again.
func TestReplayLostReply(t *testing.T) {
	replay, err := process.NewReplay(wide(3, 1), 1e6)
	if err != nil {
		t.Fatal(err)
	}
	s := listen(t, replay)
	for range 3 {
		c := dial(t, s.Addr(), patience)
		regs, err := c.ReadRegisters(0, 4, lib.HOLDING_REGISTER)
		if err != nil || binary.BigEndian.Uint32([]byte{byte(regs[0] >> 8), byte(regs[0]), byte(regs[1] >> 8), byte(regs[1])}) != 0 {
			t.Fatalf("registers %v, %v; want row 0", regs, err)
		}
		_ = c.Close()
	}
}
