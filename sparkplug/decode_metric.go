package sparkplug

import (
	"fmt"
	"unsafe"
)

// metric reads the metric in b[i:], in a template when depth > 0.
func (d *decoder) metric(b []byte, i int, m *Metric, depth int) *DecodeError {
	*m = Metric{}
	var typ uint64
	var null bool
	at := i
	for i < len(b) {
		f, next, why := readField(b, i)
		if why != "" {
			return bad(i, why)
		}
		switch f.tag {
		case tagName:
			if m.Name, why = d.name(b, f); why != "" {
				return bad(i, why).in("name")
			}
		case tagAlias:
			m.Alias, m.HasAlias = f.num, true
		case tagTimestamp:
			m.Timestamp, m.HasTimestamp = int64(f.num), true
		case tagDatatype:
			typ = uint64(uint32(f.num))
		case tagHistorical:
			m.Historical = f.num != 0
		case tagTransient:
			m.Transient = f.num != 0
		case tagNull:
			null = f.num != 0
		case tagMetadata:
			if m.Metadata != nil {
				return bad(i, "given twice").in("metadata")
			}
			m.Metadata = d.arena.metadata.get()
			if err := d.metadata(b[:f.hi], f.lo, m.Metadata); err != nil {
				return err.in("metadata")
			}
		case tagProperties:
			if m.Properties != nil {
				return bad(i, "given twice").in("properties")
			}
			m.Properties = d.arena.sets.get()
			if err := d.set(b[:f.hi], f.lo, m.Properties, 1); err != nil {
				return err.in("properties")
			}
		default:
			ok, err := d.metricValue(b, f, &m.Value, depth)
			if err != nil {
				return err.in("value")
			}
			if ok {
				at = i
			}
		}
		i = next
	}
	m.OmitType = typ == 0
	if err := d.finish(at, &m.Value, typ, null); err != nil {
		return err.in("value")
	}
	return nil
}

// metricValue reads f into v if it belongs to the value oneof of a metric.
func (d *decoder) metricValue(b []byte, f field, v *Value, depth int) (ok bool, err *DecodeError) {
	switch f.tag {
	case tagBytes:
		*v = held(wireBytes, b, f)
		return true, nil
	case tagDataSet:
		if d.seen(v, wireDataSet) {
			return true, bad(f.lo, "given twice")
		}
		table := d.arena.tables.get()
		*v = Value{ref: unsafe.Pointer(table), wire: wireDataSet, some: true}
		return true, d.table(b[:f.hi], f.lo, table)
	case tagTemplate:
		if d.seen(v, wireTemplate) {
			return true, bad(f.lo, "given twice")
		}
		tmpl := d.arena.templates.get()
		*v = Value{ref: unsafe.Pointer(tmpl), wire: wireTemplate, some: true}
		return true, d.template(b[:f.hi], f.lo, tmpl, depth+1)
	case tagExtension:
		return true, extension(b, f, v)
	}
	w, ok, why := scalar(b, f, oneofMetric)
	if why != "" {
		return true, bad(f.lo, why)
	}
	if ok {
		*v = w
	}
	return ok, nil
}

// seen says whether v holds a message of that kind, which protobuf would merge
// with the next of it.
func (d *decoder) seen(v *Value, kind wireKind) bool { return v.some && v.wire == kind }

// extension reads a field that Sparkplug keeps for extensions: no value of
// ours, but a well-formed message.
func extension(b []byte, f field, v *Value) *DecodeError {
	*v = Value{}
	if at, why := wellFormed(b[:f.hi], f.lo); why != "" {
		return bad(at, why)
	}
	return nil
}

// held returns a value whose content is a part of b.
func held(kind wireKind, b []byte, f field) Value {
	v := Value{num: uint64(f.hi - f.lo), wire: kind, some: true}
	if f.lo < f.hi {
		v.ref = unsafe.Pointer(&b[f.lo])
	}
	return v
}

// scalar reads f as one of the six scalar fields of a value oneof, which begins
// after field number base. ok is false when it is none of them.
func scalar(b []byte, f field, base uint64) (v Value, ok bool, why string) {
	num := f.num
	kind := wireKind(0)
	switch f.tag - base<<3 {
	case uint64(wireInt)<<3 | wtVarint:
		kind, num = wireInt, uint64(uint32(num))
	case uint64(wireLong)<<3 | wtVarint:
		kind = wireLong
	case uint64(wireFloat)<<3 | wtFixed32:
		kind = wireFloat
	case uint64(wireDouble)<<3 | wtFixed64:
		kind = wireDouble
	case uint64(wireBool)<<3 | wtVarint:
		kind, num = wireBool, min(num, 1)
	case uint64(wireString)<<3 | wtBytes:
		_, why = text(b, f)
		return held(wireString, b, f), true, why
	default:
		return v, false, ""
	}
	return Value{num: num, wire: kind, some: true}, true, ""
}

// finish gives the value that was read its datatype.
func (d *decoder) finish(at int, v *Value, typ uint64, null bool) *DecodeError {
	if typ < uint64(len(plain)) && plain[typ] == v.wire|isPlain && v.some && !null {
		v.typ, v.wire = DataType(typ), wireNone
		return nil
	}
	if typ == uint64(TypeInt32) && v.wire == wireInt && !null {
		v.num, v.typ, v.wire = uint64(int64(int32(v.num))), TypeInt32, wireNone
		return nil
	}
	if typ > 255 {
		return bad(at, fmt.Sprintf("datatype %d is over 255", typ))
	}
	t := DataType(typ)
	switch {
	case null || !v.some:
		*v = Null(t)
		return nil
	case t == TypeUnknown && v.wire == wireDataSet:
		t = TypeDataSet
	case t == TypeUnknown && v.wire == wireTemplate:
		t = TypeTemplate
	case t == TypeUnknown:
		return nil
	}
	w, why := v.read(t)
	if why != "" {
		return bad(at, t.String()+": "+why)
	}
	*v = w
	return nil
}

func (d *decoder) metadata(b []byte, i int, m *Metadata) *DecodeError {
	*m = Metadata{}
	for i < len(b) {
		f, next, why := readField(b, i)
		if why != "" {
			return bad(i, why)
		}
		switch f.tag {
		case tagMetaMultiPart:
			m.MultiPart, m.HasMultiPart = f.num != 0, true
		case tagMetaContentType:
			m.ContentType, why = text(b, f)
		case tagMetaSize:
			m.Size, m.HasSize = f.num, true
		case tagMetaSeq:
			m.Seq, m.HasSeq = f.num, true
		case tagMetaFileName:
			m.FileName, why = text(b, f)
		case tagMetaFileType:
			m.FileType, why = text(b, f)
		case tagMetaMD5:
			m.MD5, why = text(b, f)
		case tagMetaDescription:
			m.Description, why = text(b, f)
		}
		if why != "" {
			return bad(i, why)
		}
		i = next
	}
	return nil
}
