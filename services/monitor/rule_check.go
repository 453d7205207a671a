package monitor

import (
	"fmt"
	"slices"
)

// use is a field of a rule and the kinds that need it, or may have it.
type use struct {
	field     string
	set       bool
	need, may []Kind
}

func (r *Rule) uses() []use {
	level := []Kind{KindLimit, KindRate, KindDeviation}
	judged := append(slices.Clone(level), KindExpression)
	return []use{
		{"metric", r.Metric != "", level, []Kind{KindNoData}},
		{"side", r.Side != "", level, nil},
		{"limit", r.Limit != nil, level, nil},
		{"deadband", r.Deadband != 0, nil, level},
		{"window", r.Window != 0, []Kind{KindRate}, nil},
		{"setpoint", r.Setpoint != nil, nil, []Kind{KindDeviation}},
		{"setpoint_metric", r.SetpointMetric != "", nil, []Kind{KindDeviation}},
		{"after", r.After != 0, []Kind{KindNoData}, nil},
		{"expression", r.Expression != "", []Kind{KindExpression}, nil},
		{"inputs", len(r.Inputs) > 0, []Kind{KindExpression}, nil},
		{"m", r.M != 0, nil, judged},
		{"n", r.N != 0, nil, judged},
	}
}

// check adds what is wrong with r; at is put before each field.
func (r *Rule) check(f *faults, at string) {
	f.id(at+"id", r.ID)
	f.text(at+"name", r.Name, false)
	f.text(at+"class", r.Class, false)
	f.text(at+"metric", r.Metric, false)
	f.text(at+"setpoint_metric", r.SetpointMetric, false)
	for i, a := range r.Assets {
		f.id(fmt.Sprintf("%sassets[%d]", at, i), a)
	}
	oneOf(f, at+"priority", r.Priority, Critical, High, Medium, Low)
	f.within(at+"on_delay", r.OnDelay, 0, MaxDelay)
	f.within(at+"off_delay", r.OffDelay, 0, MaxDelay)
	f.within(at+"max_shelve", r.MaxShelve, 0, MaxShelf)
	if r.N < 0 || r.N > MaxOf || r.M < 0 || r.M > r.N || (r.M == 0) != (r.N == 0) {
		f.add(at+"m", "%d of %d is not 1 <= m <= n <= %d", r.M, r.N, MaxOf)
	}
	kinds := []Kind{KindLimit, KindRate, KindDeviation, KindNoData, KindExpression}
	if oneOf(f, at+"kind", r.Kind, kinds...); !slices.Contains(kinds, r.Kind) {
		return
	}
	for _, u := range r.uses() {
		need := slices.Contains(u.need, r.Kind)
		switch {
		case need && !u.set:
			f.add(at+u.field, "is missing: kind %s needs it", r.Kind)
		case u.set && !need && !slices.Contains(u.may, r.Kind):
			f.add(at+u.field, "kind %s has none", r.Kind)
		}
	}
	r.checkKind(f, at)
}

// checkKind adds what is wrong with the fields that kinds have of their own.
func (r *Rule) checkKind(f *faults, at string) {
	switch r.Kind {
	case KindLimit:
		r.checkLevel(f, at, SideHigh, SideLow, SideHiHi, SideLoLo)
	case KindRate:
		r.checkLevel(f, at, SideHigh, SideLow, SideHiHi, SideLoLo, SideBoth)
		if r.Window != 0 {
			f.within(at+"window", r.Window, MinWindow, MaxDelay)
		}
	case KindDeviation:
		r.checkLevel(f, at, SideHigh, SideLow, SideHiHi, SideLoLo, SideBoth)
		if (r.Setpoint == nil) == (r.SetpointMetric == "") {
			f.add(at+"setpoint", "give this or setpoint_metric, one of them")
		}
		if r.Setpoint != nil {
			f.finite(at+"setpoint", *r.Setpoint)
		}
		if r.SetpointMetric != "" && r.SetpointMetric == r.Metric {
			f.add(at+"setpoint_metric", "%q is the metric itself", r.Metric)
		}
	case KindNoData:
		if r.After != 0 {
			f.within(at+"after", r.After, MinWindow, MaxAfter)
		}
	case KindExpression:
		if r.Expression != "" && len(r.Inputs) > 0 {
			compile(r, f, at)
		}
	}
}

func (r *Rule) checkLevel(f *faults, at string, sides ...Side) {
	f.finite(at+"deadband", r.Deadband)
	if r.Deadband < 0 {
		f.add(at+"deadband", "%v is negative", r.Deadband)
	}
	if r.Side != "" {
		oneOf(f, at+"side", r.Side, sides...)
	}
	if r.Limit == nil {
		return
	}
	f.finite(at+"limit", *r.Limit)
	if r.Side == SideBoth && *r.Limit < 0 {
		f.add(at+"limit", "%v is negative: side both takes the absolute value", *r.Limit)
	}
	if r.Side == SideBoth && r.Deadband > *r.Limit {
		f.add(at+"deadband", "%v is beyond the limit %v: the alarm could never end", r.Deadband, *r.Limit)
	}
}
