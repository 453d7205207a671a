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

// longest is the longest window that is looked at.
const longest = 366 * day

// mostSkills bounds how many people a crew may take.
const mostSkills = 8

// Find returns the earliest place for work, with the smallest crew; among those of
// the same size the one whose ids come first. If there is none it says why.
func Find(r *Resources, bookings []Booking, w Work) (event.Slot, *Refusal) {
	if no := w.impossible(r); no != nil {
		return event.Slot{}, no
	}
	f := newFinder(r, bookings, w, w.Latest)
	if slot, ok := f.first(w.Latest); ok {
		return slot, nil
	}
	no := f.why()
	later := w.Latest.Add(Ahead)
	if slot, ok := newFinder(r, bookings, w, later).first(later); ok {
		no.Next = slot.Start
	}
	return event.Slot{}, no
}

// impossible says what no calendar can help.
func (w *Work) impossible(r *Resources) *Refusal {
	switch {
	case w.Latest.Sub(w.Earliest) > longest:
		return &Refusal{Code: "together", Why: fmt.Sprintf("from %s to %s is more than %d days: ask for less", said(w.Earliest), said(w.Latest), longest/day)}
	case w.Duration <= 0 || w.Earliest.IsZero() || w.Latest.Sub(w.Earliest) < w.Duration:
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

// free is when a person or tool can be had, in order, within a window.
type free struct {
	id    string
	spans []Span
}

// has says whether all of s is free.
func (f *free) has(s Span) bool {
	i, _ := slices.BinarySearchFunc(f.spans, s.Start, func(have Span, at time.Time) int {
		if have.End.After(at) {
			return 1
		}
		return -1
	})
	return i < len(f.spans) && !f.spans[i].Start.After(s.Start) && !f.spans[i].End.Before(s.End)
}

// without are spans less what is taken, both in order.
func without(spans, taken []Span) (all []Span) {
	for _, s := range spans {
		for len(taken) > 0 && !taken[0].End.After(s.Start) {
			taken = taken[1:]
		}
		for _, t := range taken {
			if !t.Start.Before(s.End) {
				break
			}
			if s.Start.Before(t.Start) {
				all = append(all, Span{s.Start, t.Start})
			}
			s.Start = t.End
		}
		if s.Start.Before(s.End) {
			all = append(all, s)
		}
	}
	return all
}

// finder looks for a place for one piece of work: crew and tools by their ids.
type finder struct {
	w      Work
	people []person
	tools  []tool
}

type person struct {
	free

	skills []string
}

type tool struct {
	free

	kind string
	old  bool // its calibration ends within the window
}

// newFinder works out who and what is free between the earliest start and a time.
func newFinder(r *Resources, bookings []Booking, w Work, by time.Time) *finder {
	window := Span{w.Earliest, by}
	taken := map[string][]Span{} // of "person ID" and "tool ID"
	for _, b := range bookings {
		if !b.overlaps(window) {
			continue
		}
		for _, id := range b.Technicians {
			taken["person "+id] = append(taken["person "+id], b.Span)
		}
		for _, id := range b.Tools {
			taken["tool "+id] = append(taken["tool "+id], b.Span)
		}
	}
	rest := func(spans, taken []Span) []Span {
		taken = slices.Clone(taken)
		slices.SortFunc(taken, func(a, b Span) int { return a.Start.Compare(b.Start) })
		return without(spans, merge(taken))
	}
	f := &finder{w: w}
	for i := range r.Technicians {
		t := &r.Technicians[i]
		spans := rest(t.working(window), slices.Concat(t.Absences, taken["person "+t.ID]))
		f.people = append(f.people, person{free{t.ID, spans}, t.Skills})
	}
	for _, t := range r.Tools {
		have := window
		old := !t.CalibratedUntil.IsZero() && t.CalibratedUntil.Before(by)
		if old {
			have.End = t.CalibratedUntil
		}
		if !have.Start.Before(have.End) {
			have.End = have.Start
		}
		f.tools = append(f.tools, tool{free{t.ID, rest([]Span{have}, taken["tool "+t.ID])}, t.Kind, old})
	}
	slices.SortFunc(f.people, func(a, b person) int { return strings.Compare(a.id, b.id) })
	slices.SortFunc(f.tools, func(a, b tool) int { return strings.Compare(a.id, b.id) })
	return f
}

// first looks for the earliest place that ends by a time. Something can become
// possible only when somebody or something becomes free.
func (f *finder) first(by time.Time) (event.Slot, bool) {
	for _, start := range f.starts(by.Add(-f.w.Duration)) {
		s := Span{start, start.Add(f.w.Duration)}
		tools, ok := f.kit(s)
		if !ok {
			continue
		}
		if crew, ok := f.crew(s); ok {
			return event.Slot{Start: s.Start.UTC(), End: s.End.UTC(), Technicians: crew, Tools: tools}, true
		}
	}
	return event.Slot{}, false
}

// starts are the times from which on something can be possible, in order.
func (f *finder) starts(last time.Time) []time.Time {
	all := []time.Time{f.w.Earliest}
	add := func(f *free) {
		for _, s := range f.spans {
			if s.Start.After(all[0]) && !s.Start.After(last) {
				all = append(all, s.Start)
			}
		}
	}
	for i := range f.people {
		add(&f.people[i].free)
	}
	for i := range f.tools {
		add(&f.tools[i].free)
	}
	slices.SortFunc(all, time.Time.Compare)
	return slices.CompactFunc(all, time.Time.Equal)
}

// crew is the smallest that is free in a span and has the skills.
func (f *finder) crew(s Span) ([]string, bool) {
	var there []*person
	for i := range f.people {
		if f.people[i].has(s) {
			there = append(there, &f.people[i])
		}
	}
	for size := range len(f.w.Skills) + 1 {
		if crew, ok := cover(there, f.w.Skills, size); ok {
			slices.Sort(crew)
			return crew, true
		}
	}
	return nil, false
}

// cover finds at most size people who have all the skills between them. Whoever is
// in it must have the first skill that nobody has yet.
func cover(there []*person, skills []string, size int) ([]string, bool) {
	if len(skills) == 0 {
		return nil, true
	}
	if size == 0 {
		return nil, false
	}
	for _, t := range there {
		if !slices.Contains(t.skills, skills[0]) {
			continue
		}
		rest := slices.DeleteFunc(slices.Clone(skills), func(s string) bool { return slices.Contains(t.skills, s) })
		if crew, ok := cover(there, rest, size-1); ok {
			return append(crew, t.id), true
		}
	}
	return nil, false
}

// kit is one tool of each kind that is free in a span.
func (f *finder) kit(s Span) (ids []string, ok bool) {
	for _, kind := range f.w.Tools {
		i := slices.IndexFunc(f.tools, func(t tool) bool { return t.kind == kind && !slices.Contains(ids, t.id) && t.has(s) })
		if i < 0 {
			return nil, false
		}
		ids = append(ids, f.tools[i].id)
	}
	return ids, true
}

// why says what there was never enough of within the work's own window.
func (f *finder) why() *Refusal {
	within := fmt.Sprintf(" for %v between %s and %s", f.w.Duration, said(f.w.Earliest), said(f.w.Latest))
	alone := func(skills, tools []string) bool {
		one := *f
		one.w.Skills, one.w.Tools = skills, tools
		_, ok := one.first(f.w.Latest)
		return ok
	}
	for _, skill := range f.w.Skills {
		if !alone([]string{skill}, nil) {
			return &Refusal{Code: "technician", Why: fmt.Sprintf("nobody with the skill %q is in a shift and free", skill) + within}
		}
	}
	for _, kind := range f.w.Tools {
		if alone(nil, []string{kind}) {
			continue
		}
		if slices.ContainsFunc(f.tools, func(t tool) bool { return t.kind == kind && t.old }) {
			return &Refusal{Code: "calibration", Why: fmt.Sprintf("no free tool %q is calibrated until the end of the work,", kind) + within}
		}
		return &Refusal{Code: "tool", Why: fmt.Sprintf("no tool %q is free", kind) + within}
	}
	return &Refusal{Code: "together", Why: "technicians and tools are there, but never enough of them at the same time," + within}
}
