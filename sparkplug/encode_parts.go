package sparkplug

import "fmt"

// tooDeep refuses what Decode would refuse, and what contains itself.
func tooDeep(depth int) *EncodeError {
	if depth > maxDepth {
		return unfit(fmt.Sprintf("nested deeper than %d", maxDepth))
	}
	return nil
}

func appendSet(dst []byte, tag uint64, s *PropertySet, depth int) ([]byte, *EncodeError) {
	if err := tooDeep(depth); err != nil {
		return dst, err
	}
	if len(s.Keys) != len(s.Values) {
		return dst, unfit(fmt.Sprintf("%d keys but %d values", len(s.Keys), len(s.Values)))
	}
	dst = open(dst, tag)
	start := len(dst)
	var err *EncodeError
	for i, key := range s.Keys {
		if dst, err = appendText(dst, tagSetKey, key); err != nil {
			return dst, err.at("keys", i)
		}
	}
	for i := range s.Values {
		if dst, err = appendProperty(dst, &s.Values[i], depth); err != nil {
			return dst, err.at("values", i)
		}
	}
	return closed(dst, start), nil
}

// propertyType is the datatype of p, which may be left out of a set or list.
func propertyType(p *Property) DataType {
	switch {
	case p.Set != nil:
		return TypePropertySet
	case p.List != nil:
		return TypePropertySetList
	}
	return p.Value.typ
}

func appendProperty(dst []byte, p *Property, depth int) ([]byte, *EncodeError) {
	dst = open(dst, tagSetValue)
	start := len(dst)
	typ := propertyType(p)
	if nested := p.Set != nil || p.List != nil; nested && (p.Set != nil && p.List != nil ||
		p.Value.some || p.Value.typ != TypeUnknown && p.Value.typ != typ) {
		return dst, unfit("more than one of a value, a set and a list")
	}
	if typ != TypeUnknown {
		dst = appendUint(dst, tagPropType, uint64(typ))
	}
	var err *EncodeError
	switch {
	case p.Set != nil:
		dst, err = appendSet(dst, tagPropSet, p.Set, depth+1)
		err = err.in("set")
	case p.List != nil:
		dst, err = appendList(dst, p.List, depth+1)
		err = err.in("list")
	case p.Value.IsNull():
		dst = appendBool(dst, tagPropNull, true)
	default:
		if why := p.Value.check(); why != "" {
			return dst, unfit(why)
		}
		dst, err = appendScalar(dst, &p.Value, oneofProperty)
	}
	if err != nil {
		return dst, err
	}
	return closed(dst, start), nil
}

func appendList(dst []byte, list []*PropertySet, depth int) ([]byte, *EncodeError) {
	if err := tooDeep(depth); err != nil {
		return dst, err
	}
	dst = open(dst, tagPropList)
	start := len(dst)
	var err *EncodeError
	for i, s := range list {
		if s == nil {
			return dst, unfit("nil").at("sets", i)
		}
		if dst, err = appendSet(dst, tagListSet, s, depth); err != nil {
			return dst, err.at("sets", i)
		}
	}
	return closed(dst, start), nil
}

// shape says what is wrong with the lengths and types of d.
func (d *DataSet) shape() string {
	n := len(d.Columns)
	switch {
	case len(d.Types) != n:
		return fmt.Sprintf("%d columns but %d types", n, len(d.Types))
	case n == 0 && len(d.Rows) > 0, n > 0 && len(d.Rows)%n != 0:
		return fmt.Sprintf("%d cells do not fill rows of %d columns", len(d.Rows), n)
	}
	for i, t := range d.Types {
		if !columnable(uint32(t)) {
			return fmt.Sprintf("types[%d]: %s is not for columns", i, t)
		}
	}
	return ""
}

func appendTable(dst []byte, d *DataSet) ([]byte, *EncodeError) {
	if why := d.shape(); why != "" {
		return dst, unfit(why)
	}
	dst = open(dst, tagDataSet)
	start := len(dst)
	width := len(d.Columns)
	dst = appendUint(dst, tagTableCount, uint64(width))
	var err *EncodeError
	for i, name := range d.Columns {
		if dst, err = appendText(dst, tagTableColumn, name); err != nil {
			return dst, err.at("columns", i)
		}
	}
	for _, t := range d.Types {
		dst = appendUint(dst, tagTableType, uint64(t))
	}
	for i := 0; i < len(d.Rows); i += width {
		dst = open(dst, tagTableRow)
		row := len(dst)
		for j := range width {
			v := &d.Rows[i+j]
			if dst, err = appendCell(dst, v, d.Types[j]); err != nil {
				return dst, err.in(fmt.Sprintf("rows[%d][%d]", i/width, j))
			}
		}
		dst = closed(dst, row)
	}
	return closed(dst, start), nil
}

// appendCell appends a cell of a column of type t; a null is an empty element.
func appendCell(dst []byte, v *Value, t DataType) ([]byte, *EncodeError) {
	dst = open(dst, tagRowElement)
	start := len(dst)
	if v.IsNull() {
		return dst, nil
	}
	if v.typ != t {
		return dst, unfit(fmt.Sprintf("%s in a column of %s", v.typ, t))
	}
	if why := v.check(); why != "" {
		return dst, unfit(why)
	}
	dst, err := appendScalar(dst, v, oneofCell)
	if err != nil {
		return dst, err
	}
	return closed(dst, start), nil
}

func appendTemplate(dst []byte, t *Template, depth int) ([]byte, *EncodeError) {
	if err := tooDeep(depth); err != nil {
		return dst, err
	}
	dst = open(dst, tagTemplate)
	start := len(dst)
	dst, err := appendOptional(dst, tagTmplVersion, t.Version)
	if err != nil {
		return dst, err.in("version")
	}
	for i := range t.Metrics {
		if dst, err = appendMetric(dst, tagTmplMetric, &t.Metrics[i], depth); err != nil {
			return dst, err.at("metrics", i)
		}
	}
	for i := range t.Parameters {
		if dst, err = appendParameter(dst, &t.Parameters[i]); err != nil {
			return dst, err.at("parameters", i)
		}
	}
	if dst, err = appendOptional(dst, tagTmplRef, t.Ref); err != nil {
		return dst, err.in("template_ref")
	}
	dst = appendBool(dst, tagTmplDefines, t.IsDefinition)
	return closed(dst, start), nil
}

func appendParameter(dst []byte, p *Parameter) ([]byte, *EncodeError) {
	dst = open(dst, tagTmplParameter)
	start := len(dst)
	dst, err := appendOptional(dst, tagParamName, p.Name)
	if err != nil {
		return dst, err.in("name")
	}
	if p.Value.typ != TypeUnknown {
		dst = appendUint(dst, tagParamType, uint64(p.Value.typ))
	}
	if !p.Value.IsNull() {
		if why := p.Value.check(); why != "" {
			return dst, unfit(why).in("value")
		}
		if dst, err = appendScalar(dst, &p.Value, oneofParameter); err != nil {
			return dst, err.in("value")
		}
	}
	return closed(dst, start), nil
}
