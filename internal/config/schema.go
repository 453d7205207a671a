package config

import (
	"encoding/json"
	"reflect"
	"strings"

	"github.com/invopop/jsonschema"
)

// Schema returns the JSON schema (draft 2020-12) of the files that Load reads
// into a T, for editors. Descriptions come from `doc` tags.
func Schema[T any]() []byte {
	r := &jsonschema.Reflector{
		FieldNameTag:               "yaml",
		Anonymous:                  true,
		RequiredFromJSONSchemaTags: true,
		Mapper:                     described,
		LookupComment: func(t reflect.Type, field string) string {
			if f, ok := lookupField(t, field); ok {
				return f.Tag.Get("doc")
			}
			return ""
		},
	}
	root := reflect.TypeFor[T]()
	s := r.ReflectFromType(root)
	complete(s, root, map[reflect.Type]bool{})
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic("config: schema of " + root.String() + ": " + err.Error()) // a T that cannot be described
	}
	return append(b, '\n')
}

// Described is implemented by types that read themselves from text and may be
// written in more than one JSON type.
type Described interface {
	SchemaTypes() []string // "number", "string" and the like
}

func described(t reflect.Type) *jsonschema.Schema {
	d, ok := reflect.Zero(t).Interface().(Described)
	if !ok {
		return nil
	}
	s := &jsonschema.Schema{}
	for _, name := range d.SchemaTypes() {
		s.OneOf = append(s.OneOf, &jsonschema.Schema{Type: name})
	}
	return s
}

func lookupField(t reflect.Type, name string) (reflect.StructField, bool) {
	if t.Kind() != reflect.Struct || name == "" {
		return reflect.StructField{}, false
	}
	return t.FieldByName(name)
}

// complete adds to the definitions what only our tags say: the words of an
// enum, and that a struct with an inline map takes any key.
func complete(s *jsonschema.Schema, t reflect.Type, done map[reflect.Type]bool) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map || t.Kind() == reflect.Array {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || done[t] {
		return
	}
	done[t] = true
	known, rest := fields(t)
	def := s.Definitions[t.Name()]
	for _, f := range known {
		if def != nil && def.Properties != nil && f.enum != "" {
			if p, ok := def.Properties.Get(f.name); ok {
				for w := range strings.SplitSeq(f.enum, ",") {
					p.Enum = append(p.Enum, w)
				}
			}
		}
		complete(s, t.Field(f.index).Type, done)
	}
	if def != nil && rest >= 0 {
		def.AdditionalProperties = jsonschema.TrueSchema
	}
	if f, ok := shortForm(t); ok && def != nil {
		whole := *def
		list, _ := def.Properties.Get(f.name)
		*def = jsonschema.Schema{OneOf: []*jsonschema.Schema{&whole, list}}
	}
}
