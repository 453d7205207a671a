package config

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// Checker is how the caller's own checks report faults: by path, which gives
// them the position of the value in the file. It is used by one goroutine.
type Checker struct {
	file   string
	pos    map[string]position // of every value and key that the file has
	faulty map[string]bool     // paths with a fault; nothing more is said of them
	faults Faults
}

type position struct{ line, column int }

// NewChecker returns a Checker for a configuration that came from no file:
// its faults say the path alone.
func NewChecker() *Checker { return &Checker{} }

// Key returns the path of a key within the value at path.
func Key(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// Index returns the path of element i within the list at path.
func Index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// Faultf reports a fault of the value at path. When the file does not have it
// the position is that of the nearest thing around it. A second fault of the
// same value, or of what is within it, is not reported: it would only follow
// from the first.
func (c *Checker) Faultf(path, format string, args ...any) {
	if c.excused(path) {
		return
	}
	c.excuse(path)
	p := c.near(path)
	c.faults = append(c.faults, Fault{c.file, p.line, p.column, path, fmt.Sprintf(format, args...)})
}

// excuse keeps further faults of the value at path from being reported.
func (c *Checker) excuse(path string) {
	if c.faulty == nil {
		c.faulty = map[string]bool{}
	}
	c.faulty[path] = true
}

func (c *Checker) excused(path string) bool {
	for ; path != ""; path = parent(path) {
		if c.faulty[path] {
			return true
		}
	}
	return false
}

// parent is the path of what is around the value at path.
func parent(path string) string { return path[:max(0, strings.LastIndexAny(path, ".["))] }

// FaultAt reports a fault in another file that the configuration names.
func (c *Checker) FaultAt(file string, line, column int, format string, args ...any) {
	c.faults = append(c.faults, Fault{file, line, column, "", fmt.Sprintf(format, args...)})
}

// Has says whether the file sets the value at path.
func (c *Checker) Has(path string) bool {
	_, ok := c.pos[path]
	return ok
}

// Resolve makes a path of the configuration relative to the folder of its file.
func (c *Checker) Resolve(name string) string {
	if name == "" || filepath.IsAbs(name) || c.file == "" {
		return name
	}
	return filepath.Join(filepath.Dir(c.file), name)
}

// Count is the number of faults so far.
func (c *Checker) Count() int { return len(c.faults) }

// Err returns the faults so far, as Faults, or nil.
func (c *Checker) Err() error {
	if len(c.faults) == 0 {
		return nil
	}
	return c.faults.sorted()
}

func (c *Checker) near(path string) position {
	for {
		if p, ok := c.pos[path]; ok {
			return p
		}
		if path == "" {
			if c.file != "" && c.pos != nil {
				return position{1, 1}
			}
			return position{}
		}
		path = parent(path)
	}
}
