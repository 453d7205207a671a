package sparkplug

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// ParseJSON is the inverse of AppendJSON for values of type t: scalars, arrays
// and DataSets; null is the null of t. Integers are taken as whole numbers or
// strings of such, a DateTime also as RFC 3339. Nothing is rounded but the
// decimal fraction of a float. The error says what is wrong for that type.
func ParseJSON(t DataType, raw []byte) (Value, error) {
	if !json.Valid(raw) {
		return Value{}, fmt.Errorf("sparkplug: %s: malformed JSON", t)
	}
	v, err := parseJSON(t, bytes.TrimSpace(raw))
	if err != nil {
		return Value{}, fmt.Errorf("sparkplug: %w", err)
	}
	return v, nil
}

// parseJSON reads valid JSON.
func parseJSON(t DataType, raw json.RawMessage) (Value, error) {
	if string(raw) == "null" {
		return Null(t), nil
	}
	switch {
	case t.Integer():
		return parseInteger(t, raw)
	case t == TypeFloat || t == TypeDouble:
		return parseFloat(t, raw)
	case t == TypeBoolean:
		if s := string(raw); s == "true" || s == "false" {
			return Boolean(s == "true"), nil
		}
	case t == TypeDateTime:
		return parseTime(raw)
	case t.Textual():
		if s, ok := unquote(raw); ok {
			return Text(t, s), nil
		}
	case t.Binary():
		if s, ok := unquote(raw); ok {
			b, err := base64.StdEncoding.DecodeString(s)
			if err == nil {
				return Bytes(t, b), nil
			}
		}
	case t.Array():
		return parseArray(t, raw)
	case t == TypeDataSet:
		return parseTable(raw)
	default:
		return Value{}, fmt.Errorf("%s cannot be given as JSON", t)
	}
	return Value{}, wrong(t, raw)
}

var wanted = map[DataType]string{
	TypeBoolean:  "true or false",
	TypeFloat:    `a number, "NaN", "Infinity" or "-Infinity"`,
	TypeDouble:   `a number, "NaN", "Infinity" or "-Infinity"`,
	TypeDateTime: "milliseconds since the Unix epoch or RFC 3339",
	TypeBytes:    "a string of base64",
	TypeFile:     "a string of base64",
	TypeDataSet:  `{"columns":[{"name","type"}],"rows":[[...]]}`,
}

// wrong says what a value of type t looks like instead of raw.
func wrong(t DataType, raw []byte) error {
	want := wanted[t]
	switch {
	case want != "":
	case t.Integer():
		want = "a whole number"
	case t.Array():
		want = "an array of " + t.Element().String()
	default:
		want = "a string"
	}
	return fmt.Errorf("%s: %.64s is not %s", t, raw, want)
}

// unquote returns the text of a JSON string.
func unquote(raw json.RawMessage) (s string, ok bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	return s, json.Unmarshal(raw, &s) == nil
}

func parseInteger(t DataType, raw json.RawMessage) (v Value, err error) {
	text, quoted := unquote(raw)
	if !quoted {
		text = string(raw)
	}
	n := bitSize(t)
	low, high := int64(0), uint64(math.MaxUint64)>>(64-n)
	if t.Signed() {
		low, high = -1<<(n-1), high>>1
		var num int64
		num, err = strconv.ParseInt(text, 10, int(n))
		v = Int(t, num)
	} else {
		var num uint64
		num, err = strconv.ParseUint(text, 10, int(n))
		v = Uint(t, num)
		if _, negative := strconv.ParseInt(text, 10, 64); err != nil && negative == nil {
			err = strconv.ErrRange
		}
	}
	switch {
	case errors.Is(err, strconv.ErrRange):
		return Value{}, fmt.Errorf("%s: %.64s is out of range, %d to %d", t, text, low, high)
	case err != nil:
		return Value{}, wrong(t, raw)
	}
	return v, nil
}

func parseFloat(t DataType, raw json.RawMessage) (Value, error) {
	var f float64
	text, quoted := unquote(raw)
	switch {
	case quoted && text == "NaN":
		f = math.NaN()
	case quoted && text == "Infinity":
		f = math.Inf(1)
	case quoted && text == "-Infinity":
		f = math.Inf(-1)
	case quoted:
		return Value{}, wrong(t, raw)
	default:
		size := 64
		if t == TypeFloat {
			size = 32
		}
		var err error
		if f, err = strconv.ParseFloat(string(raw), size); errors.Is(err, strconv.ErrRange) {
			return Value{}, fmt.Errorf("%s: %.64s is out of range", t, raw)
		} else if err != nil {
			return Value{}, wrong(t, raw)
		}
	}
	if t == TypeFloat {
		return Float(float32(f)), nil
	}
	return Double(f), nil
}

func parseTime(raw json.RawMessage) (Value, error) {
	text, quoted := unquote(raw)
	if !quoted {
		text = string(raw)
	}
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		return DateTime(ms), nil
	}
	if ms, ok := timeFromText(text); ok && quoted {
		return DateTime(ms), nil
	}
	return Value{}, wrong(TypeDateTime, raw)
}

func parseArray(t DataType, raw json.RawMessage) (Value, error) {
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return Value{}, wrong(t, raw)
	}
	elems := make([]Value, len(list))
	for i, e := range list {
		v, err := parseJSON(t.Element(), e)
		if err == nil && v.IsNull() {
			err = errors.New("null")
		}
		if err != nil {
			return Value{}, fmt.Errorf("%s: element %d: %w", t, i, err)
		}
		elems[i] = v
	}
	return PackArray(t, elems)
}

// tableJSON is a DataSet as JSON.
type tableJSON struct {
	Columns []struct{ Name, Type string }
	Rows    [][]json.RawMessage
}

func parseTable(raw json.RawMessage) (Value, error) {
	var in tableJSON
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return Value{}, wrong(TypeDataSet, raw)
	}
	d := &DataSet{}
	for _, c := range in.Columns {
		t, ok := ParseDataType(c.Type)
		if !ok || t == TypeUnknown || !columnable(uint32(t)) {
			return Value{}, fmt.Errorf("DataSet: column %q: %q is not the type of a column", c.Name, c.Type)
		}
		d.Columns, d.Types = append(d.Columns, c.Name), append(d.Types, t)
	}
	for i, row := range in.Rows {
		if len(row) != len(d.Columns) || len(row) == 0 {
			return Value{}, fmt.Errorf("DataSet: row %d: %d cells for %d columns", i, len(row), len(d.Columns))
		}
		for j, cell := range row {
			v, err := parseJSON(d.Types[j], cell)
			if err != nil {
				return Value{}, fmt.Errorf("DataSet: row %d, column %q: %w", i, d.Columns[j], err)
			}
			d.Rows = append(d.Rows, v)
		}
	}
	return OfDataSet(d), nil
}

// ParseTemplateJSON reads some members of an instance that is like another, as
// AppendJSON writes one: {"members": {name: value}}, and "ref", which must be
// that of like, if it is there. Types are those of like; a member that it does
// not have is an error.
func ParseTemplateJSON(like *Template, raw []byte) (Value, error) {
	v, err := parseTemplate(like, raw, 0)
	if err != nil {
		return Value{}, fmt.Errorf("sparkplug: Template: %w", err)
	}
	return v, nil
}

func parseTemplate(like *Template, raw []byte, depth int) (Value, error) {
	var in struct {
		Ref     *string                    `json:"ref"`
		Version json.RawMessage            `json:"version"`
		Members map[string]json.RawMessage `json:"members"`
		Params  json.RawMessage            `json:"parameters"`
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return Value{}, fmt.Errorf(`%.64s is not {"members": {name: value}}`, raw)
	}
	switch {
	case depth > maxDepth:
		return Value{}, errors.New("too deep")
	case in.Ref != nil && *in.Ref != like.Ref:
		return Value{}, fmt.Errorf("it is an instance of %q, not of %q", like.Ref, *in.Ref)
	case len(in.Members) == 0:
		return Value{}, errors.New("it has no members")
	}
	out := &Template{Ref: like.Ref, Version: like.Version}
	for i := range like.Metrics {
		m := &like.Metrics[i]
		text, ok := in.Members[m.Name]
		if !ok {
			continue
		}
		delete(in.Members, m.Name)
		var v Value
		var err error
		if inner := m.Value.Template(); inner != nil {
			v, err = parseTemplate(inner, text, depth+1)
		} else {
			v, err = parseJSON(m.Value.Type(), bytes.TrimSpace(text))
		}
		if err != nil {
			return Value{}, fmt.Errorf("member %q: %w", m.Name, err)
		}
		out.Metrics = append(out.Metrics, Metric{Name: m.Name, Value: v})
	}
	for name := range in.Members {
		return Value{}, fmt.Errorf("template %q has no member %q", like.Ref, name)
	}
	return OfTemplate(out), nil
}
