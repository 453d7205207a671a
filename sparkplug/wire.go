package sparkplug

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// Wire types of protobuf. Groups (3 and 4) are refused: Sparkplug has none.
const (
	wtVarint  = 0
	wtFixed64 = 1
	wtBytes   = 2
	wtFixed32 = 5
)

// wireKind says which field of a value's oneof was on the wire. The numbers
// are the distance from the field before the first of the oneof, which is the
// same in Metric, PropertyValue, DataSetValue and Parameter.
type wireKind uint8

const (
	wireNone wireKind = iota
	wireInt
	wireLong
	wireFloat
	wireDouble
	wireBool
	wireString
	wireBytes    // only in a Metric
	wireDataSet  // only in a Metric
	wireTemplate // only in a Metric
)

var wireNames = [...]string{
	"no value", "int_value", "long_value", "float_value", "double_value",
	"boolean_value", "string_value", "bytes_value", "dataset_value", "template_value",
}

// wireTypes gives the wire type of each kind.
var wireTypes = [...]uint8{0, wtVarint, wtVarint, wtFixed32, wtFixed64, wtVarint, wtBytes, wtBytes, wtBytes, wtBytes}

// The number before the first field of each value oneof.
const (
	oneofMetric    = 9
	oneofProperty  = 2
	oneofCell      = 0
	oneofParameter = 2
)

// Tags, field number and wire type, by message.
const (
	tagPayloadTimestamp = 1<<3 | wtVarint
	tagPayloadMetric    = 2<<3 | wtBytes
	tagPayloadSeq       = 3<<3 | wtVarint
	tagPayloadUUID      = 4<<3 | wtBytes
	tagPayloadBody      = 5<<3 | wtBytes

	tagName       = 1<<3 | wtBytes
	tagAlias      = 2<<3 | wtVarint
	tagTimestamp  = 3<<3 | wtVarint
	tagDatatype   = 4<<3 | wtVarint
	tagHistorical = 5<<3 | wtVarint
	tagTransient  = 6<<3 | wtVarint
	tagNull       = 7<<3 | wtVarint
	tagMetadata   = 8<<3 | wtBytes
	tagProperties = 9<<3 | wtBytes
	tagInt        = 10<<3 | wtVarint
	tagLong       = 11<<3 | wtVarint
	tagFloat      = 12<<3 | wtFixed32
	tagDouble     = 13<<3 | wtFixed64
	tagBoolean    = 14<<3 | wtVarint
	tagString     = 15<<3 | wtBytes
	tagBytes      = 16<<3 | wtBytes
	tagDataSet    = 17<<3 | wtBytes
	tagTemplate   = 18<<3 | wtBytes
	tagExtension  = 19<<3 | wtBytes

	tagMetaMultiPart   = 1<<3 | wtVarint
	tagMetaContentType = 2<<3 | wtBytes
	tagMetaSize        = 3<<3 | wtVarint
	tagMetaSeq         = 4<<3 | wtVarint
	tagMetaFileName    = 5<<3 | wtBytes
	tagMetaFileType    = 6<<3 | wtBytes
	tagMetaMD5         = 7<<3 | wtBytes
	tagMetaDescription = 8<<3 | wtBytes

	tagSetKey   = 1<<3 | wtBytes
	tagSetValue = 2<<3 | wtBytes
	tagListSet  = 1<<3 | wtBytes

	tagPropType      = 1<<3 | wtVarint
	tagPropNull      = 2<<3 | wtVarint
	tagPropSet       = 9<<3 | wtBytes
	tagPropList      = 10<<3 | wtBytes
	tagPropExtension = 11<<3 | wtBytes

	tagTableCount   = 1<<3 | wtVarint
	tagTableColumn  = 2<<3 | wtBytes
	tagTableType    = 3<<3 | wtVarint
	tagTableTypes   = 3<<3 | wtBytes // packed
	tagTableRow     = 4<<3 | wtBytes
	tagRowElement   = 1<<3 | wtBytes
	tagCellExtended = 7<<3 | wtBytes

	tagTmplVersion   = 1<<3 | wtBytes
	tagTmplMetric    = 2<<3 | wtBytes
	tagTmplParameter = 3<<3 | wtBytes
	tagTmplRef       = 4<<3 | wtBytes
	tagTmplDefines   = 5<<3 | wtVarint

	tagParamName      = 1<<3 | wtBytes
	tagParamType      = 2<<3 | wtVarint
	tagParamExtension = 9<<3 | wtBytes
)

// field is one field of a message as readField found it.
type field struct {
	tag    uint64 // number and wire type
	num    uint64 // content of a varint or fixed field
	lo, hi int    // content of a bytes field, as offsets
}

// uvarint reads the varint at b[i:]; next is 0 when it is cut or overflows.
func uvarint(b []byte, i int) (v uint64, next int) {
	if len(b)-i >= 8 {
		if v, n := shortVarint(binary.LittleEndian.Uint64(b[i:])); n > 0 {
			return v, i + n
		}
	}
	for shift := uint(0); shift < 70 && i < len(b); shift += 7 {
		c := b[i]
		i++
		if c < 0x80 {
			if shift == 63 && c > 1 {
				return 0, 0
			}
			return v | uint64(c)<<shift, i
		}
		v |= uint64(c&0x7f) << shift
	}
	return 0, 0
}

// readField reads the field at b[i:], i < len(b). When it is malformed, why
// says so.
func readField(b []byte, i int) (f field, next int, why string) {
	tag := uint64(b[i])
	i++
	if tag >= 0x80 {
		if tag, i = uvarint(b, i-1); i == 0 {
			return f, 0, "bad varint"
		}
	}
	if tag>>3 == 0 || tag>>3 > 1<<29-1 {
		return f, 0, "bad field number"
	}
	f.tag = tag
	switch tag & 7 {
	case wtVarint:
		if i < len(b) && b[i] < 0x80 {
			f.num = uint64(b[i])
			i++
		} else if f.num, i = uvarint(b, i); i == 0 {
			return f, 0, "bad varint"
		}
	case wtFixed64:
		if len(b)-i < 8 {
			return f, 0, "cut short"
		}
		f.num = binary.LittleEndian.Uint64(b[i:])
		i += 8
	case wtBytes:
		var n uint64
		if i < len(b) && b[i] < 0x80 {
			n = uint64(b[i])
			i++
		} else if n, i = uvarint(b, i); i == 0 {
			return f, 0, "bad varint"
		}
		if n > uint64(len(b)-i) {
			return f, 0, "length runs past the end"
		}
		f.lo, f.hi = i, i+int(n)
		i = f.hi
	case wtFixed32:
		if len(b)-i < 4 {
			return f, 0, "cut short"
		}
		f.num = uint64(binary.LittleEndian.Uint32(b[i:]))
		i += 4
	default:
		return f, 0, "wire type that Sparkplug does not use"
	}
	return f, i, ""
}

// wellFormed says what is wrong with the fields of a message that is skipped.
func wellFormed(b []byte, i int) (at int, why string) {
	for i < len(b) {
		_, next, why := readField(b, i)
		if why != "" {
			return i, why
		}
		i = next
	}
	return i, ""
}

// The masks of squeeze and spread: a varint of up to 8 bytes as one word.
const (
	continuation = 0x8080808080808080
	septets      = 0x7f7f7f7f7f7f7f7f
)

// squeeze joins the low 7 bits of each byte of w.
func squeeze(w uint64) uint64 {
	w &= septets
	w = w&0x007f007f007f007f | w>>1&0x3f803f803f803f80
	w = w&0x00003fff00003fff | w>>2&0x0fffc0000fffc000
	return w&0x000000000fffffff | w>>4&0x00fffffff0000000
}

// spread is the inverse of squeeze, for v < 1<<56.
func spread(v uint64) uint64 {
	v = v&0x000000000fffffff | v<<4&0x0fffffff00000000
	v = v&0x00003fff00003fff | v<<2&0x3fff00003fff0000
	return v&0x007f007f007f007f | v<<1&0x7f007f007f007f00
}

// shortVarint reads a varint of at most 8 bytes from the low end of w; n is 0
// when it is longer.
func shortVarint(w uint64) (v uint64, n int) {
	stop := ^w & continuation
	if stop == 0 {
		return 0, 0
	}
	w &= stop ^ (stop - 1)
	return squeeze(w), bits.TrailingZeros64(stop)>>3 + 1
}

func float32Bits(num uint64) float32 { return math.Float32frombits(uint32(num)) }
