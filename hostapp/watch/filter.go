package watch

import "strings"

// covers says whether every topic that filter b matches is matched by a too.
func covers(a, b string) bool {
	for {
		x, restA, moreA := strings.Cut(a, "/")
		y, restB, moreB := strings.Cut(b, "/")
		switch {
		case x == "#":
			return true
		case y == "#", x != "+" && x != y:
			return false
		case !moreA && !moreB:
			return true
		case !moreA:
			return false
		case !moreB:
			return restA == "#"
		}
		a, b = restA, restB
	}
}

// ValidFilter says whether s is an MQTT topic filter.
func ValidFilter(s string) bool {
	if s == "" || len(s) > 65535 || strings.ContainsRune(s, 0) {
		return false
	}
	for {
		level, rest, more := strings.Cut(s, "/")
		if level == "#" {
			return !more
		}
		if level != "+" && strings.ContainsAny(level, "+#") {
			return false
		}
		if !more {
			return true
		}
		s = rest
	}
}
