package session

import "github.com/magneto-iiot/magneto/sparkplug"

// MetricDelivered is the control metric by which a host acknowledges what it
// has stored. An edge node that listens announces it in its NBIRTH, with the
// number of that birth as its value; the property PropHost names the host whose
// acknowledgements it wants. That host answers with NCMDs of the same metric:
// see [Position].
const MetricDelivered = "Node Control/Delivered"

// The properties of MetricDelivered.
const (
	PropHost  = "host"  // String: whose acknowledgement it is, or is wanted
	PropCount = "count" // UInt64: of the message, the NBIRTH being 0
)

// Position names one message of an edge node, and with it all before it since
// the same NBIRTH. The zero Position names none.
//
// A seq would not do: it says nothing of the birth, and a lost run of 256
// messages, or a multiple, goes unseen in it. The timestamp unmasks that: it
// is another than the node remembers of the message with that count.
type Position struct {
	Birth     uint64 // number of the NBIRTH, from 1; it goes up with each, over restarts too
	Count     uint64 // messages since that NBIRTH, which is 0
	Timestamp int64  // of the message's payload, ms
}

// Announcement is the MetricDelivered of an NBIRTH: its number, and the host
// whose acknowledgements count.
func Announcement(birth uint64, host string, at int64) sparkplug.Metric {
	return sparkplug.Metric{
		Name: MetricDelivered, Timestamp: at, HasTimestamp: true,
		Value:      sparkplug.Uint(sparkplug.TypeUInt64, birth),
		Properties: properties(PropHost, sparkplug.String(host)),
	}
}

// Acknowledgement is the metric of the NCMD that acknowledges p.
func Acknowledgement(p Position, host string) sparkplug.Metric {
	return sparkplug.Metric{
		Name: MetricDelivered, Timestamp: p.Timestamp, HasTimestamp: true,
		Value: sparkplug.Uint(sparkplug.TypeUInt64, p.Birth),
		Properties: properties(PropHost, sparkplug.String(host),
			PropCount, sparkplug.Uint(sparkplug.TypeUInt64, p.Count)),
	}
}

// Acknowledged reads what Acknowledgement made, and from whom it is. A metric
// that is no acknowledgement gives ok false.
func Acknowledged(m *sparkplug.Metric) (p Position, host string, ok bool) {
	birth, host, ok := delivered(m)
	if !ok || !m.HasTimestamp {
		return Position{}, "", false
	}
	count, ok := property(m, PropCount, sparkplug.TypeUInt64)
	if !ok {
		return Position{}, "", false
	}
	return Position{Birth: birth, Count: count.Uint(), Timestamp: m.Timestamp}, host, true
}

// announced finds the Announcement in an NBIRTH; birth 0: there is none.
func announced(p *sparkplug.Payload) (birth uint64, host string) {
	for i := range p.Metrics {
		if p.Metrics[i].Name == MetricDelivered {
			birth, host, _ = delivered(&p.Metrics[i])
			break
		}
	}
	return birth, host
}

func delivered(m *sparkplug.Metric) (birth uint64, host string, ok bool) {
	if m.Name != MetricDelivered || m.Value.IsNull() {
		return 0, "", false
	}
	v, err := m.Value.As(sparkplug.TypeUInt64)
	if err != nil || v.Uint() == 0 {
		return 0, "", false
	}
	h, ok := property(m, PropHost, sparkplug.TypeString)
	return v.Uint(), h.Str(), ok && h.Str() != ""
}

func properties(pairs ...any) *sparkplug.PropertySet {
	s := &sparkplug.PropertySet{}
	for i := 0; i < len(pairs); i += 2 {
		s.Keys = append(s.Keys, pairs[i].(string))
		s.Values = append(s.Values, sparkplug.Property{Value: pairs[i+1].(sparkplug.Value)})
	}
	return s
}

func property(m *sparkplug.Metric, key string, t sparkplug.DataType) (sparkplug.Value, bool) {
	if m.Properties == nil {
		return sparkplug.Value{}, false
	}
	p, ok := m.Properties.Get(key)
	if !ok || p.Value.IsNull() {
		return sparkplug.Value{}, false
	}
	v, err := p.Value.As(t)
	return v, err == nil
}
