package schedule

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/magneto-iiot/magneto/services/event"
)

// Booking is what somebody or something is taken for.
type Booking struct {
	Span
	Technicians, Tools []string
}

// Work is what a place in the calendar is looked for. It takes one crew that has
// all the skills between them, and one tool of each kind.
type Work struct {
	Duration         time.Duration
	Earliest, Latest time.Time // of its start; of its end
	Skills, Tools    []string
}

// Refusal is why there is no place.
type Refusal struct {
	Code string    // skill, technician, tool, calibration or together
	Why  string    // in words
	Next time.Time // when it would go; zero: not within Ahead
}

// Ahead is how far after the latest end a place is looked for that could be offered.
const Ahead = 60 * day

// mostSkills bounds how many people a crew may take.
const mostSkills = 8

// Find returns the earliest place for work, with the smallest crew; among those of
// the same size the one whose ids come first. If there is none it says why.
func Find(r *Resources, bookings []Booking, w Work) (event.Slot, *Refusal) {
	if no := w.impossible(r); no != nil {
		return event.Slot{}, no
	}
	f := finder{r, bookings, w}
	if slot, ok := f.first(w.Earliest, w.Latest); ok {
		return slot, nil
	}
	no := f.why()
	if slot, ok := f.first(w.Earliest, w.Latest.Add(Ahead)); ok {
		no.Next = slot.Start
	}
	return event.Slot{}, no
}

// impossible says what no calendar can help.
func (w *Work) impossible(r *Resources) *Refusal {
	switch {
	case w.Duration <= 0 || w.Earliest.IsZero() || w.Latest.Sub(w.Earliest) < w.Duration || w.Latest.Sub(w.Earliest) > 2*365*day:
		return &Refusal{Code: "together", Why: fmt.Sprintf("%v of work do not fit between %v and %v", w.Duration, said(w.Earliest), said(w.Latest))}
	case len(w.Skills) > mostSkills || len(w.Tools) > mostSkills:
		return &Refusal{Code: "together", Why: fmt.Sprintf("more than %d skills or tools for one piece of work: split it", mostSkills)}
	}
	for _, skill := range w.Skills {
		if !slices.ContainsFunc(r.Technicians, func(t Technician) bool { return slices.Contains(t.Skills, skill) }) {
			return &Refusal{Code: "skill", Why: fmt.Sprintf("nobody has the skill %q", skill)}
		}
	}
	for _, kind := range w.Tools {
		if !slices.ContainsFunc(r.Tools, func(t Tool) bool { return t.Kind == kind }) {
			return &Refusal{Code: "tool", Why: fmt.Sprintf("there is no tool %q", kind)}
		}
	}
	return nil
}

func said(t time.Time) string { return t.UTC().Format("2006-01-02 15:04Z") }

// finder looks for a place for one piece of work.
type finder struct {
	r        *Resources
	bookings []Booking
	w        Work
}

// first looks for the earliest place that ends by a time. Something can become
// possible only when a shift begins, or when somebody or something becomes free.
func (f *finder) first(from, by time.Time) (event.Slot, bool) {
	last := by.Add(-f.w.Duration)
	for _, start := range f.starts(from, last) {
		s := Span{start, start.Add(f.w.Duration)}
		crew, ok := f.crew(s)
		if !ok {
			continue
		}
		if tools, _, ok := f.tools(s); ok {
			return event.Slot{Start: s.Start.UTC(), End: s.End.UTC(), Technicians: crew, Tools: tools}, true
		}
	}
	return event.Slot{}, false
}

// starts are the times from which on something can be possible, in order.
func (f *finder) starts(from, last time.Time) []time.Time {
	all := []time.Time{from}
	window := Span{from, last.Add(1)}
	for i := range f.r.Technicians {
		t := &f.r.Technicians[i]
		for _, w := range t.working(window) {
			all = append(all, w.Start)
		}
		for _, a := range t.Absences {
			all = append(all, a.End)
		}
	}
	for _, b := range f.bookings {
		all = append(all, b.End)
	}
	all = slices.DeleteFunc(all, func(t time.Time) bool { return t.Before(from) || t.After(last) })
	slices.SortFunc(all, time.Time.Compare)
	return slices.CompactFunc(all, time.Time.Equal)
}

// taken says whether a person or tool is taken in a span; of tells which of a
// booking's.
func (f *finder) taken(id string, s Span, of func(*Booking) []string) bool {
	return slices.ContainsFunc(f.bookings, func(b Booking) bool { return b.overlaps(s) && slices.Contains(of(&b), id) })
}

func people(b *Booking) []string { return b.Technicians }

func tools(b *Booking) []string { return b.Tools }

// crew is the smallest that is free in a span and has the skills.
func (f *finder) crew(s Span) ([]string, bool) {
	var free []*Technician
	for i := range f.r.Technicians {
		if t := &f.r.Technicians[i]; !f.taken(t.ID, s, people) && t.works(s) {
			free = append(free, t)
		}
	}
	slices.SortFunc(free, func(a, b *Technician) int { return strings.Compare(a.ID, b.ID) })
	for size := range len(f.w.Skills) + 1 {
		if crew, ok := cover(free, f.w.Skills, size); ok {
			slices.Sort(crew)
			return crew, true
		}
	}
	return nil, false
}

// cover finds at most size people who have all the skills between them. Whoever is
// in it must have the first skill that nobody has yet.
func cover(free []*Technician, skills []string, size int) ([]string, bool) {
	if len(skills) == 0 {
		return nil, true
	}
	if size == 0 {
		return nil, false
	}
	for _, t := range free {
		if !slices.Contains(t.Skills, skills[0]) {
			continue
		}
		rest := slices.DeleteFunc(slices.Clone(skills), func(s string) bool { return slices.Contains(t.Skills, s) })
		if crew, ok := cover(free, rest, size-1); ok {
			return append(crew, t.ID), true
		}
	}
	return nil, false
}

// tools are one of each kind that is free in a span and calibrated to its end; if
// there is none, why names the kind.
func (f *finder) tools(s Span) (ids []string, why *Refusal, ok bool) {
	for _, kind := range f.w.Tools {
		var best string
		old := false
		for _, t := range f.r.Tools {
			if t.Kind != kind || slices.Contains(ids, t.ID) || f.taken(t.ID, s, tools) {
				continue
			}
			if !t.CalibratedUntil.IsZero() && t.CalibratedUntil.Before(s.End) {
				old = true
				continue
			}
			if best == "" || t.ID < best {
				best = t.ID
			}
		}
		switch {
		case best != "":
			ids = append(ids, best)
		case old:
			return nil, &Refusal{Code: "calibration", Why: fmt.Sprintf("no tool %q is calibrated until %s", kind, said(s.End))}, false
		default:
			return nil, &Refusal{Code: "tool", Why: fmt.Sprintf("every tool %q is taken", kind)}, false
		}
	}
	return ids, nil, true
}

// why says what there was never enough of within the work's own window.
func (f *finder) why() *Refusal {
	within := fmt.Sprintf(" for %v between %s and %s", f.w.Duration, said(f.w.Earliest), said(f.w.Latest))
	for _, skill := range f.w.Skills {
		one := finder{f.r, f.bookings, Work{Duration: f.w.Duration, Earliest: f.w.Earliest, Latest: f.w.Latest, Skills: []string{skill}}}
		if _, ok := one.first(f.w.Earliest, f.w.Latest); !ok {
			return &Refusal{Code: "technician", Why: fmt.Sprintf("nobody with the skill %q is in a shift and free", skill) + within}
		}
	}
	for _, kind := range f.w.Tools {
		one := finder{f.r, f.bookings, Work{Duration: f.w.Duration, Earliest: f.w.Earliest, Latest: f.w.Latest, Tools: []string{kind}}}
		if _, ok := one.first(f.w.Earliest, f.w.Latest); !ok {
			_, no, _ := one.tools(Span{f.w.Earliest, f.w.Earliest.Add(f.w.Duration)})
			if no == nil {
				no = &Refusal{Code: "tool", Why: fmt.Sprintf("every tool %q is taken", kind)}
			}
			no.Why += "," + within
			return no
		}
	}
	return &Refusal{Code: "together", Why: "technicians and tools are there, but never at the same time," + within}
}
