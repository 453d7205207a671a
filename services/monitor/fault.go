package monitor

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/magneto-iiot/magneto/services/event"
)

// Fault is one thing that is wrong with a rule, an asset or a meter.
type Fault struct {
	Where  string // the field, such as limit or rules[3].inputs[0].name
	Reason string
}

func (f *Fault) Error() string { return "monitor: " + f.Where + ": " + f.Reason }

// faults gathers them.
type faults []error

func (f *faults) add(where, reason string, args ...any) {
	*f = append(*f, &Fault{where, fmt.Sprintf(reason, args...)})
}

func (f faults) err() error { return errors.Join(f...) }

// text finds fault with a text that is too long or can not be shown.
func (f *faults) text(where, s string, must bool) {
	switch {
	case s == "" && must:
		f.add(where, "is missing")
	case len(s) > MaxName:
		f.add(where, "%d bytes, at most %d", len(s), MaxName)
	case !utf8.ValidString(s), strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		f.add(where, "%q has control characters or is no UTF-8", s)
	}
}

// within finds fault with a duration out of its range.
func (f *faults) within(where string, d, low, high Duration) {
	if d < low || d > high {
		text, _ := d.MarshalText()
		lo, _ := low.MarshalText()
		hi, _ := high.MarshalText()
		f.add(where, "%s is not from %s to %s", text, lo, hi)
	}
}

// finite finds fault with a number that is none.
func (f *faults) finite(where string, v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		f.add(where, "%v is no number", v)
	}
}

func (f *faults) id(where, id string) {
	if !event.ValidID(id) {
		f.add(where, "%q is not 1 to %d of A-Z a-z 0-9 _ . -", id, event.MaxID)
	}
}

// oneOf finds fault with a word that is none of those.
func oneOf[T ~string](f *faults, where string, v T, of ...T) {
	if !slices.Contains(of, v) {
		f.add(where, "%q is none of %v", string(v), of)
	}
}
