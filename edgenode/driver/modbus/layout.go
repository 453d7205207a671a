package modbus

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/magneto-iiot/magneto/sparkplug"
)

// order is a word order.
type order struct{ swapWords, swapBytes bool }

var orderNames = []string{"ABCD", "CDAB", "BADC", "DCBA"}

func parseOrder(name string) (o order, ok bool) {
	switch name {
	case "ABCD":
		return order{}, true
	case "CDAB":
		return order{swapWords: true}, true
	case "BADC":
		return order{swapBytes: true}, true
	case "DCBA":
		return order{swapWords: true, swapBytes: true}, true
	}
	return order{}, false
}

// number reads the registers of raw, as they came, as one number.
func (o order) number(raw []byte) (v uint64) {
	for i := 0; i < len(raw); i += 2 {
		at := i
		if o.swapWords {
			at = len(raw) - 2 - i
		}
		hi, lo := raw[at], raw[at+1]
		if o.swapBytes {
			hi, lo = lo, hi
		}
		v = v<<16 | uint64(hi)<<8 | uint64(lo)
	}
	return v
}

// put is the inverse of number: it fills raw with v.
func (o order) put(raw []byte, v uint64) {
	for i := len(raw) - 2; i >= 0; i -= 2 {
		at := i
		if o.swapWords {
			at = len(raw) - 2 - i
		}
		hi, lo := byte(v>>8), byte(v)
		if o.swapBytes {
			hi, lo = lo, hi
		}
		raw[at], raw[at+1] = hi, lo
		v >>= 16
	}
}

// text gives the bytes of raw in reading order, in memory of its own.
func (o order) text(raw []byte) []byte {
	b := append([]byte(nil), raw...)
	if o.swapBytes {
		for i := 0; i+1 < len(b); i += 2 {
			b[i], b[i+1] = b[i+1], b[i]
		}
	}
	return b
}

// layout says how a tag lies in its table.
type layout struct {
	address
	order
	typ   sparkplug.DataType
	width int // registers, or bits of a table of bits
}

// registers is how many registers one value of t takes, 0 if t is not a single
// value held in registers.
func registers(t sparkplug.DataType) int {
	switch t {
	case sparkplug.TypeInt8, sparkplug.TypeUInt8, sparkplug.TypeInt16, sparkplug.TypeUInt16, sparkplug.TypeBoolean:
		return 1
	case sparkplug.TypeInt32, sparkplug.TypeUInt32, sparkplug.TypeFloat:
		return 2
	case sparkplug.TypeInt64, sparkplug.TypeUInt64, sparkplug.TypeDouble, sparkplug.TypeDateTime:
		return 4
	}
	return 0
}

// characters says whether t is measured in characters.
func characters(t sparkplug.DataType) bool {
	return t == sparkplug.TypeString || t == sparkplug.TypeText || t == sparkplug.TypeBytes
}

// place finds the layout of a value of type t at a, or says what does not fit.
func place(a address, t sparkplug.DataType, o order) (layout, error) {
	l := layout{address: a, order: o, typ: t}
	switch {
	case a.table.bits():
		return l.placeBits()
	case a.bit >= 0 && t != sparkplug.TypeBoolean:
		return l, fmt.Errorf("a bit is a Boolean, not %s", t)
	case characters(t) && a.n == 0:
		return l, fmt.Errorf("%s needs a length in characters, such as %s[20]", t, a)
	case characters(t):
		l.width = (a.n + 1) / 2
	case t.Array() && t != sparkplug.TypeBooleanArray && registers(t.Element()) > 0:
		if a.n == 0 {
			return l, fmt.Errorf("%s needs a length in elements, such as %s[4]", t, a)
		}
		l.width = a.n * registers(t.Element())
	case registers(t) == 0:
		return l, fmt.Errorf("%s cannot be held in registers", t)
	case a.n > 0:
		return l, fmt.Errorf("%s has no length; use %sArray for several", t, t)
	default:
		l.width = registers(t)
	}
	return l, nil
}

func (l layout) placeBits() (layout, error) {
	switch {
	case l.typ == sparkplug.TypeBoolean && l.n == 0:
		l.width = 1
	case l.typ == sparkplug.TypeBooleanArray && l.n > 0:
		l.width = l.n
	case l.typ == sparkplug.TypeBooleanArray:
		return l, fmt.Errorf("BooleanArray needs a length in elements, such as %s[8]", l.address)
	case l.typ == sparkplug.TypeBoolean:
		return l, errors.New("a Boolean has no length; use BooleanArray for several")
	default:
		return l, fmt.Errorf("coils and discrete inputs are Boolean or BooleanArray, not %s", l.typ)
	}
	return l, nil
}

// shared says whether the tag is only a part of its register.
func (l layout) shared() bool {
	return !l.table.bits() && (l.bit >= 0 || l.typ == sparkplug.TypeInt8 || l.typ == sparkplug.TypeUInt8)
}

// decodeBits gives the value of a tag from its bits.
func (l layout) decodeBits(bits []bool) sparkplug.Value {
	if l.typ == sparkplug.TypeBooleanArray {
		return sparkplug.BooleanArray(bits)
	}
	return sparkplug.Boolean(bits[0])
}

// decode gives the value of a tag from its registers as they came. The value
// owns its memory.
func (l layout) decode(raw []byte) (sparkplug.Value, error) {
	switch {
	case l.typ == sparkplug.TypeBytes:
		return sparkplug.Bytes(l.typ, l.text(raw)[:l.n]), nil
	case l.typ.Textual():
		s, _, _ := strings.Cut(string(l.text(raw)[:l.n]), "\x00")
		return sparkplug.Text(l.typ, strings.ToValidUTF8(s, "\uFFFD")), nil
	case l.typ.Array():
		size := 2 * registers(l.typ.Element())
		elems := make([]sparkplug.Value, l.n)
		for i := range elems {
			elems[i] = fromBits(l.typ.Element(), l.number(raw[i*size:(i+1)*size]))
		}
		return sparkplug.PackArray(l.typ, elems)
	case l.bit >= 0:
		return sparkplug.Boolean(l.number(raw)>>l.bit&1 == 1), nil
	}
	return fromBits(l.typ, l.number(raw)), nil
}

// fromBits makes a single value of type t of its bits.
func fromBits(t sparkplug.DataType, bits uint64) sparkplug.Value {
	switch t {
	case sparkplug.TypeBoolean:
		return sparkplug.Boolean(bits != 0)
	case sparkplug.TypeInt8:
		return sparkplug.Int(t, int64(int8(bits)))
	case sparkplug.TypeInt16:
		return sparkplug.Int(t, int64(int16(bits)))
	case sparkplug.TypeInt32:
		return sparkplug.Int(t, int64(int32(bits)))
	case sparkplug.TypeInt64:
		return sparkplug.Int(t, int64(bits))
	case sparkplug.TypeUInt8:
		return sparkplug.Uint(t, bits&0xFF)
	case sparkplug.TypeFloat:
		return sparkplug.Float(math.Float32frombits(uint32(bits)))
	case sparkplug.TypeDouble:
		return sparkplug.Double(math.Float64frombits(bits))
	case sparkplug.TypeDateTime:
		return sparkplug.DateTime(int64(bits))
	}
	return sparkplug.Uint(t, bits)
}

// toBits is the inverse of fromBits for a value of type t; it fails when an
// integer does not fit.
func toBits(t sparkplug.DataType, v sparkplug.Value) (uint64, error) {
	switch t {
	case sparkplug.TypeFloat:
		return uint64(math.Float32bits(v.Float32())), nil
	case sparkplug.TypeDouble:
		return math.Float64bits(v.Float64()), nil
	}
	size := registers(t) * 16
	if t == sparkplug.TypeInt8 || t == sparkplug.TypeUInt8 {
		size = 8
	}
	bits := v.Uint() & (1<<size - 1)
	if fromBits(t, bits).Uint() != v.Uint() {
		return 0, fmt.Errorf("%d does not fit %s", v.Int(), t)
	}
	return bits, nil
}

// encodeBits is the inverse of decodeBits.
func (l layout) encodeBits(v sparkplug.Value) ([]bool, error) {
	if l.typ == sparkplug.TypeBoolean {
		return []bool{v.Bool()}, nil
	}
	elems, err := l.elements(v)
	if err != nil {
		return nil, err
	}
	bits := make([]bool, len(elems))
	for i, e := range elems {
		bits[i] = e.Bool()
	}
	return bits, nil
}

// encode is the inverse of decode. Text is padded with NUL. Of a tag that
// shares its register, raw is the register as it is now.
func (l layout) encode(raw []byte, v sparkplug.Value) error {
	switch {
	case characters(l.typ):
		b := v.Raw()
		if l.typ.Textual() {
			b = []byte(v.Str())
		}
		if len(b) > l.n || l.typ == sparkplug.TypeBytes && len(b) != l.n {
			return fmt.Errorf("%d bytes do not fit %s, which has %d", len(b), l.address, l.n)
		}
		clear(raw)
		copy(raw, b)
		copy(raw, l.text(raw))
		return nil
	case l.typ.Array():
		elems, err := l.elements(v)
		if err != nil {
			return err
		}
		size := len(raw) / l.n
		for i, e := range elems {
			bits, err := toBits(l.typ.Element(), e)
			if err != nil {
				return fmt.Errorf("element %d: %w", i, err)
			}
			l.put(raw[i*size:(i+1)*size], bits)
		}
		return nil
	}
	bits, err := toBits(l.typ, v)
	if err != nil {
		return err
	}
	switch {
	case l.bit >= 0:
		bits = l.number(raw)&^(1<<l.bit) | bits<<l.bit
	case l.shared():
		bits |= l.number(raw) &^ 0xFF
	}
	l.put(raw, bits)
	return nil
}

func (l layout) elements(v sparkplug.Value) ([]sparkplug.Value, error) {
	elems, err := v.AppendElements(nil)
	if err == nil && len(elems) != l.n {
		err = fmt.Errorf("%d elements do not fit %s, which has %d", len(elems), l.address, l.n)
	}
	return elems, err
}
