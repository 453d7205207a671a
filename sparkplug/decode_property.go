package sparkplug

import "fmt"

// deep says why a message nested that deep is refused.
func (d *decoder) deep(depth int) string {
	if depth > d.lim.Depth {
		return fmt.Sprintf("nested deeper than %d", d.lim.Depth)
	}
	return ""
}

func (d *decoder) set(b []byte, i int, s *PropertySet, depth int) *DecodeError {
	keys, values := len(s.Keys), len(s.Values)
	s.Keys, s.Values = s.Keys[:0], s.Values[:0]
	if why := d.deep(depth); why != "" {
		return bad(i, why)
	}
	start := i
	for i < len(b) {
		f, next, why := readField(b, i)
		if why != "" {
			return bad(i, why)
		}
		switch f.tag {
		case tagSetKey:
			if d.properties++; d.properties > d.lim.Properties {
				return bad(i, fmt.Sprintf("more than %d properties", d.lim.Properties))
			}
			key, why := d.name(b, f)
			if why != "" {
				return bad(i, why).at("keys", len(s.Keys))
			}
			s.Keys = append(s.Keys, key)
		case tagSetValue:
			if len(s.Values) >= d.lim.Properties {
				return bad(i, fmt.Sprintf("more than %d properties", d.lim.Properties))
			}
			s.Values = append(s.Values, Property{})
			v := &s.Values[len(s.Values)-1]
			if d.fastProperty(b[:f.hi], f.lo, v) {
				break
			}
			*v = Property{}
			if err := d.property(b[:f.hi], f.lo, v, depth); err != nil {
				return err.at("values", len(s.Values)-1)
			}
		}
		i = next
	}
	if len(s.Keys) != len(s.Values) {
		return bad(start, fmt.Sprintf("%d keys but %d values", len(s.Keys), len(s.Values)))
	}
	tidy(s.Keys, keys)
	tidy(s.Values, values)
	return nil
}

// fastProperty reads the property value in b[i:] into the zero p if it is a type
// and then a scalar, as encoders write it, and reports whether it did.
func (d *decoder) fastProperty(b []byte, i int, p *Property) bool {
	if len(b)-i < 3 || b[i] != tagPropType || b[i+1] >= 0x80 {
		return false
	}
	f, next, why := readField(b, i+2)
	if why != "" || next != len(b) {
		return false
	}
	w, ok, why := scalar(b, f, oneofProperty)
	if !ok || why != "" {
		return false
	}
	p.Value = w
	return d.finish(i, &p.Value, uint64(b[i+1]), false) == nil
}

// property reads the property value in b[i:], into the zero p.
func (d *decoder) property(b []byte, i int, p *Property, depth int) *DecodeError {
	var typ uint64
	var null, sets, lists bool
	at := i
	for i < len(b) {
		f, next, why := readField(b, i)
		if why != "" {
			return bad(i, why)
		}
		switch f.tag {
		case tagPropType:
			typ = uint64(uint32(f.num))
		case tagPropNull:
			null = f.num != 0
		case tagPropSet:
			if sets {
				return bad(i, "given twice").in("set")
			}
			sets = true
			*p = Property{Set: d.arena.sets.get()}
			if err := d.set(b[:f.hi], f.lo, p.Set, depth+1); err != nil {
				return err.in("set")
			}
		case tagPropList:
			if lists {
				return bad(i, "given twice").in("list")
			}
			lists = true
			*p = Property{List: []*PropertySet{}}
			if err := d.list(b[:f.hi], f.lo, p, depth+1); err != nil {
				return err.in("list")
			}
		case tagPropExtension:
			*p = Property{}
			if err := extension(b, f, &p.Value); err != nil {
				return err
			}
		default:
			w, ok, why := scalar(b, f, oneofProperty)
			if why != "" {
				return bad(i, why)
			}
			if ok {
				*p, at = Property{Value: w}, i
			}
		}
		i = next
	}
	return d.finishProperty(at, p, typ, null)
}

// finishProperty gives the property that was read its datatype.
func (d *decoder) finishProperty(at int, p *Property, typ uint64, null bool) *DecodeError {
	want := uint64(TypeUnknown)
	switch {
	case null:
		*p = Property{}
	case p.Set != nil:
		want = uint64(TypePropertySet)
	case p.List != nil:
		want = uint64(TypePropertySetList)
	}
	switch {
	case want == uint64(TypeUnknown):
		return d.finish(at, &p.Value, typ, null)
	case typ != 0 && typ != want:
		return bad(at, fmt.Sprintf("type %d does not fit a %s", typ, DataType(want)))
	}
	p.Value = Null(DataType(want))
	return nil
}

// list reads a list of property sets.
func (d *decoder) list(b []byte, i int, p *Property, depth int) *DecodeError {
	if why := d.deep(depth); why != "" {
		return bad(i, why)
	}
	for i < len(b) {
		f, next, why := readField(b, i)
		if why != "" {
			return bad(i, why)
		}
		if f.tag == tagListSet {
			if d.properties++; d.properties > d.lim.Properties {
				return bad(i, fmt.Sprintf("more than %d properties", d.lim.Properties))
			}
			s := d.arena.sets.get()
			if err := d.set(b[:f.hi], f.lo, s, depth); err != nil {
				return err.at("sets", len(p.List))
			}
			p.List = append(p.List, s)
		}
		i = next
	}
	return nil
}
