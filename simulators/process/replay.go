package process

import (
	"fmt"
	"time"
)

// Replay is a machine that plays a recording back: the signal Row, counting
// from 0, and one Float32 signal for each column. It never skips a row: however
// late it is, it moves by one row, and only once the present one was taken.
type Replay struct {
	rec     *Recording
	period  time.Duration
	signals []Signal
	row     int
	taken   bool
	started bool
	elapsed time.Duration // since the present row was due
	done    chan struct{}
}

// NewReplay plays rec at speed rows a second, which must be positive.
func NewReplay(rec *Recording, speed float64) (*Replay, error) {
	period := time.Duration(float64(time.Second) / speed)
	if !(speed > 0) || period <= 0 || period > 24*time.Hour {
		return nil, fmt.Errorf("process: replay: speed %v is not a number of rows a second (up to 1e9, at least one a day)", speed)
	}
	if len(rec.Rows) == 0 {
		return nil, fmt.Errorf("process: replay: the recording has no rows")
	}
	r := &Replay{rec: rec, period: period, done: make(chan struct{})}
	r.signals = append(r.signals, Signal{Name: RowName, Kind: UInt32})
	for _, name := range rec.Columns {
		r.signals = append(r.signals, Signal{Name: name})
	}
	return r, nil
}

// Signals lists Row and the columns.
func (r *Replay) Signals() []Signal { return r.signals }

// Get is the value of signal i in the present row.
func (r *Replay) Get(i int) float64 {
	if i == 0 {
		return float64(r.row)
	}
	return float64(r.rec.Rows[r.row][i-1])
}

// Set refuses: a recording takes no commands.
func (r *Replay) Set(i int, v float64) error { return check(r.signals[i], v) }

// Taken says that the present row was read whole. The first call starts the
// clock of the replay. After the last row Done is closed.
func (r *Replay) Taken() {
	r.started = true
	if r.taken {
		return
	}
	r.taken = true
	if r.row == len(r.rec.Rows)-1 {
		close(r.done)
	}
}

// Step lets time pass. The next row is due half a period early, so that a
// reader whose pace is that of the replay gets a new row each time in spite of
// its jitter.
func (r *Replay) Step(dt time.Duration) {
	if !r.started {
		return
	}
	r.elapsed += max(0, dt)
	if r.taken && r.row < len(r.rec.Rows)-1 && r.elapsed >= r.period/2 {
		r.row++
		r.taken = false
		r.elapsed -= r.period
	}
	if !r.taken {
		// A row that waits moves the schedule: lost time is not made up for.
		r.elapsed = min(r.elapsed, r.period/2)
	}
}

// Done is closed once the last row was taken.
func (r *Replay) Done() <-chan struct{} { return r.done }
