package schedule

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// State is what a plan has to remember; it is zero for a new plan and survives as
// JSON. Its functions return a new one and leave the one they take alone.
type State struct {
	Cursor string    `json:"cursor,omitempty"` // the newest key of the calendar that was told, or left out
	Count  int       `json:"count,omitempty"`  // keys told that are counted: of meter and condition
	Done   time.Time `json:"done,omitzero"`    // the newest completion
	Open   []Open    `json:"open,omitempty"`   // told and not completed, in the order told

	Known   bool      `json:"known,omitempty"`     // the meter was read
	Base    float64   `json:"base,omitempty"`      // the meter at the newest completion
	Last    float64   `json:"last,omitempty"`      // the newest reading
	ReadAt  time.Time `json:"read_at,omitzero"`    // of Last
	Reached time.Time `json:"reached_at,omitzero"` // when the meter made a check due; zero: it has not

	Active []string  `json:"active,omitempty"` // what holds of the condition, sorted
	Since  time.Time `json:"since,omitzero"`   // when the condition made a check due; zero: it has not
}

// Open is a check that was told and is not completed.
type Open struct {
	Key     string    `json:"key"`
	Due     time.Time `json:"due"`
	Overdue bool      `json:"overdue,omitempty"` // that it is overdue was told
}

func (s State) clone() State {
	s.Open, s.Active = slices.Clone(s.Open), slices.Clone(s.Active)
	return s
}

// Completed takes note that a check was done at at. key is the occurrence's; empty
// for work nobody had asked for, which moves every plan that counts from the last
// completion and closes what is open of it. For a Fixed plan work without a key
// changes nothing. A key that is not open, as it was told before, changes nothing, and
// neither does work without a key that is older than the newest completion.
func Completed(p Plan, s State, key string, at time.Time) (State, error) {
	if at.IsZero() {
		return s, errors.New("schedule: completion: has no time")
	}
	open := slices.ContainsFunc(s.Open, func(o Open) bool { return o.Key == key })
	early := key == "" && p.spec.Kind != Fixed && at.After(s.Done)
	if !open && !early {
		return s, nil
	}
	s = s.clone()
	s.Done = later(s.Done, at)
	if p.spec.Kind == Fixed {
		s.Open = slices.DeleteFunc(s.Open, func(o Open) bool { return o.Key == key })
		return s, nil
	}
	s.Open, s.Base = nil, s.Last
	s.Reached, s.Since = time.Time{}, time.Time{}
	return s, nil
}

// Read takes note of a reading of the plan's meter. The first one is where counting
// begins. A reading not newer than the last is left alone; one that is lower means
// the meter was changed or set back: what has run before stays counted.
func Read(p Plan, s State, value float64, at time.Time) (State, error) {
	switch {
	case !p.spec.Kind.metered():
		return s, fmt.Errorf("schedule: plan %q: has no meter", p.spec.ID)
	case math.IsNaN(value) || math.IsInf(value, 0) || math.Abs(value) > 1e15 || at.IsZero():
		return s, fmt.Errorf("schedule: plan %q: reading %v at %v: is out of range", p.spec.ID, value, at)
	case s.Known && !at.After(s.ReadAt):
		return s, nil
	}
	s = s.clone()
	switch {
	case !s.Known:
		s.Known, s.Base = true, value
	case value < s.Last:
		s.Base -= s.Last - value
	}
	s.Last, s.ReadAt = value, at
	if s.Reached.IsZero() && s.Last-s.Base >= p.spec.Every-p.spec.LeadUnits {
		s.Reached = at
	}
	return s, nil
}

// Signal says that something a condition looks at holds, or does not any more.
type Signal struct {
	Source string // health, alarm or anomaly
	ID     string // of the alarm or anomaly
	On     bool   // of an alarm or anomaly
	Index  float64
	At     time.Time
}

const maxActive = 1000 // alarms and anomalies at once

// Notice takes note of a signal. The condition makes one check due when it begins to
// hold; the next only after it has ceased and begins again, so that a check that did
// not help is not repeated for ever. What begins while a check is open belongs to it.
func Notice(p Plan, s State, sig Signal) (State, error) {
	if p.spec.Kind != Condition {
		return s, fmt.Errorf("schedule: plan %q: has no condition", p.spec.ID)
	}
	name, on := sig.Source+"/"+sig.ID, sig.On
	i, held := slices.BinarySearch(s.Active, name)
	switch sig.Source {
	case "health":
		if p.spec.HealthBelow == 0 {
			return s, nil
		}
		if math.IsNaN(sig.Index) || sig.Index < 0 || sig.Index > 100 {
			return s, fmt.Errorf("schedule: plan %q: health index %v: is not 0 to 100", p.spec.ID, sig.Index)
		}
		name = "health/"
		i, held = slices.BinarySearch(s.Active, name)
		on = sig.Index < p.spec.HealthBelow || held && sig.Index < p.spec.HealthClear
	case "alarm", "anomaly":
		if sig.Source == "alarm" && !p.spec.OnAlarm || sig.Source == "anomaly" && !p.spec.OnAnomaly {
			return s, nil
		}
	default:
		return s, fmt.Errorf("schedule: plan %q: signal of %.40q: is none of health, alarm and anomaly", p.spec.ID, sig.Source)
	}
	if on == held {
		return s, nil
	}
	if sig.At.IsZero() || on && len(s.Active) == maxActive {
		return s, fmt.Errorf("schedule: plan %q: signal %.80q: has no time, or is one of more than %d", p.spec.ID, name, maxActive)
	}
	s = s.clone()
	if !on {
		s.Active = slices.Delete(s.Active, i, i+1)
		return s, nil
	}
	if len(s.Active) == 0 && len(s.Open) == 0 {
		s.Since = sig.At
	}
	s.Active = slices.Insert(s.Active, i, name)
	return s, nil
}
