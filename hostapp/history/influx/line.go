package influx

import (
	"math"
	"strconv"
	"strings"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// appendTag appends ",name=value", or nothing for an empty value, which the
// protocol has no way to say.
//
// A backslash escapes only a comma, an equals sign or a blank and is itself
// otherwise, so one before these, or at the end, cannot be said; nor can a line
// break. Those are percent-encoded, and the percent sign beside them.
func appendTag(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	dst = append(append(append(dst, ','), name...), '=')
	code := awkward(value)
	for i := range len(value) {
		switch c := value[i]; {
		case code && (c == '%' || c == '\\' || c == '\n' || c == '\r'):
			const hex = "0123456789ABCDEF"
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		case c == ',' || c == '=' || c == ' ':
			dst = append(dst, '\\', c)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

func awkward(value string) bool {
	for i := range len(value) {
		switch value[i] {
		case '\n', '\r':
			return true
		case '\\':
			if i+1 == len(value) || strings.IndexByte(`,= \`, value[i+1]) >= 0 {
				return true
			}
		}
	}
	return false
}

// appendSeries appends what all lines of a series begin with.
func appendSeries(dst []byte, k history.Key) []byte {
	dst = append(dst, history.Measurement...)
	dst = appendTag(dst, history.LabelGroup, k.Group)
	dst = appendTag(dst, history.LabelNode, k.Node)
	dst = appendTag(dst, history.LabelDevice, k.Device)
	dst = appendTag(dst, history.LabelMetric, k.Metric)
	return append(dst, ' ')
}

// appendFields appends the fields of a point; unsigned says whether the server
// knows unsigned integers.
func appendFields(dst []byte, p *history.Point, template string, unsigned bool) []byte {
	bare := len(dst)
	if !p.Stale && !p.Value.IsNull() {
		dst = appendValue(dst, p.Value, unsigned)
		if template != "" {
			dst = appendText(append(dst, ","+history.FieldTemplate+"="...), template)
		}
	}
	if empty := len(dst) == bare; empty || p.Quality != history.QualityGood {
		if !empty {
			dst = append(dst, ',')
		}
		dst = append(dst, history.FieldQuality+"="...)
		dst = append(strconv.AppendUint(dst, uint64(p.Quality), 10), 'i')
	}
	return dst
}

// appendValue appends the one field that holds v.
func appendValue(dst []byte, v sparkplug.Value, unsigned bool) []byte {
	switch t := v.Type(); {
	case t == sparkplug.TypeDouble || t == sparkplug.TypeFloat:
		f, size := v.Float64(), 64
		if t == sparkplug.TypeFloat {
			size = 32
		}
		if !math.IsNaN(f) && !math.IsInf(f, 0) {
			return strconv.AppendFloat(append(dst, history.FieldFloat+"="...), f, 'g', -1, size)
		}
	case t == sparkplug.TypeBoolean:
		return strconv.AppendBool(append(dst, history.FieldBool+"="...), v.Bool())
	case t.Integer() && !t.Signed():
		switch u := v.Uint(); {
		case unsigned:
			return append(strconv.AppendUint(append(dst, history.FieldUint+"="...), u, 10), 'u')
		case u <= math.MaxInt64:
			return append(strconv.AppendUint(append(dst, history.FieldUint+"="...), u, 10), 'i')
		}
	case t.Integer() || t == sparkplug.TypeDateTime:
		return append(strconv.AppendInt(append(dst, history.FieldInt+"="...), v.Int(), 10), 'i')
	case t.Textual():
		return appendText(append(dst, history.FieldString+"="...), v.Str())
	}
	text := string(sparkplug.AppendJSON(nil, v))
	if n := len(text); v.Type().Numeric() && n > 1 && text[0] == '"' {
		text = text[1 : n-1]
	}
	return appendText(append(dst, history.FieldString+"="...), text)
}

// appendText appends a string as a field has it.
func appendText(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		if c := s[i]; c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return append(dst, '"')
}

// appendEvent appends the line of an event.
func appendEvent(dst []byte, e *history.Event) []byte {
	dst = append(dst, history.MeasurementEvent...)
	dst = appendTag(dst, history.LabelGroup, e.Group)
	if e.Kind == history.STATE {
		dst = appendTag(dst, history.LabelHost, e.Node)
	} else {
		dst = appendTag(dst, history.LabelNode, e.Node)
	}
	dst = appendTag(dst, history.LabelDevice, e.Device)
	dst = appendTag(dst, history.LabelKind, string(e.Kind))
	dst = append(dst, " "+history.FieldBdSeq+"="...)
	dst = append(strconv.AppendUint(dst, e.BdSeq, 10), "i,"+history.FieldDetail+"="...)
	dst = append(appendText(dst, e.Detail), ' ')
	return strconv.AppendInt(dst, e.At, 10)
}
