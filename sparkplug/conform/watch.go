package conform

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/magneto-iiot/magneto/proto/sparkplugpb"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// Message is one MQTT message as a subscriber gets it.
type Message struct {
	At      time.Time // when it came
	Topic   string
	QoS     byte // the lower of the publisher's and the subscription's
	Retain  bool // true only for what the server had stored
	Payload []byte
}

// keptFailures is how many breaches of an assertion a report tells of.
const keptFailures = 5

// maxNodes bounds the nodes, and within each the devices, that a Watch follows;
// messages of more are graded one by one only, and counted in the report.
const maxNodes = 10000

// Watch grades from the outside. It belongs to one goroutine at a time.
type Watch struct {
	messages int
	verdicts map[string]*Verdict
	nodes    map[string]*node
	hosts    map[string]sparkplug.State
	now      Message // the message being graded

	skew time.Duration // how far a clock may be from the grader's
	wire bool          // retain flags are those that were sent
	mute bool          // take in, but do not judge
}

// NewWatch returns a Watch that has seen nothing.
func NewWatch() *Watch {
	return &Watch{verdicts: map[string]*Verdict{}, nodes: map[string]*node{}, hosts: map[string]sparkplug.State{}, skew: skew}
}

// judge notes whether the assertions held for the present message.
func (w *Watch) judge(ok bool, why string, ids ...string) {
	if w.mute {
		return
	}
	for _, id := range ids {
		v := w.verdicts["tck-id-"+id]
		if v == nil {
			v = new(Verdict)
			w.verdicts["tck-id-"+id] = v
		}
		if ok {
			v.Held++
			continue
		}
		v.Broken++
		if len(v.Failures) < keptFailures {
			v.Failures = append(v.Failures, Failure{w.now.At, w.now.Topic, why})
		}
	}
}

// breach notes a breach that a subscriber sees only when there is one: that
// none was seen proves nothing, but on the wire.
func (w *Watch) breach(broken bool, why string, ids ...string) {
	if broken || w.wire {
		w.judge(!broken, why, ids...)
	}
}

// stored says that the message is of another time, and says nothing of the order.
func (w *Watch) stored() bool { return w.now.Retain && !w.wire }

// Lost says that messages may be missing from here on, as after a lost
// connection: what is known of the order of nodes is forgotten.
func (w *Watch) Lost() {
	for _, n := range w.nodes {
		n.lost()
	}
}

// Observe grades one message. The payload is not kept.
func (w *Watch) Observe(m Message) {
	w.now = m
	if host, ok := sparkplug.ParseStateTopic(m.Topic); ok {
		w.messages++
		w.state(host)
		return
	}
	rest, ok := strings.CutPrefix(m.Topic, sparkplug.Namespace+"/")
	if !ok {
		return // not of Sparkplug's namespace: not ours to grade
	}
	w.messages++
	t, err := sparkplug.ParseTopic(m.Topic)
	w.topic(rest, err)
	if err != nil {
		return
	}
	p := new(sparkplugpb.Payload)
	err = unmarshal(m.Payload, p)
	w.parsed(t, err)
	if err != nil {
		return
	}
	w.payload(t, p)
}

// unmarshal reads a payload, and what is in it if it is compressed, which the
// specification does not know.
func unmarshal(b []byte, p *sparkplugpb.Payload) error {
	err := proto.Unmarshal(b, p)
	if err != nil || p.GetUuid() != sparkplug.CompressedUUID {
		return err
	}
	var outer sparkplug.Payload
	if err := outer.Decode(b); err != nil {
		return err
	}
	inner, err := outer.Inflated(sparkplug.MaxInflated)
	if err != nil {
		return err
	}
	p.Reset()
	return proto.Unmarshal(inner, p)
}

// topic grades the levels after the namespace.
func (w *Watch) topic(rest string, err error) {
	why := ""
	if err != nil {
		why = err.Error()
	}
	w.judge(err == nil, why, "topic-structure", "topic-structure-namespace-a")
	level := strings.Split(rest, "/")
	if len(level) > 1 {
		kind := sparkplug.Type(level[1])
		ids := "topic-structure-namespace-device-id-non-associated-message-types"
		if kind.OfDevice() {
			ids = "topic-structure-namespace-device-id-associated-message-types"
		}
		w.judge(kind.OfDevice() == (len(level) == 4), "device id and message type disagree", ids)
	}
	for i, ids := range map[int][]string{
		0: {"intro-group-id-string", "intro-group-id-chars", "topic-structure-namespace-valid-group-id"},
		2: {"intro-edge-node-id-string", "intro-edge-node-id-chars", "topic-structure-namespace-valid-edge-node-id"},
		3: {"intro-device-id-string", "intro-device-id-chars", "topic-structure-namespace-valid-device-id"},
	} {
		if i < len(level) {
			good := level[i] != "" && utf8.ValidString(level[i]) && !strings.ContainsAny(level[i], "+#")
			w.judge(good, fmt.Sprintf("id %q is empty, not UTF-8, or holds + or #", level[i]), ids...)
		}
	}
}

// parsed grades that the payload is a Sparkplug protobuf.
func (w *Watch) parsed(t sparkplug.Topic, err error) {
	why := ""
	if err != nil {
		why = "not a Sparkplug payload: " + err.Error()
	}
	switch t.Type {
	case sparkplug.NBIRTH:
		w.judge(err == nil, why, "message-flow-edge-node-birth-publish-nbirth-payload")
	case sparkplug.DBIRTH:
		w.judge(err == nil, why, "message-flow-device-birth-publish-dbirth-payload")
	case sparkplug.NDEATH:
		w.judge(err == nil, why, "message-flow-edge-node-birth-publish-will-message-payload")
	default:
		if err != nil {
			w.judge(false, why, "topic-structure-namespace-a") // the payload that the namespace promises
		}
	}
}

// payload grades one payload of an edge node or for one.
func (w *Watch) payload(t sparkplug.Topic, p *sparkplugpb.Payload) {
	w.common(t, p)
	key := t.Group + "/" + t.Node
	n := w.nodes[key]
	if n == nil {
		n = newNode()
		if len(w.nodes) < maxNodes {
			w.nodes[key] = n
		}
	}
	if t.Type.Command() {
		w.command(t, p, n)
		return
	}
	w.edge(t, p, n)
	w.metrics(t, p, n)
}

// Report says what became of every assertion so far. The Watch may go on.
func (w *Watch) Report() Report {
	r := Report{Messages: w.messages, Nodes: len(w.nodes), Verdicts: make([]Verdict, 0, len(all()))}
	for _, a := range all() {
		v := Verdict{Assertion: a, Outcome: Unseen}
		seen, judged := w.verdicts[a.ID]
		if judged {
			v.Held, v.Broken, v.Failures = seen.Held, seen.Broken, seen.Failures
		}
		switch {
		case v.Broken > 0:
			v.Outcome = Fail
		case v.Held > 0:
			v.Outcome = Pass
		case !a.visible:
			v.Outcome, v.Reason = Hidden, reason(a)
		}
		r.Verdicts = append(r.Verdicts, v)
	}
	return r
}
