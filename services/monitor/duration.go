package monitor

import (
	"fmt"
	"time"
)

// Duration is a time.Duration that is written as a text with units: "2s", "8h".
type Duration time.Duration

// MarshalText writes d as time.Duration.String does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("monitor: duration: %q is not a number with a unit, such as 2s", b)
	}
	*d = Duration(v)
	return nil
}

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
