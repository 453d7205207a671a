package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Options is where Parse gets what is outside the file.
type Options struct {
	Env      func(name string) (string, bool)  // os.LookupEnv if nil
	ReadFile func(name string) ([]byte, error) // for secrets; os.ReadFile if nil
}

// Load reads the YAML file at path into a T and lets validate, which may be
// nil, check and complete it. Every error is of type Faults, with all faults
// of the file. validate runs also on a T that was decoded with faults, so that
// all are reported at once: values with a fault are zero then, and what
// validate says of them is not reported.
func Load[T any](path string, validate func(*T, *Checker)) (*T, error) {
	src, err := readLimited(path)
	if err != nil {
		return nil, Faults{{File: path, Message: reason(err)}}
	}
	return Parse(path, src, Options{}, validate)
}

// Parse is Load for the content of a file: path is what faults call it and
// where relative paths start.
func Parse[T any](path string, src []byte, o Options, validate func(*T, *Checker)) (*T, error) {
	if o.Env == nil {
		o.Env = os.LookupEnv
	}
	if o.ReadFile == nil {
		o.ReadFile = readLimited
	}
	c := &Checker{file: path, pos: map[string]position{}}
	r := &reader{check: c, lookup: o.Env}
	out := new(T)
	root := r.parse(src)
	if root == nil && c.Count() == 0 {
		c.faults = append(c.faults, Fault{File: path, Message: "the file holds no configuration"})
	}
	if root != nil {
		d := &decoder{check: c, readFile: o.ReadFile}
		d.root(root, out)
	}
	if root != nil && root.kind == mapping && validate != nil {
		validate(out, c)
	}
	if err := c.Err(); err != nil {
		return nil, err
	}
	return out, nil
}

func readLimited(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%d bytes are too many: the limit is %s", info.Size(), Size(maxFile))
	}
	return os.ReadFile(path)
}

// secretFile reads the content of a secret's file, for the twin at path.
func (d *decoder) secretFile(path, name string) string {
	full := name
	if !filepath.IsAbs(full) {
		full = filepath.Join(filepath.Dir(d.check.file), name)
	}
	b, err := d.readFile(full)
	if err != nil {
		d.check.Faultf(path, "the secret's file: %s", reason(err))
		return ""
	}
	s := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if s == "" {
		d.check.Faultf(path, "the secret's file %q is empty", name)
	}
	return s
}

// reason prints err in one line.
func reason(err error) string { return strings.ReplaceAll(err.Error(), "\n", " ") }
