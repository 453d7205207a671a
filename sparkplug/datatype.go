package sparkplug

import "strconv"

// DataType is a Sparkplug B datatype as it stands on the wire, 0 to 34.
//
// Spec: chapter 6, "Datatype Details".
type DataType uint8

// The datatypes of Sparkplug 3.0. PropertySet and PropertySetList are for
// properties only.
const (
	TypeUnknown DataType = iota
	TypeInt8
	TypeInt16
	TypeInt32
	TypeInt64
	TypeUInt8
	TypeUInt16
	TypeUInt32
	TypeUInt64
	TypeFloat
	TypeDouble
	TypeBoolean
	TypeString
	TypeDateTime // milliseconds since the Unix epoch, UTC
	TypeText
	TypeUUID
	TypeDataSet
	TypeBytes
	TypeFile
	TypeTemplate
	TypePropertySet
	TypePropertySetList
	TypeInt8Array
	TypeInt16Array
	TypeInt32Array
	TypeInt64Array
	TypeUInt8Array
	TypeUInt16Array
	TypeUInt32Array
	TypeUInt64Array
	TypeFloatArray
	TypeDoubleArray
	TypeBooleanArray
	TypeStringArray
	TypeDateTimeArray
)

var typeNames = [...]string{
	"Unknown", "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32",
	"UInt64", "Float", "Double", "Boolean", "String", "DateTime", "Text", "UUID",
	"DataSet", "Bytes", "File", "Template", "PropertySet", "PropertySetList",
	"Int8Array", "Int16Array", "Int32Array", "Int64Array", "UInt8Array",
	"UInt16Array", "UInt32Array", "UInt64Array", "FloatArray", "DoubleArray",
	"BooleanArray", "StringArray", "DateTimeArray",
}

// String gives the name that the specification uses, "Int8" to
// "DateTimeArray", or the number of a type that it does not know.
func (t DataType) String() string {
	if t.Known() {
		return typeNames[t]
	}
	return "DataType(" + strconv.Itoa(int(t)) + ")"
}

// ParseDataType is the inverse of String for the known types; ok is false for
// any other name. Names are case-sensitive.
func ParseDataType(name string) (t DataType, ok bool) {
	for i, n := range typeNames {
		if n == name {
			return DataType(i), true
		}
	}
	return TypeUnknown, false
}

// Known says whether t is one of the constants above.
func (t DataType) Known() bool { return int(t) < len(typeNames) }

// Integer says whether t is Int8 to UInt64.
func (t DataType) Integer() bool { return t >= TypeInt8 && t <= TypeUInt64 }

// Signed says whether t is Int8 to Int64.
func (t DataType) Signed() bool { return t >= TypeInt8 && t <= TypeInt64 }

// Numeric says whether t is an integer, a Float or a Double.
func (t DataType) Numeric() bool { return t >= TypeInt8 && t <= TypeDouble }

// Textual says whether t is String, Text or UUID.
func (t DataType) Textual() bool {
	return t == TypeString || t == TypeText || t == TypeUUID
}

// Binary says whether t is Bytes or File.
func (t DataType) Binary() bool { return t == TypeBytes || t == TypeFile }

// Array says whether t is one of the thirteen array types.
func (t DataType) Array() bool { return t >= TypeInt8Array && t <= TypeDateTimeArray }
