package monitor

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// Kind is what a rule looks at.
type Kind string

// The kinds. Limit, rate and deviation compare a signal with a limit on one side.
const (
	KindLimit      Kind = "limit"      // the value
	KindRate       Kind = "rate"       // the value's change per second over a window
	KindDeviation  Kind = "deviation"  // the value less its set-point
	KindNoData     Kind = "nodata"     // no good value for some time, or the asset is stale or offline
	KindExpression Kind = "expression" // a boolean over several metrics
)

// Priority says how soon somebody must act.
type Priority string

// The priorities.
const (
	Critical Priority = "critical"
	High     Priority = "high"
	Medium   Priority = "medium"
	Low      Priority = "low"
)

// Side says on which side of the limit the condition holds. HiHi and LoLo compare
// as High and Low do: they name the second, farther limit, which is a rule of its own.
type Side string

// The sides.
const (
	SideHigh Side = "high" // signal > limit
	SideLow  Side = "low"  // signal < limit
	SideHiHi Side = "hihi"
	SideLoLo Side = "lolo"
	SideBoth Side = "both" // |signal| > limit; of rate and deviation
)

// Bounds of rules.
const (
	MaxRules     = 10_000
	MaxRulesSize = 16 << 20 // bytes of a file of rules
	MaxName      = 256      // bytes of names, classes and metrics
	MaxDelay     = Duration(24 * time.Hour)
	MinWindow    = Duration(100 * time.Millisecond)
	MaxAfter     = Duration(30 * 24 * time.Hour)
	MaxShelf     = Duration(30 * 24 * time.Hour)
	Shelf        = Duration(8 * time.Hour) // MaxShelve of a rule that does not say
	MaxOf        = 64                      // n of m of n
)

// Rule says when an alarm is wanted. Limits have the unit of the metric, that of a
// rate per second.
type Rule struct {
	ID       string   `json:"id"` // A-Z a-z 0-9 _ . -
	Name     string   `json:"name,omitempty"`
	Kind     Kind     `json:"kind"`
	Priority Priority `json:"priority"`
	Class    string   `json:"class,omitempty"`  // for assets of this class; empty: of all
	Assets   []string `json:"assets,omitempty"` // for these alone; empty: for all

	Metric   string   `json:"metric,omitempty"` // of nodata: empty is any metric of the asset
	Side     Side     `json:"side,omitempty"`
	Limit    *float64 `json:"limit,omitempty"`
	Deadband float64  `json:"deadband,omitempty"` // how far the signal must come back behind the limit

	Window         Duration `json:"window,omitempty"`          // of rate
	Setpoint       *float64 `json:"setpoint,omitempty"`        // of deviation: this, or
	SetpointMetric string   `json:"setpoint_metric,omitempty"` // the value of that metric
	After          Duration `json:"after,omitempty"`           // of nodata
	Expression     string   `json:"expression,omitempty"`
	Inputs         []Var    `json:"inputs,omitempty"` // of expression

	OnDelay   Duration `json:"on_delay,omitempty"`  // the condition must hold this long to begin
	OffDelay  Duration `json:"off_delay,omitempty"` // and must be gone this long to end
	M         int      `json:"m,omitempty"`         // of the last N evaluations, M must find it true; 0: the last alone
	N         int      `json:"n,omitempty"`
	Latched   bool     `json:"latched,omitempty"`    // stays until somebody resets it
	MaxShelve Duration `json:"max_shelve,omitempty"` // longest time to be shelved; 0: Shelf
}

// Var is a name in an expression and the metric that it stands for.
type Var struct {
	Name   string `json:"name"` // a letter or _, then letters, digits, _
	Metric string `json:"metric"`
	Type   Type   `json:"type"`
}

// Applies says whether r is for the asset.
func (r *Rule) Applies(a *Asset) bool {
	return (r.Class == "" || r.Class == a.Class) && (len(r.Assets) == 0 || slices.Contains(r.Assets, a.ID))
}

// maxShelve is the longest time r's alarms may be shelved.
func (r *Rule) maxShelve() time.Duration { return time.Duration(cmp.Or(r.MaxShelve, Shelf)) }

// ParseRules reads a JSON array of rules and checks it. Keys it does not know are
// refused. Its error joins a *Fault for all that is wrong with the rules.
func ParseRules(b []byte) ([]Rule, error) {
	if len(b) > MaxRulesSize {
		return nil, &Fault{"rules", fmt.Sprintf("%d bytes, at most %d", len(b), MaxRulesSize)}
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var rules []Rule
	if err := d.Decode(&rules); err != nil {
		return nil, &Fault{"rules", fmt.Sprintf("near byte %d: %v", d.InputOffset(), err)}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, &Fault{"rules", "something follows the array"}
	}
	if rules == nil {
		return nil, &Fault{"rules", "null is no array"}
	}
	if err := CheckRules(rules); err != nil {
		return nil, err
	}
	return rules, nil
}

// CheckRules checks all rules, and that no two have one id. Its error is as that of
// ParseRules; a fault's place begins with the rule's, such as rules[3].limit.
func CheckRules(rules []Rule) error {
	var f faults
	if len(rules) > MaxRules {
		f.add("rules", "%d rules, at most %d", len(rules), MaxRules)
		return f.err()
	}
	first := map[string]int{}
	for i := range rules {
		where := fmt.Sprintf("rules[%d]", i)
		rules[i].check(&f, where+".")
		if j, twice := first[rules[i].ID]; twice {
			f.add(where+".id", "%q is that of rules[%d] too", rules[i].ID, j)
			continue
		}
		first[rules[i].ID] = i
	}
	return f.err()
}

// Check finds everything that is wrong with r: nil, or an error that joins a *Fault
// for each, whose place is the field.
func (r *Rule) Check() error {
	var f faults
	r.check(&f, "")
	return f.err()
}
