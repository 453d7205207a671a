package sparkplug

import (
	"fmt"
	"unsafe"
)

// Limits bound what Decode takes from an untrusted sender, before it
// allocates. A field that is zero has its default.
type Limits struct {
	Bytes      int // of the payload; 1 MiB
	Metrics    int // of the payload, those inside templates included; 10,000
	Depth      int // of templates in templates and property sets in property sets; 16
	Name       int // bytes of a name, key, template reference or version; 256
	Properties int // of all metrics together, and template parameters; 100,000
	Cells      int // of all data sets together, and their columns; 100,000
}

// The defaults of Limits.
const (
	maxBytes      = 1 << 20
	maxMetrics    = 10_000
	maxDepth      = 16
	maxName       = 256
	maxProperties = 100_000
	maxCells      = 100_000
)

var defaults = Limits{
	Bytes: maxBytes, Metrics: maxMetrics, Depth: maxDepth,
	Name: maxName, Properties: maxProperties, Cells: maxCells,
}

// fill sets what is zero to its default.
func (l *Limits) fill() {
	unless(&l.Bytes, maxBytes)
	unless(&l.Metrics, maxMetrics)
	unless(&l.Depth, maxDepth)
	unless(&l.Name, maxName)
	unless(&l.Properties, maxProperties)
	unless(&l.Cells, maxCells)
}

// unless gives a limit its default unless it is set.
func unless(limit *int, standard int) {
	if *limit == 0 {
		*limit = standard
	}
}

// DecodeError says where and why bytes are not an acceptable payload.
type DecodeError struct {
	Offset int    // of the first byte of the offending field
	Path   string // such as metrics[3].properties[0].value; empty: the payload itself
	Reason string
}

func (e *DecodeError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("sparkplug: payload: byte %d: %s", e.Offset, e.Reason)
	}
	return fmt.Sprintf("sparkplug: payload: byte %d: %s: %s", e.Offset, e.Path, e.Reason)
}

// in puts the name of the part that holds the offending one before the path.
func (e *DecodeError) in(part string) *DecodeError {
	if e.Path != "" {
		part += "."
	}
	e.Path = part + e.Path
	return e
}

func (e *DecodeError) at(part string, i int) *DecodeError {
	return e.in(fmt.Sprintf("%s[%d]", part, i))
}

// Decode is DecodeLimits with the default limits.
func (p *Payload) Decode(b []byte) error { return p.decode(b, &defaults) }

// DecodeLimits parses a payload into p, which it overwrites and whose memory
// it reuses, so that a payload of scalar metrics costs no allocation once p
// has held one as long. Names, texts and bytes of the result are parts of b:
// they are good until b changes, and everything in p until the next Decode
// into p. Clone what is to live longer. An error is a *DecodeError and leaves p
// empty. What p keeps for reuse beyond its content refers to no earlier b.
//
// It reads what any protobuf decoder reads (fields in any order, unknown
// fields skipped, the last of a repeated scalar or of a value wins), and
// refuses some that a protobuf decoder would let pass: what exceeds the
// limits; strings that are not UTF-8; a seq over 255; a datatype over 255;
// a value that does not fit its datatype (see Value.As for what does); a data
// set whose columns, types and rows disagree; a property set with more keys
// than values or fewer; a metadata, properties, data set or template
// given twice in one metric; groups.
func (p *Payload) DecodeLimits(b []byte, lim Limits) error {
	lim.fill()
	return p.decode(b, &lim)
}

func (p *Payload) decode(b []byte, lim *Limits) error {
	if len(b) > lim.Bytes {
		*p = Payload{}
		return &DecodeError{Reason: fmt.Sprintf("%d bytes, the limit is %d", len(b), lim.Bytes)}
	}
	p.Timestamp, p.HasTimestamp, p.Seq, p.HasSeq = 0, false, 0, false
	p.UUID, p.Body = "", nil
	before := len(p.Metrics)
	p.Metrics = p.Metrics[:0]
	p.arena.begin()
	d := decoder{lim: lim, arena: &p.arena}
	if err := d.payload(b, p); err != nil {
		*p = Payload{} // its memory too: who knows what it refers to
		return err
	}
	tidy(p.Metrics, before)
	p.arena.end()
	return nil
}

// decoder is one run of Decode. Its methods take the whole payload cut at the
// end of the message they read, and the offset where it begins.
type decoder struct {
	lim   *Limits
	arena *arena
	// Counted so far.
	metrics, properties, cells int
}

func bad(at int, why string) *DecodeError { return &DecodeError{Offset: at, Reason: why} }

func (d *decoder) payload(b []byte, p *Payload) *DecodeError {
	for i := 0; i < len(b); {
		if b[i] == tagPayloadMetric {
			if i = d.fastMetrics(b, i, p, len(b)); i == len(b) || b[i] != tagPayloadMetric {
				continue
			}
			if len(b)-i < reach {
				next := d.fastTail(b, i, p)
				if next > i {
					i = next
					continue
				}
			}
			next, err := d.payloadMetric(b, i, p)
			if err != nil {
				return err.at("metrics", len(p.Metrics)-1)
			}
			i = next
			continue
		}
		if next := p.envelope(b, i); next > 0 {
			i = next
			continue
		}
		f, next, why := readField(b, i)
		if why != "" {
			return bad(i, why)
		}
		switch f.tag {
		case tagPayloadTimestamp:
			p.Timestamp, p.HasTimestamp = int64(f.num), true
		case tagPayloadSeq:
			if f.num > 255 {
				return bad(i, fmt.Sprintf("%d is over 255", f.num)).in("seq")
			}
			p.Seq, p.HasSeq = uint8(f.num), true
		case tagPayloadUUID:
			if p.UUID, why = text(b, f); why != "" {
				return bad(i, why).in("uuid")
			}
		case tagPayloadBody:
			p.Body = b[f.lo:f.hi:f.hi]
		case tagPayloadMetric: // its tag in more bytes than it needs
			m, err := d.grow(i, &p.Metrics)
			if err == nil {
				err = d.metric(b[:f.hi], f.lo, m, 0)
			}
			if err != nil {
				return err.at("metrics", len(p.Metrics)-1)
			}
		}
		i = next
	}
	return nil
}

// envelope reads the timestamp or seq whose tag is b[i], if it is one of them
// and valid: what every message has, without the cost of any field. Else next
// is 0.
func (p *Payload) envelope(b []byte, i int) (next int) {
	switch b[i] {
	case tagPayloadTimestamp:
		v, next := uvarint(b, i+1)
		if next > 0 {
			p.Timestamp, p.HasTimestamp = int64(v), true
		}
		return next
	case tagPayloadSeq:
		v, next := uvarint(b, i+1)
		if v > 255 {
			return 0
		}
		if next > 0 {
			p.Seq, p.HasSeq = uint8(v), true
		}
		return next
	}
	return 0
}

// payloadMetric reads the metric whose tag is b[i].
func (d *decoder) payloadMetric(b []byte, i int, p *Payload) (next int, err *DecodeError) {
	m, err := d.grow(i, &p.Metrics)
	if err != nil {
		return 0, err
	}
	n, lo := uvarint(b, i+1)
	if lo == 0 || n > uint64(len(b)-lo) {
		return 0, bad(i, "length runs past the end")
	}
	next = lo + int(n)
	return next, d.metric(b[:next], lo, m, 0)
}

// grow makes a metric more of list, with the content of an earlier use.
func (d *decoder) grow(at int, list *[]Metric) (*Metric, *DecodeError) {
	n := len(*list)
	if n < cap(*list) {
		*list = (*list)[:n+1]
	} else {
		*list = append(*list, Metric{})
	}
	if d.metrics++; d.metrics > d.lim.Metrics {
		return nil, bad(at, fmt.Sprintf("more than %d metrics", d.lim.Metrics))
	}
	return &(*list)[n], nil
}

// text returns a string field as a part of b.
func text(b []byte, f field) (s, why string) {
	if f.lo == f.hi {
		return "", ""
	}
	if !shortText(b[f.lo:f.hi]) {
		return "", "invalid UTF-8"
	}
	return unsafe.String(&b[f.lo], f.hi-f.lo), ""
}

// name is text within the limit of names.
func (d *decoder) name(b []byte, f field) (s, why string) {
	if f.hi-f.lo > d.lim.Name {
		return "", fmt.Sprintf("%d bytes, the limit is %d", f.hi-f.lo, d.lim.Name)
	}
	return text(b, f)
}
