package config

import (
	"strings"
	"unicode/utf8"
)

// binary looks for the first byte that no text has.
func binary(src []byte) (where position, b byte, found bool) {
	where = position{1, 1}
	for i := 0; i < len(src); {
		c, n := utf8.DecodeRune(src[i:])
		switch {
		case c == utf8.RuneError && n == 1, c < ' ' && c != '\n' && c != '\r' && c != '\t', c == 0x7f:
			return where, src[i], true
		case c == '\n':
			where = position{where.line + 1, 1}
		default:
			where.column++
		}
		i += n
	}
	return where, 0, false
}

// bareVariable is the ${VAR} at a position of src; empty when there is none.
func bareVariable(src []byte, p position) string {
	lines := strings.Split(string(src), "\n")
	if p.line > len(lines) {
		return ""
	}
	line := []rune(lines[p.line-1])
	if p.column < 2 || p.column > len(line) || string(line[p.column-2:p.column]) != "${" {
		return ""
	}
	name, _, ok := strings.Cut(string(line[p.column:]), "}")
	if !ok {
		return ""
	}
	return "${" + name + "}"
}

// tooDeep looks for nesting that the parser's recursion would not survive, by
// counting brackets and list dashes without understanding them.
func tooDeep(src []byte) (position, bool) {
	open, dashes, line, column := 0, 0, 1, 0
	fresh := true // only dashes, blanks and the like so far on this line
	for _, b := range src {
		column++
		switch b {
		case '\n':
			line, column, dashes, fresh = line+1, 0, 0, true
		case '[', '{':
			open++
		case ']', '}':
			open = max(0, open-1)
		case '-', '?', '&', '!', ':':
			if fresh {
				dashes++
			}
		case ' ', '\t':
		default:
			fresh = false
		}
		if open > 5*maxDepth || dashes > maxDepth {
			return position{line, column}, true
		}
	}
	return position{}, false
}
