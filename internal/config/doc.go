// Package config reads strict YAML files into structs and says everything that
// is wrong with one at once, each fault with file:line:column. It knows
// nothing of what the configuration is for.
//
// [Load] is the whole of it: it parses the file, puts `${VAR}` and
// `${VAR:-default}` into values, reads the files of secrets, decodes into the
// struct and then calls the caller's own checks, which report through a
// [Checker] by path ("devices[2].class") and so get a position too.
//
// Fields are named by their `yaml` tag; a field without one is not
// configurable, and `yaml:",inline"` on a map[string]any takes every key that
// no other field has. Further tags: `enum:"a,b"` lists the words that are
// allowed, `doc:"..."` is the description in [Schema]. A struct whose pointer
// has a Defaults() method gets it called before its keys are decoded.
//
// A field of type [Secret] named x may have a twin named x_file of type
// string: the secret is then the content of that file, without the line break
// at its end. Relative paths are relative to the folder of the configuration.
package config
