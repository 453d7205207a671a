package sparkplug

import (
	"encoding/binary"
	"fmt"
)

// appendMetric appends a metric as a message field; depth counts the templates
// it is in.
func appendMetric(dst []byte, tag uint64, m *Metric, depth int) ([]byte, *EncodeError) {
	dst = open(dst, tag)
	start := len(dst)
	dst, err := appendOptional(dst, tagName, m.Name)
	if err != nil {
		return dst, err.in("name")
	}
	if m.HasAlias {
		dst = appendUint(dst, tagAlias, m.Alias)
	}
	if m.HasTimestamp {
		dst = appendUint(dst, tagTimestamp, uint64(m.Timestamp))
	}
	if !m.OmitType && m.Value.typ != TypeUnknown {
		dst = appendUint(dst, tagDatatype, uint64(m.Value.typ))
	}
	if m.Historical {
		dst = appendBool(dst, tagHistorical, true)
	}
	if m.Transient {
		dst = appendBool(dst, tagTransient, true)
	}
	if m.Value.IsNull() {
		dst = appendBool(dst, tagNull, true)
	}
	if m.Metadata != nil {
		if dst, err = appendMetadata(dst, m.Metadata); err != nil {
			return dst, err.in("metadata")
		}
	}
	if m.Properties != nil {
		if dst, err = appendSet(dst, tagProperties, m.Properties, 1); err != nil {
			return dst, err.in("properties")
		}
	}
	if !m.Value.IsNull() {
		if dst, err = appendValue(dst, &m.Value, depth); err != nil {
			return dst, err.in("value")
		}
	}
	return closed(dst, start), nil
}

// appendValue appends the value of a metric, which is not null.
func appendValue(dst []byte, v *Value, depth int) ([]byte, *EncodeError) {
	if why := v.check(); why != "" {
		return dst, unfit(why)
	}
	switch v.kind() {
	case wireBytes:
		return appendBytes(dst, tagBytes, v.bytes()), nil
	case wireDataSet:
		return appendTable(dst, (*DataSet)(v.ref))
	case wireTemplate:
		return appendTemplate(dst, (*Template)(v.ref), depth+1)
	}
	return appendScalar(dst, v, oneofMetric)
}

// check says why v, not null, is not a value of its type.
func (v *Value) check() string {
	kind := v.kind()
	switch {
	case kind == wireNone:
		return v.typ.String() + " has no value field"
	case v.wire != wireNone && v.typ.Known() && v.typ != TypeUnknown:
		return "made wrongly"
	case v.wire != wireNone:
		return ""
	case v.typ.Signed():
		if n := bitSize(v.typ); int64(v.num)<<(64-n)>>(64-n) != int64(v.num) {
			return fmt.Sprintf("%d is out of range of %s", int64(v.num), v.typ)
		}
	case v.typ.Integer():
		if v.num>>1>>(bitSize(v.typ)-1) != 0 {
			return fmt.Sprintf("%d is out of range of %s", v.num, v.typ)
		}
	case v.typ.Array():
		return checkArray(v.typ, *v)
	}
	return ""
}

// appendScalar appends a checked value that is a scalar, as a field of the oneof
// that begins after field number base.
func appendScalar(dst []byte, v *Value, base uint64) ([]byte, *EncodeError) {
	kind := v.kind()
	if kind == wireNone || kind > wireString {
		return dst, unfit(v.typ.String() + " cannot be here")
	}
	tag := (base+uint64(kind))<<3 | uint64(wireTypes[kind])
	switch kind {
	case wireInt:
		return appendUint(dst, tag, uint64(uint32(v.num))), nil
	case wireFloat:
		return binary.LittleEndian.AppendUint32(binary.AppendUvarint(dst, tag), uint32(v.num)), nil
	case wireDouble:
		return binary.LittleEndian.AppendUint64(binary.AppendUvarint(dst, tag), v.num), nil
	case wireBool:
		return appendBool(dst, tag, v.num != 0), nil
	case wireString:
		return appendText(dst, tag, v.text())
	}
	return appendUint(dst, tag, v.num), nil
}

func appendMetadata(dst []byte, m *Metadata) ([]byte, *EncodeError) {
	dst = open(dst, tagMetadata)
	start := len(dst)
	if m.HasMultiPart {
		dst = appendBool(dst, tagMetaMultiPart, m.MultiPart)
	}
	dst, err := appendOptional(dst, tagMetaContentType, m.ContentType)
	if err != nil {
		return dst, err
	}
	if m.HasSize {
		dst = appendUint(dst, tagMetaSize, m.Size)
	}
	if m.HasSeq {
		dst = appendUint(dst, tagMetaSeq, m.Seq)
	}
	for i, s := range [...]string{m.FileName, m.FileType, m.MD5, m.Description} {
		if dst, err = appendOptional(dst, tagMetaFileName+uint64(i)<<3, s); err != nil {
			return dst, err
		}
	}
	return closed(dst, start), nil
}
