package monitor_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/services/monitor"
)

// feed gives numbers of metric temp to a new condition, one a second, and returns
// what has changed: +3 began at second 3, -5 ended at second 5.
func feed(t *testing.T, r monitor.Rule, values ...float64) (*monitor.Condition, []int) {
	t.Helper()
	c, err := monitor.NewCondition(r, t0)
	require.NoError(t, err)
	var ch []monitor.Change
	for i, v := range values {
		ch = c.Observe("temp", monitor.Num(at(float64(i)), v), ch)
	}
	return c, seconds(ch)
}

func seconds(ch []monitor.Change) (s []int) {
	for _, x := range ch {
		n := int(x.At.Sub(t0) / time.Second)
		if !x.On {
			n = -n
		}
		s = append(s, n)
	}
	return s
}

func TestCondition(t *testing.T) {
	nan := math.NaN()
	for name, tt := range map[string]struct {
		change func(*monitor.Rule)
		in     []float64
		want   []int
	}{
		"high":           {nil, []float64{80, 81, 80, 82}, []int{1, -2, 3}},
		"hihi":           {func(r *monitor.Rule) { r.Side = monitor.SideHiHi }, []float64{0, 81}, []int{1}},
		"low":            {func(r *monitor.Rule) { r.Side = monitor.SideLow }, []float64{80, 79, 80}, []int{1, -2}},
		"lolo, deadband": {func(r *monitor.Rule) { r.Side, r.Deadband = monitor.SideLoLo, 2 }, []float64{80, 79, 81, 82}, []int{1, -3}},
		"high, deadband": {func(r *monitor.Rule) { r.Deadband = 2 }, []float64{0, 81, 79, 78, 79, 81}, []int{1, -3, 5}},
		"on-delay":       {func(r *monitor.Rule) { r.OnDelay = 2 * second }, []float64{0, 81, 0, 81, 81, 81, 0}, []int{5, -6}},
		"off-delay":      {func(r *monitor.Rule) { r.OffDelay = 2 * second }, []float64{0, 81, 0, 81, 0, 0, 0}, []int{1, -6}},
		"3 of 4":         {func(r *monitor.Rule) { r.M, r.N = 3, 4 }, []float64{81, 81, 0, 81, 0, 0}, []int{3, -4}},
		"64 of 64":       {func(r *monitor.Rule) { r.M, r.N = 1, 64 }, []float64{81, 0, 0, 0}, []int{}},
		"bad holds":      {nil, []float64{0, 81, nan, math.Inf(-1), 0}, []int{1, -4}},
		"rate":           {func(r *monitor.Rule) { r.Kind, r.Limit, r.Window = monitor.KindRate, new(2.0), 2*second }, []float64{0, 9, 4, 14, 14, 14}, []int{3, -5}},
		"rate falls": {func(r *monitor.Rule) {
			r.Kind, r.Side, r.Limit, r.Window = monitor.KindRate, monitor.SideLow, new(-2.0), second
		}, []float64{9, 8, 5, 5}, []int{2, -3}},
		"rate both": {func(r *monitor.Rule) {
			r.Kind, r.Side, r.Limit, r.Window = monitor.KindRate, monitor.SideBoth, new(2.0), second
		}, []float64{9, 6, 6, 9, 9}, []int{1, -2, 3, -4}},
		"deviation": {func(r *monitor.Rule) { r.Kind, r.Limit, r.Setpoint = monitor.KindDeviation, new(5.0), new(50.0) }, []float64{55, 56, 40}, []int{1, -2}},
		"deviation both": {func(r *monitor.Rule) {
			r.Kind, r.Side, r.Limit, r.Setpoint, r.Deadband = monitor.KindDeviation, monitor.SideBoth, new(5.0), new(50.0), 1
		}, []float64{55, 56, 55, 44, 45, 46}, []int{1, -5}},
	} {
		t.Run(name, func(t *testing.T) {
			r := limitRule(80)
			if tt.change != nil {
				tt.change(&r)
			}
			_, got := feed(t, r, tt.in...)
			if name == "64 of 64" {
				require.Equal(t, []int{0}, got)
				return
			}
			require.Equal(t, tt.want, got)
		})
	}
}

func TestConditionCounts(t *testing.T) {
	r := limitRule(80)
	r.OnDelay = 5 * second
	c, got := feed(t, r, 0, 81, 0, 81, 0, 81, 0, math.NaN())
	require.Empty(t, got, "flapping within the delay is no alarm")
	require.Equal(t, monitor.Stats{Chatter: 3, Bad: 1}, c.Stats())
	require.True(t, c.Deadline().IsZero())

	require.Empty(t, c.Observe("other", monitor.Num(at(90), 99), nil))
	require.Empty(t, c.Observe("temp", monitor.Sample{At: at(8), Type: monitor.Text, Text: "hot", Quality: monitor.Good}, nil))
	require.Equal(t, uint64(1), c.Stats().Faults)
	require.Equal(t, "a sample is no number and no bool", c.Faulty())

	require.Empty(t, c.Observe("temp", monitor.Num(at(9), 81), nil))
	require.Empty(t, c.Faulty())
	require.Equal(t, at(14), c.Deadline())
	require.Empty(t, c.Tick(at(13), nil))
	require.Empty(t, c.Tick(at(3), nil), "a clock put back is taken for the latest time")
	require.Equal(t, uint64(1), c.Stats().Late)
	ch := c.Tick(at(60), nil)
	require.Equal(t, []monitor.Change{{At: at(14), On: true, Value: 81, HasValue: true, Quality: monitor.Good}}, ch)
	require.Equal(t, monitor.ConditionIs{At: at(14), On: true, Value: new(81.0), Quality: monitor.Good}, ch[0].Input())
	require.Nil(t, monitor.Change{}.Input().Value)
}

func TestRateNeedsItsWindow(t *testing.T) {
	r := limitRule(1)
	r.Kind, r.Window = monitor.KindRate, 10*second
	c, err := monitor.NewCondition(r, t0)
	require.NoError(t, err)
	var ch []monitor.Change
	ch = c.Observe("temp", monitor.Num(at(0), 0), ch)
	ch = c.Observe("temp", monitor.Num(at(9), 900), ch)
	require.Equal(t, uint64(2), c.Stats().Unknown)
	ch = c.Observe("temp", monitor.Num(at(60), 9000), ch)
	require.Empty(t, ch, "a gap of more than two windows tells no rate")
	for s := 61.0; s < 90; s += 0.01 {
		ch = c.Observe("temp", monitor.Num(at(s), 9000), ch)
	}
	require.Empty(t, ch)
	saved := c.Save()
	require.LessOrEqual(t, len(saved.Points), 36)
	first := saved.Points[0]
	defer func() { require.Equal(t, first, saved.Points[0], "what is saved is a copy") }()
	for s := 90.0; s < 120; s += 0.01 {
		ch = c.Observe("temp", monitor.Num(at(s), 9000+2*(s-90)), ch)
	}
	require.Len(t, ch, 1)
	require.InDelta(t, 95, ch[0].At.Sub(t0).Seconds(), 0.5, "half the window rises by 2 a second")
}

func TestDeviationFromMetric(t *testing.T) {
	r := limitRule(5)
	r.Kind, r.SetpointMetric = monitor.KindDeviation, "sp"
	c, err := monitor.NewCondition(r, t0)
	require.NoError(t, err)
	var ch []monitor.Change
	ch = c.Observe("temp", monitor.Num(at(0), 60), ch)
	require.Equal(t, uint64(1), c.Stats().Unknown)
	ch = c.Observe("sp", monitor.Num(at(1), 50), ch)
	ch = c.Observe("sp", monitor.Num(at(2), 58), ch)
	require.Equal(t, []int{1, -2}, seconds(ch))
}

func TestNoData(t *testing.T) {
	r := monitor.Rule{ID: "dead", Kind: monitor.KindNoData, Priority: monitor.High, After: 10 * second, OnDelay: 2 * second}
	c, err := monitor.NewCondition(r, t0)
	require.NoError(t, err)
	require.Equal(t, at(10), c.Deadline())
	var ch []monitor.Change
	ch = c.Observe("any", monitor.Num(at(5), 1), ch)
	ch = c.Observe("any", monitor.Num(at(9), math.NaN()), ch)
	require.Equal(t, at(15), c.Deadline())
	ch = c.Tick(at(100), ch)
	ch = c.Observe("other", monitor.Num(at(101), 1), ch)
	ch = c.Device(at(102), true, ch)
	ch = c.Tick(at(104), ch)
	ch = c.Observe("other", monitor.Num(at(105), 1), ch)
	require.Equal(t, []int{17, -101, 104}, seconds(ch), "offline is no data whatever comes")
	ch = c.Device(at(106), false, nil)
	require.Equal(t, []int{-106}, seconds(ch))
	ch = c.Device(at(110), true, nil)
	ch = c.Device(at(130), false, ch)
	require.Equal(t, []int{112}, seconds(ch), "online, and still nothing comes")
	require.True(t, c.On())

	r.Metric = "temp"
	c, err = monitor.NewCondition(r, t0)
	require.NoError(t, err)
	require.Empty(t, c.Observe("other", monitor.Num(at(5), 1), nil))
	require.Equal(t, []int{12}, seconds(c.Tick(at(12), nil)))
	limit, err := monitor.NewCondition(limitRule(1), t0)
	require.NoError(t, err)
	require.Empty(t, limit.Device(at(1), true, nil))
}

func TestExpression(t *testing.T) {
	c, err := monitor.NewCondition(exprRule("10 % (on ? 1 : 0) == 0 and t > 5"), t0)
	require.NoError(t, err)
	var ch []monitor.Change
	ch = c.Observe("Motor/Temp", monitor.Num(at(0), 6), ch)
	require.Equal(t, monitor.Stats{Unknown: 1}, c.Stats())
	ch = c.Observe("Motor/Running", monitor.Flag(at(1), true), ch)
	ch = c.Observe("Motor/Running", monitor.Flag(at(2), false), ch)
	require.Contains(t, c.Faulty(), "divide by zero")
	require.Equal(t, uint64(1), c.Stats().Faults)
	require.True(t, c.On(), "a fault changes nothing")
	ch = c.Observe("Motor/Running", monitor.Num(at(3), 1), ch)
	require.Equal(t, `metric "Motor/Running" is a number, not a bool`, c.Faulty())
	ch = c.Observe("Motor/Running", monitor.Flag(at(4), true), ch)
	require.Empty(t, c.Faulty())
	ch = c.Observe("Motor/Temp", monitor.Num(at(5), 5), ch)
	require.Equal(t, []int{1, -5}, seconds(ch))
	require.Equal(t, uint64(2), c.Stats().Faults)

	r := exprRule("mode startsWith 'auto' and not on")
	r.Inputs[0] = monitor.Var{Name: "mode", Metric: "Mode", Type: monitor.Text}
	c, err = monitor.NewCondition(r, t0)
	require.NoError(t, err)
	c.Observe("Motor/Running", monitor.Flag(at(1), false), nil)
	text := monitor.Sample{At: at(2), Type: monitor.Text, Text: "automatic", Quality: monitor.Good}
	require.Len(t, c.Observe("Mode", text, nil), 1)
	text.Text = string(make([]byte, monitor.MaxText+1))
	require.Empty(t, c.Observe("Mode", text, nil))
	require.Contains(t, c.Faulty(), "is a text of 1025 bytes")
}

func TestRestoreRefuses(t *testing.T) {
	limit, err := monitor.NewCondition(limitRule(1), t0)
	require.NoError(t, err)
	st := limit.Save()
	nodata := monitor.Rule{ID: "dead", Kind: monitor.KindNoData, Priority: monitor.High, After: second}
	_, err = monitor.RestoreCondition(nodata, st)
	require.ErrorContains(t, err, `state: is not of rule "dead" as it is now`)
	_, err = monitor.RestoreCondition(exprRule("on and t > 1"), st)
	require.ErrorContains(t, err, "state: is not of rule")
	_, err = monitor.RestoreCondition(monitor.Rule{}, st)
	require.ErrorContains(t, err, "kind:")
	st.Inputs = []*monitor.Sample{nil, {Type: monitor.Text}}
	_, err = monitor.RestoreCondition(exprRule("on and t > 1"), st)
	require.ErrorContains(t, err, "state.inputs[1]: metric")
	st.Inputs, st.Points = nil, make([]monitor.Point, 1)
	_, err = monitor.RestoreCondition(limitRule(1), st)
	require.ErrorContains(t, err, "state: is not of rule")
}

func TestNoAllocation(t *testing.T) {
	rate, deviation := limitRule(1), limitRule(1)
	rate.Kind, rate.Window = monitor.KindRate, second
	deviation.Kind, deviation.Setpoint = monitor.KindDeviation, new(0.0)
	for _, r := range []monitor.Rule{limitRule(1), rate, deviation} {
		c, err := monitor.NewCondition(r, t0)
		require.NoError(t, err)
		ch := make([]monitor.Change, 0, 4)
		n := 0
		require.Zero(t, testing.AllocsPerRun(1000, func() {
			n++
			ch = c.Observe("temp", monitor.Num(at(float64(n)/10), float64(n%7)), ch[:0])
		}), r.Kind)
	}
}

func BenchmarkObserve(b *testing.B) {
	rate := limitRule(1)
	rate.Kind, rate.Window = monitor.KindRate, second
	for name, r := range map[string]monitor.Rule{"limit": limitRule(1), "rate": rate, "expression": exprRule("on and t > 5 or abs(t) > 9")} {
		b.Run(name, func(b *testing.B) {
			c, err := monitor.NewCondition(r, t0)
			require.NoError(b, err)
			c.Observe("Motor/Running", monitor.Flag(t0, true), nil)
			metric := "temp"
			if r.Kind == monitor.KindExpression {
				metric = "Motor/Temp"
			}
			ch := make([]monitor.Change, 0, 4)
			now, n := t0, 0
			b.ReportAllocs()
			for b.Loop() {
				n++
				now = now.Add(10 * time.Millisecond)
				ch = c.Observe(metric, monitor.Num(now, float64(n%11)), ch[:0])
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "evaluations/s")
		})
	}
}
