package schedule

import (
	"fmt"
	"time"

	"github.com/magneto-iiot/magneto/services/event"
)

// Occurrence is one check of a plan. Key is the same whenever and however often it
// is worked out: the local date-time of the calendar, before it was moved by a
// blackout or by a clock that skips it, or a count, such as meter/3.
type Occurrence struct {
	Type  event.Type `json:"-"` // CheckDue, CheckSkipped or CheckOverdue
	Plan  string     `json:"plan"`
	Asset string     `json:"asset"`
	Key   string     `json:"occurrence_key"`
	Basis string     `json:"basis"` // calendar, meter or condition
	Due   time.Time  `json:"due"`
	Why   string     `json:"why,omitempty"` // of CheckSkipped
}

// MaxOccurrences is the most one call of Due or Preview returns. Due goes on with
// the rest at the next call.
const (
	MaxOccurrences = 500
	maxOpen        = 1000
)

// Due returns what there is to tell at now: checks whose lead time has begun, and
// checks left out and why. Each key is told once, in order, no matter how now jumps,
// and none is missed: what was due while nobody asked is told at the next call. It
// goes through the rule from the plan's start: 26 years of an hourly one take 0.2 s.
func Due(p Plan, s State, now time.Time) ([]Occurrence, State) {
	if p.zone == nil {
		return nil, s // no plan
	}
	s = s.clone()
	if p.spec.Kind == Fixed {
		return p.dueFixed(s, now)
	}
	return p.dueOnce(s, now)
}

func (p Plan) dueFixed(s State, now time.Time) ([]Occurrence, State) {
	var out []Occurrence
	for w := range p.rule.walls {
		key := w.Format(wallLayout)
		if key <= s.Cursor {
			continue
		}
		due := p.moved(Instant(w, p.zone))
		if due.Add(-p.lead).After(now) || len(out) == MaxOccurrences {
			break
		}
		o := p.occurrence(event.CheckDue, key, "calendar", due)
		switch {
		case p.spec.Season != nil && !p.spec.Season.has(w):
			o.Type, o.Why = event.CheckSkipped, "out of season"
		case p.spec.SkipOpen && len(s.Open) > 0:
			o.Type, o.Why = event.CheckSkipped, fmt.Sprintf("the check of %s is still open", s.Open[0].Key)
		case len(s.Open) == maxOpen:
			o.Type, o.Why = event.CheckSkipped, fmt.Sprintf("%d checks are open", maxOpen)
		default:
			s.Open = append(s.Open, Open{Key: key, Due: due})
		}
		s.Cursor = key
		out = append(out, o)
	}
	return out, s
}

// dueOnce is for the kinds with one open check at a time.
func (p Plan) dueOnce(s State, now time.Time) ([]Occurrence, State) {
	if len(s.Open) > 0 {
		return nil, s
	}
	o, ok := p.upcoming(s)
	if !ok || o.Due.Add(-p.lead).After(now) {
		return nil, s
	}
	if o.Basis == "calendar" {
		s.Cursor = o.Key
	} else {
		s.Count++
	}
	s.Open = append(s.Open, Open{Key: o.Key, Due: o.Due})
	return []Occurrence{o}, s
}

// upcoming is the next check of a plan with one open check at a time; ok is false if
// nothing is known of it yet. Of a Both plan it is the sooner of the two.
func (p Plan) upcoming(s State) (o Occurrence, ok bool) {
	counted := later(s.Reached, s.Since)
	if !counted.IsZero() {
		basis := string(p.spec.Kind)
		if p.spec.Kind == Both {
			basis = string(Meter)
		}
		o = p.occurrence(event.CheckDue, fmt.Sprintf("%s/%d", basis, s.Count+1), basis, p.moved(counted))
		ok = true
	}
	if p.spec.Kind != Floating && p.spec.Kind != Both {
		return o, ok
	}
	w := p.floating(s)
	due := p.moved(Instant(w, p.zone))
	if ok && o.Due.Before(due) {
		return o, true
	}
	return p.occurrence(event.CheckDue, w.Format(wallLayout), "calendar", due), true
}

// floating is the local time of the next check, counted from the last completion. It
// is later than the newest one told, so that no key comes twice.
func (p Plan) floating(s State) time.Time {
	base := p.start
	if !s.Done.IsZero() {
		d := wall(s.Done, p.zone)
		base = time.Date(d.Year(), d.Month(), d.Day(), p.start.Hour(), p.start.Minute(), p.start.Second(), 0, time.UTC)
	}
	w := p.rule.step(base)
	if w.Format(wallLayout) > s.Cursor {
		return w
	}
	told, err := time.Parse(wallLayout, s.Cursor)
	if err != nil {
		return w // a cursor nobody of us has written
	}
	return p.rule.step(told)
}

func (p Plan) occurrence(t event.Type, key, basis string, due time.Time) Occurrence {
	return Occurrence{Type: t, Plan: p.spec.ID, Asset: p.spec.Asset, Key: key, Basis: basis, Due: due.UTC()}
}

// moved is t after the blackouts, and in season unless the plan is Fixed.
func (p Plan) moved(t time.Time) time.Time {
	for range 2*len(p.spec.Blackout) + 2 {
		was := t
		for _, b := range p.spec.Blackout {
			if b.has(t) {
				t = b.End
			}
		}
		if p.spec.Season != nil && p.spec.Kind != Fixed {
			t = p.inSeason(t)
		}
		if t.Equal(was) {
			break
		}
	}
	return t
}

// inSeason is the first instant of the season from t on.
func (p Plan) inSeason(t time.Time) time.Time {
	w := wall(t, p.zone)
	if p.spec.Season.has(w) {
		return t
	}
	day := time.Date(w.Year(), w.Month(), w.Day(), 0, 0, 0, 0, time.UTC)
	for range 9 * 366 { // a season of the 29th of February alone can be 8 years away
		if day = day.AddDate(0, 0, 1); p.spec.Season.has(day) {
			break
		}
	}
	return Instant(day, p.zone)
}

// Overdue returns the open checks whose grace is over at now, each once.
func Overdue(p Plan, s State, now time.Time) ([]Occurrence, State) {
	s = s.clone()
	var out []Occurrence
	for i, o := range s.Open {
		if o.Overdue || o.Due.Add(p.grace).After(now) {
			continue
		}
		s.Open[i].Overdue = true
		out = append(out, p.occurrence(event.CheckOverdue, o.Key, basisOf(o.Key), o.Due))
	}
	return out, s
}

func basisOf(key string) string {
	for _, k := range []Kind{Meter, Condition} {
		if len(key) > len(k) && key[:len(k)+1] == string(k)+"/" {
			return string(k)
		}
	}
	return "calendar"
}

// Preview returns what Due will tell from now to the plan's horizon, as far as it is
// known: of a plan that counts from the last completion the next check alone, as all
// later ones hang on when that is done.
func Preview(p Plan, s State, now time.Time) []Occurrence {
	out, _ := Due(p, s, now.Add(p.horizon))
	return out
}
