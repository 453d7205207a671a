package config

import (
	"encoding"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// decoder fills structs from nodes. It reports faults and goes on.
type decoder struct {
	check    *Checker
	readFile func(string) ([]byte, error)
}

type defaulter interface{ Defaults() }

var (
	secretType = reflect.TypeFor[Secret]()
	anyMapType = reflect.TypeFor[map[string]any]()
)

func (d *decoder) root(n *node, out any) {
	d.check.pos[""] = n.at
	d.value("", n, reflect.ValueOf(out).Elem(), "")
}

// value decodes n into v. enum is the list of allowed words, if any.
func (d *decoder) value(path string, n *node, v reflect.Value, enum string) {
	d.check.pos[path] = n.at
	if n.bad {
		d.check.excuse(path)
		return
	}
	if n.kind == null {
		if v.Kind() == reflect.Struct {
			withDefaults(v)
		}
		return
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if t, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if d.scalar(path, n, "a value") {
			if err := t.UnmarshalText([]byte(n.text)); err != nil {
				d.check.Faultf(path, "%s", reason(err))
			}
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.structure(path, n, v)
	case reflect.Map:
		d.mapping(path, n, v)
	case reflect.Slice, reflect.Array:
		d.list(path, n, v)
	case reflect.Interface:
		v.Set(reflect.ValueOf(d.free(path, n)))
	case reflect.String:
		d.text(path, n, v, enum)
	case reflect.Bool:
		if d.scalar(path, n, "true or false") {
			if n.kind == quoted || n.text != "true" && n.text != "false" {
				d.check.Faultf(path, "want true or false, not %s", quote(n.text))
			}
			v.SetBool(n.text == "true")
		}
	default:
		d.number(path, n, v)
	}
}

// scalar says whether n is one, and reports it if not.
func (d *decoder) scalar(path string, n *node, want string) bool {
	if n.kind != plain && n.kind != quoted {
		d.check.Faultf(path, "want %s, not %s", want, n.kind)
		return false
	}
	return true
}

func (d *decoder) text(path string, n *node, v reflect.Value, enum string) {
	if !d.scalar(path, n, "a text") {
		return
	}
	if n.kind == plain && (n.text == "true" || n.text == "false") {
		d.check.Faultf(path, "want a text, not %s: quote it if it is one", n.text)
	}
	if enum != "" && n.text != "" {
		words := strings.Split(enum, ",")
		if !contains(words, n.text) {
			d.check.Faultf(path, "%s is none of %s%s", quote(n.text), strings.Join(words, ", "), hint(n.text, words))
		}
	}
	v.SetString(n.text)
}

func contains(words []string, s string) bool {
	return slices.Contains(words, s)
}

// hint is a question with the nearest word, or nothing.
func hint(word string, candidates []string) string {
	if near := Nearest(word, candidates); near != "" {
		return ": did you mean " + near + "?"
	}
	return ""
}

func (d *decoder) number(path string, n *node, v reflect.Value) {
	if !d.scalar(path, n, "a number") {
		return
	}
	if n.kind == quoted {
		d.check.Faultf(path, "want a number, not the text %s", quote(n.text))
		return
	}
	switch {
	case v.CanInt():
		i, ok := parseInt(n.text)
		if !ok || v.OverflowInt(i) {
			d.check.Faultf(path, "want a whole number, not %s", quote(n.text))
			return
		}
		v.SetInt(i)
	case v.CanUint():
		u, err := strconv.ParseUint(n.text, 0, 64)
		if err != nil || leadingZero(n.text) || v.OverflowUint(u) {
			d.check.Faultf(path, "want a whole number, 0 or more, not %s", quote(n.text))
			return
		}
		v.SetUint(u)
	case v.CanFloat():
		f, err := strconv.ParseFloat(n.text, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			d.check.Faultf(path, "want a number, not %s", quote(n.text))
			return
		}
		v.SetFloat(f)
	default:
		panic("config: a field of type " + v.Type().String() + " cannot be configured")
	}
}

// parseInt reads a decimal, 0x, 0o or 0b number. Leading zeros are refused,
// because they mean octal to some readers and nothing to others.
func parseInt(s string) (int64, bool) {
	i, err := strconv.ParseInt(s, 0, 64)
	return i, err == nil && !leadingZero(s)
}

func leadingZero(s string) bool {
	s = strings.TrimLeft(s, "+-")
	return len(s) > 1 && s[0] == '0' && s[1] >= '0' && s[1] <= '9'
}

func (d *decoder) list(path string, n *node, v reflect.Value) {
	if n.kind != list {
		d.check.Faultf(path, "want a list, not %s", describe(n))
		return
	}
	if v.Kind() == reflect.Array {
		if len(n.items) != v.Len() {
			d.check.Faultf(path, "want a list of %d, not of %d", v.Len(), len(n.items))
			return
		}
	} else {
		v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
	}
	for i, item := range n.items {
		d.value(Index(path, i), item, v.Index(i), "")
	}
}

func (d *decoder) mapping(path string, n *node, v reflect.Value) {
	if n.kind != mapping {
		d.check.Faultf(path, "want a mapping, not %s", describe(n))
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(n.keys)))
	for _, e := range n.keys {
		elem := reflect.New(v.Type().Elem()).Elem()
		d.value(Key(path, e.name), e.value, elem, "")
		v.SetMapIndex(reflect.ValueOf(e.name), elem)
	}
}

// free decodes into string, bool, int64, uint64, float64, []any or map[string]any.
func (d *decoder) free(path string, n *node) any {
	d.check.pos[path] = n.at
	switch n.kind {
	case quoted:
		return n.text
	case plain:
		return plainValue(n.text)
	case list:
		out := make([]any, len(n.items))
		for i, item := range n.items {
			out[i] = d.free(Index(path, i), item)
		}
		return out
	case mapping:
		out := make(map[string]any, len(n.keys))
		for _, e := range n.keys {
			out[e.name] = d.free(Key(path, e.name), e.value)
		}
		return out
	}
	return ""
}

func plainValue(s string) any {
	if s == "true" || s == "false" {
		return s == "true"
	}
	if i, ok := parseInt(s); ok {
		return i
	}
	if u, err := strconv.ParseUint(s, 10, 64); err == nil && !leadingZero(s) {
		return u
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil && !math.IsNaN(f) && !math.IsInf(f, 0) && !leadingZero(s) {
		return f
	}
	return s
}

func describe(n *node) string {
	if n.kind == plain || n.kind == quoted {
		return quote(n.text)
	}
	return n.kind.String()
}
