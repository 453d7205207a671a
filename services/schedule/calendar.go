package schedule

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/teambition/rrule-go"
)

// Rule is a checked RRULE. It counts in local date and time, whatever the zone
// does, so that daylight saving changes when an occurrence is but not which one.
type Rule struct {
	opt   rrule.ROption
	plain bool // only FREQ and INTERVAL, in days or more: can be counted from a completion
}

const (
	wallLayout  = "2006-01-02T15:04:05"
	maxInterval = 1000
	maxRule     = 500 // bytes
)

// ParseRule parses the RRULE of a plan (RFC 5545, 3.3.10), with or without
// "RRULE:", that begins at start, a local date-time. A UNTIL in UTC is turned into
// local time of zone, a UNTIL that is a date means all of that day.
//
// It refuses what can occur more than once an hour, what never occurs (finding that
// out takes up to half a second), and BYEASTER. As clocks are set forward two of an
// hourly rule can be at the same instant, with two keys; the hour that comes twice as
// they are set back has one. MONTHLY from the 31st leaves out shorter months, as RFC 5545 says:
// BYMONTHDAY=-1 is the last day of each.
func ParseRule(text, start string, zone *time.Location) (Rule, error) {
	fault := func(format string, args ...any) (Rule, error) {
		return Rule{}, fmt.Errorf("schedule: rule %.80q: %s", text, fmt.Sprintf(format, args...))
	}
	if zone == nil {
		return fault("has no time zone")
	}
	from, err := parseWall(start)
	if err != nil {
		return fault("%v", err)
	}
	s := strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(text)), "RRULE:")
	if s == "" || len(s) > maxRule || strings.ContainsAny(s, "\n\r") {
		return fault("is empty, or longer than %d bytes, or has lines: say for example FREQ=WEEKLY;BYDAY=MO", maxRule)
	}
	if why := refuseParts(s); why != "" {
		return fault("%s", why)
	}
	opt, err := rrule.StrToROption(s)
	if err != nil {
		return fault("%v: say for example FREQ=WEEKLY;BYDAY=MO", err)
	}
	opt.Dtstart = from
	opt.Until = untilWall(s, opt.Until, zone)
	if why := refuseOption(opt); why != "" {
		return fault("%s", why)
	}
	r, err := rrule.NewRRule(*opt)
	if err != nil {
		return fault("%v", err)
	}
	if _, ok := r.Iterator()(); !ok {
		return fault("never occurs from %s on", start)
	}
	plain := opt.Freq < rrule.HOURLY && !strings.Contains(s, "BY") && opt.Count == 0 && opt.Until.IsZero()
	return Rule{opt: *opt, plain: plain}, nil
}

// refuseParts looks at the parts of s by name.
func refuseParts(s string) string {
	var seen []string
	for part := range strings.SplitSeq(s, ";") {
		key, value, _ := strings.Cut(part, "=")
		switch {
		case slices.Contains(seen, key):
			return key + " is given twice"
		case key == "FREQ" && (value == "SECONDLY" || value == "MINUTELY"):
			return value + " is more often than once an hour, use HOURLY or a meter"
		case key == "BYEASTER" || key == "DTSTART":
			return key + " is not part of a rule here"
		case (key == "BYMINUTE" || key == "BYSECOND") && strings.Contains(value, ","):
			return key + " with more than one value is more often than once an hour"
		case (key == "INTERVAL" || key == "COUNT") && strings.Trim(value, "0") == "":
			return key + " must be 1 or more"
		}
		seen = append(seen, key)
	}
	hourly := slices.Contains(strings.Split(s, ";"), "FREQ=HOURLY")
	for _, key := range seen {
		if hourly && !slices.Contains([]string{"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", "BYMONTH"}, key) {
			return key + " does not go with HOURLY, use DAILY with BYHOUR"
		}
	}
	return ""
}

func refuseOption(opt *rrule.ROption) string {
	switch {
	case opt.Interval < 0 || opt.Interval > maxInterval:
		return fmt.Sprintf("INTERVAL must be 1 to %d", maxInterval)
	case opt.Count < 0:
		return "COUNT must be 1 or more"
	case !opt.Until.IsZero() && opt.Count > 0:
		return "COUNT and UNTIL exclude each other"
	case !opt.Until.IsZero() && opt.Until.Before(opt.Dtstart):
		return "UNTIL is before the start"
	}
	return ""
}

// untilWall is the UNTIL of s, which until was parsed from, as local time.
func untilWall(s string, until time.Time, zone *time.Location) time.Time {
	_, value, found := strings.Cut(s, "UNTIL=")
	if !found {
		return until
	}
	value, _, _ = strings.Cut(value, ";")
	switch {
	case strings.HasSuffix(value, "Z"):
		return wall(until, zone)
	case len(value) == len("20060102"):
		return until.Add(24*time.Hour - time.Second)
	}
	return until
}

// walls goes over the local times of the rule, in order and each once.
func (r Rule) walls(yield func(time.Time) bool) {
	rule, err := rrule.NewRRule(r.opt)
	if err != nil {
		return // ParseRule has built the same
	}
	next := rule.Iterator()
	var last time.Time
	for {
		w, ok := next()
		if !ok {
			return
		}
		if w.Equal(last) {
			continue // the same hour named twice
		}
		if last = w; !yield(w) {
			return
		}
	}
}

// step is w later by one interval of a plain rule. A day the month does not have
// becomes its last: the 31st of January and a month is the end of February.
func (r Rule) step(w time.Time) time.Time {
	n := max(r.opt.Interval, 1)
	switch r.opt.Freq {
	case rrule.DAILY:
		return w.AddDate(0, 0, n)
	case rrule.WEEKLY:
		return w.AddDate(0, 0, 7*n)
	case rrule.MONTHLY:
		return addMonths(w, n)
	}
	return addMonths(w, 12*n)
}

func addMonths(w time.Time, n int) time.Time {
	y, m, d := w.Date()
	last := time.Date(y, m+time.Month(n)+1, 0, 0, 0, 0, 0, time.UTC).Day()
	return time.Date(y, m+time.Month(n), min(d, last), w.Hour(), w.Minute(), w.Second(), 0, time.UTC)
}

// parseWall parses a local date-time, seconds may be left out; the result is in
// UTC and stands for local time.
func parseWall(s string) (time.Time, error) {
	for _, layout := range []string{wallLayout, "2006-01-02T15:04"} {
		if w, err := time.Parse(layout, s); err == nil && w.Year() >= 1970 && w.Year() < 2200 {
			return w, nil
		}
	}
	return time.Time{}, fmt.Errorf("start %.40q is not a local date-time such as 2026-05-20T06:00, of 1970 to 2199", s)
}

// wall is the local date-time of t, in UTC.
func wall(t time.Time, zone *time.Location) time.Time {
	l := t.In(zone)
	return time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), l.Second(), 0, time.UTC)
}

// Instant is when the clocks of zone show w, whose own zone does not count. Of a
// time they show twice, as they are set back, it is the first. A time they skip, as
// they are set forward, is read with the offset from before: 02:30 becomes 03:30.
//
// Source: RFC 5545, 3.3.5.
func Instant(w time.Time, zone *time.Location) time.Time {
	w = time.Date(w.Year(), w.Month(), w.Day(), w.Hour(), w.Minute(), w.Second(), 0, time.UTC)
	before, after := offset(w.Add(-24*time.Hour), zone), offset(w.Add(24*time.Hour), zone)
	a, b := w.Add(-before), w.Add(-after)
	okA, okB := wall(a, zone).Equal(w), wall(b, zone).Equal(w)
	switch {
	case okA && okB:
		if b.Before(a) {
			a = b
		}
		return a.In(zone)
	case okB:
		return b.In(zone)
	}
	return a.In(zone)
}

func offset(t time.Time, zone *time.Location) time.Duration {
	_, s := t.In(zone).Zone()
	return time.Duration(s) * time.Second
}
