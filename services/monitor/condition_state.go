package monitor

import (
	"fmt"
	"slices"
	"time"
)

// Point is a value at a time.
type Point struct {
	At    time.Time `json:"at"`
	Value float64   `json:"value"`
}

// ConditionState is all that a Condition remembers, to be kept as JSON.
type ConditionState struct {
	At       time.Time `json:"at"`    // the latest time seen
	On       bool      `json:"on"`    // what was told last, after the delays
	Raw      bool      `json:"raw"`   // what is, before the delays
	Since    time.Time `json:"since"` // when raw became so
	Level    bool      `json:"level"` // beyond the limit, with deadband
	Recent   uint64    `json:"recent,omitempty"`
	Value    *float64  `json:"value,omitempty"`
	Setpoint *float64  `json:"setpoint,omitempty"`
	Points   []Point   `json:"points,omitempty"`   // of rate, oldest first
	LastGood time.Time `json:"last_good,omitzero"` // of nodata
	Offline  bool      `json:"offline,omitempty"`  // of nodata
	Inputs   []*Sample `json:"inputs,omitempty"`   // of expression, in the order of the rule; nil: none yet
	Faulty   string    `json:"faulty,omitempty"`   // why the last evaluation failed; empty: it did not
	Stats    Stats     `json:"stats"`
}

// RestoreCondition goes on where Save left off. What was saved under another kind or
// with other inputs does not fit, and is an error.
func RestoreCondition(r Rule, st ConditionState) (*Condition, error) {
	c, err := NewCondition(r, st.At)
	if err != nil {
		return nil, err
	}
	if len(st.Inputs) != len(c.st.Inputs) || len(st.Points) > cap(c.st.Points) || (r.Kind == KindNoData) == st.LastGood.IsZero() {
		return nil, &Fault{"state", fmt.Sprintf("is not of rule %q as it is now", r.ID)}
	}
	points := c.st.Points[:len(st.Points)]
	copy(points, st.Points)
	c.st = st
	c.st.Points, c.st.Inputs = points, slices.Clone(st.Inputs)
	if st.Value != nil {
		c.value, c.hasValue = *st.Value, true
	}
	if st.Setpoint != nil && r.Setpoint == nil {
		c.setpoint, c.hasSet = *st.Setpoint, true
	}
	for i, s := range c.st.Inputs {
		if s == nil {
			continue
		}
		if reason := c.expr.set(r.Inputs[i], s); reason != "" {
			return nil, &Fault{fmt.Sprintf("state.inputs[%d]", i), reason}
		}
	}
	return c, nil
}

// Save returns a copy of all that c remembers.
func (c *Condition) Save() ConditionState {
	st := c.st
	st.Points, st.Inputs = slices.Clone(st.Points), slices.Clone(st.Inputs)
	if c.hasValue {
		st.Value = new(c.value)
	}
	if c.hasSet && c.rule.Setpoint == nil {
		st.Setpoint = new(c.setpoint)
	}
	return st
}
