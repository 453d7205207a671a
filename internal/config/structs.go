package config

import (
	"reflect"
	"slices"
	"strings"
)

// field is one configurable field of a struct.
type field struct {
	name  string
	index int
	enum  string
	short bool // the struct may be written as this list alone
}

// fields lists the configurable fields of t; rest is the index of the one that
// takes all other keys, or -1.
func fields(t reflect.Type) (out []field, rest int) {
	rest = -1
	for i := range t.NumField() {
		f := t.Field(i)
		name, opts, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case opts == "inline" && f.Type == anyMapType:
			rest = i
		case name != "" && name != "-":
			out = append(out, field{name, i, f.Tag.Get("enum"), opts == "short"})
		}
	}
	return out, rest
}

// shortForm is the field as which alone a struct may be written.
func shortForm(t reflect.Type) (field, bool) {
	known, _ := fields(t)
	i := slices.IndexFunc(known, func(f field) bool { return f.short })
	if i < 0 {
		return field{}, false
	}
	return known[i], true
}

// withDefaults fills in the defaults of a struct that has some.
func withDefaults(v reflect.Value) {
	if p, ok := v.Addr().Interface().(defaulter); ok {
		p.Defaults()
	}
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Struct && v.Type().Field(i).IsExported() {
			withDefaults(f)
		}
	}
}

func (d *decoder) structure(path string, n *node, v reflect.Value) {
	withDefaults(v)
	if f, ok := shortForm(v.Type()); ok && n.kind == list {
		d.value(Key(path, f.name), n, v.Field(f.index), "")
		d.check.pos[path] = n.at
		return
	}
	if n.kind != mapping {
		d.check.Faultf(path, "want a mapping, not %s", describe(n))
		return
	}
	known, rest := fields(v.Type())
	byName := make(map[string]field, len(known))
	names := make([]string, 0, len(known))
	for _, f := range known {
		byName[f.name] = f
		names = append(names, f.name)
	}
	for _, e := range n.keys {
		sub := Key(path, e.name)
		f, ok := byName[e.name]
		switch {
		case ok:
			d.value(sub, e.value, v.Field(f.index), f.enum)
			if e.value.kind == null || e.value.kind == mapping || e.value.kind == list {
				d.check.pos[sub] = e.at
			}
		case rest >= 0:
			if v.Field(rest).IsNil() {
				v.Field(rest).Set(reflect.MakeMap(anyMapType))
			}
			v.Field(rest).SetMapIndex(reflect.ValueOf(e.name), reflect.ValueOf(d.free(sub, e.value)))
		default:
			d.check.pos[sub] = e.at
			d.check.Faultf(sub, "unknown key %s%s", quote(e.name), hint(e.name, names))
			if near := Nearest(e.name, names); near != "" && !n.has(near) {
				d.check.excuse(Key(path, near)) // it is not missing, only misspelt
			}
		}
	}
	d.secrets(path, v, byName)
}

// secrets reads the files of the secrets of v that have a _file twin.
func (d *decoder) secrets(path string, v reflect.Value, byName map[string]field) {
	for name, f := range byName {
		twin, ok := byName[name+"_file"]
		if !ok || v.Field(f.index).Type() != secretType || v.Field(twin.index).Kind() != reflect.String {
			continue
		}
		file := v.Field(twin.index).String()
		switch {
		case file == "":
		case v.Field(f.index).String() != "":
			d.check.Faultf(Key(path, twin.name), "%s and %s are both set: keep one", name, twin.name)
		default:
			v.Field(f.index).SetString(d.secretFile(Key(path, twin.name), file))
		}
	}
}
