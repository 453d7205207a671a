package schedule

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/magneto-iiot/magneto/services/event"
)

// Kind says what makes a plan's checks due.
type Kind string

// The kinds. All but Fixed have one open check at a time: the next is counted from
// when the last was done.
const (
	Fixed     Kind = "fixed"     // the calendar, whether the last check was done or not
	Floating  Kind = "floating"  // the calendar, from the last completion
	Meter     Kind = "meter"     // a number of units, such as hours of running, from the last completion
	Both      Kind = "both"      // Floating or Meter, whichever comes first
	Condition Kind = "condition" // a bad health index, an alarm or an anomaly
)

// Spec is a maintenance plan as a person writes it. Texts of durations are as Go
// has them: "48h".
type Spec struct {
	ID    string `json:"id"`
	Asset string `json:"asset"`
	Kind  Kind   `json:"kind"`
	Zone  string `json:"zone"` // the asset's, such as Europe/Berlin

	// Start is local, such as 2026-05-20T06:00. A Fixed plan counts from it. For a
	// plan that counts from the last completion it stands for the one before the
	// first; of a Floating one, its time of day is that of all checks.
	Start string `json:"start"`
	Rule  string `json:"rule,omitempty"` // RRULE; of Floating and Both only FREQ (DAILY to YEARLY) and INTERVAL

	Meter     string  `json:"meter,omitempty"`      // name of the meter
	Every     float64 `json:"every,omitempty"`      // in units of the meter
	LeadUnits float64 `json:"lead_units,omitempty"` // told so many units ahead; less than Every

	HealthBelow float64 `json:"health_below,omitempty"` // health index, 0 to 100; zero: does not count
	HealthClear float64 `json:"health_clear,omitempty"` // good again from here; HealthBelow if less
	OnAlarm     bool    `json:"on_alarm,omitempty"`
	OnAnomaly   bool    `json:"on_anomaly,omitempty"`

	Lead     string  `json:"lead,omitempty"`      // told so long before it is due; up to a year
	Grace    string  `json:"grace,omitempty"`     // overdue so long after it is due
	Horizon  string  `json:"horizon,omitempty"`   // of a preview; 90 days if empty
	SkipOpen bool    `json:"skip_open,omitempty"` // Fixed: left out while a former one is open
	Blackout []Span  `json:"blackout,omitempty"`  // due in it: moved to its end
	Season   *Season `json:"season,omitempty"`    // due out of it: Fixed is left out, others moved to its start
}

// Season is the time of each year from From to To, both local days as MM-DD and
// both in it; it may go over the end of the year.
type Season struct {
	From string `json:"from"`
	To   string `json:"to"`
}

func (s Season) has(w time.Time) bool {
	day := w.Format("01-02")
	if s.From <= s.To {
		return s.From <= day && day <= s.To
	}
	return day >= s.From || day <= s.To
}

// Plan is a checked Spec.
type Plan struct {
	spec                 Spec
	zone                 *time.Location
	start                time.Time // local, in UTC
	rule                 Rule
	lead, grace, horizon time.Duration
}

const (
	defaultHorizon = 90 * 24 * time.Hour
	maxDuration    = 366 * 24 * time.Hour
	maxBlackouts   = 100
)

// NewPlan checks s and reports every fault at once.
func NewPlan(s Spec) (Plan, error) {
	s.Blackout = slices.Clone(s.Blackout)
	if s.Season != nil {
		s.Season = new(*s.Season)
	}
	p := Plan{spec: s, horizon: defaultHorizon}
	var errs []error
	fault := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("schedule: plan %.80q: %s", s.ID, fmt.Sprintf(format, args...)))
	}
	if !event.ValidID(s.ID) || !event.ValidID(s.Asset) {
		fault("id and asset %.80q must be 1 to %d of A-Z a-z 0-9 _ . -", s.Asset, event.MaxID)
	}
	var err error
	if p.zone, err = zone(s.Zone); err != nil {
		fault("%v", err)
	}
	if p.start, err = parseWall(s.Start); err != nil {
		fault("%v", err)
	}
	for _, d := range []struct {
		name, text string
		to         *time.Duration
	}{{"lead", s.Lead, &p.lead}, {"grace", s.Grace, &p.grace}, {"horizon", s.Horizon, &p.horizon}} {
		if err := duration(d.text, d.to); err != nil {
			fault("%s: %v", d.name, err)
		}
	}
	if len(errs) == 0 && s.Kind.calendar() {
		if p.rule, err = ParseRule(s.Rule, s.Start, p.zone); err != nil {
			errs = append(errs, err)
		}
	}
	for _, why := range s.faults(p.rule) {
		fault("%s", why)
	}
	if err := errors.Join(errs...); err != nil {
		return Plan{}, err
	}
	return p, nil
}

func (k Kind) calendar() bool { return k == Fixed || k == Floating || k == Both }
func (k Kind) metered() bool  { return k == Meter || k == Both }

func zone(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return nil, fmt.Errorf("zone %q is not a name such as Europe/Berlin or UTC", name)
	}
	z, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("zone %.80q is not known", name)
	}
	return z, nil
}

func duration(text string, to *time.Duration) error {
	if text == "" {
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > maxDuration {
		return fmt.Errorf("%.40q is not a time from 0 to 8784h such as 48h", text)
	}
	*to = d
	return nil
}

// faults looks at what belongs to one kind or another.
func (s Spec) faults(r Rule) []string {
	var out []string
	check := func(bad bool, why string) {
		if bad {
			out = append(out, why)
		}
	}
	check(!slices.Contains([]Kind{Fixed, Floating, Meter, Both, Condition}, s.Kind),
		fmt.Sprintf("kind %.40q is none of fixed, floating, meter, both and condition", s.Kind))
	check(!s.Kind.calendar() && s.Rule != "", "rule: does not go with this kind")
	check((s.Kind == Floating || s.Kind == Both) && r.opt.Dtstart.Year() > 1 && !r.plain,
		"rule: counted from a completion it takes only FREQ (DAILY to YEARLY) and INTERVAL")
	if s.Kind.metered() {
		check(!event.ValidID(s.Meter), "meter: has no name")
		check(!(s.Every > 0 && s.Every <= 1e12), "every: must be over 0 and at most 1e12")
		check(!(s.LeadUnits >= 0 && s.LeadUnits < s.Every), "lead_units: must be 0 or more and less than every")
	}
	if s.Kind == Condition {
		check(!(s.HealthBelow >= 0 && s.HealthBelow <= 100), "health_below: must be 0 to 100")
		check(!(s.HealthClear >= 0 && s.HealthClear <= 100), "health_clear: must be 0 to 100")
		check(s.HealthBelow == 0 && !s.OnAlarm && !s.OnAnomaly, "names no condition")
	}
	check(s.SkipOpen && s.Kind != Fixed, "skip_open: only a fixed plan can have a former check open")
	check(len(s.Blackout) > maxBlackouts, fmt.Sprintf("blackout: more than %d", maxBlackouts))
	check(slices.ContainsFunc(s.Blackout, Span.empty), "blackout: ends before it begins")
	check(s.Season != nil && !s.Season.valid(), "season: from and to must be days such as 04-01")
	return out
}

func (s Season) valid() bool {
	for _, day := range []string{s.From, s.To} {
		if _, err := time.Parse("2006-01-02", "2024-"+day); err != nil {
			return false
		}
	}
	return true
}
