package edgenode

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	"github.com/magneto-iiot/magneto/sparkplug"
)

func TestScaling(t *testing.T) {
	tests := map[string]struct {
		raw, pub      sparkplug.DataType
		scale, offset *float64
		in            sparkplug.Value
		out           sparkplug.Value
		ok            bool
	}{
		"as it is":       {sparkplug.TypeInt16, sparkplug.TypeInt16, nil, nil, sparkplug.Int(sparkplug.TypeInt16, -5), sparkplug.Int(sparkplug.TypeInt16, -5), true},
		"tenths":         {sparkplug.TypeInt16, sparkplug.TypeDouble, new(0.1), nil, sparkplug.Int(sparkplug.TypeInt16, 3), sparkplug.Double(0.3), true},
		"scale, offset":  {sparkplug.TypeUInt16, sparkplug.TypeFloat, new(2.5), new(-10.0), sparkplug.Uint(sparkplug.TypeUInt16, 8), sparkplug.Float(10), true},
		"wider":          {sparkplug.TypeInt16, sparkplug.TypeInt64, nil, nil, sparkplug.Int(sparkplug.TypeInt16, -7), sparkplug.Int(sparkplug.TypeInt64, -7), true},
		"int as double":  {sparkplug.TypeUInt32, sparkplug.TypeDouble, nil, nil, sparkplug.Uint(sparkplug.TypeUInt32, 1<<32-1), sparkplug.Double(1<<32 - 1), true},
		"does not fit":   {sparkplug.TypeInt16, sparkplug.TypeInt8, nil, nil, sparkplug.Int(sparkplug.TypeInt16, 300), sparkplug.Value{}, false},
		"scaled too far": {sparkplug.TypeInt16, sparkplug.TypeInt8, new(100.0), nil, sparkplug.Int(sparkplug.TypeInt16, 3), sparkplug.Value{}, false},
		"null":           {sparkplug.TypeInt16, sparkplug.TypeDouble, new(0.1), nil, sparkplug.Null(sparkplug.TypeInt16), sparkplug.Null(sparkplug.TypeDouble), true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newScaling(tt.raw, tt.pub, tt.scale, tt.offset)
			got, ok := s.publish(tt.in)
			if ok != tt.ok || ok && !got.Equal(tt.out) {
				t.Errorf("publish(%v) = %v, %v; want %v, %v", tt.in, got, ok, tt.out, tt.ok)
			}
			if !ok || got.IsNull() {
				return
			}
			if back, err := s.unscale(got); err != nil || !back.Equal(tt.in) {
				t.Errorf("unscale(%v) = %v, %v; want %v", got, back, err, tt.in)
			}
		})
	}
}

// TestScalingLaw checks that a write of what was published gives the raw value
// again, for every value of a 16 bit register and usual scales.
func TestScalingLaw(t *testing.T) {
	for _, scale := range []float64{0.1, 0.01, 0.001, 0.5, 2, 10, -0.1, 1.0 / 3, 0.0254} {
		s := newScaling(sparkplug.TypeInt16, sparkplug.TypeDouble, &scale, new(-40.0))
		for raw := math.MinInt16; raw <= math.MaxInt16; raw++ {
			in := sparkplug.Int(sparkplug.TypeInt16, int64(raw))
			v, ok := s.publish(in)
			if back, err := s.unscale(v); !ok || err != nil || back != in {
				t.Fatalf("scale %v: %d published as %v comes back as %v, %v", scale, raw, v, back, err)
			}
		}
	}
}

func TestFilter(t *testing.T) {
	nan := sparkplug.Double(math.NaN())
	inf := sparkplug.Double(math.Inf(1))
	last := reported{value: sparkplug.Double(10), time: 1000, quality: driver.Good, seen: true}
	with := func(v sparkplug.Value) reported { return reported{v, 1000, driver.Good, true} }
	tests := map[string]struct {
		f    filter
		last reported
		v    sparkplug.Value
		q    driver.Quality
		at   int64
		want bool
	}{
		"first":                {filter{deadband: 100}, reported{}, sparkplug.Double(0), driver.Good, 1, true},
		"same":                 {filter{}, last, sparkplug.Double(10), driver.Good, 2000, false},
		"any change":           {filter{}, last, sparkplug.Double(10.0001), driver.Good, 2000, true},
		"within":               {filter{deadband: 1}, last, sparkplug.Double(11), driver.Good, 2000, false},
		"beyond":               {filter{deadband: 1}, last, sparkplug.Double(8.9), driver.Good, 2000, true},
		"quality":              {filter{deadband: 1}, last, sparkplug.Double(10), driver.Bad, 2000, true},
		"quality, too soon":    {filter{min: 5000}, last, sparkplug.Double(10), stale, 2000, true},
		"too soon":             {filter{min: 5000}, last, sparkplug.Double(50), driver.Good, 2000, false},
		"silent too long":      {filter{deadband: 5, max: 1000}, last, sparkplug.Double(10), driver.Good, 2000, true},
		"not yet":              {filter{deadband: 5, max: 1001}, last, sparkplug.Double(10), driver.Good, 2000, false},
		"to NaN":               {filter{deadband: 5}, last, nan, driver.Good, 2000, true},
		"NaN again":            {filter{deadband: 5}, with(nan), nan, driver.Good, 2000, false},
		"from NaN":             {filter{deadband: 5}, with(nan), sparkplug.Double(1), driver.Good, 2000, true},
		"to infinity":          {filter{deadband: 5}, last, inf, driver.Good, 2000, true},
		"infinity again":       {filter{deadband: 5}, with(inf), inf, driver.Good, 2000, false},
		"zero and minus zero":  {filter{}, with(sparkplug.Double(0)), sparkplug.Double(math.Copysign(0, -1)), driver.Good, 2000, true},
		"text":                 {filter{}, with(sparkplug.String("a")), sparkplug.String("b"), driver.Good, 2000, true},
		"same text":            {filter{}, with(sparkplug.String("ab")), sparkplug.String(string([]byte("ab"))), driver.Good, 2000, false},
		"boolean":              {filter{}, with(sparkplug.Boolean(true)), sparkplug.Boolean(false), driver.Good, 2000, true},
		"null after a value":   {filter{deadband: 5}, last, sparkplug.Null(sparkplug.TypeDouble), driver.Good, 2000, true},
		"integers beyond 2^53": {filter{}, with(sparkplug.Int(sparkplug.TypeInt64, 1<<60)), sparkplug.Int(sparkplug.TypeInt64, 1<<60+1), driver.Good, 2000, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tt.f.passes(&tt.last, tt.v, tt.q, tt.at); got != tt.want {
				t.Errorf("passes = %v, want %v", got, tt.want)
			}
		})
	}
}

// TestSchedule checks the promises of a schedule on random durations: starts
// at whole multiples of the period, none twice, and each one either read or
// counted as left out.
func TestSchedule(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		period := time.Duration(1+rnd.IntN(50)) * time.Millisecond
		s := schedule{groups: []turn{{period: period, blocks: 1 + rnd.IntN(4)}}}
		var now time.Duration
		var scans, left int64
		for range 100 {
			due, ok := s.next()
			if !ok || due%period != 0 {
				t.Fatalf("due %v, %v with period %v", due, ok, period)
			}
			if due > now && s.pick(now) >= 0 {
				t.Fatalf("picked at %v what is due at %v", now, due)
			}
			now = max(now, due)
			for ended := false; !ended; {
				if s.pick(now) != 0 {
					t.Fatalf("nothing to read at %v, due %v", now, due)
				}
				now += time.Duration(rnd.Int64N(int64(period)))
				var skipped uint64
				ended, skipped = s.groups[0].step(now)
				left += int64(skipped)
			}
			scans++
			if next, _ := s.next(); next != time.Duration(scans+left)*period {
				t.Fatalf("after %d scans and %d left out the next is due at %v, period %v", scans, left, next, period)
			}
		}
	}
}

func TestScheduleFastGoesFirst(t *testing.T) {
	s := schedule{groups: []turn{{period: time.Minute, blocks: 1000}, {period: time.Second, blocks: 1}, {period: time.Second}}}
	var order []int
	now := time.Duration(0)
	for range 6 {
		g := s.pick(now)
		order = append(order, g)
		s.groups[g].step(now)
		now += 500 * time.Millisecond
	}
	if want := []int{1, 0, 1, 0, 1, 0}; !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
}

func TestQuarantine(t *testing.T) {
	var q quarantine
	if q.fail(0, quarantineMax, 0); q.blocked(0) || q.down() {
		t.Error("blocked after one failure")
	}
	now := time.Duration(0)
	var waits []time.Duration
	for range 9 {
		q.fail(now, quarantineMax, 0)
		if !q.blocked(now) || !q.down() {
			t.Fatal("not blocked")
		}
		waits = append(waits, q.until-now)
		now = q.until
		if q.blocked(now) {
			t.Fatal("blocked for ever")
		}
	}
	s := time.Second
	if want := []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 32 * s, 60 * s, 60 * s, 60 * s}; !slices.Equal(waits, want) {
		t.Errorf("waits %v, want %v", waits, want)
	}
	if q.ok(); q.blocked(now) || q.down() {
		t.Error("blocked though it answered")
	}
}

func TestExpand(t *testing.T) {
	params := map[string]any{"base": int64(100), "n": int64(3), "line": "L1"}
	for in, want := range map[string]string{
		"hr:5": "hr:5", "hr:{base}": "hr:100", "hr:{base+2}.0": "hr:102.0", "hr:{ base + 8 * n - 1 }[4]": "hr:123[4]", "{line}/x{n}": "L1/x3", "{-5+base}": "",
	} {
		got, err := expand(in, params)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("expand(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"{", "{nope}", "{base+}", "{}", "{line+1}", "{base/2}"} {
		if got, err := expand(in, params); err == nil {
			t.Errorf("expand(%q) = %q", in, got)
		}
	}
}

// TestPartialInstances checks how reports of members are put into partial
// instances: together while they follow one another, apart when a member comes
// again or another metric is between, so that times never go back.
func TestPartialInstances(t *testing.T) {
	inner := &instance{name: "Front", ref: "bearing", first: 2, members: []member{{name: "Temp", slot: 2}}}
	n := &instance{name: "Main", ref: "motor", members: []member{{name: "Amps", slot: 0}, {name: "Limit", slot: 1}, {name: "Front", inner: inner}}}
	def := &deviceDef{metrics: []metricDef{{name: "Main/Amps", in: n}, {name: "Main/Limit", in: n}, {name: "Main/Front/Temp", in: n}, {name: "Flow"}}}
	for i := range def.metrics {
		def.metrics[i].scaling.pub = sparkplug.TypeInt32
	}
	d := newDevice(def, 10)
	at := func(slot uint32, time int64) report {
		return report{sparkplug.Int(sparkplug.TypeInt32, time), time, slot, driver.Good}
	}
	for _, aliases := range []bool{true, false} {
		var got []sparkplug.Metric
		for _, r := range []report{at(0, 1), at(2, 1), at(1, 2), at(0, 3), at(3, 4), at(2, 5)} {
			got = d.data(got, &r, aliases, true, false)
		}
		var text []string
		for _, m := range got {
			if m.HasAlias != aliases || aliases && m.Name != "" {
				t.Errorf("aliases %v: %+v", aliases, m)
			}
			text = append(text, string(strconv.AppendInt(nil, m.Timestamp, 10))+" "+string(sparkplug.AppendJSON(nil, m.Value)))
		}
		want := []string{
			`2 {"ref":"motor","version":"","members":{"Amps":1,"Front":{"ref":"bearing","version":"","members":{"Temp":1},"parameters":{}},"Limit":2},"parameters":{}}`,
			`3 {"ref":"motor","version":"","members":{"Amps":3},"parameters":{}}`,
			`4 4`,
			`5 {"ref":"motor","version":"","members":{"Front":{"ref":"bearing","version":"","members":{"Temp":5},"parameters":{}}},"parameters":{}}`,
		}
		if !slices.Equal(text, want) {
			t.Errorf("aliases %v: got\n%s\nwant\n%s", aliases, strings.Join(text, "\n"), strings.Join(want, "\n"))
		}
	}
	if _, err := n.orders(&sparkplug.Template{Ref: "other"}, nil); err == nil {
		t.Error("an instance of another template was taken")
	}
	if _, err := n.orders(&sparkplug.Template{Metrics: []sparkplug.Metric{{Name: "Front", Value: sparkplug.Boolean(true)}}}, nil); err == nil {
		t.Error("a Boolean was taken for an instance")
	}
}
