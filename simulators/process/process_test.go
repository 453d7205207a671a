package process_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/simulators/process"
	"pgregory.net/rapid"
)

// snapshot is every signal of a machine.
func snapshot(m process.Machine) []float64 {
	out := make([]float64, len(m.Signals()))
	for i := range out {
		out[i] = m.Get(i)
	}
	return out
}

func equal(a, b []float64) bool {
	for i := range a {
		if math.Float64bits(a[i]) != math.Float64bits(b[i]) {
			return false
		}
	}
	return len(a) == len(b)
}

func mustNew(t interface{ Fatal(...any) }, model string, seed uint64) process.Machine {
	m, err := process.New(model, seed)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestStepsAdd: for every model and seed, it does not matter how time is cut,
// and the same seed gives the same values.
func TestStepsAdd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model := rapid.SampledFrom(process.Models()).Draw(t, "model")
		seed := rapid.Uint64().Draw(t, "seed")
		cuts := rapid.SliceOfN(rapid.IntRange(0, 5000), 1, 20).Draw(t, "ms")
		a, b := mustNew(t, model, seed), mustNew(t, model, seed)
		var whole time.Duration
		for _, ms := range cuts {
			d := time.Duration(ms) * time.Millisecond
			a.Step(d)
			whole += d
		}
		b.Step(whole)
		if !equal(snapshot(a), snapshot(b)) {
			t.Fatalf("%v cut is %v; whole is %v", whole, snapshot(a), snapshot(b))
		}
	})
}

func TestSeedsDiffer(t *testing.T) {
	for _, model := range process.Models() {
		if equal(snapshot(mustNew(t, model, 1)), snapshot(mustNew(t, model, 2))) {
			t.Errorf("%s: two seeds give the same values", model)
		}
	}
	if _, err := process.New("pomp", 1); err == nil {
		t.Error("New of an unknown model gave no error")
	}
}

func TestPumpReachesSetSpeed(t *testing.T) {
	p := process.NewPump(1)
	if p.Get(process.PumpRunning) != 0 || p.Get(process.PumpCurrent) != 0 {
		t.Error("the pump does not start at rest")
	}
	if err := p.Set(process.PumpSetSpeed, 900); err != nil {
		t.Fatal(err)
	}
	p.Step(3 * time.Second)
	if v := p.Get(process.PumpSpeed); v < 400 || v > 700 {
		t.Errorf("Speed = %v rpm after one time constant; want 63 %% of 900", v)
	}
	p.Step(time.Minute)
	for i, want := range map[int][2]float64{
		process.PumpSpeed:     {890, 910},
		process.PumpCurrent:   {9, 14},
		process.PumpFlow:      {35, 40},
		process.PumpPressure:  {1.5, 3},
		process.PumpVibration: {0.5, process.ZoneC},
		process.PumpRunning:   {1, 1},
	} {
		if v := p.Get(i); v < want[0] || v > want[1] {
			t.Errorf("%s = %v; want %v", p.Signals()[i].Name, v, want)
		}
	}
	if err := p.Set(process.PumpSetSpeed, 0); err != nil {
		t.Fatal(err)
	}
	p.Step(time.Minute)
	if p.Get(process.PumpRunning) != 0 {
		t.Error("the pump still runs a minute after it was told to stop")
	}
}

// TestPumpWears: a bearing that wears goes from zone B to zone D and warms up.
func TestPumpWears(t *testing.T) {
	p := process.NewPump(1)
	if err := p.Set(process.PumpSetSpeed, 1450); err != nil {
		t.Fatal(err)
	}
	p.Step(2 * time.Hour)
	fresh := snapshot(p)
	if v := fresh[process.PumpVibration]; v < process.ZoneB || v > process.ZoneC || p.Worn() != 0 {
		t.Errorf("vibration of a new bearing: %v mm/s, worn %v", v, p.Worn())
	}
	p.Wear(0.5)
	p.Step(4 * time.Hour)
	if v := p.Get(process.PumpVibration); v < process.ZoneD || p.Worn() != 1 {
		t.Errorf("vibration of a worn bearing: %v mm/s, worn %v; want zone D", v, p.Worn())
	}
	if rise := p.Get(process.PumpBearingTemperature) - fresh[process.PumpBearingTemperature]; rise < 30 {
		t.Errorf("the bearing is %v K warmer; want at least 30", rise)
	}
	p.Repair()
	p.Step(time.Second)
	if v := p.Get(process.PumpVibration); v > process.ZoneC || p.Worn() != 0 {
		t.Errorf("vibration after a repair: %v mm/s, worn %v", v, p.Worn())
	}
}

func TestSetRefuses(t *testing.T) {
	p := process.NewPump(1)
	for name, tt := range map[string]struct {
		i int
		v float64
	}{
		"read-only": {process.PumpSpeed, 1},
		"low":       {process.PumpSetSpeed, -1},
		"high":      {process.PumpSetSpeed, 1500.1},
		"NaN":       {process.PumpSetSpeed, math.NaN()},
	} {
		if err := p.Set(tt.i, tt.v); err == nil {
			t.Errorf("%s: Set gave no error", name)
		}
	}
	if p.Get(process.PumpSetSpeed) != 1200 {
		t.Error("a refused Set changed the value")
	}
}

func TestTank(t *testing.T) {
	k := process.NewTank(1)
	if err := k.Set(process.TankValve, 0); err != nil {
		t.Fatal(err)
	}
	k.Step(time.Hour)
	if k.Get(process.TankOverflow) != 1 || k.Get(process.TankLevel) < 99 {
		t.Errorf("level %v %% after an hour with the valve closed; want an overflow", k.Get(process.TankLevel))
	}
	if err := k.Set(process.TankValve, 100); err != nil {
		t.Fatal(err)
	}
	k.Step(4 * time.Hour)
	if v := k.Get(process.TankLevel); v < 5 || v > 60 || k.Get(process.TankOverflow) != 0 {
		t.Errorf("level %v %% with the valve open; want a balance", v)
	}
	if k.Set(process.TankLevel, 1) == nil {
		t.Error("Set of a reading gave no error")
	}
}

const sample = "datetime;Current;Flow RateRMS;anomaly;changepoint\n" +
	"2020-03-09 10:14:33;1.5;32.0;0.0;0.0\n" +
	"2020-03-09 10:14:34;;31.5;0.0;0.0\n" +
	"2020-03-09 10:14:35;1.7;31.0;1.0;0.0\n"

func TestReadCSV(t *testing.T) {
	for name, text := range map[string]string{
		"semicolon": sample,
		"comma":     strings.ReplaceAll(sample, ";", ","),
		"tab":       strings.ReplaceAll(sample, ";", "\t"),
		"BOM, CRLF": "\ufeff" + strings.ReplaceAll(sample, "\n", "\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			rec, err := process.ReadCSV(strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(rec.Columns, rec.Rows); got != "[Current Flow RateRMS] [[1.5 32] [NaN 31.5] [1.7 31]]" {
				t.Errorf("ReadCSV = %s", got)
			}
		})
	}
}

func TestReadCSVFaults(t *testing.T) {
	tests := map[string]struct{ text, fault string }{
		"empty":         {"", "line 1: the file is empty"},
		"header only":   {"a;b\n", "line 2: no rows"},
		"ragged":        {"a;b\n1;2\n3\n", "line 3: wrong number of fields"},
		"not a number":  {"a;b\n1;2\n3;x\n", "line 3: column b: \"x\" is not a number"},
		"no numbers":    {"a;b\nx;y\n", "no column holds numbers"},
		"labels only":   {"anomaly\n1\n", "no column holds numbers"},
		"twice":         {"a;a\n1;2\n", "line 1: column 2: the name \"a\" is taken"},
		"Row":           {"Row;a\n1;2\n", "line 1: column 1: the name \"Row\" is taken"},
		"nameless":      {"a;\n1;2\n", "line 1: column 2 has no name"},
		"decimal comma": {"a;b\n1;2\n3;4,5\n", "line 3: column b"},
		"quote":         {"a;b\n\"1;2\n", "line 2"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := process.ReadCSV(strings.NewReader(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.fault) {
				t.Errorf("ReadCSV: %v; want an error with %q", err, tt.fault)
			}
		})
	}
	broken := errors.New("broken")
	if _, err := process.ReadCSV(failing{broken}); !errors.Is(err, broken) {
		t.Errorf("ReadCSV of a broken reader: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// FuzzReadCSV checks that whatever parses is a full table.
func FuzzReadCSV(f *testing.F) {
	f.Add(sample)
	f.Add("a\tb\n1\t2\n")
	f.Add("a,b\n\"1\",NaN\n")
	f.Fuzz(func(t *testing.T, text string) {
		rec, err := process.ReadCSV(strings.NewReader(text))
		if err != nil {
			return
		}
		if len(rec.Rows) == 0 || len(rec.Columns) == 0 {
			t.Fatal("an empty recording without an error")
		}
		for i, row := range rec.Rows {
			if len(row) != len(rec.Columns) {
				t.Fatalf("row %d has %d cells for %d columns", i, len(row), len(rec.Columns))
			}
		}
		if _, err := process.NewReplay(rec, 1); err != nil {
			t.Fatal(err)
		}
	})
}

// TestReadRecording reads a recording of a real pump.
func TestReadRecording(t *testing.T) {
	dir := os.Getenv("MAGNETO_TESTDATA")
	if dir == "" {
		t.Skip("MAGNETO_TESTDATA is not set: it names the folder of recorded data")
	}
	f, err := os.Open(filepath.Join(dir, "skab", "valve1", "0.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	rec, err := process.ReadCSV(f)
	if err != nil {
		t.Fatal(err)
	}
	want := "[Accelerometer1RMS Accelerometer2RMS Current Pressure Temperature Thermocouple Voltage Volume Flow RateRMS]"
	if fmt.Sprint(rec.Columns) != want || len(rec.Rows) < 1000 || rec.Rows[0][2] != 1.3302 {
		t.Errorf("%d rows of %v", len(rec.Rows), rec.Columns)
	}
}

func recording(rows int) *process.Recording {
	rec := &process.Recording{Columns: []string{"x"}}
	for i := range rows {
		rec.Rows = append(rec.Rows, []float32{float32(i) / 2})
	}
	return rec
}

// TestReplayPace reads at the times given, in ms, at one row a second.
func TestReplayPace(t *testing.T) {
	tests := map[string]struct {
		at   []int
		want []float64
	}{
		"steady":        {[]int{0, 1000, 2000, 3000}, []float64{0, 1, 2, 3}},
		"jitter":        {[]int{0, 1200, 1900, 3300, 3700}, []float64{0, 1, 2, 3, 4}},
		"twice as fast": {[]int{0, 400, 1000, 1400, 2000}, []float64{0, 0, 1, 1, 2}},
		"late":          {[]int{0, 9000, 10000, 11000}, []float64{0, 1, 2, 3}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r, err := process.NewReplay(recording(9), 1)
			if err != nil {
				t.Fatal(err)
			}
			var got []float64
			for i, at := range tt.at {
				if i > 0 {
					r.Taken()
					r.Step(time.Duration(at-tt.at[i-1]) * time.Millisecond)
				}
				got = append(got, r.Get(0))
				if r.Get(1) != r.Get(0)/2 {
					t.Fatalf("row %v holds %v", r.Get(0), r.Get(1))
				}
			}
			if !equal(got, tt.want) {
				t.Errorf("rows %v; want %v", got, tt.want)
			}
		})
	}
}

func TestReplayWaitsAndEnds(t *testing.T) {
	r, err := process.NewReplay(recording(2), 10)
	if err != nil {
		t.Fatal(err)
	}
	r.Step(time.Hour)
	if r.Get(0) != 0 {
		t.Fatal("the replay moved before anybody had read")
	}
	r.Taken()
	r.Step(time.Hour)
	r.Step(time.Hour)
	if r.Get(0) != 1 {
		t.Fatalf("row %v; want 1, which nobody has read", r.Get(0))
	}
	select {
	case <-r.Done():
		t.Fatal("done before the last row was read")
	default:
	}
	r.Taken()
	r.Taken()
	<-r.Done()
	r.Step(time.Hour)
	if r.Get(0) != 1 {
		t.Error("the replay does not keep its last row")
	}
	if r.Set(1, 0) == nil {
		t.Error("Set of a recording gave no error")
	}
}

func TestNewReplayFaults(t *testing.T) {
	for _, speed := range []float64{0, -1, math.NaN(), math.Inf(1), 1e10, 1e-9} {
		if _, err := process.NewReplay(recording(1), speed); err == nil {
			t.Errorf("NewReplay at speed %v gave no error", speed)
		}
	}
	if _, err := process.NewReplay(&process.Recording{}, 1); err == nil {
		t.Error("NewReplay of nothing gave no error")
	}
}
