package sparkplug

import (
	"encoding/binary"
	"unicode/utf8"
	"unsafe"
)

// sixth is the pattern of the continuation bits of a varint of six bytes.
const sixth = 0x8080808080

// fastMetrics reads the metrics that follow one another from b[i], which is the
// tag of one, as long as they are laid out as encoders do in DATA messages:
// alias under 16,384, a timestamp between 1971 and 2109, perhaps a datatype,
// and a scalar. It returns where the first begins that is not, that is too near
// the end of what may be read (it loads 8 bytes at a time; room bytes can be read
// from the beginning of b on, len(b) or more), or that has no slot yet; the
// caller reads that one field by field. It is several times faster than that,
// and gives the same content.
//
// It is the one place that reads memory without Go's bounds checks, which cost
// a third of its time. Instead, a metric is begun only if reach bytes follow,
// as far as its loads can go: 2 of tag and length, 3 of alias, 7 of timestamp,
// 2 of datatype, 1 tag, and the 8 that are loaded of the value. What was read
// counts only if it ends where the metric does, so that a load which ran into
// the next metric changes nothing.
func (d *decoder) fastMetrics(b []byte, i int, p *Payload, room int) int {
	n := len(p.Metrics)
	slots := p.Metrics[:min(cap(p.Metrics), n+d.lim.Metrics-d.metrics)]
	base := unsafe.Pointer(unsafe.SliceData(b))
	var packed uint64 // the timestamp of the last metric on the wire, and read
	var stamp int64
	for n < len(slots) && i+reach <= room && i < len(b) {
		// The tag, the length, and the tags of alias and timestamp.
		w := load(base, i)
		end := i + 2 + int(w>>8&0x7f)
		alias, at := w>>24&0x7f, i+5
		if w&0xff80ff80ff != head1 {
			if w&0xff8080ff80ff != head2 {
				break
			}
			alias |= w >> 25 & 0x3f80
			at++
		}
		// Six bytes of timestamp, the tag that follows them and the byte after it.
		ts := load(base, at)
		if end > len(b) || ts&continuation&(1<<48-1) != sixth {
			break
		}
		m := &slots[n]
		if ts<<16 != packed { // most metrics of a message have the same
			packed, stamp = ts<<16, int64(squeeze(ts&(1<<48-1)))
		}
		m.Alias, m.Timestamp = alias, stamp
		tag, typ := byte(ts>>48), DataType(0)
		at += 7
		if tag == tagDatatype {
			typ, tag = DataType(ts>>56), *(*byte)(unsafe.Add(base, at+1))
			at += 2
		}
		m.HasAlias, m.HasTimestamp, m.Historical, m.Transient, m.OmitType = true, true, false, false, typ == TypeUnknown
		m.Name, m.Properties, m.Metadata = "", nil, nil
		if tag == tagDouble && (typ == TypeDouble || typ == TypeUnknown) && at+8 == end {
			wire := wireNone
			if typ == TypeUnknown {
				wire = wireDouble
			}
			v := &m.Value
			v.ref, v.num, v.typ, v.some, v.wire = nil, load(base, at), typ, true, wire
		} else if at >= end || !fastValue(base, at, end, tag, typ, &m.Value) {
			break
		}
		i = end
		n++
	}
	d.metrics += n - len(p.Metrics)
	p.Metrics = slots[:n]
	return i
}

// fastTail is fastMetrics for what is too near the end of b, fewer than reach
// bytes, which it reads from a copy with room behind. Text would refer to the
// copy: it is left to the slower way.
func (d *decoder) fastTail(b []byte, i int, p *Payload) int {
	n := len(p.Metrics)
	rest := p.arena.pad[:copy(p.arena.pad[:], b[i:])]
	read := d.fastMetrics(rest, 0, p, len(p.arena.pad))
	for k := n; k < len(p.Metrics); k++ {
		if v := &p.Metrics[k].Value; v.ref != nil {
			*v = Value{}
			d.metrics -= len(p.Metrics) - n
			p.Metrics = p.Metrics[:n]
			return i
		}
	}
	return i + read
}

// load returns the 8 bytes at base+i; the caller knows that they are there.
func load(base unsafe.Pointer, i int) uint64 {
	return binary.LittleEndian.Uint64((*[8]byte)(unsafe.Add(base, i))[:])
}

const reach = 2 + 3 + 7 + 2 + 1 + 8

// How a metric begins that fastMetrics can read: with an alias of one byte or
// of two.
const (
	head1 = tagPayloadMetric | tagAlias<<16 | tagTimestamp<<32
	head2 = tagPayloadMetric | tagAlias<<16 | 0x80<<24 | tagTimestamp<<40
)

// fastValue reads the value between base+i, i < end, and base+end, behind its
// tag; 8 bytes can be loaded from base+i.
func fastValue(base unsafe.Pointer, i, end int, tag byte, typ DataType, v *Value) bool {
	var wire wireKind
	w := load(base, i)
	num := w
	v.ref = nil
	switch tag {
	case tagDouble:
		i += 8
		if typ != TypeDouble {
			wire = wireDouble
		}
	case tagInt:
		x, n := shortVarint(w)
		num, i = uint64(int64(int32(x))), i+n
		if typ != TypeInt32 {
			num, wire = uint64(uint32(x)), wireInt
		}
	case tagLong:
		x, n := shortVarint(w)
		if n == 0 {
			return false
		}
		num, i = x, i+n
		if typ != TypeInt64 && typ != TypeUInt64 && typ != TypeDateTime {
			wire = wireLong
		}
	case tagBoolean:
		num, i = w&0xff, i+1
		if num > 1 {
			return false
		}
		if typ != TypeBoolean {
			wire = wireBool
		}
	case tagFloat:
		num, i = w&0xffffffff, i+4
		if typ != TypeFloat {
			wire = wireFloat
		}
	case tagString:
		num, i = w&0xff, i+1
		ref := unsafe.Add(base, i)
		if num == 0 || i+int(num) != end || !shortText(unsafe.Slice((*byte)(ref), num)) {
			return false
		}
		v.ref, i = ref, end
		if typ != TypeString {
			wire = wireString
		}
	default:
		return false
	}
	v.num, v.typ, v.some, v.wire = num, typ, true, wire
	return i == end && (wire == wireNone || typ == TypeUnknown || rarer(v, typ))
}

// rarer reads a value whose type is not the usual one of its field as that
// type. False leaves it to the caller's slower way, with its errors.
func rarer(v *Value, typ DataType) bool {
	v.typ = TypeUnknown
	w, why := v.read(typ)
	*v = w
	return why == "" && typ.Known()
}

// shortText says whether b is UTF-8.
func shortText(b []byte) bool {
	for len(b) >= 8 {
		if binary.LittleEndian.Uint64(b)&continuation != 0 {
			return utf8.Valid(b)
		}
		b = b[8:]
	}
	for i, c := range b {
		if c >= utf8.RuneSelf {
			return utf8.Valid(b[i:])
		}
	}
	return true
}
