package monitor_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/magneto-iiot/magneto/services/monitor"
)

// The delays are as they are defined: the condition begins when the signal was true
// for the whole on-delay, and ends when it was false for the whole off-delay.
func TestDelaysLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const ticks = 60
		r := limitRule(0.5)
		on, off := rapid.IntRange(0, 6).Draw(t, "on"), rapid.IntRange(0, 6).Draw(t, "off")
		r.OnDelay, r.OffDelay = monitor.Duration(on)*second, monitor.Duration(off)*second
		c, err := monitor.NewCondition(r, t0)
		require.NoError(t, err)
		var signal, told [ticks]bool
		var ch []monitor.Change
		level := false
		for i := range ticks {
			switch rapid.SampledFrom([]string{"up", "down", "same", "none", "none", "tick"}).Draw(t, "what") {
			case "up":
				level = true
				ch = c.Observe("temp", monitor.Num(at(float64(i)), 1), ch)
			case "down":
				level = false
				ch = c.Observe("temp", monitor.Num(at(float64(i)), 0), ch)
			case "tick":
				ch = c.Tick(at(float64(i)), ch)
			}
			signal[i] = level
		}
		ch = c.Tick(at(ticks-1), ch)
		for i := range ticks {
			told[i] = i > 0 && told[i-1]
			// First what was so until now, then what is so at once.
			for _, atOnce := range []bool{false, true} {
				switch {
				case atOnce == (on == 0) && held(signal[:], i, on, true):
					told[i] = true
				case atOnce == (off == 0) && held(signal[:], i, off, false):
					told[i] = false
				}
			}
		}
		var got [ticks]bool
		for i := range ticks {
			got[i] = i > 0 && got[i-1]
			for _, x := range ch {
				if x.At.Equal(at(float64(i))) {
					got[i] = x.On
				}
			}
		}
		require.Equal(t, told, got)
		for i, x := range ch {
			require.Equal(t, i%2 == 0, x.On, "begin and end alternate")
			require.False(t, i > 0 && x.At.Before(ch[i-1].At))
		}
	})
}

// held says whether the signal was v from now-delay to just before now; with no
// delay, whether it is now.
func held(signal []bool, now, delay int, v bool) bool {
	if delay == 0 {
		return signal[now] == v
	}
	return now >= delay && !slices.Contains(signal[now-delay:now], !v)
}

// What was saved as JSON and restored goes on as if nothing had been.
func TestConditionSplitLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRule(t)
		whole, err := monitor.NewCondition(r, t0)
		require.NoError(t, err)
		split, err := monitor.NewCondition(r, t0)
		require.NoError(t, err)
		now := t0
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(-1e9, 9e9).Draw(t, "passes")))
			if rapid.Bool().Draw(t, "restart") {
				b, err := json.Marshal(split.Save())
				require.NoError(t, err)
				var st monitor.ConditionState
				require.NoError(t, json.Unmarshal(b, &st))
				split, err = monitor.RestoreCondition(r, st)
				require.NoError(t, err)
			}
			metric := rapid.SampledFrom([]string{"temp", "sp", "Motor/Temp", "Motor/Running"}).Draw(t, "metric")
			s := monitor.Num(now, rapid.Float64Range(-3, 3).Draw(t, "value"))
			if metric == "Motor/Running" {
				s = monitor.Flag(now, s.Number > 0)
			}
			s.Quality = rapid.SampledFrom([]int{monitor.Good, monitor.Good, 0}).Draw(t, "quality")
			dead := rapid.SampledFrom([]int{0, 1, 2, 2, 2, 2}).Draw(t, "dead")
			require.Equal(t, input(whole, metric, s, dead), input(split, metric, s, dead))
			require.Equal(t, whole.Deadline().UnixNano(), split.Deadline().UnixNano())
			a, err := json.Marshal(whole.Save())
			require.NoError(t, err)
			b, err := json.Marshal(split.Save())
			require.NoError(t, err)
			require.Equal(t, string(a), string(b))
		}
	})
}

func input(c *monitor.Condition, metric string, s monitor.Sample, dead int) []monitor.Change {
	if dead < 2 {
		return c.Device(s.At, dead == 1, nil)
	}
	return c.Observe(metric, s, nil)
}

func anyRule(t *rapid.T) monitor.Rule {
	r := limitRule(1)
	switch r.Kind = rapid.SampledFrom([]monitor.Kind{monitor.KindLimit, monitor.KindRate, monitor.KindDeviation, monitor.KindNoData, monitor.KindExpression}).Draw(t, "kind"); r.Kind {
	case monitor.KindRate:
		r.Window = 5 * second
	case monitor.KindDeviation:
		r.SetpointMetric = "sp"
	case monitor.KindNoData:
		r.Side, r.Limit, r.After = "", nil, 6*second
	case monitor.KindExpression:
		r = exprRule("on ? t > 1 : 10 % (t > 2 ? 1 : 0) == 0")
	}
	if r.Kind != monitor.KindNoData {
		r.N = rapid.IntRange(0, 4).Draw(t, "n")
		r.M = min(r.N, rapid.IntRange(1, 4).Draw(t, "m"))
	}
	r.OnDelay = monitor.Duration(rapid.IntRange(0, 3).Draw(t, "on-delay")) * second
	r.OffDelay = monitor.Duration(rapid.IntRange(0, 3).Draw(t, "off-delay")) * second
	return r
}
