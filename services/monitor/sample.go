package monitor

import (
	"math"
	"time"
)

// Type is what the value of a sample is.
type Type string

// The types.
const (
	Number Type = "number"
	Bool   Type = "bool"
	Text   Type = "text"
)

// Good is the quality of a value to be trusted; all others are bad.
//
// Source: Sparkplug 3.0, Quality property, 192.
const Good = 192

// Sample is one value of a metric.
type Sample struct {
	At      time.Time `json:"at"`
	Type    Type      `json:"type"`
	Number  float64   `json:"number,omitempty"` // of Number, and 0 or 1 of Bool
	Text    string    `json:"text,omitempty"`   // of Text
	Quality int       `json:"quality"`
}

// Num is a good number.
func Num(at time.Time, v float64) Sample {
	return Sample{At: at, Type: Number, Number: v, Quality: Good}
}

// Flag is a good bool.
func Flag(at time.Time, v bool) Sample {
	s := Sample{At: at, Type: Bool, Quality: Good}
	if v {
		s.Number = 1
	}
	return s
}

// good says whether s is to be trusted: a number that is none is not.
func (s *Sample) good() bool {
	return s.Quality == Good && !math.IsNaN(s.Number) && !math.IsInf(s.Number, 0)
}

// numeric says whether s has a number.
func (s *Sample) numeric() bool { return s.Type == Number || s.Type == Bool }
