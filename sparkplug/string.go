package sparkplug

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// stringElements is how many elements of an array String prints.
const stringElements = 16

// String prints v for people: numbers in decimal, a DateTime in RFC 3339 with
// milliseconds, text as it is, an array as [1 2 3] with its first 16 elements,
// bytes and tables by their size, null as "null".
func (v Value) String() string {
	if !v.some {
		return "null"
	}
	switch {
	case v.typ == TypeDateTime:
		return v.Time().Format("2006-01-02T15:04:05.000Z07:00")
	case v.typ.Signed():
		return strconv.FormatInt(int64(v.num), 10)
	case v.typ.Array():
		return v.arrayString()
	}
	switch v.kind() {
	case wireInt, wireLong:
		return strconv.FormatUint(v.num, 10)
	case wireFloat:
		return strconv.FormatFloat(float64(v.Float32()), 'g', -1, 32)
	case wireDouble:
		return strconv.FormatFloat(v.double(), 'g', -1, 64)
	case wireBool:
		return strconv.FormatBool(v.Bool())
	case wireString:
		return v.text()
	case wireBytes:
		return fmt.Sprintf("%d bytes", v.num)
	case wireDataSet:
		d := (*DataSet)(v.ref)
		return fmt.Sprintf("data set of %d columns and %d rows", len(d.Columns), len(d.Rows)/max(1, len(d.Columns)))
	case wireTemplate:
		return (*Template)(v.ref).describe()
	}
	return "?"
}

func (t *Template) describe() string {
	if t.IsDefinition {
		return fmt.Sprintf("template definition of %d members", len(t.Metrics))
	}
	return fmt.Sprintf("template %s of %d members", t.Ref, len(t.Metrics))
}

func (v Value) arrayString() string {
	elems, err := v.AppendElements(nil)
	if err != nil {
		return fmt.Sprintf("%d bytes", v.num)
	}
	var s strings.Builder
	s.WriteByte('[')
	for i, e := range elems[:min(len(elems), stringElements)] {
		if i > 0 {
			s.WriteByte(' ')
		}
		if e.typ == TypeString {
			s.WriteString(strconv.Quote(e.text()))
		} else {
			s.WriteString(e.String())
		}
	}
	if len(elems) > stringElements {
		fmt.Fprintf(&s, " ... %d in all", len(elems))
	}
	s.WriteByte(']')
	return s.String()
}

// timeFromText reads RFC 3339 text as whole ms since the Unix epoch.
func timeFromText(s string) (ms int64, ok bool) {
	t, err := time.Parse(time.RFC3339, s)
	return t.UnixMilli(), err == nil
}

// special gives the texts that stand for the floats JSON has no number for.
func special(f float64) (text string, ok bool) {
	switch {
	case math.IsNaN(f):
		return "NaN", true
	case math.IsInf(f, 1):
		return "Infinity", true
	case math.IsInf(f, -1):
		return "-Infinity", true
	}
	return "", false
}
