package driver

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Options are the keys of a connection with their YAML scalars: string, bool,
// any integer type, float64 or time.Duration.
type Options map[string]any

// Reader reads options with types and ranges and collects every fault.
type Reader struct {
	name string
	opts Options
	seen []string
	errs []error
}

// Reader starts reading the options of c.
func (c Config) Reader() *Reader { return &Reader{name: c.Name, opts: c.Options} }

// Fail records a fault of a key.
func (r *Reader) Fail(key, format string, args ...any) {
	r.errs = append(r.errs, &OptionError{Connection: r.name, Key: key, Reason: fmt.Sprintf(format, args...)})
}

// Done gives every fault found, and one for each key that was never asked for,
// naming the nearest that was.
func (r *Reader) Done() error {
	for _, key := range slices.Sorted(maps.Keys(r.opts)) {
		if !slices.Contains(r.seen, key) {
			r.Fail(key, "unknown key%s", Suggest(key, r.seen))
		}
	}
	return errors.Join(r.errs...)
}

func (r *Reader) get(key string) (any, bool) {
	r.seen = append(r.seen, key)
	v, ok := r.opts[key]
	return v, ok && v != nil
}

// String is the text of key, or def if it is not there.
func (r *Reader) String(key, def string) string {
	v, ok := r.get(key)
	if !ok {
		return def
	}
	switch v := v.(type) {
	case string:
		return v
	case bool, int, int64, uint64, float64:
		return fmt.Sprint(v)
	}
	r.Fail(key, "must be text, not %v", v)
	return def
}

// Choice is one of the words, or def if key is not there.
func (r *Reader) Choice(key, def string, words ...string) string {
	s := r.String(key, def)
	if s == def || slices.Contains(words, s) {
		return s
	}
	r.Fail(key, "%q is not one of %s%s", s, strings.Join(words, ", "), Suggest(s, words))
	return def
}

// Int is the whole number of key within low to high, or def if it is not there.
func (r *Reader) Int(key string, def, low, high int64) int64 {
	v, ok := r.get(key)
	if !ok {
		return def
	}
	n, ok := toInt(v)
	if !ok {
		r.Fail(key, "must be a whole number, not %v", v)
		return def
	}
	if n < low || n > high {
		r.Fail(key, "%d is outside %d to %d", n, low, high)
		return def
	}
	return n
}

// Float is the number of key within low to high, or def if it is not there.
func (r *Reader) Float(key string, def, low, high float64) float64 {
	v, ok := r.get(key)
	if !ok {
		return def
	}
	f, ok := toFloat(v)
	if !ok {
		r.Fail(key, "must be a number, not %v", v)
		return def
	}
	if !(f >= low && f <= high) {
		r.Fail(key, "%v is outside %v to %v", f, low, high)
		return def
	}
	return f
}

// Duration is the duration of key ("250ms", "1s", "2m") within low to high, or
// def if it is not there. A bare number is refused: its unit is unknown.
func (r *Reader) Duration(key string, def, low, high time.Duration) time.Duration {
	v, ok := r.get(key)
	if !ok {
		return def
	}
	d, ok := v.(time.Duration)
	if s, text := v.(string); text {
		var err error
		d, err = time.ParseDuration(s)
		ok = err == nil
	}
	if !ok {
		r.Fail(key, "must be a duration such as 1s or 250ms, not %v", v)
		return def
	}
	if d < low || d > high {
		r.Fail(key, "%v is outside %v to %v", d, low, high)
		return def
	}
	return d
}

func toInt(v any) (int64, bool) {
	switch v := v.(type) {
	case int:
		return int64(v), true
	case int64:
		return v, true
	case uint64:
		return int64(v), v <= math.MaxInt64
	case float64:
		return int64(v), v == math.Trunc(v) && math.Abs(v) < 1<<53
	case string:
		n, err := strconv.ParseInt(v, 10, 64)
		return n, err == nil
	}
	return 0, false
}

func toFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case string:
		f, err := strconv.ParseFloat(v, 64)
		return f, err == nil
	}
	n, ok := toInt(v)
	return float64(n), ok
}

// Suggest gives "; did you mean X?" for the word nearest to got, or nothing
// when none is near.
func Suggest(got string, words []string) string {
	best, at := "", max(3, len(got)/2+1)
	for _, w := range words {
		if d := distance(strings.ToLower(got), strings.ToLower(w)); d < at {
			best, at = w, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			swap := diag
			if a[i] != b[j] {
				swap++
			}
			diag = row[j+1]
			row[j+1] = min(swap, diag+1, row[j]+1)
		}
	}
	return row[len(b)]
}
