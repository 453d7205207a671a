package sparkplug

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Namespace is the first level of every Sparkplug B topic.
const Namespace = "spBv1.0"

// MaxID is the longest group, node, device or host id that is accepted, in bytes.
const MaxID = 256

// Type is the message type, the third level of a topic.
type Type string

// The message types of edge nodes and devices, and the commands to them.
// STATE has its own topics: see ParseStateTopic.
const (
	NBIRTH Type = "NBIRTH"
	NDEATH Type = "NDEATH"
	NDATA  Type = "NDATA"
	NCMD   Type = "NCMD"
	DBIRTH Type = "DBIRTH"
	DDEATH Type = "DDEATH"
	DDATA  Type = "DDATA"
	DCMD   Type = "DCMD"
)

// OfDevice says whether messages of this type carry a device level.
func (t Type) OfDevice() bool {
	switch t {
	case DBIRTH, DDEATH, DDATA, DCMD:
		return true
	}
	return false
}

// Command says whether messages of this type go from a host to a node.
func (t Type) Command() bool { return t == NCMD || t == DCMD }

func (t Type) known() bool {
	switch t {
	case NBIRTH, NDEATH, NDATA, NCMD:
		return true
	}
	return t.OfDevice()
}

// Topic is spBv1.0/Group/Type/Node, or spBv1.0/Group/Type/Node/Device.
type Topic struct {
	Group  string
	Type   Type
	Node   string
	Device string // empty when the edge node speaks for itself
}

// String prints the topic as it goes on the wire.
func (t Topic) String() string {
	s := Namespace + "/" + t.Group + "/" + string(t.Type) + "/" + t.Node
	if t.Device != "" {
		s += "/" + t.Device
	}
	return s
}

// TopicError reports the first level of a topic that breaks the namespace.
type TopicError struct {
	Topic  string // as received
	Level  int    // 0 is the namespace, 4 the device
	Reason string
}

func (e *TopicError) Error() string {
	return fmt.Sprintf("sparkplug: topic %q: level %d: %s", e.Topic, e.Level, e.Reason)
}

// ParseTopic parses the topic of an edge node or device message; STATE topics
// are for ParseStateTopic. The fields of the result are parts of s. A topic
// it refuses gives a *TopicError.
//
// Spec: tck-id-topic-structure, tck-id-topic-structure-namespace-*.
func ParseTopic(s string) (Topic, error) {
	var level [5]string
	n := 0
	for part := range strings.SplitSeq(s, "/") {
		switch {
		case n == len(level):
			return Topic{}, &TopicError{s, n, "one level too many"}
		case !ValidID(part):
			return Topic{}, &TopicError{s, n, "empty, too long, or holds + or # or invalid UTF-8"}
		}
		level[n] = part
		n++
	}
	t := Topic{Group: level[1], Type: Type(level[2]), Node: level[3], Device: level[4]}
	switch {
	case level[0] != Namespace:
		return Topic{}, &TopicError{s, 0, "not " + Namespace}
	case n > 2 && !t.Type.known():
		return Topic{}, &TopicError{s, 2, "unknown message type"}
	case n < 4:
		return Topic{}, &TopicError{s, n, "missing"}
	case t.Type.OfDevice() != (n == 5):
		return Topic{}, &TopicError{s, 4, "device and message type disagree"}
	}
	return t, nil
}

// ValidID says whether s can stand as a group, node, device or host id: 1 to
// MaxID bytes of UTF-8 without /, +, # or NUL.
//
// Spec: tck-id-intro-group-id-chars, tck-id-intro-edge-node-id-chars,
// tck-id-topic-structure-namespace-valid-group-id.
func ValidID(s string) bool {
	return s != "" && len(s) <= MaxID && !strings.ContainsAny(s, "/+#\x00") && utf8.ValidString(s)
}
