package schedule

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Span is a time from its start to before its end.
type Span struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

func (s Span) has(t time.Time) bool { return !t.Before(s.Start) && t.Before(s.End) }

func (s Span) empty() bool { return !s.Start.Before(s.End) }

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (s Span) overlaps(o Span) bool { return s.Start.Before(o.End) && o.Start.Before(s.End) }

// Shift is a time of each week, of the clock on the wall. One whose To is not after
// From ends on the next day. On a day on which the clock is put forward or back a
// shift is shorter or longer.
type Shift struct {
	Day      time.Weekday
	From, To time.Duration // since midnight, to 24 h
}

// Technician can do what takes some of the skills, in the shifts.
type Technician struct {
	ID       string
	Skills   []string
	Zone     *time.Location // of the shifts; UTC if nil
	Shifts   []Shift
	Absences []Span
}

// Tool is one of a kind.
type Tool struct {
	ID              string
	Kind            string    // what work asks for
	CalibratedUntil time.Time // it must not be used later; zero: it needs no calibration
}

// Resources are what there is.
type Resources struct {
	Technicians []Technician
	Tools       []Tool
	Stock       map[string]int // of each part, before anything is reserved
}

// Check tells every fault at once.
func (r *Resources) Check() error {
	var faults []error
	seen := map[string]bool{}
	for i, t := range r.Technicians {
		if t.ID == "" || seen["person "+t.ID] {
			faults = append(faults, fmt.Errorf("schedule: technician %d: id %q is empty or there twice", i+1, t.ID))
		}
		seen["person "+t.ID] = true
		for _, s := range t.Shifts {
			if s.Day < time.Sunday || s.Day > time.Saturday || s.From < 0 || s.From >= day || s.To < 0 || s.To > day {
				faults = append(faults, fmt.Errorf("schedule: technician %s: shift %v from %v to %v: want a day, and 0 to 24 h", t.ID, s.Day, s.From, s.To))
			}
		}
		for _, a := range t.Absences {
			if !a.Start.Before(a.End) {
				faults = append(faults, fmt.Errorf("schedule: technician %s: absence from %v to %v: its end is not after its start", t.ID, a.Start, a.End))
			}
		}
	}
	for i, t := range r.Tools {
		if t.ID == "" || t.Kind == "" || seen["tool "+t.ID] {
			faults = append(faults, fmt.Errorf("schedule: tool %d: id %q is empty or there twice, or its kind %q is empty", i+1, t.ID, t.Kind))
		}
		seen["tool "+t.ID] = true
	}
	for part, n := range r.Stock {
		if n < 0 {
			faults = append(faults, fmt.Errorf("schedule: part %s: stock %d is negative", part, n))
		}
	}
	return errors.Join(faults...)
}

const day = 24 * time.Hour

// working are the shifts that touch a span, in order, those that meet as one.
func (t *Technician) working(s Span) (all []Span) {
	zone := t.Zone
	if zone == nil {
		zone = time.UTC
	}
	y, m, d := s.Start.In(zone).AddDate(0, 0, -2).Date()
	for i := 0; ; i++ {
		midnight := time.Date(y, m, d+i, 0, 0, 0, 0, zone)
		if midnight.After(s.End) {
			break
		}
		for _, shift := range t.Shifts {
			if shift.Day != midnight.Weekday() {
				continue
			}
			to := shift.To
			if to <= shift.From {
				to += day
			}
			w := Span{clock(y, m, d+i, shift.From, zone), clock(y, m, d+i, to, zone)}
			if w.overlaps(s) {
				all = append(all, w)
			}
		}
	}
	slices.SortFunc(all, func(a, b Span) int { return a.Start.Compare(b.Start) })
	return merge(all)
}

// clock is when the clock on the wall shows a time of a day.
func clock(y int, m time.Month, d int, since time.Duration, zone *time.Location) time.Time {
	return time.Date(y, m, d, 0, int(since/time.Minute), int(since%time.Minute/time.Second), 0, zone)
}

// merge makes one of those that meet or overlap.
func merge(sorted []Span) (all []Span) {
	for _, s := range sorted {
		if n := len(all); n > 0 && !all[n-1].End.Before(s.Start) {
			all[n-1].End = later(all[n-1].End, s.End)
			continue
		}
		all = append(all, s)
	}
	return all
}
