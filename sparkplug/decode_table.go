package sparkplug

import "fmt"

// table reads the data set in b[i:]. Its cells are kept as they are on the wire
// until the types of all columns are known.
func (d *decoder) table(b []byte, i int, t *DataSet) *DecodeError {
	columns, cells := len(t.Columns), len(t.Rows)
	t.Columns, t.Types, t.Rows = t.Columns[:0], t.Types[:0], t.Rows[:0]
	start, rows, width := i, 0, 0
	count, counted := uint64(0), false
	for i < len(b) {
		f, next, why := readField(b, i)
		if why != "" {
			return bad(i, why)
		}
		switch f.tag {
		case tagTableCount:
			count, counted = f.num, true
		case tagTableColumn:
			name, why := d.name(b, f)
			if why != "" {
				return bad(i, why).at("columns", len(t.Columns))
			}
			if err := d.cell(i); err != nil {
				return err
			}
			t.Columns = append(t.Columns, name)
		case tagTableType:
			if err := d.columnType(i, t, f.num); err != nil {
				return err.at("types", len(t.Types))
			}
		case tagTableTypes:
			if err := d.columnTypes(b[:f.hi], f.lo, t); err != nil {
				return err.at("types", len(t.Types))
			}
		case tagTableRow:
			before := len(t.Rows)
			if err := d.row(b[:f.hi], f.lo, t); err != nil {
				return err.at("rows", rows)
			}
			n := len(t.Rows) - before
			if n == 0 || rows > 0 && n != width {
				return bad(i, fmt.Sprintf("%d cells, the first row has %d", n, width)).at("rows", rows)
			}
			rows, width = rows+1, n
		}
		i = next
	}
	switch n := len(t.Columns); {
	case counted && count != uint64(n):
		return bad(start, fmt.Sprintf("%d columns, but num_of_columns is %d", n, count))
	case len(t.Types) != n:
		return bad(start, fmt.Sprintf("%d columns but %d types", n, len(t.Types)))
	case rows > 0 && width != n:
		return bad(start, fmt.Sprintf("%d columns but %d cells in a row", n, width))
	}
	tidy(t.Columns, columns)
	tidy(t.Rows, cells)
	return d.typeCells(start, t)
}

// typeCells gives the cells the types of their columns.
func (d *decoder) typeCells(at int, t *DataSet) *DecodeError {
	width := len(t.Columns)
	for i := range t.Rows {
		v := &t.Rows[i]
		typ := t.Types[i%width]
		if typ == TypeUnknown && v.some {
			continue
		}
		w, why := v.as(typ)
		if why != "" {
			return bad(at, fmt.Sprintf("%s: %s", typ, why)).in(fmt.Sprintf("rows[%d][%d]", i/width, i%width))
		}
		*v = w
	}
	return nil
}

// cell counts a cell, a column or a type.
func (d *decoder) cell(at int) *DecodeError {
	if d.cells++; d.cells > d.lim.Cells {
		return bad(at, fmt.Sprintf("more than %d cells", d.lim.Cells))
	}
	return nil
}

func (d *decoder) columnType(at int, t *DataSet, num uint64) *DecodeError {
	typ := uint32(num)
	if !columnable(typ) {
		return bad(at, fmt.Sprintf("datatype %d is not for columns", typ))
	}
	if err := d.cell(at); err != nil {
		return err
	}
	t.Types = append(t.Types, DataType(typ))
	return nil
}

// columnable says whether cells can have that datatype: those that are not
// scalar cannot, there is no field for them.
func columnable(typ uint32) bool {
	return typ <= uint32(TypeUUID) || typ > uint32(TypeDateTimeArray) && typ <= 255
}

func (d *decoder) columnTypes(b []byte, i int, t *DataSet) *DecodeError {
	for i < len(b) {
		num, next := uvarint(b, i)
		if next == 0 {
			return bad(i, "bad varint")
		}
		if err := d.columnType(i, t, num); err != nil {
			return err
		}
		i = next
	}
	return nil
}

func (d *decoder) row(b []byte, i int, t *DataSet) *DecodeError {
	for i < len(b) {
		f, next, why := readField(b, i)
		if why != "" {
			return bad(i, why)
		}
		if f.tag == tagRowElement {
			if err := d.cell(i); err != nil {
				return err
			}
			v, err := d.element(b[:f.hi], f.lo)
			if err != nil {
				return err
			}
			t.Rows = append(t.Rows, v)
		}
		i = next
	}
	return nil
}

// element reads a cell, without a type as yet.
func (d *decoder) element(b []byte, i int) (v Value, err *DecodeError) {
	for i < len(b) {
		f, next, why := readField(b, i)
		if why != "" {
			return v, bad(i, why)
		}
		if f.tag == tagCellExtended {
			if err := extension(b, f, &v); err != nil {
				return v, err
			}
		}
		w, ok, why := scalar(b, f, oneofCell)
		if why != "" {
			return v, bad(i, why)
		}
		if ok {
			v = w
		}
		i = next
	}
	return v, nil
}

// template reads the template in b[i:].
func (d *decoder) template(b []byte, i int, t *Template, depth int) *DecodeError {
	metrics, parameters := len(t.Metrics), len(t.Parameters)
	*t = Template{Metrics: t.Metrics[:0], Parameters: t.Parameters[:0]}
	if why := d.deep(depth); why != "" {
		return bad(i, why)
	}
	for i < len(b) {
		f, next, why := readField(b, i)
		if why != "" {
			return bad(i, why)
		}
		switch f.tag {
		case tagTmplVersion:
			if t.Version, why = d.name(b, f); why != "" {
				return bad(i, why).in("version")
			}
		case tagTmplMetric:
			m, err := d.grow(i, &t.Metrics)
			if err == nil {
				err = d.metric(b[:f.hi], f.lo, m, depth)
			}
			if err != nil {
				return err.at("metrics", len(t.Metrics)-1)
			}
		case tagTmplParameter:
			if d.properties++; d.properties > d.lim.Properties {
				return bad(i, fmt.Sprintf("more than %d properties", d.lim.Properties))
			}
			p, err := d.parameter(b[:f.hi], f.lo)
			if err != nil {
				return err.at("parameters", len(t.Parameters))
			}
			t.Parameters = append(t.Parameters, p)
		case tagTmplRef:
			if t.Ref, why = d.name(b, f); why != "" {
				return bad(i, why).in("template_ref")
			}
		case tagTmplDefines:
			t.IsDefinition = f.num != 0
		}
		i = next
	}
	tidy(t.Metrics, metrics)
	tidy(t.Parameters, parameters)
	return nil
}

func (d *decoder) parameter(b []byte, i int) (p Parameter, err *DecodeError) {
	var typ uint64
	at := i
	for i < len(b) {
		f, next, why := readField(b, i)
		if why != "" {
			return p, bad(i, why)
		}
		switch f.tag {
		case tagParamName:
			p.Name, why = d.name(b, f)
		case tagParamType:
			typ = uint64(uint32(f.num))
		case tagParamExtension:
			err = extension(b, f, &p.Value)
		default:
			var v Value
			var ok bool
			if v, ok, why = scalar(b, f, oneofParameter); ok {
				p.Value, at = v, i
			}
		}
		if why != "" {
			err = bad(i, why)
		}
		if err != nil {
			return p, err
		}
		i = next
	}
	return p, d.finish(at, &p.Value, typ, false)
}
