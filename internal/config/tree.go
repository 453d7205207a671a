package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Limits against files made to exhaust memory: long ones, and deep ones, which
// the parser walks recursively.
const (
	maxFile  = 8 << 20
	maxDepth = 100
)

type kind uint8

const (
	null kind = iota
	plain
	quoted
	list
	mapping
)

func (k kind) String() string {
	return [...]string{"nothing", "a value", "a text", "a list", "a mapping"}[k]
}

// node is one value of the file, substituted.
type node struct {
	kind  kind
	text  string // of a scalar
	at    position
	bad   bool // a fault was reported of it
	items []*node
	keys  []entry
}

// has says whether a mapping has the key.
func (n *node) has(key string) bool {
	return slices.ContainsFunc(n.keys, func(e entry) bool { return e.name == key })
}

type entry struct {
	name  string
	at    position
	value *node
}

// reader turns the parser's tree into ours. It reports faults and goes on.
type reader struct {
	check  *Checker
	lookup func(string) (string, bool)
}

// parse reads the one document of src; nil when there is none or it is broken.
func (r *reader) parse(src []byte) (root *node) {
	defer func() {
		if p := recover(); p != nil { // the parser's fault, not the caller's
			r.fault(position{1, 1}, "not YAML that can be read: %v", p)
			root = nil
		}
	}()
	if at, b, ok := binary(src); ok {
		r.fault(at, "not a text in UTF-8: byte 0x%02x", b)
		return nil
	}
	if at, ok := tooDeep(src); ok {
		r.fault(at, "nested deeper than %d levels", maxDepth)
		return nil
	}
	file, err := parser.ParseBytes(src, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		r.syntax(src, err)
		return nil
	}
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil:
		case root != nil:
			r.fault(at(doc.Body.GetToken()), "a second document: one file holds one configuration")
			return root
		default:
			root = r.node(doc.Body, 0)
		}
	}
	return root
}

func (r *reader) fault(p position, format string, args ...any) {
	r.check.faults = append(r.check.faults, Fault{r.check.file, p.line, p.column, "", fmt.Sprintf(format, args...)})
}

// syntax reports what the parser said. It says where through GetToken.
func (r *reader) syntax(src []byte, err error) {
	where, message := position{1, 1}, err.Error()
	if e, ok := err.(interface {
		GetToken() *token.Token
		GetMessage() string
	}); ok {
		where, message = at(e.GetToken()), e.GetMessage()
	}
	if v := bareVariable(src, where); v != "" {
		r.fault(where, "inside { } and [ ] a variable must be quoted: write %s", quote(v))
		return
	}
	r.fault(where, "not YAML: %s", cut(strings.ReplaceAll(message, "\n", " "), 200))
}

func at(t *token.Token) position {
	if t == nil || t.Position == nil {
		return position{1, 1}
	}
	return position{max(1, t.Position.Line), max(1, t.Position.Column)}
}

func (r *reader) node(n ast.Node, depth int) *node {
	out := &node{at: at(n.GetToken())}
	if depth > maxDepth {
		r.fault(out.at, "nested deeper than %d levels", maxDepth)
		out.bad = true
		return out
	}
	switch n := n.(type) {
	case *ast.NullNode:
	case *ast.StringNode:
		out.kind, out.text = quoted, n.Value
		if t := n.GetToken().Type; t != token.SingleQuoteType && t != token.DoubleQuoteType {
			out.kind = plain
		}
		r.substitute(out)
	case *ast.LiteralNode:
		out.kind, out.text = quoted, n.Value.Value
		r.substitute(out)
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		out.kind, out.text = plain, n.GetToken().Value
	case *ast.SequenceNode:
		out.kind = list
		for _, v := range n.Values {
			out.items = append(out.items, r.node(v, depth+1))
		}
	case *ast.MappingNode:
		out.kind = mapping
		r.entries(out, n.Values, depth)
	case *ast.MappingValueNode:
		out.kind = mapping
		r.entries(out, []*ast.MappingValueNode{n}, depth)
	case *ast.AnchorNode, *ast.AliasNode:
		r.fault(out.at, "anchors and aliases are not supported")
		out.bad = true
	default:
		r.fault(out.at, "%s is not supported", n.Type())
		out.bad = true
	}
	return out
}

func (r *reader) entries(out *node, values []*ast.MappingValueNode, depth int) {
	if len(values) > 0 {
		out.at = at(values[0].Key.GetToken())
	}
	seen := make(map[string]bool, len(values))
	for _, v := range values {
		name, where := "", at(v.Key.GetToken())
		switch k := v.Key.(type) {
		case *ast.StringNode:
			name = k.Value
		case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
			name = k.GetToken().Value
		default:
			r.fault(where, "a key must be a plain word")
			continue
		}
		if seen[name] {
			r.fault(where, "key %s stands here twice", quote(name))
			continue
		}
		seen[name] = true
		child := &node{at: where}
		if v.Value != nil {
			child = r.node(v.Value, depth+1)
		}
		out.keys = append(out.keys, entry{name, where, child})
	}
}

// substitute puts the environment into n.text: ${VAR} must be set, and
// ${VAR:-default} stands for the default when VAR is unset or empty. $${ is a
// literal ${.
func (r *reader) substitute(n *node) {
	if !strings.Contains(n.text, "${") {
		return
	}
	var out strings.Builder
	for rest := n.text; ; {
		i := strings.Index(rest, "${")
		if i < 0 {
			out.WriteString(rest)
			break
		}
		if i > 0 && rest[i-1] == '$' {
			out.WriteString(rest[:i-1] + "${")
			rest = rest[i+2:]
			continue
		}
		out.WriteString(rest[:i])
		expr, tail, ok := strings.Cut(rest[i+2:], "}")
		if !ok {
			r.fault(n.at, "${ without }: write ${VAR}, ${VAR:-default}, or $${ for itself")
			n.bad = true
			return
		}
		out.WriteString(r.variable(n, expr))
		rest = tail
	}
	n.text = out.String()
}

func (r *reader) variable(n *node, expr string) string {
	name, preset, hasPreset := strings.Cut(expr, ":-")
	if name == "" || strings.ContainsAny(name, " \t\n${:=") {
		r.fault(n.at, "${%s} names no variable: write ${VAR} or ${VAR:-default}", cut(expr, 40))
		n.bad = true
		return ""
	}
	value, ok := r.lookup(name)
	switch {
	case hasPreset && value == "":
		return preset
	case !ok:
		r.fault(n.at, "environment variable %s is not set, and ${%s} has no default", cut(name, 40), cut(name, 40))
		n.bad = true
	}
	return value
}
