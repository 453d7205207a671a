package monitor

import (
	"errors"
	"fmt"
	"time"

	"github.com/magneto-iiot/magneto/services/event"
)

// State is where an alarm is.
//
// Source: ISA-18.2, alarm state transition diagram.
type State string

// The states.
const (
	Norm         State = "NORM"  // the condition does not hold
	Unack        State = "UNACK" // it holds, and nobody has acknowledged
	Acked        State = "ACKED" // it holds, or is latched, and somebody has
	Rtnun        State = "RTNUN" // it held, is gone, and nobody has acknowledged
	Shelved      State = "SHLVD" // silent until a time
	OutOfService State = "OOSRV" // silent until put back
)

// Errors of Step. They change nothing.
var (
	ErrState = errors.New("not possible now")   // the alarm is in another state
	ErrInput = errors.New("not a proper input") // it never is: no name, no time, another rule
)

// Alarm is the state of one asset and rule, to be kept as JSON. A new one is NORM:
// see NewAlarm.
//
// What is told of it alternates: AlarmRaised, AlarmCleared, AlarmRaised ... An alarm
// that is latched is cleared by Reset alone. While it is shelved or out of service
// neither is told; at the end it is looked at again: it is UNACK if the condition
// holds or the latch does, else NORM, and what was missed of the two is told then.
// What came and went in between is counted in Hidden, and no more.
type Alarm struct {
	Asset   string    `json:"asset"`
	Rule    string    `json:"rule"`
	State   State     `json:"state"`
	On      bool      `json:"on"`             // the condition holds
	Raised  bool      `json:"raised"`         // told last: AlarmRaised, not AlarmCleared
	At      time.Time `json:"at"`             // the latest time seen
	Until   time.Time `json:"until,omitzero"` // of SHLVD
	Value   *float64  `json:"value,omitempty"`
	Quality int       `json:"quality"`
	Raises  uint64    `json:"raises"` // times it was raised
	Hidden  uint64    `json:"hidden"` // times the condition began in SHLVD or OOSRV
}

// Effect is an event to be told. Its data has the state after the input.
type Effect struct {
	Type event.Type
	At   time.Time
	Data event.Alarm
}

// NewAlarm is that of an asset and a rule, in NORM.
func NewAlarm(asset string, r *Rule) Alarm {
	return Alarm{Asset: asset, Rule: r.ID, State: Norm}
}

// Deadline is when a Tick is due; zero: never.
func (a Alarm) Deadline() time.Time { return a.Until }

// Step applies one input under the alarm's rule, and returns the next state and the
// events to be told, in order. An error wraps ErrState or ErrInput; the state is
// that before then, and nothing is told.
func (a Alarm) Step(r *Rule, in Input) (Alarm, []Effect, error) {
	switch {
	case in == nil:
		return a, nil, a.refuse(ErrInput, "there is none")
	case r == nil || r.ID != a.Rule:
		return a, nil, a.refuse(ErrInput, "that is another rule")
	case in.when().IsZero():
		return a, nil, a.refuse(ErrInput, "the time is missing")
	}
	next := a
	next.At = later(a.At, in.when())
	var fx []Effect
	if next.State == Shelved && !next.At.Before(next.Until) {
		fx = next.resume(r, event.AlarmUnshelved, next.Until, "")
	}
	more, err := next.apply(r, in)
	if err != nil {
		return a, nil, err
	}
	return next, append(fx, more...), nil
}

func (a *Alarm) apply(r *Rule, in Input) ([]Effect, error) {
	switch in := in.(type) {
	case Tick:
		return a.follow(r), nil
	case ConditionIs:
		return a.condition(r, in), nil
	case Ack:
		return a.ack(r, in)
	case Shelve:
		return a.shelve(r, in)
	case Unshelve:
		if err := a.person(in.By, a.State == Shelved, "is not shelved"); err != nil {
			return nil, err
		}
		return a.resume(r, event.AlarmUnshelved, a.At, in.By), nil
	case TakeOut:
		if err := a.person(in.By, a.State != OutOfService, "is out of service already"); err != nil {
			return nil, err
		}
		a.State, a.Until = OutOfService, time.Time{}
		return []Effect{a.tell(r, event.AlarmOutOfService, a.At, in.By)}, nil
	case PutBack:
		if err := a.person(in.By, a.State == OutOfService, "is not out of service"); err != nil {
			return nil, err
		}
		return a.resume(r, event.AlarmOutOfService, a.At, in.By), nil
	case Reset:
		if err := a.person(in.By, r.Latched && a.State == Acked && !a.On, "is not latched, acknowledged and without its condition"); err != nil {
			return nil, err
		}
		a.State, a.Raised = Norm, false
		return []Effect{a.tell(r, event.AlarmCleared, a.At, in.By)}, nil
	}
	return nil, a.refuse(ErrInput, fmt.Sprintf("%T is unknown", in))
}

func (a *Alarm) condition(r *Rule, in ConditionIs) []Effect {
	began := in.On && !a.On
	a.On, a.Value, a.Quality = in.On, in.Value, in.Quality
	if began && a.silent() {
		a.Hidden++
	}
	return a.follow(r)
}

func (a *Alarm) silent() bool { return a.State == Shelved || a.State == OutOfService }

// follow makes the state that of the condition, unless the alarm is silent.
func (a *Alarm) follow(r *Rule) []Effect {
	switch {
	case a.silent():
	case a.On && !a.Raised:
		a.State, a.Raised = Unack, true
		a.Raises++
		return []Effect{a.tell(r, event.AlarmRaised, a.At, "")}
	case !a.On && a.Raised && !r.Latched:
		a.Raised = false
		if a.State == Unack {
			a.State = Rtnun
		} else {
			a.State = Norm
		}
		return []Effect{a.tell(r, event.AlarmCleared, a.At, "")}
	}
	return nil
}

func (a *Alarm) ack(r *Rule, in Ack) ([]Effect, error) {
	if err := a.person(in.By, a.State == Unack || a.State == Rtnun, "has nothing to acknowledge"); err != nil {
		return nil, err
	}
	if a.State == Unack {
		a.State = Acked
	} else {
		a.State = Norm
	}
	return []Effect{a.tell(r, event.AlarmAcknowledged, a.At, in.By)}, nil
}

func (a *Alarm) shelve(r *Rule, in Shelve) ([]Effect, error) {
	if err := a.person(in.By, !a.silent(), "is silent already"); err != nil {
		return nil, err
	}
	switch {
	case !in.Until.After(a.At):
		return nil, a.refuse(ErrInput, "until is not later than now")
	case in.Until.Sub(a.At) > r.maxShelve():
		return nil, a.refuse(ErrInput, fmt.Sprintf("until is more than %s ahead", r.maxShelve()))
	}
	a.State, a.Until = Shelved, in.Until
	return []Effect{a.tell(r, event.AlarmShelved, a.At, in.By)}, nil
}

// resume ends a silence, and tells it by an event and then what was missed.
func (a *Alarm) resume(r *Rule, t event.Type, at time.Time, by string) []Effect {
	held := a.Raised && r.Latched
	missed := event.Type("")
	a.State, a.Until = Norm, time.Time{}
	switch {
	case a.On && !a.Raised:
		missed, a.Raised = event.AlarmRaised, true
		a.Raises++
	case !a.On && a.Raised && !held:
		missed, a.Raised = event.AlarmCleared, false
	}
	if a.On || held {
		a.State = Unack
	}
	fx := []Effect{a.tell(r, t, at, by)}
	if missed != "" {
		fx = append(fx, a.tell(r, missed, at, ""))
	}
	return fx
}

func (a *Alarm) tell(r *Rule, t event.Type, at time.Time, by string) Effect {
	d := event.Alarm{
		Asset: a.Asset, Rule: a.Rule, Priority: string(r.Priority), State: string(a.State),
		Metric: r.Metric, Value: a.Value, Limit: r.Limit, Quality: a.Quality, By: by,
	}
	if a.State == Shelved {
		d.Until = new(a.Until)
	}
	return Effect{t, at, d}
}

// person returns an error unless somebody asks for what is possible now.
func (a *Alarm) person(by string, possible bool, otherwise string) error {
	switch {
	case by == "" || len(by) > MaxName:
		return a.refuse(ErrInput, fmt.Sprintf("by is not a name of 1 to %d bytes", MaxName))
	case !possible:
		return a.refuse(ErrState, otherwise)
	}
	return nil
}

func (a *Alarm) refuse(err error, why string) error {
	return fmt.Errorf("monitor: alarm %s of %s, %s: %w: %s", a.Rule, a.Asset, a.State, err, why)
}
