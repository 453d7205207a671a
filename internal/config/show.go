package config

import (
	"encoding"
	"reflect"
	"slices"

	"github.com/goccy/go-yaml"
)

// Show prints a configuration as YAML, complete with its defaults, keys in the
// order of the struct, empty ones left out. Secrets are printed as
// "(redacted)", or as they are if reveal says so.
func Show(v any, reveal bool) ([]byte, error) {
	return yaml.Marshal(shown(reflect.ValueOf(v), reveal))
}

func shown(v reflect.Value, reveal bool) any {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	if v.Type() == secretType {
		if reveal {
			return v.String()
		}
		return v.Interface().(Secret).String()
	}
	if t, ok := v.Interface().(encoding.TextMarshaler); ok {
		b, _ := t.MarshalText()
		return string(b)
	}
	switch v.Kind() {
	case reflect.Struct:
		return shownStruct(v, reveal)
	case reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int {
			if a.String() < b.String() {
				return -1
			}
			return 1
		})
		out := yaml.MapSlice{}
		for _, k := range keys {
			out = append(out, yaml.MapItem{Key: k.String(), Value: shown(v.MapIndex(k), reveal)})
		}
		return out
	case reflect.Slice, reflect.Array:
		out := make([]any, v.Len())
		for i := range out {
			out[i] = shown(v.Index(i), reveal)
		}
		return out
	}
	return v.Interface()
}

func shownStruct(v reflect.Value, reveal bool) any {
	out := yaml.MapSlice{}
	known, rest := fields(v.Type())
	for _, f := range known {
		if fv := v.Field(f.index); !fv.IsZero() {
			out = append(out, yaml.MapItem{Key: f.name, Value: shown(fv, reveal)})
		}
	}
	if rest >= 0 {
		if more, ok := shown(v.Field(rest), reveal).(yaml.MapSlice); ok {
			out = append(out, more...)
		}
	}
	return out
}
