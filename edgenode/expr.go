package edgenode

import (
	"fmt"
	"strconv"
	"strings"
)

// expand puts parameters into a text of a template: {name} stands for the
// parameter itself, {base+2} or {base+8*n-1} for whole-number arithmetic with
// it. Multiplication goes before addition.
func expand(text string, params map[string]any) (string, error) {
	var out strings.Builder
	for rest := text; ; {
		head, tail, ok := strings.Cut(rest, "{")
		out.WriteString(head)
		if !ok {
			return out.String(), nil
		}
		expr, after, ok := strings.Cut(tail, "}")
		if !ok {
			return "", fmt.Errorf("{ without } in %q", text)
		}
		if s, ok := params[strings.TrimSpace(expr)].(string); ok {
			out.WriteString(s)
		} else {
			n, err := sum(expr, params)
			if err != nil {
				return "", fmt.Errorf("{%s}: %w", expr, err)
			}
			out.WriteString(strconv.FormatInt(n, 10))
		}
		rest = after
	}
}

func sum(expr string, params map[string]any) (int64, error) {
	total, sign := int64(0), int64(1)
	for {
		i := strings.IndexAny(expr, "+-")
		term := expr
		if i >= 0 {
			term = expr[:i]
		}
		n, err := product(term, params)
		if err != nil {
			return 0, err
		}
		total += sign * n
		if i < 0 {
			return total, nil
		}
		sign = 1
		if expr[i] == '-' {
			sign = -1
		}
		expr = expr[i+1:]
	}
}

func product(term string, params map[string]any) (int64, error) {
	total := int64(1)
	for factor := range strings.SplitSeq(term, "*") {
		factor = strings.TrimSpace(factor)
		n, err := strconv.ParseInt(factor, 10, 64)
		if err != nil {
			switch v := params[factor].(type) {
			case int64:
				n = v
			case int:
				n = int64(v)
			case nil:
				return 0, fmt.Errorf("no parameter %q", factor)
			default:
				return 0, fmt.Errorf("parameter %q is not a whole number", factor)
			}
		}
		total *= n
	}
	return total, nil
}
