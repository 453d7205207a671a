package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/magneto-iiot/magneto/sparkplug"
)

// jsonTime is a time in JSON: RFC 3339 in UTC with milliseconds. It also reads
// milliseconds since the Unix epoch.
type jsonTime int64

const timeLayout = "2006-01-02T15:04:05.000Z"

func (t jsonTime) MarshalJSON() ([]byte, error) {
	return []byte(`"` + time.UnixMilli(int64(t)).UTC().Format(timeLayout) + `"`), nil
}

func (t *jsonTime) UnmarshalJSON(b []byte) error {
	if ms, err := strconv.ParseInt(string(b), 10, 64); err == nil {
		*t = jsonTime(ms)
		return nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return fmt.Errorf("%q is no time: write it like 2026-01-31T12:00:00.000Z, or as milliseconds since 1970", s)
	}
	*t = jsonTime(at.UnixMilli())
	return nil
}

// jsonPayload is a payload as decode prints and encode reads it.
type jsonPayload struct {
	Timestamp *jsonTime `json:"timestamp,omitempty"`
	Seq       *uint8    `json:"seq,omitempty"`
	UUID      string    `json:"uuid,omitempty"`
	// Compressed says how it was compressed on the wire: DEFLATE or GZIP.
	Compressed string       `json:"compressed,omitempty"`
	Metrics    []jsonMetric `json:"metrics"`
	Body       []byte       `json:"body,omitempty"`
}

type jsonMetric struct {
	Name       string          `json:"name,omitempty"`
	Alias      *uint64         `json:"alias,omitempty"`
	Timestamp  *jsonTime       `json:"timestamp,omitempty"`
	Datatype   string          `json:"datatype,omitempty"`
	Value      json.RawMessage `json:"value"`
	Historical bool            `json:"is_historical,omitempty"`
	Transient  bool            `json:"is_transient,omitempty"`
	Properties json.RawMessage `json:"properties,omitempty"`
}

func toJSON(p *sparkplug.Payload) jsonPayload {
	j := jsonPayload{UUID: p.UUID, Body: p.Body, Metrics: make([]jsonMetric, len(p.Metrics))}
	if p.HasTimestamp {
		j.Timestamp = new(jsonTime(p.Timestamp))
	}
	if p.HasSeq {
		j.Seq = new(p.Seq)
	}
	for i := range p.Metrics {
		m := &p.Metrics[i]
		out := &j.Metrics[i]
		out.Name, out.Historical, out.Transient = m.Name, m.Historical, m.Transient
		out.Value = sparkplug.AppendJSON(nil, m.Value)
		if m.HasAlias {
			out.Alias = new(m.Alias)
		}
		if m.HasTimestamp {
			out.Timestamp = new(jsonTime(m.Timestamp))
		}
		if m.Value.Type() != sparkplug.TypeUnknown {
			out.Datatype = m.Value.Type().String()
		}
		if m.Properties != nil {
			out.Properties = sparkplug.AppendPropertiesJSON(nil, m.Properties)
		}
	}
	return j
}

// fromJSON is the inverse of toJSON for all that has a datatype. Property sets
// within property sets are refused.
func fromJSON(j jsonPayload) (*sparkplug.Payload, error) {
	p := &sparkplug.Payload{UUID: j.UUID, Body: j.Body}
	if j.Timestamp != nil {
		p.Timestamp, p.HasTimestamp = int64(*j.Timestamp), true
	}
	if j.Seq != nil {
		p.Seq, p.HasSeq = *j.Seq, true
	}
	for i, in := range j.Metrics {
		m, err := metricFromJSON(in)
		if err != nil {
			return nil, fmt.Errorf("metrics[%d] %q: %w", i, in.Name, err)
		}
		p.Metrics = append(p.Metrics, m)
	}
	return p, nil
}

func metricFromJSON(in jsonMetric) (sparkplug.Metric, error) {
	m := sparkplug.Metric{Name: in.Name, Historical: in.Historical, Transient: in.Transient}
	if in.Alias != nil {
		m.Alias, m.HasAlias = *in.Alias, true
	}
	if in.Timestamp != nil {
		m.Timestamp, m.HasTimestamp = int64(*in.Timestamp), true
	}
	var err error
	if m.Value, err = valueFromJSON(in.Datatype, in.Value); err != nil {
		return m, err
	}
	if len(in.Properties) > 0 {
		m.Properties, err = propertiesFromJSON(in.Properties)
	}
	return m, err
}

func valueFromJSON(datatype string, raw json.RawMessage) (sparkplug.Value, error) {
	t, ok := sparkplug.ParseDataType(datatype)
	if !ok {
		return sparkplug.Value{}, fmt.Errorf("datatype %q is none of Sparkplug's", datatype)
	}
	if len(raw) == 0 || string(raw) == "null" {
		return sparkplug.Null(t), nil
	}
	return sparkplug.ParseJSON(t, raw)
}

// propertiesFromJSON reads {"name": {"type": "Double", "value": 1}}, in order.
func propertiesFromJSON(raw json.RawMessage) (*sparkplug.PropertySet, error) {
	var byName orderedObject
	if err := json.Unmarshal(raw, &byName); err != nil {
		return nil, fmt.Errorf("properties: %w", err)
	}
	set := &sparkplug.PropertySet{}
	for _, field := range byName {
		var one struct {
			Type  string          `json:"type"`
			Value json.RawMessage `json:"value"`
		}
		if err := json.Unmarshal(field.value, &one); err != nil {
			return nil, fmt.Errorf("properties.%s: %w", field.key, err)
		}
		v, err := valueFromJSON(one.Type, one.Value)
		if err != nil {
			return nil, fmt.Errorf("properties.%s: %w", field.key, err)
		}
		set.Keys = append(set.Keys, field.key)
		set.Values = append(set.Values, sparkplug.Property{Value: v})
	}
	return set, nil
}

// orderedObject is a JSON object with its keys in the order of the text.
type orderedObject []struct {
	key   string
	value json.RawMessage
}

func (o *orderedObject) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("want an object")
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		*o = append(*o, struct {
			key   string
			value json.RawMessage
		}{key.(string), value})
	}
	return nil
}
