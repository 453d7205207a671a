package edgenode

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/magneto-iiot/magneto/internal/config"
)

// maxTagFile bounds a file of tags: about a million rows.
const maxTagFile = 128 << 20

// tagColumns are the columns of a tag file, in any order; name and type must
// be there. `write` is true or false; the bounds and the span have a column
// each.
var tagColumns = []string{
	"name", "addr", "type", "as", "order", "scale", "offset", "unit", "range_low", "range_high",
	"deadband", "min_interval", "max_interval", "write", "write_min", "write_max", "readback", "value", "description",
}

// tagFile reads the metrics of a CSV file, which path names.
func (k *compiler) tagFile(name, path string) []placed {
	info, err := os.Stat(name)
	if err == nil && info.Size() > maxTagFile {
		err = fmt.Errorf("%q: %d bytes are too many", name, info.Size())
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(name)
	}
	if err != nil {
		k.check.Faultf(path, "%v", err)
		return nil
	}
	return readTags(name, b, k.check)
}

// readTags parses the content of a tag file. The delimiter is a comma, or a
// semicolon if the header has one. Lines that begin with # are comments.
func readTags(name string, b []byte, check *config.Checker) []placed {
	b = bytes.TrimPrefix(b, []byte("\ufeff"))
	r := csv.NewReader(bytes.NewReader(b))
	r.ReuseRecord, r.Comment, r.FieldsPerRecord, r.TrimLeadingSpace = true, '#', -1, true
	if head, _, _ := bytes.Cut(b, []byte("\n")); bytes.ContainsRune(head, ';') {
		r.Comma = ';'
	}
	var columns []string
	var out []placed
	for {
		row, err := r.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			line, column := 1, 1
			if p, ok := errors.AsType[*csv.ParseError](err); ok {
				line, column, err = p.Line, p.Column, p.Err
			}
			check.FaultAt(name, line, column, "%v", err)
			break
		}
		if columns == nil {
			if columns = tagHeader(name, r, row, check); columns == nil {
				break
			}
			continue
		}
		if len(row) != len(columns) {
			line, column := r.FieldPos(0)
			check.FaultAt(name, line, column, "the row has %d fields, the header %d", len(row), len(columns))
			continue
		}
		out = append(out, tagRow(name, r, columns, row, check))
	}
	return out
}

func tagHeader(name string, r *csv.Reader, row []string, check *config.Checker) []string {
	columns := slices.Clone(row)
	bad := false
	for i := range columns {
		columns[i] = strings.ToLower(strings.TrimSpace(columns[i]))
		line, column := r.FieldPos(i)
		if !slices.Contains(tagColumns, columns[i]) {
			check.FaultAt(name, line, column, "unknown column %q%s", columns[i], suggest(columns[i], tagColumns))
			bad = true
		} else if slices.Contains(columns[:i], columns[i]) {
			check.FaultAt(name, line, column, "column %q stands here twice", columns[i])
			bad = true
		}
	}
	for _, must := range []string{"name", "type"} {
		if !bad && !slices.Contains(columns, must) {
			check.FaultAt(name, 1, 1, "the header has no column %q", must)
			bad = true
		}
	}
	if bad {
		return nil
	}
	return columns
}

func tagRow(name string, r *csv.Reader, columns, row []string, check *config.Checker) placed {
	line, column := r.FieldPos(0)
	t := tagCells{p: placed{origin: origin{file: name, line: line, column: column, columns: columns, cells: make([]cell, len(row))}}}
	for i, key := range columns {
		line, column := r.FieldPos(i)
		t.p.origin.cells[i] = cell{int32(line), int32(column)}
		text := strings.TrimSpace(row[i])
		if text == "" {
			continue
		}
		if err := t.set(key, strings.Clone(text)); err != nil {
			check.FaultAt(name, line, column, "%s: %v", key, err)
		}
	}
	return t.finish(check)
}

// tagCells gathers the cells of a row.
type tagCells struct {
	p         placed
	low, high *float64
	write     Write
	writes    bool
}

func (t *tagCells) set(key, text string) (err error) {
	p := &t.p
	switch key {
	case "name":
		p.Name = text
	case "addr":
		p.Addr = text
	case "type":
		p.Type = text
	case "as":
		p.As = text
	case "order":
		p.Order = text
	case "unit":
		p.Unit = text
	case "value":
		p.Value = text
	case "description":
		p.Description = text
	case "deadband":
		err = p.Deadband.UnmarshalText([]byte(text))
	case "min_interval":
		err = p.MinInterval.UnmarshalText([]byte(text))
	case "max_interval":
		err = p.MaxInterval.UnmarshalText([]byte(text))
	case "readback":
		err = t.write.Readback.UnmarshalText([]byte(text))
	case "write":
		t.writes, err = strconv.ParseBool(text)
		if err != nil {
			err = fmt.Errorf("want true or false, not %q", text)
		}
	default:
		return t.setNumber(key, text)
	}
	return err
}

func (t *tagCells) setNumber(key, text string) error {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f-f != 0 {
		return fmt.Errorf("want a number, not %q", text)
	}
	*map[string]**float64{
		"scale": &t.p.Scale, "offset": &t.p.Offset, "range_low": &t.low, "range_high": &t.high,
		"write_min": &t.write.Min, "write_max": &t.write.Max,
	}[key] = &f
	return nil
}

func (t *tagCells) finish(check *config.Checker) placed {
	switch {
	case t.low != nil && t.high != nil:
		t.p.Range = &[2]float64{*t.low, *t.high}
	case t.low != nil || t.high != nil:
		t.p.origin.fault(check, "range_low", "range_low and range_high go together")
	}
	switch {
	case t.writes:
		t.p.Write = &t.write
	case t.write != Write{}:
		t.p.origin.fault(check, "write", "bounds without write: true")
	}
	return t.p
}
