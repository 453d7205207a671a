// Package sparkplugtest helps to test programs that speak Sparkplug B: it
// builds payloads in a line, and says in words how two differ.
package sparkplugtest

import (
	"fmt"
	"strings"

	"github.com/magneto-iiot/magneto/sparkplug"
)

// TB is what the helpers need of a *testing.T.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// Metric returns a metric with name and timestamp, as births have it; at is in
// ms since the Unix epoch.
func Metric(name string, at int64, v sparkplug.Value) sparkplug.Metric {
	return sparkplug.Metric{Name: name, Timestamp: at, HasTimestamp: true, Value: v}
}

// Aliased returns a metric with name, alias and timestamp, as births have it
// when aliases are in use.
func Aliased(name string, alias uint64, at int64, v sparkplug.Value) sparkplug.Metric {
	m := Metric(name, at, v)
	m.Alias, m.HasAlias = alias, true
	return m
}

// ByAlias returns a metric as data messages have it: without name and datatype.
func ByAlias(alias uint64, at int64, v sparkplug.Value) sparkplug.Metric {
	m := Aliased("", alias, at, v)
	m.OmitType = true
	return m
}

// Payload returns a payload sent at that time with that sequence number.
func Payload(at int64, seq uint8, metrics ...sparkplug.Metric) sparkplug.Payload {
	return sparkplug.Payload{Timestamp: at, HasTimestamp: true, Seq: seq, HasSeq: true, Metrics: metrics}
}

// NodeBirth returns an NBIRTH with the two metrics that the specification wants
// in one, bdSeq and Node Control/Rebirth, in front of the others.
func NodeBirth(at int64, seq uint8, bdSeq int64, metrics ...sparkplug.Metric) sparkplug.Payload {
	all := []sparkplug.Metric{
		Metric(sparkplug.MetricBdSeq, at, sparkplug.Int(sparkplug.TypeInt64, bdSeq)),
		Metric(sparkplug.MetricRebirth, at, sparkplug.Boolean(false)),
	}
	return Payload(at, seq, append(all, metrics...)...)
}

// NodeDeath returns an NDEATH: bdSeq and no sequence number.
func NodeDeath(at, bdSeq int64) sparkplug.Payload {
	p := Payload(at, 0, Metric(sparkplug.MetricBdSeq, at, sparkplug.Int(sparkplug.TypeInt64, bdSeq)))
	p.HasSeq = false
	return p
}

// Encode returns the bytes of p; a payload that cannot be encoded ends the test.
func Encode(tb TB, p sparkplug.Payload) []byte {
	tb.Helper()
	b, err := p.Append(nil)
	if err != nil {
		tb.Fatalf("encode: %v", err)
	}
	return b
}

// Decode returns the payload in b, which it does not share; bytes that are not
// one end the test.
func Decode(tb TB, b []byte) sparkplug.Payload {
	tb.Helper()
	var p sparkplug.Payload
	if err := p.Decode(b); err != nil {
		tb.Fatalf("decode: %v", err)
	}
	return p.Clone()
}

// Find returns the metric of that name, and whether there is one.
func Find(p sparkplug.Payload, name string) (sparkplug.Metric, bool) {
	for _, m := range p.Metrics {
		if m.Name == name {
			return m, true
		}
	}
	return sparkplug.Metric{}, false
}

// Same reports an error with the differences unless got is want.
func Same(tb TB, got, want sparkplug.Payload) {
	tb.Helper()
	if diff := Diff(got, want); diff != "" {
		tb.Errorf("payloads differ:\n%s", diff)
	}
}

// Diff says how got differs from want, a line a difference; empty when they are
// equal.
func Diff(got, want sparkplug.Payload) string {
	if got.Equal(&want) {
		return ""
	}
	var s strings.Builder
	line := func(what string, g, w any) {
		if g != w {
			fmt.Fprintf(&s, "%s: got %v, want %v\n", what, g, w)
		}
	}
	line("timestamp", number(got.Timestamp, got.HasTimestamp), number(want.Timestamp, want.HasTimestamp))
	line("seq", number(got.Seq, got.HasSeq), number(want.Seq, want.HasSeq))
	line("uuid", got.UUID, want.UUID)
	line("body", fmt.Sprintf("%x", got.Body), fmt.Sprintf("%x", want.Body))
	line("metrics", len(got.Metrics), len(want.Metrics))
	for i := range min(len(got.Metrics), len(want.Metrics)) {
		g, w := &got.Metrics[i], &want.Metrics[i]
		if !g.Equal(w) {
			line(fmt.Sprintf("metrics[%d]", i), Line(g), Line(w))
		}
	}
	return s.String()
}

// Line describes a metric in one line.
func Line(m *sparkplug.Metric) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%q", m.Name)
	if m.HasAlias {
		fmt.Fprintf(&s, " alias %d", m.Alias)
	}
	fmt.Fprintf(&s, " %s %s", m.Value.Type(), sparkplug.AppendJSON(nil, m.Value))
	fmt.Fprintf(&s, " at %v", number(m.Timestamp, m.HasTimestamp))
	for _, flag := range []struct {
		name string
		set  bool
	}{{"historical", m.Historical}, {"transient", m.Transient}, {"without datatype", m.OmitType}} {
		if flag.set {
			s.WriteString(", " + flag.name)
		}
	}
	if m.Properties != nil {
		fmt.Fprintf(&s, ", properties %s", sparkplug.AppendPropertiesJSON(nil, m.Properties))
	}
	if m.Metadata != nil {
		fmt.Fprintf(&s, ", metadata %+v", *m.Metadata)
	}
	return s.String()
}

// number is v, or "none" when it is not there.
func number[T int64 | uint8](v T, has bool) string {
	if !has {
		return "none"
	}
	return fmt.Sprint(v)
}
