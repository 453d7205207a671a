package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Fault is one thing that is wrong with a configuration.
type Fault struct {
	File    string // empty for a configuration that came from no file
	Line    int    // from 1; 0 when the fault is about the file as a whole
	Column  int    // from 1, in characters
	Path    string // "devices[0].class"; empty when it is about the file
	Message string
}

// String prints "file:line:column: message"; without a position the path takes
// its place.
func (f Fault) String() string {
	switch {
	case f.Line > 0:
		return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.Message)
	case f.File != "":
		return f.File + ": " + f.Message
	case f.Path != "":
		return f.Path + ": " + f.Message
	}
	return f.Message
}

// Faults are all that is wrong with a configuration, in the order of the file.
type Faults []Fault

// Error prints one line for each fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, one := range f {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// sorted orders faults by position and drops repeated ones.
func (f Faults) sorted() Faults {
	slices.SortStableFunc(f, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.Compact(f)
}

// quote prints what a file says, in quotes and not too much of it.
func quote(s string) string { return strconv.Quote(cut(s, 40)) }

// cut shortens s to at most that many characters.
func cut(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
