package monitor

import (
	"fmt"
	"strings"

	"github.com/magneto-iiot/magneto/services/event"
)

// Path is where an asset belongs: enterprise/site/area/line/cell. Enterprise and
// site are always there; the others may be missing, from the end.
//
// Source: ISA-95 part 1, equipment hierarchy.
type Path struct {
	Enterprise, Site, Area, Line, Cell string
}

// MaxLevel is how long a level of a path may be, in bytes.
const MaxLevel = 64

var levels = [...]string{"enterprise", "site", "area", "line", "cell"}

// ParsePath reads a path. Its error is a *Fault that names the level.
func ParsePath(s string) (Path, error) {
	parts := strings.SplitN(s, "/", len(levels)+1)
	switch {
	case len(parts) > len(levels):
		return Path{}, &Fault{"path", fmt.Sprintf("more than %d levels", len(levels))}
	case len(parts) < 2:
		return Path{}, &Fault{"path", "is not enterprise/site, with area, line and cell if need be"}
	}
	for i, part := range parts {
		if reason := levelReason(part); reason != "" {
			return Path{}, &Fault{"path." + levels[i], reason}
		}
	}
	if !event.ValidID(parts[1]) {
		return Path{}, &Fault{"path.site", fmt.Sprintf("%q is part of topics: A-Z a-z 0-9 _ . - alone", parts[1])}
	}
	parts = append(parts, "", "", "")
	return Path{parts[0], parts[1], parts[2], parts[3], parts[4]}, nil
}

func levelReason(s string) string {
	var f faults
	f.text("level", s, true)
	switch {
	case s == "":
		return "is empty"
	case len(s) > MaxLevel:
		return fmt.Sprintf("%d bytes, at most %d", len(s), MaxLevel)
	case len(f) > 0:
		return fmt.Sprintf("%q has control characters or is no UTF-8", s)
	case strings.TrimSpace(s) != s:
		return fmt.Sprintf("%q begins or ends with a space", s)
	case strings.ContainsAny(s, "+#"):
		return fmt.Sprintf("%q has + or #", s)
	}
	return ""
}

// String is p as ParsePath reads it.
func (p Path) String() string {
	return strings.TrimRight(strings.Join([]string{p.Enterprise, p.Site, p.Area, p.Line, p.Cell}, "/"), "/")
}
