package monitor

import (
	"math"
	"math/bits"
	"slices"
	"time"
)

// Change is the begin or end of a condition.
type Change struct {
	At       time.Time
	On       bool
	Value    float64 // of the metric at that time
	HasValue bool    // not so for nodata and expressions
	Quality  int
}

// Stats counts what did not lead to a change, since the condition began.
type Stats struct {
	Chatter uint64 `json:"chatter"` // came or went, and was back before its delay was over
	Bad     uint64 `json:"bad"`     // samples without a good value
	Unknown uint64 `json:"unknown"` // good samples that said nothing yet: no set-point, window not full, input missing
	Late    uint64 `json:"late"`    // times that went back
	Faults  uint64 `json:"faults"`  // evaluations that failed
}

// Condition follows one rule for one asset, in place: samples of limit, rate and
// deviation cost no allocation. Between samples the last good value holds; a sample
// without one is counted and changes nothing. It is for one goroutine at a time.
type Condition struct {
	rule     Rule
	expr     *expression
	st       ConditionState
	value    float64
	setpoint float64
	hasValue bool
	hasSet   bool
}

// ratePoints is how many points a window is thinned to; one or two more are kept.
const ratePoints = 32

// NewCondition begins to follow r at a time. Its error is that of r.Check.
func NewCondition(r Rule, at time.Time) (*Condition, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	c := &Condition{rule: r, st: ConditionState{At: at, Since: at}}
	switch r.Kind {
	case KindRate:
		c.st.Points = make([]Point, 0, ratePoints+4)
	case KindNoData:
		c.st.LastGood = at
	case KindExpression:
		var f faults
		if c.expr = compile(&r, &f, ""); c.expr == nil {
			return nil, f.err()
		}
		c.st.Inputs = make([]*Sample, len(r.Inputs))
	}
	if r.Setpoint != nil {
		c.setpoint, c.hasSet = *r.Setpoint, true
	}
	return c, nil
}

// On says whether the condition holds, after its delays.
func (c *Condition) On() bool { return c.st.On }

// Stats returns the counts so far.
func (c *Condition) Stats() Stats { return c.st.Stats }

// Faulty says why the last evaluation failed: empty if it did not.
func (c *Condition) Faulty() string { return c.st.Faulty }

// Wants says whether samples of the metric matter to c.
func (c *Condition) Wants(metric string) bool {
	switch c.rule.Kind {
	case KindNoData:
		return c.rule.Metric == "" || c.rule.Metric == metric
	case KindExpression:
		return slices.ContainsFunc(c.rule.Inputs, func(v Var) bool { return v.Metric == metric })
	}
	return metric == c.rule.Metric || c.rule.SetpointMetric != "" && metric == c.rule.SetpointMetric
}

// Deadline is when Tick should be called if nothing comes before; zero: never.
func (c *Condition) Deadline() time.Time {
	var d time.Time
	if c.st.Raw != c.st.On {
		d = c.due()
	}
	if c.rule.Kind == KindNoData && !c.st.Raw {
		if silent := c.st.LastGood.Add(time.Duration(c.rule.After)); d.IsZero() || silent.Before(d) {
			d = silent
		}
	}
	return d
}

// Tick lets time pass. It appends to ch, in order of time, what has changed.
func (c *Condition) Tick(at time.Time, ch []Change) []Change {
	_, ch = c.advance(at, ch)
	return ch
}

// Device tells c whether the asset is stale or offline; it matters to nodata.
// It appends to ch as Tick does.
func (c *Condition) Device(at time.Time, offline bool, ch []Change) []Change {
	if c.rule.Kind != KindNoData {
		return ch
	}
	at, ch = c.advance(at, ch)
	c.st.Offline = offline
	return c.set(at, offline || c.silent(at), ch)
}

// Observe takes a sample of a metric. It appends to ch as Tick does.
func (c *Condition) Observe(metric string, s Sample, ch []Change) []Change {
	if !c.Wants(metric) {
		return ch
	}
	at, ch := c.advance(s.At, ch)
	if !s.good() {
		c.st.Stats.Bad++
		return ch
	}
	switch c.rule.Kind {
	case KindNoData:
		c.st.LastGood = at
		return c.set(at, c.st.Offline, ch)
	case KindExpression:
		return c.evaluate(metric, at, &s, ch)
	}
	if !s.numeric() {
		c.fault("a sample is no number and no bool")
		return ch
	}
	c.st.Faulty = ""
	if metric == c.rule.Metric {
		c.value, c.hasValue = s.Number, true
	} else {
		c.setpoint, c.hasSet = s.Number, true
	}
	signal, known := c.signal(at)
	if !known {
		c.st.Stats.Unknown++
		return ch
	}
	return c.judge(at, c.beyond(signal), ch)
}

func (c *Condition) fault(reason string) {
	c.st.Faulty = reason
	c.st.Stats.Faults++
}

// evaluate gives the inputs their values and runs the expression.
func (c *Condition) evaluate(metric string, at time.Time, s *Sample, ch []Change) []Change {
	missing := false
	for i, v := range c.rule.Inputs {
		if v.Metric == metric {
			if reason := c.expr.set(v, s); reason != "" {
				c.fault(reason)
				return ch
			}
			c.st.Inputs[i] = new(*s)
		}
		missing = missing || c.st.Inputs[i] == nil
	}
	if missing {
		c.st.Stats.Unknown++
		return ch
	}
	holds, reason := c.expr.run()
	if reason != "" {
		c.fault(reason)
		return ch
	}
	c.st.Faulty = ""
	return c.judge(at, holds, ch)
}

// signal is what is compared with the limit; known is false while it is not.
func (c *Condition) signal(at time.Time) (signal float64, known bool) {
	switch c.rule.Kind {
	case KindRate:
		return c.rate(at)
	case KindDeviation:
		return c.value - c.setpoint, c.hasValue && c.hasSet
	}
	return c.value, true
}

// rate is the change per second since the newest point that is one window old, or
// up to two.
func (c *Condition) rate(at time.Time) (float64, bool) {
	window := time.Duration(c.rule.Window)
	edge := at.Add(-window)
	p := c.st.Points
	old := 0
	for old+1 < len(p) && !p[old+1].At.After(edge) {
		old++
	}
	p = p[:copy(p, p[old:])]
	if len(p) == 0 || at.Sub(p[len(p)-1].At) >= window/ratePoints {
		p = append(p, Point{at, c.value})
	}
	c.st.Points = p
	if p[0].At.After(edge) || p[0].At.Before(edge.Add(-window)) {
		return 0, false
	}
	rate := (c.value - p[0].Value) / at.Sub(p[0].At).Seconds()
	return rate, !math.IsNaN(rate)
}

// beyond compares with the limit, and with the deadband once it was beyond.
func (c *Condition) beyond(signal float64) bool {
	limit, back := *c.rule.Limit, 0.0
	if c.st.Level {
		back = c.rule.Deadband
	}
	switch c.rule.Side {
	case SideHigh, SideHiHi:
		c.st.Level = signal > limit-back
	case SideLow, SideLoLo:
		c.st.Level = signal < limit+back
	default:
		c.st.Level = math.Abs(signal) > limit-back
	}
	return c.st.Level
}

// judge takes the result of one evaluation, and looks at the last n of them.
func (c *Condition) judge(at time.Time, holds bool, ch []Change) []Change {
	if c.rule.N > 0 {
		c.st.Recent <<= 1
		if holds {
			c.st.Recent |= 1
		}
		c.st.Recent &= math.MaxUint64 >> (MaxOf - c.rule.N)
		holds = bits.OnesCount64(c.st.Recent) >= c.rule.M
	}
	return c.set(at, holds, ch)
}

// advance brings c to a time, and returns the time it is then.
func (c *Condition) advance(at time.Time, ch []Change) (time.Time, []Change) {
	if at.Before(c.st.At) {
		c.st.Stats.Late++
		at = c.st.At
	}
	c.st.At = at
	if c.rule.Kind == KindNoData && !c.st.Raw && c.silent(at) {
		ch = c.set(c.st.LastGood.Add(time.Duration(c.rule.After)), true, ch)
	}
	return at, c.settle(at, ch)
}

func (c *Condition) silent(at time.Time) bool {
	return at.Sub(c.st.LastGood) >= time.Duration(c.rule.After)
}

// set changes what is before the delays.
func (c *Condition) set(at time.Time, raw bool, ch []Change) []Change {
	if raw == c.st.Raw {
		return ch
	}
	if ch = c.settle(at, ch); c.st.Raw != c.st.On {
		c.st.Stats.Chatter++
	}
	c.st.Raw, c.st.Since = raw, at
	return c.settle(at, ch)
}

// due is when what is before the delays will be told, if it lasts.
func (c *Condition) due() time.Time {
	if c.st.Raw {
		return c.st.Since.Add(time.Duration(c.rule.OnDelay))
	}
	return c.st.Since.Add(time.Duration(c.rule.OffDelay))
}

func (c *Condition) settle(at time.Time, ch []Change) []Change {
	if c.st.Raw == c.st.On || at.Before(c.due()) {
		return ch
	}
	c.st.On = c.st.Raw
	return append(ch, Change{At: c.due(), On: c.st.On, Value: c.value, HasValue: c.hasValue, Quality: Good})
}
