package sparkplug

import (
	"math"
	"time"
	"unsafe"
)

// Value is one typed Sparkplug value, 24 bytes, without an interface. The zero
// Value is null and of unknown type. Values are made by the constructors below
// and by the decoder, and read by the accessors.
//
// A Value that came from Decode points into the decoded buffer: Clone it to
// keep it longer than the buffer.
type Value struct {
	ref  unsafe.Pointer // text and bytes: their first byte; DataSet, Template: the struct
	num  uint64         // numbers: the bits; text and bytes: the length
	typ  DataType
	some bool     // false: null
	wire wireKind // of a value whose datatype is not known: how to read the rest
}

// Null returns the null value of a type.
func Null(t DataType) Value { return Value{typ: t} }

// Int returns v as a signed integer type, Int8 to Int64, sign-extended to 64
// bits; v must fit.
func Int(t DataType, v int64) Value { return Value{num: uint64(v), typ: t, some: true} }

// Uint returns v as an unsigned integer type, UInt8 to UInt64; v must fit.
func Uint(t DataType, v uint64) Value { return Value{num: v, typ: t, some: true} }

// Float returns a Float; it is held as its 32 bits.
func Float(v float32) Value {
	return Value{num: uint64(math.Float32bits(v)), typ: TypeFloat, some: true}
}

// Double returns a Double.
func Double(v float64) Value { return Value{num: math.Float64bits(v), typ: TypeDouble, some: true} }

// Boolean returns a Boolean.
func Boolean(v bool) Value {
	if v {
		return Value{num: 1, typ: TypeBoolean, some: true}
	}
	return Value{typ: TypeBoolean, some: true}
}

// String returns a String that shares the memory of s.
func String(s string) Value { return Text(TypeString, s) }

// Text returns s as String, Text or UUID.
func Text(t DataType, s string) Value {
	return Value{ref: unsafe.Pointer(unsafe.StringData(s)), num: uint64(len(s)), typ: t, some: true}
}

// DateTime returns a time in whole milliseconds since the Unix epoch.
func DateTime(ms int64) Value { return Value{num: uint64(ms), typ: TypeDateTime, some: true} }

// Bytes returns b, which it shares, as Bytes, File or a packed array of type t.
// For arrays see the AppendXArray functions, which pack.
func Bytes(t DataType, b []byte) Value {
	return Value{ref: unsafe.Pointer(unsafe.SliceData(b)), num: uint64(len(b)), typ: t, some: true}
}

// OfDataSet returns d, which it shares.
func OfDataSet(d *DataSet) Value {
	return Value{ref: unsafe.Pointer(d), typ: TypeDataSet, some: d != nil}
}

// OfTemplate returns t, which it shares.
func OfTemplate(t *Template) Value {
	return Value{ref: unsafe.Pointer(t), typ: TypeTemplate, some: t != nil}
}

// Type is the datatype; TypeUnknown for the zero Value, and for a value that
// was decoded from a DATA message without one (see Value.As).
func (v Value) Type() DataType { return v.typ }

// IsNull says whether there is no value.
func (v Value) IsNull() bool { return !v.some }

// Int is the value of a signed integer, DateTime (ms) or Boolean (0, 1); of an
// unsigned integer its bits.
func (v Value) Int() int64 { return int64(v.num) }

// Uint is the value of an unsigned integer; of others see Int.
func (v Value) Uint() uint64 { return v.num }

// Number returns the 64 bits of an integer, a Float, a Double, a Boolean or a
// DateTime, which with the type are all of the value; see Uint for the way
// back. ok is false for null and other types. It is for the innermost loops of
// hosts: unlike the other accessors it copies nothing.
func (v *Value) Number() (bits uint64, ok bool) {
	// The first of these has Numeric and TypeBoolean, which follow one another.
	return v.num, v.some && (v.typ-TypeInt8 <= TypeBoolean-TypeInt8 || v.typ == TypeDateTime)
}

// Bool is the value of a Boolean.
func (v Value) Bool() bool { return v.num != 0 }

// Float32 is the value of a Float.
func (v Value) Float32() float32 { return math.Float32frombits(uint32(v.num)) }

// Float64 is the value of any numeric type, DateTime (ms) or Boolean as a
// float64: exact but for integers beyond 2^53, rounded to nearest. Of other
// types, and of null, it is NaN.
func (v Value) Float64() float64 {
	switch {
	case !v.some:
		return math.NaN()
	case v.typ == TypeDouble:
		return math.Float64frombits(v.num)
	case v.typ == TypeFloat:
		return float64(v.Float32())
	case v.typ.Signed() || v.typ == TypeDateTime:
		return float64(int64(v.num))
	case v.typ.Integer() || v.typ == TypeBoolean:
		return float64(v.num)
	}
	return math.NaN()
}

// Time is the value of a DateTime, in UTC.
func (v Value) Time() time.Time { return time.UnixMilli(int64(v.num)).UTC() }

// Str is the value of String, Text or UUID; empty for other types.
func (v Value) Str() string {
	if !v.some || !v.typ.Textual() {
		return ""
	}
	return v.text()
}

// double is the content of a value that is held as a double.
func (v Value) double() float64 { return math.Float64frombits(v.num) }

// text is the content of a value that is held as text.
func (v Value) text() string {
	if v.ref == nil {
		return ""
	}
	return unsafe.String((*byte)(v.ref), v.num)
}

// bytes is the content of a value that is held as bytes; nil when there is
// none, also of a number that was given such a type.
func (v Value) bytes() []byte {
	if v.ref == nil {
		return nil
	}
	return unsafe.Slice((*byte)(v.ref), v.num)
}

// Raw is the content of Bytes and File, and of an array its packed bytes; nil
// for other types. The caller must not change it.
func (v Value) Raw() []byte {
	if !v.some || !v.typ.Binary() && !v.typ.Array() {
		return nil
	}
	return v.bytes()
}

// DataSet is the value of a DataSet; nil for other types and null.
func (v Value) DataSet() *DataSet {
	if v.typ != TypeDataSet {
		return nil
	}
	return (*DataSet)(v.ref)
}

// Template is the value of a Template; nil for other types and null.
func (v Value) Template() *Template {
	if v.typ != TypeTemplate {
		return nil
	}
	return (*Template)(v.ref)
}
