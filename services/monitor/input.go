package monitor

import "time"

// Input is what happens to an alarm.
type Input interface{ when() time.Time }

// ConditionIs says that the condition holds, or does not.
type ConditionIs struct {
	At      time.Time
	On      bool
	Value   *float64 // of the metric; nil: there is none
	Quality int
}

// Ack says that somebody has seen the alarm.
type Ack struct {
	At time.Time
	By string
}

// Shelve makes the alarm silent until a time.
type Shelve struct {
	At    time.Time
	By    string
	Until time.Time
}

// Unshelve ends that early.
type Unshelve struct {
	At time.Time
	By string
}

// TakeOut takes the alarm out of service, until it is put back.
type TakeOut struct {
	At time.Time
	By string
}

// PutBack puts it back in service.
type PutBack struct {
	At time.Time
	By string
}

// Reset clears a latched alarm that was acknowledged and whose condition is gone.
type Reset struct {
	At time.Time
	By string
}

// Tick lets time pass: a shelf may end.
type Tick struct{ At time.Time }

func (i ConditionIs) when() time.Time { return i.At }
func (i Ack) when() time.Time         { return i.At }
func (i Shelve) when() time.Time      { return i.At }
func (i Unshelve) when() time.Time    { return i.At }
func (i TakeOut) when() time.Time     { return i.At }
func (i PutBack) when() time.Time     { return i.At }
func (i Reset) when() time.Time       { return i.At }
func (i Tick) when() time.Time        { return i.At }

// Input is c as an alarm takes it.
func (c Change) Input() ConditionIs {
	in := ConditionIs{At: c.At, On: c.On, Quality: c.Quality}
	if c.HasValue {
		in.Value = new(c.Value)
	}
	return in
}
