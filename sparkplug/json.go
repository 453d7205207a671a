package sparkplug

import (
	"encoding/base64"
	"math"
	"strconv"
	"unicode/utf8"
)

// AppendJSON appends v as JSON to dst: 64-bit integers and DateTime as strings,
// not-a-number and infinities as "NaN", "Infinity", "-Infinity", bytes as
// base64, an array as an array of such, null as null. A DataSet is {"columns":
// [{"name","type"}],"rows":[[...]]}, a Template {"ref","version","members":
// {name: value},"parameters":{name: value}}; a member without a name has the
// name "#" and its alias.
//
// A value whose type is unknown is shown as what was on the wire.
func AppendJSON(dst []byte, v Value) []byte { return appendJSON(dst, &v, 0) }

func appendJSON(dst []byte, v *Value, depth int) []byte {
	if !v.some || depth > maxDepth {
		return append(dst, "null"...)
	}
	switch {
	case v.typ == TypeInt64 || v.typ == TypeDateTime:
		return append(strconv.AppendInt(append(dst, '"'), int64(v.num), 10), '"')
	case v.typ.Signed():
		return strconv.AppendInt(dst, int64(v.num), 10)
	case v.typ == TypeUInt32:
		return strconv.AppendUint(dst, v.num, 10)
	case v.typ.Array():
		return appendArrayJSON(dst, v)
	}
	switch v.kind() {
	case wireInt:
		return strconv.AppendUint(dst, v.num, 10)
	case wireLong:
		return append(strconv.AppendUint(append(dst, '"'), v.num, 10), '"')
	case wireFloat:
		return appendFloatJSON(dst, float64(v.Float32()), 32)
	case wireDouble:
		return appendFloatJSON(dst, v.double(), 64)
	case wireBool:
		return strconv.AppendBool(dst, v.Bool())
	case wireString:
		return appendStringJSON(dst, v.text())
	case wireBytes:
		return appendBase64(dst, v.bytes())
	case wireDataSet:
		return appendTableJSON(dst, (*DataSet)(v.ref))
	case wireTemplate:
		return appendTemplateJSON(dst, (*Template)(v.ref), depth+1)
	}
	return append(dst, "null"...)
}

func appendBase64(dst, b []byte) []byte {
	return append(base64.StdEncoding.AppendEncode(append(dst, '"'), b), '"')
}

// appendFloatJSON prints the shortest number that reads back the same.
func appendFloatJSON(dst []byte, f float64, size int) []byte {
	if text, ok := special(f); ok {
		return append(append(append(dst, '"'), text...), '"')
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, f, format, -1, size)
}

const hexDigits = "0123456789abcdef"

// appendStringJSON quotes s; bytes that are not UTF-8 become U+FFFD.
func appendStringJSON(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, '\\', 'n')
		case r < 0x20 || r == 0x7f || r == '<' || r == '>' || r == '&':
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[r>>4], hexDigits[r&15])
		case r < utf8.RuneSelf:
			dst = append(dst, s[i])
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}

func appendArrayJSON(dst []byte, v *Value) []byte {
	elems, err := v.AppendElements(nil)
	if err != nil {
		return appendBase64(dst, v.bytes())
	}
	return appendListJSON(dst, elems)
}

func appendListJSON(dst []byte, list []Value) []byte {
	dst = append(dst, '[')
	for i := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendJSON(dst, &list[i], 0)
	}
	return append(dst, ']')
}

func appendTableJSON(dst []byte, d *DataSet) []byte {
	dst = append(dst, `{"columns":[`...)
	for i, name := range d.Columns {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendStringJSON(append(dst, `{"name":`...), name)
		dst = appendStringJSON(append(dst, `,"type":`...), d.Types[i].String())
		dst = append(dst, '}')
	}
	dst = append(dst, `],"rows":[`...)
	for i, width := 0, len(d.Columns); width > 0 && i+width <= len(d.Rows); i += width {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendListJSON(dst, d.Rows[i:i+width])
	}
	return append(dst, "]}"...)
}

func appendTemplateJSON(dst []byte, t *Template, depth int) []byte {
	dst = appendStringJSON(append(dst, `{"ref":`...), t.Ref)
	dst = appendStringJSON(append(dst, `,"version":`...), t.Version)
	dst = append(dst, `,"members":{`...)
	for i := range t.Metrics {
		m := &t.Metrics[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		name := m.Name
		if name == "" {
			name = "#" + strconv.FormatUint(m.Alias, 10)
		}
		dst = append(appendStringJSON(dst, name), ':')
		dst = appendJSON(dst, &m.Value, depth)
	}
	dst = append(dst, `},"parameters":{`...)
	for i := range t.Parameters {
		p := &t.Parameters[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendStringJSON(dst, p.Name), ':')
		dst = appendJSON(dst, &p.Value, depth)
	}
	return append(dst, "}}"...)
}

// AppendPropertiesJSON appends s as {"name":{"type":...,"value":...}} to dst,
// where the value of a nested set is again such an object; a nil s is {}.
func AppendPropertiesJSON(dst []byte, s *PropertySet) []byte { return appendSetJSON(dst, s, 0) }

func appendSetJSON(dst []byte, s *PropertySet, depth int) []byte {
	if s == nil || depth > maxDepth {
		return append(dst, "{}"...)
	}
	dst = append(dst, '{')
	for i := range min(len(s.Keys), len(s.Values)) {
		p := &s.Values[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendStringJSON(dst, s.Keys[i]), `:{"type":`...)
		dst = append(appendStringJSON(dst, propertyType(p).String()), `,"value":`...)
		switch {
		case p.Set != nil:
			dst = appendSetJSON(dst, p.Set, depth+1)
		case p.List != nil:
			dst = append(dst, '[')
			for j, set := range p.List {
				if j > 0 {
					dst = append(dst, ',')
				}
				dst = appendSetJSON(dst, set, depth+1)
			}
			dst = append(dst, ']')
		default:
			dst = appendJSON(dst, &p.Value, depth)
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}
