package samples

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/magneto-iiot/magneto/sparkplug"
)

// Sample is one value.
type Sample struct {
	ID      uint32 // of what has it; what that means is the caller's
	Time    int64  // ms since the Unix epoch
	Quality uint16 // as in the Quality property: 192 good
	Flags   uint8  // the caller's
	Value   sparkplug.Value
}

// A list of samples is their number and then, for each: the difference of its
// ID to the one before, zigzag and shifted by two, with a bit for a quality
// that is not good and one for flags; quality and flags if so; the difference
// of its time; its datatype, with the highest bit for null; its value. Numbers
// are varints, but for Float and Double, which are 4 and 8 bytes,
// little-endian.
const (
	hasQuality = 1
	hasFlags   = 2

	null = 0x80
)

// ErrMalformed is wrapped by the errors of Read.
var ErrMalformed = errors.New("samples: malformed")

// Append appends a list of samples to dst. Its error is of a value that cannot
// be encoded, like a text that is not UTF-8; nothing is appended then.
func Append(dst []byte, list []Sample) ([]byte, error) {
	start := len(dst)
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	var id, time int64
	for i := range list {
		s := &list[i]
		head := zigzag(int64(s.ID)-id) << 2
		if s.Quality != sparkplug.QualityGood {
			head |= hasQuality
		}
		if s.Flags != 0 {
			head |= hasFlags
		}
		dst = binary.AppendUvarint(dst, head)
		if head&hasQuality != 0 {
			dst = binary.AppendUvarint(dst, uint64(s.Quality))
		}
		if head&hasFlags != 0 {
			dst = append(dst, s.Flags)
		}
		dst = binary.AppendVarint(dst, s.Time-time) // wraps around as it does back
		id, time = int64(s.ID), s.Time
		var err error
		if dst, err = appendValue(dst, &s.Value); err != nil {
			return dst[:start], fmt.Errorf("samples: sample %d: %w", i, err)
		}
	}
	return dst, nil
}

func zigzag(v int64) uint64 { return uint64(v<<1) ^ uint64(v>>63) }

func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

func appendValue(dst []byte, v *sparkplug.Value) ([]byte, error) {
	t := v.Type()
	if v.IsNull() {
		return append(dst, byte(t)|null), nil
	}
	dst = append(dst, byte(t))
	switch {
	case t == sparkplug.TypeDouble:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v.Float64())), nil
	case t == sparkplug.TypeFloat:
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(v.Float32())), nil
	case t == sparkplug.TypeBoolean:
		if v.Bool() {
			return append(dst, 1), nil
		}
		return append(dst, 0), nil
	case t.Integer() && t.Signed(), t == sparkplug.TypeDateTime:
		return binary.AppendVarint(dst, v.Int()), nil
	case t.Integer():
		return binary.AppendUvarint(dst, v.Uint()), nil
	case t.Textual():
		dst = binary.AppendUvarint(dst, uint64(len(v.Str())))
		return append(dst, v.Str()...), nil
	case t == sparkplug.TypeBytes, t == sparkplug.TypeFile:
		dst = binary.AppendUvarint(dst, uint64(len(v.Raw())))
		return append(dst, v.Raw()...), nil
	}
	// Data sets, templates and arrays: as Sparkplug has them.
	p := sparkplug.Payload{Metrics: []sparkplug.Metric{{Name: "v", Value: *v}}}
	b, err := p.Append(nil)
	if err != nil {
		return dst, err
	}
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...), nil
}

// Read reads a list of samples and what stands behind it. The samples are
// appended to dst; they refer to nothing in b.
func Read(dst []Sample, b []byte) (list []Sample, rest []byte, err error) {
	r := reader{b: b}
	n := r.uvarint()
	if n > uint64(len(b)) { // each takes more than a byte
		r.fail("%d samples in %d bytes", n, len(b))
	}
	var id, time int64
	for i := uint64(0); i < n && r.err == nil; i++ {
		s := Sample{Quality: sparkplug.QualityGood}
		head := r.uvarint()
		id += unzigzag(head >> 2)
		if id < 0 || id > math.MaxUint32 {
			r.fail("an ID of %d", id)
		}
		if head&hasQuality != 0 {
			q := r.uvarint()
			if q > math.MaxUint16 {
				r.fail("a quality of %d", q)
			}
			s.Quality = uint16(q)
		}
		if head&hasFlags != 0 {
			s.Flags = r.byte()
		}
		time += r.varint()
		s.ID, s.Time, s.Value = uint32(id), time, r.value()
		dst = append(dst, s)
	}
	if r.err != nil {
		return dst, nil, fmt.Errorf("%w: byte %d: %s", ErrMalformed, len(b)-len(r.b), r.err.Error())
	}
	return dst, r.b, nil
}

// Count is how many samples a list has, without reading them.
func Count(b []byte) (int, error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)) {
		return 0, fmt.Errorf("%w: no number of samples", ErrMalformed)
	}
	return int(n), nil
}

// reader takes apart what Append wrote; after a fault it gives zeros.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
		r.b = nil
	}
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail("no varint")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 { return unzigzag(r.uvarint()) }

func (r *reader) byte() byte {
	if b := r.bytes(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

// bytes takes n bytes, which are not copied.
func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail("%d bytes are wanted, %d are there", n, len(r.b))
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) value() sparkplug.Value {
	head := r.byte()
	t := sparkplug.DataType(head &^ null)
	switch {
	case !t.Known() && head != null:
		r.fail("no datatype %d", t)
	case head&null != 0:
		return sparkplug.Null(t)
	case t == sparkplug.TypeDouble:
		if b := r.bytes(8); len(b) == 8 {
			return sparkplug.Double(math.Float64frombits(binary.LittleEndian.Uint64(b)))
		}
	case t == sparkplug.TypeFloat:
		if b := r.bytes(4); len(b) == 4 {
			return sparkplug.Float(math.Float32frombits(binary.LittleEndian.Uint32(b)))
		}
	case t == sparkplug.TypeBoolean:
		return sparkplug.Boolean(r.byte() != 0)
	case t == sparkplug.TypeDateTime:
		return sparkplug.DateTime(r.varint())
	case t.Integer():
		return r.integer(t)
	case t.Textual():
		text := string(r.bytes(r.uvarint()))
		if strings.ToValidUTF8(text, "") != text {
			r.fail("a text that is not UTF-8")
		}
		return sparkplug.Text(t, text)
	case t == sparkplug.TypeBytes, t == sparkplug.TypeFile:
		return sparkplug.Bytes(t, append([]byte{}, r.bytes(r.uvarint())...))
	default:
		return r.composed(t)
	}
	return sparkplug.Value{}
}

func (r *reader) integer(t sparkplug.DataType) sparkplug.Value {
	var v sparkplug.Value
	var err error
	if t.Signed() {
		v, err = sparkplug.Int(sparkplug.TypeInt64, r.varint()).As(t)
	} else {
		v, err = sparkplug.Uint(sparkplug.TypeUInt64, r.uvarint()).As(t)
	}
	if err != nil {
		r.fail("%v", err)
	}
	return v
}

// composed reads a data set, a template or an array.
func (r *reader) composed(t sparkplug.DataType) sparkplug.Value {
	var p sparkplug.Payload
	if err := p.Decode(r.bytes(r.uvarint())); err != nil {
		r.fail("%v", err)
		return sparkplug.Value{}
	}
	if len(p.Metrics) != 1 || p.Metrics[0].Value.Type() != t {
		r.fail("not one value of type %s", t)
		return sparkplug.Value{}
	}
	return p.Metrics[0].Value.Clone()
}
