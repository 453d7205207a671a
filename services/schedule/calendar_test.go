package schedule_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/magneto-iiot/magneto/services/schedule"
)

func load(t require.TestingT, name string) *time.Location {
	z, err := time.LoadLocation(name)
	require.NoError(t, err)
	return z
}

func when(t require.TestingT, s string) time.Time {
	v, err := time.Parse(time.RFC3339, s)
	require.NoError(t, err)
	return v
}

func TestRuleFaults(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "is empty",
		"every monday":                        "FREQ=WEEKLY;BYDAY=MO",
		"FREQ=SECONDLY":                       "once an hour",
		"FREQ=MINUTELY;INTERVAL=90":           "once an hour",
		"FREQ=DAILY;BYMINUTE=0,30":            "once an hour",
		"FREQ=DAILY;BYSECOND=0,30":            "once an hour",
		"FREQ=DAILY;BYHOUR=24":                "byhour",
		"FREQ=DAILY;FREQ=WEEKLY":              "given twice",
		"FREQ=DAILY;INTERVAL=0":               "must be 1 or more",
		"FREQ=DAILY;INTERVAL=1001":            "1 to 1000",
		"FREQ=DAILY;INTERVAL=-1":              "1 to 1000",
		"FREQ=DAILY;COUNT=-1":                 "COUNT",
		"FREQ=DAILY;COUNT=2;UNTIL=2027":       "UNTIL",
		"FREQ=DAILY;UNTIL=20200101":           "before the start",
		"FREQ=HOURLY;BYHOUR=5":                "use DAILY",
		"FREQ=YEARLY;BYEASTER=0":              "not part of a rule",
		"FREQ=MONTHLY;BYDAY=XX":               "weekday",
		"FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30": "never occurs",
		"BYDAY=MO":                            "FREQ is required",
		"FREQ=DAILY\nFREQ=DAILY":              "lines",
	} {
		_, err := schedule.ParseRule(text, "2026-05-20T06:00", time.UTC)
		require.ErrorContains(t, err, want, text)
		require.ErrorContains(t, err, "schedule: rule", text)
	}
	_, err := schedule.ParseRule("FREQ=DAILY", "today", time.UTC)
	require.ErrorContains(t, err, "local date-time")
	_, err = schedule.ParseRule("FREQ=DAILY", "2026-05-20T06:00", nil)
	require.ErrorContains(t, err, "time zone")
}

// A rule that parses can be used; nothing a person writes makes it panic.
func FuzzParseRule(f *testing.F) {
	for _, s := range []string{"FREQ=WEEKLY;BYDAY=MO,FR", "FREQ=MONTHLY;BYSETPOS=-1;BYDAY=MO,TU", "FREQ=YEARLY;BYWEEKNO=53", "RRULE:FREQ=HOURLY;INTERVAL=7;UNTIL=20270101T000000Z", "FREQ=YEARLY;BYYEARDAY=-366", "FREQ=DAILY;WKST=SU;BYDAY=-53SU"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		zone := load(t, "America/New_York")
		if _, err := schedule.ParseRule(s, "2026-05-20T06:00", zone); err != nil {
			require.ErrorContains(t, err, "schedule: rule")
			return
		}
		p, err := schedule.NewPlan(schedule.Spec{ID: "p", Asset: "a", Kind: schedule.Fixed, Zone: "America/New_York", Start: "2026-05-20T06:00", Rule: s})
		require.NoError(t, err)
		out, _ := schedule.Due(p, schedule.State{}, when(t, "2027-05-20T06:00:00Z"))
		for i := range out {
			require.True(t, i == 0 || out[i-1].Key < out[i].Key)
		}
	})
}

func TestInstant(t *testing.T) {
	for _, tt := range []struct{ zone, wall, want string }{
		{"Europe/Berlin", "2026-03-29T01:59:59Z", "2026-03-29T01:59:59+01:00"},
		{"Europe/Berlin", "2026-03-29T02:30:00Z", "2026-03-29T03:30:00+02:00"}, // does not exist
		{"Europe/Berlin", "2026-03-29T03:00:00Z", "2026-03-29T03:00:00+02:00"},
		{"Europe/Berlin", "2026-10-25T02:30:00Z", "2026-10-25T02:30:00+02:00"}, // twice: the first
		{"Europe/Berlin", "2026-10-25T03:00:00Z", "2026-10-25T03:00:00+01:00"},
		{"America/New_York", "2026-03-08T02:30:00Z", "2026-03-08T03:30:00-04:00"},
		{"America/New_York", "2026-11-01T01:30:00Z", "2026-11-01T01:30:00-04:00"},
		{"America/New_York", "2026-11-01T02:00:00Z", "2026-11-01T02:00:00-05:00"},
		{"Australia/Lord_Howe", "2026-10-04T02:15:00Z", "2026-10-04T02:45:00+11:00"}, // half an hour
		{"Asia/Kolkata", "2026-03-29T02:30:00Z", "2026-03-29T02:30:00+05:30"},
	} {
		require.Equal(t, tt.want, schedule.Instant(when(t, tt.wall), load(t, tt.zone)).Format(time.RFC3339), tt.wall)
	}
}

// Instant is the first instant at which the clocks show the time, or a later time;
// the reference looks at each quarter of an hour. It never goes back.
func TestInstantLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone := load(t, rapid.SampledFrom([]string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"}).Draw(t, "zone"))
		w := time.Date(2026, 1, 1, 0, 15*rapid.IntRange(0, 365*96).Draw(t, "quarter"), 0, 0, time.UTC)
		got := schedule.Instant(w, zone)
		show := func(i time.Time) string { return i.In(zone).Format("2006-01-02T15:04") }
		want, found := time.Time{}, false
		for i := w.Add(-15 * time.Hour); i.Before(w.Add(15 * time.Hour)); i = i.Add(15 * time.Minute) {
			if show(i) == w.Format("2006-01-02T15:04") {
				want, found = i, true
				break
			}
		}
		if found {
			require.True(t, want.Equal(got), "%v: %v, want %v", w, got, want)
		} else {
			require.Greater(t, show(got), w.Format("2006-01-02T15:04"))
		}
		require.False(t, schedule.Instant(w.Add(time.Hour), zone).Before(got))
	})
}
