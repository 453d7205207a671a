package schedule_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/magneto-iiot/magneto/services/schedule"
)

var monday = time.Date(2026, 5, 18, 0, 0, 0, 0, time.UTC)

func week(from, to time.Duration) (all []schedule.Shift) {
	for d := time.Monday; d <= time.Friday; d++ {
		all = append(all, schedule.Shift{Day: d, From: from, To: to})
	}
	return all
}

func at(day int, hour float64) time.Time {
	return monday.AddDate(0, 0, day).Add(time.Duration(hour * float64(time.Hour)))
}

func crew() *schedule.Resources {
	return &schedule.Resources{
		Technicians: []schedule.Technician{
			{ID: "ann", Skills: []string{"mechanic", "vibration"}, Shifts: week(8*time.Hour, 16*time.Hour)},
			{ID: "bob", Skills: []string{"electric"}, Shifts: week(22*time.Hour, 6*time.Hour)},
			{ID: "cid", Skills: []string{"electric"}, Shifts: week(12*time.Hour, 20*time.Hour), Absences: []schedule.Span{{Start: at(0, 0), End: at(1, 0)}}},
		},
		Tools: []schedule.Tool{{ID: "p1", Kind: "puller"}, {ID: "v1", Kind: "analyser", CalibratedUntil: at(2, 0)}},
	}
}

func TestFind(t *testing.T) {
	busy := []schedule.Booking{{Span: schedule.Span{Start: at(0, 8), End: at(0, 15)}, Technicians: []string{"ann"}, Tools: []string{"p1"}}}
	for name, x := range map[string]struct {
		work  schedule.Work
		start time.Time
		who   []string
		code  string
		why   string
	}{
		"in the shift":        {schedule.Work{Duration: time.Hour, Latest: at(1, 0), Skills: []string{"mechanic"}}, at(0, 15), []string{"ann"}, "", ""},
		"the next day":        {schedule.Work{Duration: 2 * time.Hour, Latest: at(2, 0), Skills: []string{"mechanic"}}, at(1, 8), []string{"ann"}, "", ""},
		"over midnight":       {schedule.Work{Duration: 7 * time.Hour, Latest: at(2, 0), Skills: []string{"electric"}}, at(0, 22), []string{"bob"}, "", ""},
		"two people":          {schedule.Work{Duration: time.Hour, Latest: at(2, 0), Skills: []string{"electric", "mechanic"}}, at(1, 12), []string{"ann", "cid"}, "", ""},
		"one with two skills": {schedule.Work{Duration: time.Hour, Latest: at(2, 0), Skills: []string{"vibration", "mechanic"}, Tools: []string{"puller"}}, at(0, 15), []string{"ann"}, "", ""},
		"nobody is needed":    {schedule.Work{Duration: time.Hour, Latest: at(2, 0), Tools: []string{"analyser"}}, at(0, 0), nil, "", ""},
		"unknown skill":       {schedule.Work{Duration: time.Hour, Latest: at(2, 0), Skills: []string{"welding"}}, time.Time{}, nil, "skill", `nobody has the skill "welding"`},
		"unknown tool":        {schedule.Work{Duration: time.Hour, Latest: at(2, 0), Tools: []string{"crane"}}, time.Time{}, nil, "tool", `no tool "crane"`},
		"two of one tool":     {schedule.Work{Duration: time.Hour, Latest: at(2, 0), Tools: []string{"puller", "puller"}}, time.Time{}, nil, "together", "never enough of them"},
		"calibration":         {schedule.Work{Duration: time.Hour, Earliest: at(2, 0), Latest: at(3, 0), Tools: []string{"analyser"}}, time.Time{}, nil, "calibration", "calibrated until"},
		"too long":            {schedule.Work{Duration: 9 * time.Hour, Latest: at(3, 0), Skills: []string{"mechanic"}}, time.Time{}, nil, "technician", `"mechanic" is in a shift`},
		"too wide":            {schedule.Work{Duration: time.Hour, Latest: at(367, 0)}, time.Time{}, nil, "together", "more than 366 days"},
		"no time":             {schedule.Work{Duration: 9 * time.Hour, Latest: at(0, 3)}, time.Time{}, nil, "together", "do not fit"},
		"never together":      {schedule.Work{Duration: time.Hour, Latest: at(0, 12), Skills: []string{"electric"}, Tools: []string{"puller"}}, at(0, 0), []string{"bob"}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if x.work.Earliest.IsZero() {
				x.work.Earliest = at(0, 0)
			}
			r := crew()
			r.Technicians[1].Shifts = append(r.Technicians[1].Shifts, schedule.Shift{Day: time.Sunday, From: 22 * time.Hour, To: 6 * time.Hour})
			slot, no := schedule.Find(r, busy, x.work)
			if x.code != "" {
				require.NotNil(t, no)
				require.Equal(t, x.code, no.Code)
				require.Contains(t, no.Why, x.why)
				return
			}
			require.Nil(t, no)
			if name == "over midnight" { // Sunday's shift has 6 h left on Monday
				require.Equal(t, at(0, 22), slot.Start)
			}
			require.Equal(t, x.start, slot.Start)
			require.Equal(t, x.who, slot.Technicians)
		})
	}
	_, no := schedule.Find(crew(), busy, schedule.Work{Duration: 2 * time.Hour, Earliest: at(0, 9), Latest: at(0, 16), Skills: []string{"mechanic"}})
	require.Equal(t, at(1, 8), no.Next, "when it would go")
}

// On the night on which the clock is put forward a night shift is an hour shorter,
// on the night on which it is put back an hour longer.
func TestClockChange(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	r := &schedule.Resources{Technicians: []schedule.Technician{
		{ID: "ann", Skills: []string{"x"}, Zone: berlin, Shifts: []schedule.Shift{{Day: time.Saturday, From: 22 * time.Hour, To: 6 * time.Hour}}},
	}}
	for want, night := range map[time.Duration]time.Time{
		7 * time.Hour: time.Date(2026, 3, 28, 0, 0, 0, 0, berlin), 8 * time.Hour: time.Date(2026, 5, 16, 0, 0, 0, 0, berlin), 9 * time.Hour: time.Date(2026, 10, 24, 0, 0, 0, 0, berlin),
	} {
		work := schedule.Work{Duration: want, Earliest: night, Latest: night.Add(48 * time.Hour), Skills: []string{"x"}}
		slot, no := schedule.Find(r, nil, work)
		require.Nil(t, no, want)
		require.Equal(t, 22, slot.Start.In(berlin).Hour())
		require.Equal(t, 6, slot.End.In(berlin).Hour())
		work.Duration += time.Minute
		_, no = schedule.Find(r, nil, work)
		require.NotNil(t, no, "a minute more does not fit")
	}
}

// Find is as good as trying each quarter of an hour with each crew.
func TestFindLaw(t *testing.T) {
	const quarter = 15 * time.Minute
	skills := []string{"a", "b", "c"}
	rapid.Check(t, func(t *rapid.T) {
		span := func(name string) schedule.Span {
			start := monday.Add(time.Duration(rapid.IntRange(0, 150).Draw(t, name)) * quarter)
			return schedule.Span{Start: start, End: start.Add(time.Duration(rapid.IntRange(1, 30).Draw(t, name)) * quarter)}
		}
		r := &schedule.Resources{}
		for i := range rapid.IntRange(1, 3).Draw(t, "people") {
			p := schedule.Technician{ID: fmt.Sprint("t", i), Skills: rapid.SliceOfNDistinct(rapid.SampledFrom(skills), 1, 2, rapid.ID).Draw(t, "skills")}
			for d := time.Monday; d <= time.Tuesday; d++ {
				from := time.Duration(rapid.IntRange(0, 95).Draw(t, "from")) * quarter
				p.Shifts = append(p.Shifts, schedule.Shift{Day: d, From: from, To: time.Duration(rapid.IntRange(0, 96).Draw(t, "to")) * quarter})
			}
			if rapid.Bool().Draw(t, "absent") {
				p.Absences = append(p.Absences, span("absence"))
			}
			r.Technicians = append(r.Technicians, p)
		}
		r.Tools = []schedule.Tool{{ID: "k1", Kind: "k", CalibratedUntil: span("calibrated").End}, {ID: "k2", Kind: "k"}}[:rapid.IntRange(1, 2).Draw(t, "tools")]
		require.NoError(t, r.Check())
		var bookings []schedule.Booking
		for range rapid.IntRange(0, 4).Draw(t, "bookings") {
			bookings = append(bookings, schedule.Booking{Span: span("booking"), Technicians: []string{"t0"}, Tools: []string{rapid.SampledFrom([]string{"k1", "k2"}).Draw(t, "tool")}})
		}
		w := schedule.Work{Duration: time.Duration(rapid.IntRange(1, 20).Draw(t, "work")) * quarter, Earliest: span("earliest").Start}
		w.Latest = w.Earliest.Add(w.Duration + time.Duration(rapid.IntRange(0, 120).Draw(t, "room"))*quarter)
		w.Skills = rapid.SliceOfNDistinct(rapid.SampledFrom(skills), 0, 3, rapid.ID).Draw(t, "wanted")
		w.Tools = []string{"k"}[:rapid.IntRange(0, 1).Draw(t, "with tool")]

		slot, no := schedule.Find(r, bookings, w)
		want, size := brute(r, bookings, w, quarter)
		if want.IsZero() {
			require.NotNil(t, no, "found %v, which there is not", slot)
			require.NotEmpty(t, no.Why)
			return
		}
		require.Nil(t, no)
		require.Equal(t, want, slot.Start)
		require.Equal(t, w.Duration, slot.End.Sub(slot.Start))
		require.Len(t, slot.Technicians, size)
		require.Len(t, slot.Tools, len(w.Tools))
	})
}

// brute is the earliest start and the least crew, zero if there is none.
func brute(r *schedule.Resources, bookings []schedule.Booking, w schedule.Work, step time.Duration) (time.Time, int) {
	for start := w.Earliest; !start.Add(w.Duration).After(w.Latest); start = start.Add(step) {
		end := start.Add(w.Duration)
		best := -1
		for set := range 1 << len(r.Technicians) {
			have, size, ok := map[string]bool{}, 0, true
			for i, p := range r.Technicians {
				if set>>i&1 == 0 {
					continue
				}
				size++
				for m := start; m.Before(end) && ok; m = m.Add(step) {
					ok = inShift(p, m) && !busy(bookings, p.ID, m, func(b schedule.Booking) []string { return b.Technicians })
				}
				for _, s := range p.Skills {
					have[s] = true
				}
			}
			for _, s := range w.Skills {
				ok = ok && have[s]
			}
			if ok && (best < 0 || size < best) {
				best = size
			}
		}
		tool := len(w.Tools) == 0
		for _, k := range r.Tools {
			free := k.CalibratedUntil.IsZero() || !k.CalibratedUntil.Before(end)
			for m := start; m.Before(end) && free; m = m.Add(step) {
				free = !busy(bookings, k.ID, m, func(b schedule.Booking) []string { return b.Tools })
			}
			tool = tool || free
		}
		if best >= 0 && tool {
			return start, best
		}
	}
	return time.Time{}, 0
}

func busy(bookings []schedule.Booking, id string, m time.Time, of func(schedule.Booking) []string) bool {
	return slices.ContainsFunc(bookings, func(b schedule.Booking) bool {
		return slices.Contains(of(b), id) && !m.Before(b.Start) && m.Before(b.End)
	})
}

func inShift(p schedule.Technician, m time.Time) bool {
	for _, a := range p.Absences {
		if !m.Before(a.Start) && m.Before(a.End) {
			return false
		}
	}
	since := m.Sub(m.Truncate(24 * time.Hour))
	for _, s := range p.Shifts {
		over := s.To <= s.From
		if s.Day == m.Weekday() && since >= s.From && (over || since < s.To) {
			return true
		}
		if over && (s.Day+1)%7 == m.Weekday() && since < s.To {
			return true
		}
	}
	return false
}

func TestCheck(t *testing.T) {
	r := schedule.Resources{
		Technicians: []schedule.Technician{{ID: "a", Shifts: []schedule.Shift{{Day: 9}}}, {ID: "a", Absences: []schedule.Span{{}}}},
		Tools:       []schedule.Tool{{ID: "t"}}, Stock: map[string]int{"p": -1},
	}
	err := r.Check()
	for _, want := range []string{"there twice", "shift", "absence", "kind", "negative"} {
		require.ErrorContains(t, err, want)
	}
}
