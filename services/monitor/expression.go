package monitor

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"
)

// Bounds of expressions. There are no loops, ranges or lists in them, so that the
// work of one evaluation is that of its nodes.
const (
	MaxExpression = 1024 // bytes
	MaxNodes      = 256
	MaxInputs     = 32
	MaxText       = 1024 // bytes of a text that an expression sees
	memoryBudget  = 1000 // of the virtual machine, in its own units
)

var (
	exprName      = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)
	exprFunctions = []string{"abs", "ceil", "floor", "max", "min", "round"}
	exprOperators = []string{
		"+", "-", "*", "/", "%", "**", "==", "!=", "<", "<=", ">", ">=", "and", "or", "&&", "||", "not", "!",
		"contains", "startsWith", "endsWith",
	}
)

// expression is a compiled one. It is for one goroutine at a time.
type expression struct {
	program *vm.Program
	machine vm.VM
	env     map[string]any
}

// guard walks an expression and refuses what could take long, or depends on more
// than its inputs.
type guard struct {
	used   map[string]bool
	faults []string
}

// Visit is called for each node, by package expr.
func (g *guard) Visit(node *ast.Node) {
	bad := ""
	switch n := (*node).(type) {
	case *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode, *ast.StringNode, *ast.ConditionalNode:
	case *ast.IdentifierNode:
		g.used[n.Value] = true
	case *ast.UnaryNode:
		bad = n.Operator
	case *ast.BinaryNode:
		bad = n.Operator
	case *ast.BuiltinNode:
		if !slices.Contains(exprFunctions, n.Name) {
			g.refuse(*node, n.Name)
		}
	case *ast.CallNode:
		g.refuse(*node, n.Callee.String())
	default:
		g.refuse(*node, fmt.Sprintf("a %T", n))
	}
	if bad != "" && !slices.Contains(exprOperators, bad) {
		g.refuse(*node, bad)
	}
}

func (g *guard) refuse(n ast.Node, what string) {
	g.faults = append(g.faults, fmt.Sprintf("column %d: %s is not allowed here", n.Location().From+1, what))
}

// compile checks the expression of r and its inputs, and returns it ready to run;
// nil if something is wrong, which it adds to f.
func compile(r *Rule, f *faults, at string) *expression {
	before := len(*f)
	if len(r.Expression) > MaxExpression {
		f.add(at+"expression", "%d bytes, at most %d", len(r.Expression), MaxExpression)
	}
	env := checkInputs(r.Inputs, f, at)
	if len(*f) > before {
		return nil
	}
	g := &guard{used: map[string]bool{}}
	program, err := compileSafely(r.Expression, env, g)
	for _, reason := range g.faults {
		f.add(at+"expression", "%s", reason)
	}
	if err != nil && len(g.faults) == 0 {
		f.add(at+"expression", "%s", exprReason(err))
	}
	for i, v := range r.Inputs {
		if err == nil && !g.used[v.Name] {
			f.add(fmt.Sprintf("%sinputs[%d].name", at, i), "%q is not used by the expression", v.Name)
		}
	}
	if len(*f) > before {
		return nil
	}
	return &expression{program: program, machine: vm.VM{MemoryBudget: memoryBudget}, env: map[string]any{}}
}

// checkInputs returns a value of the right type for each input.
func checkInputs(vars []Var, f *faults, at string) map[string]any {
	env := map[string]any{}
	if len(vars) > MaxInputs {
		f.add(at+"inputs", "%d, at most %d", len(vars), MaxInputs)
		return env
	}
	zero := map[Type]any{Number: 0.0, Bool: false, Text: ""}
	for i, v := range vars {
		where := fmt.Sprintf("%sinputs[%d].", at, i)
		f.text(where+"metric", v.Metric, true)
		oneOf(f, where+"type", v.Type, Number, Bool, Text)
		_, twice := env[v.Name]
		switch {
		case !exprName.MatchString(v.Name):
			f.add(where+"name", "%q is not a letter or _, then letters, digits and _", v.Name)
		case slices.Contains(exprFunctions, v.Name):
			f.add(where+"name", "%q is a function", v.Name)
		case twice:
			f.add(where+"name", "%q is there twice", v.Name)
		}
		env[v.Name] = zero[v.Type]
	}
	return env
}

// compileSafely makes an error of a panic: what people write is never one.
func compileSafely(source string, env map[string]any, g *guard) (p *vm.Program, err error) {
	defer func() {
		if r := recover(); r != nil {
			p, err = nil, fmt.Errorf("can not be compiled: %v", r)
		}
	}()
	options := []expr.Option{
		expr.Env(env), expr.AsBool(), expr.WarnOnAny(), expr.MaxNodes(MaxNodes), expr.Patch(g), expr.DisableAllBuiltins(),
	}
	for _, name := range exprFunctions {
		options = append(options, expr.EnableBuiltin(name))
	}
	return expr.Compile(source, options...)
}

// exprReason says in one line what is wrong, and where.
func exprReason(err error) string {
	if e, ok := errors.AsType[*file.Error](err); ok {
		return fmt.Sprintf("column %d: %s", e.Column+1, e.Message)
	}
	return err.Error()
}

// set gives an input its value. It returns what is wrong with it, if anything.
func (e *expression) set(v Var, s *Sample) string {
	switch {
	case s.Type != v.Type:
		return fmt.Sprintf("metric %q is a %s, not a %s", v.Metric, s.Type, v.Type)
	case s.Type == Bool:
		e.env[v.Name] = s.Number != 0
	case s.Type == Number:
		e.env[v.Name] = s.Number
	case len(s.Text) > MaxText:
		return fmt.Sprintf("metric %q is a text of %d bytes, at most %d", v.Metric, len(s.Text), MaxText)
	default:
		e.env[v.Name] = s.Text
	}
	return ""
}

// run evaluates e. It returns what went wrong, if anything; it never panics.
func (e *expression) run() (holds bool, fault string) {
	defer func() {
		if r := recover(); r != nil {
			holds, fault = false, fmt.Sprint(r)
		}
	}()
	v, err := e.machine.Run(e.program, e.env)
	if err != nil {
		return false, exprReason(err)
	}
	holds, ok := v.(bool)
	if !ok {
		return false, fmt.Sprintf("gave a %T, not a bool", v)
	}
	return holds, ""
}
