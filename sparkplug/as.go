package sparkplug

import (
	"fmt"
	"math"
)

// kindOf says in which field of the value oneof a datatype travels.
//
// Spec: chapter 6, "Datatype Details"; UInt32 travels as long_value, as the
// reference encoder and the TCK have it.
var kindOf = [...]wireKind{
	TypeInt8: wireInt, TypeInt16: wireInt, TypeInt32: wireInt, TypeInt64: wireLong,
	TypeUInt8: wireInt, TypeUInt16: wireInt, TypeUInt32: wireLong, TypeUInt64: wireLong,
	TypeFloat: wireFloat, TypeDouble: wireDouble, TypeBoolean: wireBool,
	TypeString: wireString, TypeDateTime: wireLong, TypeText: wireString, TypeUUID: wireString,
	TypeDataSet: wireDataSet, TypeBytes: wireBytes, TypeFile: wireBytes, TypeTemplate: wireTemplate,
	TypeInt8Array: wireBytes, TypeInt16Array: wireBytes, TypeInt32Array: wireBytes,
	TypeInt64Array: wireBytes, TypeUInt8Array: wireBytes, TypeUInt16Array: wireBytes,
	TypeUInt32Array: wireBytes, TypeUInt64Array: wireBytes, TypeFloatArray: wireBytes,
	TypeDoubleArray: wireBytes, TypeBooleanArray: wireBytes, TypeStringArray: wireBytes,
	TypeDateTimeArray: wireBytes,
}

// plain holds the kinds of the types whose values are on the wire as we hold
// them, so that there is nothing to check. Each has isPlain added, so that the
// types without one are like no kind.
var plain = [256]wireKind{
	TypeInt64: isPlain | wireLong, TypeUInt64: isPlain | wireLong, TypeFloat: isPlain | wireFloat,
	TypeDouble: isPlain | wireDouble, TypeBoolean: isPlain | wireBool, TypeString: isPlain | wireString,
	TypeDateTime: isPlain | wireLong, TypeText: isPlain | wireString, TypeUUID: isPlain | wireString,
	TypeDataSet: isPlain | wireDataSet, TypeBytes: isPlain | wireBytes, TypeFile: isPlain | wireBytes,
	TypeTemplate: isPlain | wireTemplate,
}

const isPlain wireKind = 0x80

// kind is the field of the oneof in which v travels.
func (v Value) kind() wireKind {
	if v.wire != wireNone || !v.typ.Known() {
		return v.wire
	}
	return kindOf[v.typ]
}

// bitSize is the size of an integer type in bits.
func bitSize(t DataType) uint {
	switch t {
	case TypeInt8, TypeUInt8:
		return 8
	case TypeInt16, TypeUInt16:
		return 16
	case TypeInt32, TypeUInt32:
		return 32
	}
	return 64
}

// As returns v as type t. A value that was decoded without a datatype is read
// as t the way Decode would have read it: signed integers in two's complement,
// sign-extended or masked to their size, integers from int_value or long_value
// alike (int_value of an Int64 is taken as unsigned), a Float from a double
// rounded to nearest. An integer of another type is converted when t can hold
// it exactly, text and bytes change their type only. A null stays null.
//
// The error says which field was on the wire, or which value is out of range.
func (v Value) As(t DataType) (Value, error) {
	w, why := v.as(t)
	if why != "" {
		return Value{}, fmt.Errorf("sparkplug: value as %s: %s", t, why)
	}
	return w, nil
}

// Retype makes v what [Value.As] says, in place, and reports whether it could;
// if not v is as before. It is for hosts, which give every value of a data
// message the type of its birth: the usual case costs a comparison.
func (v *Value) Retype(t DataType) bool {
	if v.wire|isPlain == plain[t] {
		v.typ, v.wire = t, wireNone
		return true
	}
	return v.retype(t)
}

// retype is Retype for all that is not plain.
func (v *Value) retype(t DataType) bool {
	if v.typ == t && v.wire == wireNone {
		return true
	}
	if v.wire == wireInt && t == TypeInt32 && v.num <= math.MaxUint32 {
		v.num, v.typ, v.wire = uint64(int64(int32(v.num))), t, wireNone
		return true
	}
	w, why := v.as(t)
	if why != "" {
		return false
	}
	*v = w
	return true
}

// as is As with the reason as text, empty when there is none.
func (v Value) as(t DataType) (Value, string) {
	switch {
	case !v.some:
		return Null(t), ""
	case v.wire == wireNone && v.typ == t:
		return v, ""
	case v.wire == wireNone && (v.typ.Integer() || v.typ == TypeDateTime) && t.Numeric():
		return v.convert(t)
	case v.wire == wireNone:
		v.wire = v.kind() // the bits are those of the wire for all other types
	}
	return v.read(t)
}

// read reads a value of which only the wire kind counts as type t.
func (v Value) read(t DataType) (Value, string) {
	num, ok := v.num, false
	switch {
	case t.Signed():
		num, ok = v.signed(bitSize(t))
	case t.Integer():
		ok = v.wire == wireInt || v.wire == wireLong
		if ok && num>>1>>(bitSize(t)-1) != 0 {
			return Value{}, fmt.Sprintf("%d is out of range", num)
		}
	case t == TypeDateTime:
		ok = v.wire == wireInt || v.wire == wireLong
	case t == TypeFloat:
		ok = v.wire == wireFloat || v.wire == wireDouble
		if v.wire == wireDouble {
			num = uint64(math.Float32bits(float32(math.Float64frombits(num))))
		}
	case t == TypeDouble:
		ok = v.wire == wireFloat || v.wire == wireDouble
		if v.wire == wireFloat {
			num = math.Float64bits(float64(float32Bits(num)))
		}
	case t == TypeBoolean:
		ok = v.wire == wireBool || num <= 1 && (v.wire == wireInt || v.wire == wireLong)
	case t.Array():
		ok = v.wire == wireBytes
		if !ok {
			break // there are no bytes to look at
		}
		if why := checkArray(t, v); why != "" {
			return Value{}, why
		}
	case t.Known():
		ok = kindOf[t] != wireNone && v.wire == kindOf[t]
	default: // of a later version of Sparkplug, or unknown: keep it as it is
		v.typ = t
		return v, ""
	}
	if !ok {
		return Value{}, v.misfit()
	}
	return Value{ref: v.ref, num: num, typ: t, some: true}, ""
}

func (v Value) misfit() string {
	if v.wire == wireInt || v.wire == wireLong {
		return fmt.Sprintf("%s %d does not fit", wireNames[v.wire], v.num)
	}
	return wireNames[v.wire] + " does not fit"
}

// signed reads an integer of n bits that came sign-extended to 32 or 64 bits,
// or masked to its size.
func (v Value) signed(n uint) (num uint64, ok bool) {
	if v.wire != wireInt && v.wire != wireLong {
		return 0, false
	}
	if n == 64 {
		return v.num, true
	}
	extended := uint64(int64(v.num) << (64 - n) >> (64 - n))
	masked := v.num & (1<<n - 1)
	return extended, v.num == extended || v.num == masked || v.num == uint64(uint32(extended))
}

// convert returns an integer or DateTime as another number.
func (v Value) convert(t DataType) (Value, string) {
	negative := (v.typ.Signed() || v.typ == TypeDateTime) && int64(v.num) < 0
	w, fits := Value{num: v.num, typ: t, some: true}, false
	switch {
	case t == TypeDouble || t == TypeFloat:
		f := v.Float64()
		if w = Double(f); t == TypeFloat {
			w = Float(float32(f))
		}
		f = w.Float64()
		if negative {
			fits = f >= -1<<63 && int64(f) == int64(v.num)
		} else {
			fits = f < 1<<64 && uint64(f) == v.num
		}
	case t.Signed() || t == TypeDateTime:
		n := bitSize(t)
		fits = int64(v.num)<<(64-n)>>(64-n) == int64(v.num) && (negative || v.num <= math.MaxInt64)
	default:
		fits = !negative && v.num>>1>>(bitSize(t)-1) == 0
	}
	if !fits {
		return Value{}, v.String() + " is out of range"
	}
	return w, ""
}
