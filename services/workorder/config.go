package workorder

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/magneto-iiot/magneto/services/event"
	"github.com/magneto-iiot/magneto/services/store"
)

// severities are those of anomalies, and the priorities of orders, the least first.
var severities = []string{"low", "medium", "high", "critical"}

// Rule says which anomalies become orders.
type Rule struct {
	FailureMode   string  // of the anomaly; empty: any
	Severity      string  // the least: low, medium, high, critical; low if empty
	Confidence    float64 // the least, 0 to 1
	Template      string  // of the order
	Approval      bool    // a person approves the order first
	CancelOnClear bool    // an order that was not begun is cancelled when all its anomalies are over
}

// Template is what a kind of work takes.
type Template struct {
	ID       string
	Duration time.Duration
	DueIn    time.Duration // from the order's making to the end of the work; a week if zero
	Skills   []string
	Tools    []string
	Parts    []event.Part
}

// Config is what a Service works with. Store is required; it is opened with
// Migrations.
type Config struct {
	Store     *store.Store
	Rules     []Rule // the first that fits counts
	Templates []Template
	Every     time.Duration // between two looks for deadlines; 1 s if zero

	Now func() time.Time // time.Now if nil; as that of the store
	Log *slog.Logger     // slog.Default() if nil
}

func (c Config) ready() (Config, error) {
	if c.Every == 0 {
		c.Every = time.Second
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	var faults []error
	if c.Store == nil {
		faults = append(faults, errors.New("workorder: no store"))
	}
	for i, t := range c.Templates {
		switch {
		case t.ID == "" || slices.ContainsFunc(c.Templates[:i], func(o Template) bool { return o.ID == t.ID }):
			faults = append(faults, fmt.Errorf("workorder: template %d: id %q is empty or there twice", i+1, t.ID))
		case t.Duration <= 0 || t.DueIn < 0 || t.DueIn > 0 && t.DueIn < t.Duration:
			faults = append(faults, fmt.Errorf("workorder: template %s: duration %v within %v: want more than 0, and not more than it is due in", t.ID, t.Duration, t.DueIn))
		}
	}
	for i, r := range c.Rules {
		switch {
		case c.template(r.Template) == nil:
			faults = append(faults, fmt.Errorf("workorder: rule %d: there is no template %q", i+1, r.Template))
		case r.Severity != "" && !slices.Contains(severities, r.Severity):
			faults = append(faults, fmt.Errorf("workorder: rule %d: severity %q: want one of %v", i+1, r.Severity, severities))
		case r.Confidence < 0 || r.Confidence > 1:
			faults = append(faults, fmt.Errorf("workorder: rule %d: confidence %v is not 0 to 1", i+1, r.Confidence))
		}
	}
	return c, errors.Join(faults...)
}

// template returns the one with an id, nil if there is none.
func (c *Config) template(id string) *Template {
	i := slices.IndexFunc(c.Templates, func(t Template) bool { return t.ID == id })
	if i < 0 {
		return nil
	}
	return &c.Templates[i]
}

// rule returns the first that an anomaly fits, nil if there is none.
func (c *Config) rule(a *event.Anomaly) *Rule {
	i := slices.IndexFunc(c.Rules, func(r Rule) bool {
		return (r.FailureMode == "" || r.FailureMode == a.FailureMode) && a.Confidence >= r.Confidence &&
			slices.Index(severities, a.Severity) >= max(0, slices.Index(severities, r.Severity))
	})
	if i < 0 {
		return nil
	}
	return &c.Rules[i]
}

// need is what the work of a template takes, when it is ordered now.
func (t *Template) need(now time.Time) Need {
	due := t.DueIn
	if due == 0 {
		due = max(7*24*time.Hour, t.Duration)
	}
	return Need{Duration: t.Duration, Earliest: now, Latest: now.Add(due), Skills: t.Skills, Tools: t.Tools, Parts: t.Parts}
}
