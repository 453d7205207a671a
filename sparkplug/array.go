package sparkplug

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// Arrays travel packed in bytes_value: numbers little-endian one after the
// other, a DateTime as 8 bytes of ms since the Unix epoch; booleans as a 4-byte
// little-endian count and then bits, the first in the highest bit of its byte;
// strings each ended by a NUL.
//
// Spec: chapter 6, "Datatype Details", array types.

// arrayElement gives the element type of each array type.
var arrayElement = [...]DataType{
	TypeInt8, TypeInt16, TypeInt32, TypeInt64, TypeUInt8, TypeUInt16, TypeUInt32, TypeUInt64,
	TypeFloat, TypeDouble, TypeBoolean, TypeString, TypeDateTime,
}

// Element is the type of an array's elements; TypeUnknown of other types.
func (t DataType) Element() DataType {
	if !t.Array() {
		return TypeUnknown
	}
	return arrayElement[t-TypeInt8Array]
}

// elementSize is the packed size of an element, 0 of booleans and strings.
func elementSize(elem DataType) int {
	switch elem {
	case TypeFloat:
		return 4
	case TypeDouble, TypeDateTime:
		return 8
	case TypeBoolean, TypeString:
		return 0
	}
	return int(bitSize(elem) / 8)
}

// Number is the element of a numeric array.
type Number interface {
	int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 | float32 | float64
}

// ArrayOf packs v as the array type of E: Int8Array to DoubleArray.
func ArrayOf[E Number](v []E) Value {
	var t DataType
	var one E
	b := make([]byte, 0, len(v)*int(unsafe.Sizeof(one)))
	switch v := any(v).(type) {
	case []int8:
		t = TypeInt8Array
		for _, x := range v {
			b = append(b, byte(x))
		}
	case []int16:
		t = TypeInt16Array
		for _, x := range v {
			b = binary.LittleEndian.AppendUint16(b, uint16(x))
		}
	case []int32:
		t = TypeInt32Array
		for _, x := range v {
			b = binary.LittleEndian.AppendUint32(b, uint32(x))
		}
	case []int64:
		return packInt64(TypeInt64Array, v)
	case []uint8:
		t, b = TypeUInt8Array, append(b, v...)
	case []uint16:
		t = TypeUInt16Array
		for _, x := range v {
			b = binary.LittleEndian.AppendUint16(b, x)
		}
	case []uint32:
		t = TypeUInt32Array
		for _, x := range v {
			b = binary.LittleEndian.AppendUint32(b, x)
		}
	case []uint64:
		t = TypeUInt64Array
		for _, x := range v {
			b = binary.LittleEndian.AppendUint64(b, x)
		}
	case []float32:
		t = TypeFloatArray
		for _, x := range v {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
		}
	case []float64:
		t = TypeDoubleArray
		for _, x := range v {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
		}
	}
	return Bytes(t, b)
}

func packInt64(t DataType, v []int64) Value {
	b := make([]byte, 0, 8*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint64(b, uint64(x))
	}
	return Bytes(t, b)
}

// DateTimeArray packs v, in ms since the Unix epoch.
func DateTimeArray(v []int64) Value { return packInt64(TypeDateTimeArray, v) }

// BooleanArray packs v.
func BooleanArray(v []bool) Value {
	b := make([]byte, 4+(len(v)+7)/8)
	binary.LittleEndian.PutUint32(b, uint32(len(v)))
	for i, x := range v {
		if x {
			b[4+i/8] |= 0x80 >> (i % 8)
		}
	}
	return Bytes(TypeBooleanArray, b)
}

// StringArray packs v, whose strings must be UTF-8 without NUL.
func StringArray(v []string) (Value, error) {
	n := 0
	for i, s := range v {
		if strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s) {
			return Value{}, fmt.Errorf("sparkplug: StringArray: element %d: %.64q holds NUL or invalid UTF-8", i, s)
		}
		n += len(s) + 1
	}
	b := make([]byte, 0, n)
	for _, s := range v {
		b = append(append(b, s...), 0)
	}
	return Bytes(TypeStringArray, b), nil
}

// PackArray packs elements of type t.Element(), none of them null, as array
// type t.
func PackArray(t DataType, elems []Value) (Value, error) {
	elem := t.Element()
	if elem == TypeUnknown {
		return Value{}, fmt.Errorf("sparkplug: %s is not an array type", t)
	}
	for i, e := range elems {
		if e.IsNull() || e.Type() != elem {
			return Value{}, fmt.Errorf("sparkplug: %s: element %d is not a %s", t, i, elem)
		}
	}
	switch elem {
	case TypeBoolean:
		flags := make([]bool, len(elems))
		for i, e := range elems {
			flags[i] = e.Bool()
		}
		return BooleanArray(flags), nil
	case TypeString:
		texts := make([]string, len(elems))
		for i, e := range elems {
			texts[i] = e.Str()
		}
		return StringArray(texts)
	}
	size := elementSize(elem)
	b := make([]byte, 0, size*len(elems))
	for _, e := range elems {
		var w [8]byte
		binary.LittleEndian.PutUint64(w[:], e.num)
		b = append(b, w[:size]...)
	}
	return Bytes(t, b), nil
}

// AppendElements appends the elements of an array, each a Value of type
// v.Type().Element(), to dst. Strings are parts of v. Of a null there are none.
// It fails when v is not an array or its bytes are not well-formed.
func (v Value) AppendElements(dst []Value) ([]Value, error) {
	elem := v.typ.Element()
	if elem == TypeUnknown {
		return dst, fmt.Errorf("sparkplug: %s is not an array type", v.typ)
	}
	if !v.some {
		return dst, nil
	}
	if why := checkArray(v.typ, v); why != "" {
		return dst, fmt.Errorf("sparkplug: %s: %s", v.typ, why)
	}
	b := v.bytes()
	switch size := elementSize(elem); {
	case elem == TypeBoolean:
		for i := range int(binary.LittleEndian.Uint32(b)) {
			dst = append(dst, Boolean(b[4+i/8]&(0x80>>(i%8)) != 0))
		}
	case elem == TypeString:
		for s := range strings.SplitAfterSeq(unsafe.String(unsafe.SliceData(b), len(b)), "\x00") {
			if s != "" {
				dst = append(dst, String(s[:len(s)-1]))
			}
		}
	default:
		for i := 0; i < len(b); i += size {
			var w [8]byte
			copy(w[:], b[i:i+size])
			num := binary.LittleEndian.Uint64(w[:])
			if n := uint(64 - 8*size); elem.Signed() {
				num = uint64(int64(num) << n >> n)
			}
			dst = append(dst, Value{num: num, typ: elem, some: true})
		}
	}
	return dst, nil
}

// checkArray says what is wrong with the packed bytes of an array.
func checkArray(t DataType, v Value) string {
	if v.kind() != wireBytes {
		return "not bytes"
	}
	b := v.bytes()
	switch elem := t.Element(); elem {
	case TypeBoolean:
		if len(b) < 4 || uint64(len(b)-4) != (uint64(binary.LittleEndian.Uint32(b))+7)/8 {
			return fmt.Sprintf("%d bytes do not agree with the count in front of them", len(b))
		}
	case TypeString:
		if len(b) > 0 && b[len(b)-1] != 0 {
			return "the last string is not ended by NUL"
		}
		if !utf8.Valid(b) {
			return "invalid UTF-8"
		}
	default:
		if len(b)%elementSize(elem) != 0 {
			return fmt.Sprintf("%d bytes are not a whole number of elements", len(b))
		}
	}
	return ""
}
