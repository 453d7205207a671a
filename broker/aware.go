package broker

import (
	"encoding/binary"
	"strings"

	"github.com/magneto-iiot/magneto/sparkplug"
)

// Certificates is what stands before the topic of a birth under which it is kept.
//
// Spec: tck-id-conformance-mqtt-aware-nbirth-mqtt-topic,
// tck-id-conformance-mqtt-aware-dbirth-mqtt-topic.
const Certificates = "$sparkplug/certificates/"

// certificate returns where a message with this topic is kept; ok is false
// when it is not an NBIRTH or DBIRTH.
//
// Spec: tck-id-conformance-mqtt-aware-store.
func certificate(topic string) (kept string, ok bool) {
	if !strings.Contains(topic, "BIRTH/") { // spares parsing every DATA
		return "", false
	}
	t, err := sparkplug.ParseTopic(topic)
	if err != nil || t.Type != sparkplug.NBIRTH && t.Type != sparkplug.DBIRTH {
		return "", false
	}
	return Certificates + topic, true
}

// death says whether the topic is that of an NDEATH.
func death(topic string) bool {
	t, err := sparkplug.ParseTopic(topic)
	return err == nil && t.Type == sparkplug.NDEATH
}

// offline returns a retained message as a broker that starts may serve it: a
// host that was online before has not connected yet.
func offline(m Message) Message {
	if _, ok := sparkplug.ParseStateTopic(m.Topic); ok {
		s, err := sparkplug.ParseState(m.Payload)
		if err == nil && s.Online {
			s.Online = false
			m.Payload = s.Append(nil)
		}
	}
	return m
}

// stamp returns a copy of a Sparkplug payload with another timestamp, in ms
// since the Unix epoch. Everything else stays byte for byte, also what this
// version does not know. Something that is not a payload comes back as it is.
//
// Source: protocol buffers wire format; field 1 of Payload is the timestamp.
func stamp(payload []byte, ms int64) []byte {
	out := make([]byte, 0, len(payload)+binary.MaxVarintLen64+1)
	out = append(out, 1<<3)
	out = binary.AppendUvarint(out, uint64(ms))
	for rest := payload; len(rest) > 0; {
		n, field := fieldLen(rest)
		if n == 0 {
			return payload
		}
		if field != 1 {
			out = append(out, rest[:n]...)
		}
		rest = rest[n:]
	}
	return out
}

// fieldLen returns the length and the number of the first field of b; 0 when
// there is none.
func fieldLen(b []byte) (n int, field uint64) {
	tag, n := binary.Uvarint(b)
	if n <= 0 || tag>>3 == 0 {
		return 0, 0
	}
	size := 0
	switch tag & 7 {
	case 0:
		_, size = binary.Uvarint(b[n:])
		if size <= 0 {
			return 0, 0
		}
	case 1:
		size = 8
	case 2:
		length, k := binary.Uvarint(b[n:])
		if k <= 0 || length > uint64(len(b)) {
			return 0, 0
		}
		size = k + int(length)
	case 5:
		size = 4
	default:
		return 0, 0
	}
	if size > len(b)-n {
		return 0, 0
	}
	return n + size, tag >> 3
}
