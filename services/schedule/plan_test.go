package schedule_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/magneto-iiot/magneto/services/event"
	"github.com/magneto-iiot/magneto/services/schedule"
)

func spec(kind schedule.Kind, change func(*schedule.Spec)) schedule.Spec {
	s := schedule.Spec{ID: "p", Asset: "pump-1", Kind: kind, Zone: "Europe/Berlin", Start: "2026-01-31T02:30"}
	switch kind {
	case schedule.Fixed, schedule.Floating:
		s.Rule = "FREQ=MONTHLY"
	case schedule.Both:
		s.Rule, s.Meter, s.Every = "FREQ=MONTHLY", "runtime-h", 100
	case schedule.Meter:
		s.Meter, s.Every = "runtime-h", 100
	case schedule.Condition:
		s.HealthBelow, s.HealthClear, s.OnAlarm = 40, 50, true
	}
	if change != nil {
		change(&s)
	}
	return s
}

func plan(t require.TestingT, kind schedule.Kind, change func(*schedule.Spec)) schedule.Plan {
	p, err := schedule.NewPlan(spec(kind, change))
	require.NoError(t, err)
	return p
}

func keys(list []schedule.Occurrence) []string {
	out := []string{}
	for _, o := range list {
		out = append(out, o.Key)
	}
	return out
}

func TestPlanFaults(t *testing.T) {
	for want, s := range map[string]schedule.Spec{
		"id and asset":       spec(schedule.Fixed, func(s *schedule.Spec) { s.Asset = "a/b" }),
		"zone":               spec(schedule.Fixed, func(s *schedule.Spec) { s.Zone = "Local" }),
		"is not known":       spec(schedule.Fixed, func(s *schedule.Spec) { s.Zone = "Europe/Atlantis" }),
		"local date-time":    spec(schedule.Fixed, func(s *schedule.Spec) { s.Start = "" }),
		"lead":               spec(schedule.Fixed, func(s *schedule.Spec) { s.Lead = "2 days" }),
		"grace":              spec(schedule.Fixed, func(s *schedule.Spec) { s.Grace = "-1h" }),
		"kind":               spec("weekly", nil),
		"rule: does not go":  spec(schedule.Meter, func(s *schedule.Spec) { s.Rule = "FREQ=DAILY" }),
		"counted from":       spec(schedule.Floating, func(s *schedule.Spec) { s.Rule = "FREQ=WEEKLY;BYDAY=MO" }),
		"meter: has no name": spec(schedule.Meter, func(s *schedule.Spec) { s.Meter = "" }),
		"every":              spec(schedule.Both, func(s *schedule.Spec) { s.Every = -1 }),
		"lead_units":         spec(schedule.Meter, func(s *schedule.Spec) { s.LeadUnits = 100 }),
		"health_below":       spec(schedule.Condition, func(s *schedule.Spec) { s.HealthBelow = 101 }),
		"no condition":       spec(schedule.Condition, func(s *schedule.Spec) { s.HealthBelow, s.OnAlarm = 0, false }),
		"skip_open":          spec(schedule.Floating, func(s *schedule.Spec) { s.SkipOpen = true }),
		"blackout":           spec(schedule.Fixed, func(s *schedule.Spec) { s.Blackout = []schedule.Span{{}} }),
		"season":             spec(schedule.Fixed, func(s *schedule.Spec) { s.Season = &schedule.Season{From: "13-01", To: "01-01"} }),
	} {
		_, err := schedule.NewPlan(s)
		require.ErrorContains(t, err, want)
	}
	out, _ := schedule.Due(schedule.Plan{}, schedule.State{}, monday)
	require.Empty(t, out)
}

// On a day without 02:30 the check is at 03:30, on one with two it is once, at the
// first; the key is the local time of the rule.
func TestDaylightSaving(t *testing.T) {
	for _, tt := range []struct{ zone, start, until, gap, fold string }{
		{"Europe/Berlin", "2026-03-28T02:30", "2026-03-30T12:00:00Z", "2026-03-29T01:30:00Z", ""},
		{"Europe/Berlin", "2026-10-24T02:30", "2026-10-26T12:00:00Z", "", "2026-10-25T00:30:00Z"},
		{"America/New_York", "2026-03-07T02:30", "2026-03-09T12:00:00Z", "2026-03-08T07:30:00Z", ""},
		{"America/New_York", "2026-10-31T01:30", "2026-11-02T12:00:00Z", "", "2026-11-01T05:30:00Z"},
	} {
		p := plan(t, schedule.Fixed, func(s *schedule.Spec) { s.Zone, s.Start, s.Rule = tt.zone, tt.start, "FREQ=DAILY" })
		out, _ := schedule.Due(p, schedule.State{}, when(t, tt.until))
		require.Len(t, out, 3)
		require.Equal(t, tt.start[10:], out[1].Key[10:16])
		require.Equal(t, tt.gap+tt.fold, out[1].Due.Format(time.RFC3339))
	}
}

func TestFixedWithSeasonBlackoutAndSkip(t *testing.T) {
	p := plan(t, schedule.Fixed, func(s *schedule.Spec) {
		s.Start, s.Rule, s.SkipOpen = "2026-03-01T06:00", "FREQ=MONTHLY;UNTIL=20260701", true
		s.Season = &schedule.Season{From: "04-01", To: "12-31"}
		s.Blackout = []schedule.Span{{when(t, "2026-03-31T00:00:00Z"), when(t, "2026-04-08T00:00:00Z")}}
	})
	before, s := schedule.Due(p, schedule.State{}, when(t, "2026-04-07T23:59:59Z"))
	require.Equal(t, []string{"2026-03-01T06:00:00"}, keys(before))
	require.Equal(t, "out of season", before[0].Why)
	out, s := schedule.Due(p, s, when(t, "2026-05-15T00:00:00Z"))
	require.Equal(t, []string{"2026-04-01T06:00:00", "2026-05-01T06:00:00"}, keys(out))
	require.Equal(t, "2026-04-08T00:00:00Z", out[0].Due.Format(time.RFC3339))
	require.Equal(t, []event.Type{event.CheckDue, event.CheckSkipped}, []event.Type{out[0].Type, out[1].Type})
	require.Contains(t, out[1].Why, "still open")
	s, err := schedule.Completed(p, s, "2026-04-01T06:00:00", when(t, "2026-05-20T00:00:00Z"))
	require.NoError(t, err)
	out, _ = schedule.Due(p, s, when(t, "2030-01-01T00:00:00Z"))
	require.Equal(t, []string{"2026-06-01T06:00:00", "2026-07-01T06:00:00"}, keys(out)) // UNTIL means all of the day
	require.Equal(t, event.CheckDue, out[0].Type)
}

// Early work nobody has asked for moves a floating plan, to the end of a month that
// is too short.
func TestFloatingMoves(t *testing.T) {
	p := plan(t, schedule.Floating, func(s *schedule.Spec) { s.Lead = "48h" })
	require.Equal(t, []string{"2026-02-28T02:30:00"}, keys(schedule.Preview(p, schedule.State{}, when(t, "2026-02-01T00:00:00Z"))))
	s, err := schedule.Completed(p, schedule.State{}, "", when(t, "2026-02-10T15:00:00Z"))
	require.NoError(t, err)
	out, s := schedule.Due(p, s, when(t, "2026-03-08T01:29:59Z"))
	require.Empty(t, out)
	out, s = schedule.Due(p, s, when(t, "2026-03-08T01:30:00Z"))
	require.Equal(t, []string{"2026-03-10T02:30:00"}, keys(out))
	again, s := schedule.Due(p, s, when(t, "2027-03-08T01:30:00Z"))
	require.Empty(t, again, "one open check at a time")
	for range 2 {
		s, err = schedule.Completed(p, s, out[0].Key, when(t, "2026-03-08T02:00:00Z"))
		require.NoError(t, err)
	}
	late, s := schedule.Due(p, s, when(t, "2027-03-08T01:30:00Z"))
	require.Equal(t, []string{"2026-04-08T02:30:00"}, keys(late))
	over, s := schedule.Overdue(p, s, when(t, "2027-03-08T01:30:00Z"))
	require.Equal(t, keys(late), keys(over))
	require.Equal(t, event.CheckOverdue, over[0].Type)
	over, _ = schedule.Overdue(p, s, when(t, "2027-03-08T01:30:00Z"))
	require.Empty(t, over)
	_, err = schedule.Completed(p, s, "", time.Time{})
	require.ErrorContains(t, err, "no time")
}

// What would be due out of season, or in a blackout, waits for the next day it may be.
func TestFloatingWaitsForTheSeason(t *testing.T) {
	p := plan(t, schedule.Floating, func(s *schedule.Spec) {
		s.Season = &schedule.Season{From: "11-01", To: "02-15"}
		s.Blackout = []schedule.Span{{when(t, "2026-10-31T00:00:00Z"), when(t, "2026-11-03T08:00:00Z")}}
	})
	out := schedule.Preview(p, schedule.State{}, when(t, "2026-12-01T00:00:00Z"))
	require.Equal(t, []string{"2026-02-28T02:30:00"}, keys(out))
	require.Equal(t, "2026-11-03T08:00:00Z", out[0].Due.Format(time.RFC3339))
	s, err := schedule.Completed(p, schedule.State{}, "", when(t, "2026-12-10T12:00:00Z"))
	require.NoError(t, err)
	require.Equal(t, "2027-01-10T01:30:00Z", schedule.Preview(p, s, when(t, "2026-12-11T00:00:00Z"))[0].Due.Format(time.RFC3339))
	leap := plan(t, schedule.Floating, func(s *schedule.Spec) { s.Season = &schedule.Season{From: "02-29", To: "02-29"} })
	out, _ = schedule.Due(leap, schedule.State{}, when(t, "2029-01-01T00:00:00Z"))
	require.Equal(t, "2028-02-28T23:00:00Z", out[0].Due.Format(time.RFC3339))
}

// A check done by a clock that is wrong is done all the same.
func TestCompletionBeforeTheNewest(t *testing.T) {
	p := plan(t, schedule.Floating, nil)
	s, _ := schedule.Completed(p, schedule.State{}, "", when(t, "2026-02-10T15:00:00Z"))
	out, s := schedule.Due(p, s, when(t, "2026-04-01T00:00:00Z"))
	same, _ := schedule.Completed(p, s, "", when(t, "2026-02-10T15:00:00Z"))
	require.Equal(t, s, same)
	s, _ = schedule.Completed(p, s, out[0].Key, when(t, "2026-02-01T00:00:00Z"))
	require.Empty(t, s.Open)
	out, _ = schedule.Due(p, s, when(t, "2026-06-01T00:00:00Z"))
	require.Equal(t, []string{"2026-04-10T02:30:00"}, keys(out))
}

func TestMeter(t *testing.T) {
	p := plan(t, schedule.Meter, func(s *schedule.Spec) { s.LeadUnits = 10 })
	now, s := when(t, "2026-05-01T00:00:00Z"), schedule.State{}
	read := func(v float64) []schedule.Occurrence {
		now = now.Add(time.Hour)
		var err error
		s, err = schedule.Read(p, s, v, now)
		require.NoError(t, err)
		var out []schedule.Occurrence
		out, s = schedule.Due(p, s, now)
		return out
	}
	require.Empty(t, read(5000))
	require.Empty(t, read(5080))
	require.Empty(t, read(3), "a new meter: 80 have run")
	require.Equal(t, []string{"meter/1"}, keys(read(13)))
	require.Empty(t, read(500), "open")
	s, _ = schedule.Completed(p, s, "meter/1", now)
	require.Empty(t, read(589))
	require.Equal(t, []string{"meter/2"}, keys(read(590)))
	old, err := schedule.Read(p, s, 1e9, when(t, "2026-05-01T00:00:00Z"))
	require.NoError(t, err)
	require.Equal(t, s, old)
	_, err = schedule.Read(plan(t, schedule.Fixed, nil), s, 1, now)
	require.ErrorContains(t, err, "has no meter")
	_, err = schedule.Read(p, s, 1e300, now)
	require.ErrorContains(t, err, "out of range")
}

func TestBothWhicheverFirst(t *testing.T) {
	p := plan(t, schedule.Both, nil)
	s, _ := schedule.Read(p, schedule.State{}, 0, when(t, "2026-02-01T00:00:00Z"))
	s, _ = schedule.Read(p, s, 120, when(t, "2026-02-20T00:00:00Z"))
	out, s := schedule.Due(p, s, when(t, "2026-06-01T00:00:00Z"))
	require.Equal(t, []string{"meter/1"}, keys(out))
	s, _ = schedule.Completed(p, s, "meter/1", when(t, "2026-02-21T00:00:00Z"))
	s, _ = schedule.Read(p, s, 219, when(t, "2026-03-20T00:00:00Z"))
	out, _ = schedule.Due(p, s, when(t, "2026-06-01T00:00:00Z"))
	require.Equal(t, []string{"2026-03-21T02:30:00"}, keys(out))
}

func TestCondition(t *testing.T) {
	p := plan(t, schedule.Condition, nil)
	now, s := when(t, "2026-05-01T00:00:00Z"), schedule.State{}
	tell := func(sig schedule.Signal) []string {
		now = now.Add(time.Hour)
		sig.At = now
		var err error
		s, err = schedule.Notice(p, s, sig)
		require.NoError(t, err)
		var out []schedule.Occurrence
		out, s = schedule.Due(p, s, now)
		return keys(out)
	}
	require.Empty(t, tell(schedule.Signal{Source: "health", Index: 40}))
	require.Equal(t, []string{"condition/1"}, tell(schedule.Signal{Source: "health", Index: 39}))
	s, _ = schedule.Completed(p, s, "condition/1", now.Add(time.Minute))
	require.Empty(t, tell(schedule.Signal{Source: "health", Index: 30}), "did not cease")
	require.Empty(t, tell(schedule.Signal{Source: "health", Index: 45}), "not good yet")
	require.Empty(t, tell(schedule.Signal{Source: "alarm", ID: "a1", On: true}), "still holds")
	require.Empty(t, tell(schedule.Signal{Source: "health", Index: 50}))
	require.Empty(t, tell(schedule.Signal{Source: "alarm", ID: "a1"}))
	require.Empty(t, tell(schedule.Signal{Source: "anomaly", ID: "x", On: true}), "not looked at")
	require.Equal(t, []string{"condition/2"}, tell(schedule.Signal{Source: "alarm", ID: "a2", On: true}))
	_, err := schedule.Notice(p, s, schedule.Signal{Source: "moon"})
	require.ErrorContains(t, err, "none of")
	_, err = schedule.Notice(p, s, schedule.Signal{Source: "health", Index: 200})
	require.ErrorContains(t, err, "0 to 100")
}

// However now moves, an hour back as well, and whenever the state is written and
// read again, the same keys come as in one step, each once and in order.
func TestOccurrenceLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := plan(t, schedule.Fixed, func(s *schedule.Spec) {
			s.Zone = rapid.SampledFrom([]string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe"}).Draw(t, "zone")
			s.Start = rapid.SampledFrom([]string{"2026-03-01T02:30", "2026-10-20T01:30", "2026-10-01T02:15"}).Draw(t, "start")
			s.Rule = rapid.SampledFrom([]string{"FREQ=DAILY", "FREQ=HOURLY", "FREQ=HOURLY;INTERVAL=7", "FREQ=DAILY;BYHOUR=1,2,3,2", "FREQ=WEEKLY;BYDAY=SU,MO", "FREQ=DAILY;COUNT=9"}).Draw(t, "rule")
			s.Lead = rapid.SampledFrom([]string{"", "1h", "30h"}).Draw(t, "lead")
			s.SkipOpen = rapid.Bool().Draw(t, "skip")
			if rapid.Bool().Draw(t, "blackout") {
				s.Blackout = []schedule.Span{{when(t, "2026-03-28T20:00:00Z"), when(t, "2026-03-29T05:10:00Z")}, {when(t, "2026-10-25T00:00:00Z"), when(t, "2026-10-25T00:45:00Z")}}
			}
		})
		from := when(t, "2026-03-01T00:00:00Z")
		if rapid.Bool().Draw(t, "autumn") {
			from = when(t, "2026-10-01T00:00:00Z")
		}
		end := from.AddDate(0, 0, 40)
		var want []schedule.Occurrence
		whole := schedule.State{}
		for more := true; more; {
			var out []schedule.Occurrence
			out, whole = schedule.Due(p, whole, end)
			want, more = append(want, out...), len(out) > 0
		}
		var got []schedule.Occurrence
		var s schedule.State
		for now := from; ; {
			out, next := schedule.Due(p, s, now)
			got, s = append(got, out...), reread(t, next)
			if !now.Before(end) && len(out) == 0 {
				break
			}
			if back := rapid.IntRange(0, 4).Draw(t, "back"); back == 0 && now.Before(end) {
				now = now.Add(-time.Hour)
			}
			now = now.Add(time.Duration(rapid.IntRange(61, 6000).Draw(t, "minutes")) * time.Minute)
			if now.After(end) {
				now = end
			}
		}
		require.Equal(t, want, got)
		require.Equal(t, reread(t, whole), s)
		for i := range got {
			require.True(t, i == 0 || got[i-1].Key < got[i].Key && !got[i].Due.Before(got[i-1].Due))
		}
	})
}

// reread is s as a restart finds it.
func reread(t require.TestingT, s schedule.State) schedule.State {
	b, err := json.Marshal(s)
	require.NoError(t, err)
	var out schedule.State
	require.NoError(t, json.Unmarshal(b, &out))
	return out
}

// A floating plan tells no key twice and never stands still, whenever it is done.
func TestFloatingLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := plan(t, schedule.Floating, func(s *schedule.Spec) {
			s.Rule = rapid.SampledFrom([]string{"FREQ=DAILY", "FREQ=WEEKLY;INTERVAL=2", "FREQ=MONTHLY", "FREQ=YEARLY"}).Draw(t, "rule")
			s.Lead = rapid.SampledFrom([]string{"", "50h", "1000h"}).Draw(t, "lead")
		})
		now, s, seen := when(t, "2026-01-31T01:30:00Z"), schedule.State{}, map[string]bool{}
		for range rapid.IntRange(1, 20).Draw(t, "turns") {
			out, next := schedule.Due(p, s, now)
			require.LessOrEqual(t, len(out), 1)
			s = reread(t, next)
			for _, o := range out {
				require.False(t, seen[o.Key])
				seen[o.Key] = true
			}
			now = now.Add(time.Duration(rapid.IntRange(1, 9000).Draw(t, "minutes")) * time.Minute)
			if rapid.Bool().Draw(t, "done") {
				s, _ = schedule.Completed(p, s, "", now)
				require.Empty(t, s.Open)
			}
			require.NotEmpty(t, append(schedule.Preview(p, s, now.AddDate(2, 0, 0)), make([]schedule.Occurrence, len(s.Open))...))
		}
	})
}
