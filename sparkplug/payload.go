package sparkplug

import "slices"

// Payload is one Sparkplug B payload: what goes into an MQTT message.
type Payload struct {
	Timestamp    int64 // ms since the Unix epoch, UTC: when it was sent
	HasTimestamp bool
	Seq          uint8
	HasSeq       bool
	Metrics      []Metric
	UUID         string
	Body         []byte

	arena arena // what Decode reuses: a copy of a Payload must not be decoded into
}

// Metric is one metric of a payload. Its zero value has no name, no alias and
// a null value.
type Metric struct {
	Name         string // empty: not sent (by alias)
	Alias        uint64
	Timestamp    int64 // ms since the Unix epoch, UTC
	Value        Value // its type is TypeUnknown when the datatype was not sent
	Properties   *PropertySet
	Metadata     *Metadata
	HasAlias     bool
	HasTimestamp bool
	Historical   bool
	Transient    bool
	// OmitType leaves the datatype off the wire though Value knows it, as DATA
	// messages should. Decode sets it when no datatype was sent.
	OmitType bool
}

// PropertySet is an ordered list of named properties.
//
// Spec: tck-id-payloads-propertyset-keys-array-size,
// tck-id-payloads-propertyset-values-array-size.
type PropertySet struct {
	Keys   []string
	Values []Property // as long as Keys
}

// Property is the value of one property: a scalar, or a nested set, or a list of sets.
type Property struct {
	Value Value          // of type TypePropertySet or TypePropertySetList (null) when nested
	Set   *PropertySet   // of a TypePropertySet
	List  []*PropertySet // of a TypePropertySetList
}

// Get returns the property with that key, and whether there is one. It may be
// called on nil.
func (s *PropertySet) Get(key string) (Property, bool) {
	if s != nil {
		for i, k := range s.Keys {
			if k == key {
				return s.Values[i], true
			}
		}
	}
	return Property{}, false
}

// Metadata describes the content of a Bytes or File metric.
type Metadata struct {
	MultiPart   bool
	ContentType string
	Size        uint64
	Seq         uint64
	FileName    string
	FileType    string
	MD5         string
	Description string
	// Has tells which of the optional scalar fields are on the wire.
	HasMultiPart, HasSize, HasSeq bool
}

// DataSet is a table of typed columns.
//
// Spec: tck-id-payloads-dataset-column-num-headers, tck-id-payloads-dataset-types-num,
// tck-id-payloads-dataset-types-value, tck-id-payloads-template-dataset-value.
type DataSet struct {
	Columns []string
	Types   []DataType // as long as Columns
	Rows    []Value    // row-major, len(Columns) values a row
}

// Like says whether o has the same columns with the same types; false of nil.
func (d *DataSet) Like(o *DataSet) bool {
	return d != nil && o != nil && slices.Equal(d.Columns, o.Columns) && slices.Equal(d.Types, o.Types)
}

// Template is a definition or an instance of a user-defined type. A definition
// leaves Ref empty; IsDefinition is always sent.
//
// Spec: tck-id-payloads-template-is-definition,
// tck-id-payloads-template-ref-definition, tck-id-payloads-template-ref-instance.
type Template struct {
	Version      string
	Ref          string // of an instance: the name of its definition
	IsDefinition bool
	Metrics      []Metric
	Parameters   []Parameter
}

// Parameter is a named parameter of a template.
type Parameter struct {
	Name  string
	Value Value
}
