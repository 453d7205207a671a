package conform

import (
	"fmt"
	"time"

	"github.com/magneto-iiot/magneto/proto/sparkplugpb"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// phase is what is known of a node: nothing, born, or dead.
type phase uint8

const (
	unknown phase = iota
	born
	dead
)

// node is what was seen of one edge node.
type node struct {
	phase   phase
	next    uint64 // the seq to come
	ordered bool   // next is known
	bdSeq   uint64
	bdKnown bool
	asked   bool                // a rebirth was requested since the last NBIRTH
	alias   map[uint64]declared // of the node and its devices, of the present birth
	names   map[string]entity   // by device; "" is the node itself
	defs    map[string]*sparkplugpb.Payload_Template
}

// declared says whose metric an alias is.
type declared struct{ device, name string }

// entity is the last birth of a node or device: its metrics by name.
type entity map[string]birthed

// birthed is what a birth says of a metric.
type birthed struct {
	aliased  bool
	datatype uint32
}

func newNode() *node {
	return &node{alias: map[uint64]declared{}, names: map[string]entity{}, defs: map[string]*sparkplugpb.Payload_Template{}}
}

func (n *node) lost() { n.phase, n.ordered, n.bdKnown, n.asked = unknown, false, false, false }

// birth forgets what the last birth said.
func (n *node) birth() {
	n.phase, n.next, n.ordered = born, 0, true
	clear(n.alias)
	clear(n.names)
	clear(n.defs)
}

// lower is the type of a message as the ids spell it.
var lower = map[sparkplug.Type]string{
	sparkplug.NBIRTH: "nbirth", sparkplug.NDATA: "ndata", sparkplug.NDEATH: "ndeath", sparkplug.NCMD: "ncmd",
	sparkplug.DBIRTH: "dbirth", sparkplug.DDATA: "ddata", sparkplug.DDEATH: "ddeath", sparkplug.DCMD: "dcmd",
}

// publish is the stem of the ids of chapter 5 of a birth.
var publish = map[sparkplug.Type]string{
	sparkplug.NBIRTH: "message-flow-edge-node-birth-publish-nbirth",
	sparkplug.DBIRTH: "message-flow-device-birth-publish-dbirth",
}

// skew is how far a clock may be from the grader's before its time is taken
// for no UTC. The official kit allows the future none and the past a minute;
// looking on from another machine needs more room.
const skew = 5 * time.Minute

// common grades what holds for every message type but STATE.
func (w *Watch) common(t sparkplug.Topic, p *sparkplugpb.Payload) {
	k, m := lower[t.Type], &w.now
	w.judge(true, "", "topics-"+k+"-topic")
	if t.Type != sparkplug.NDEATH { // as a will it is at QoS 1
		w.judge(m.QoS == 0, fmt.Sprintf("QoS is %d", m.QoS), "topics-"+k+"-mqtt")
		if t.Type != sparkplug.DDEATH {
			w.judge(m.QoS == 0, fmt.Sprintf("QoS is %d", m.QoS), "payloads-"+k+"-qos")
		}
		w.breach(m.Retain, "it is retained", "topics-"+k+"-mqtt")
		if t.Type != sparkplug.DDEATH {
			w.breach(m.Retain, "it is retained", "payloads-"+k+"-retain")
		}
	} else {
		w.breach(m.Retain, "it is retained", "payloads-ndeath-will-message-retain",
			"message-flow-edge-node-birth-publish-will-message-will-retained")
	}
	if stem, ok := publish[t.Type]; ok {
		w.judge(true, "", stem+"-topic")
		w.judge(m.QoS == 0, fmt.Sprintf("QoS is %d", m.QoS), stem+"-qos")
		w.breach(m.Retain, "it is retained", stem+"-retained")
	}
	if t.Type == sparkplug.NDEATH {
		return // it was made at CONNECT, and needs no time
	}
	ids := []string{"payloads-" + k + "-timestamp"}
	if t.Type != sparkplug.DDEATH {
		ids = append(ids, "topics-"+k+"-timestamp")
	}
	w.judge(p.Timestamp != nil, "the payload has no timestamp", ids...)
	if p.Timestamp != nil && !w.stored() {
		off := m.At.Sub(time.UnixMilli(int64(*p.Timestamp))).Abs()
		w.judge(off < w.skew, fmt.Sprintf("the payload's timestamp %d is %v away from the time it came", *p.Timestamp, off),
			"payloads-timestamp-in-UTC")
	}
}

// edge grades what an edge node published, but for its metrics.
func (w *Watch) edge(t sparkplug.Topic, p *sparkplugpb.Payload, n *node) {
	if w.stored() {
		return
	}
	if t.Type == sparkplug.NDEATH {
		w.ndeath(p, n)
		return
	}
	w.seq(t, p, n)
	k := lower[t.Type]
	switch t.Type {
	case sparkplug.NBIRTH:
		w.nbirth(p, n)
	case sparkplug.DBIRTH:
		if n.phase != unknown {
			w.judge(n.phase == born, "no NBIRTH since the death of the node", "payloads-dbirth-order",
				"message-flow-device-birth-publish-nbirth-wait", "message-flow-device-birth-publish-dbirth-match-edge-node-topic")
		}
		for a, d := range n.alias {
			if d.device == t.Device {
				delete(n.alias, a)
			}
		}
	case sparkplug.NDATA, sparkplug.DDATA:
		if n.phase != unknown {
			_, ok := n.names[t.Device]
			w.judge(n.phase == born && ok, "data before the birth", "payloads-"+k+"-order", "principles-birth-certificates-order")
		}
	}
}

// seq grades the sequence number.
func (w *Watch) seq(t sparkplug.Topic, p *sparkplugpb.Payload, n *node) {
	k := lower[t.Type]
	inc := map[sparkplug.Type][]string{
		sparkplug.DBIRTH: {"topics-dbirth-seq", "payloads-dbirth-seq-inc", "message-flow-device-birth-publish-dbirth-payload-seq"},
		sparkplug.NDATA:  {"topics-ndata-seq-num", "payloads-ndata-seq-inc"},
		sparkplug.DDATA:  {"topics-ddata-seq-num", "payloads-ddata-seq-inc"},
		sparkplug.DDEATH: {"topics-ddeath-seq-num", "payloads-ddeath-seq-inc"},
	}
	has := p.Seq != nil && *p.Seq <= 255
	ids := []string{"payloads-" + k + "-seq", "payloads-sequence-num-always-included"}
	switch t.Type {
	case sparkplug.NBIRTH:
		ids = append(ids, "payloads-sequence-num-req-nbirth", "message-flow-edge-node-birth-publish-nbirth-payload-seq")
	case sparkplug.DDEATH:
		ids = append(ids, "payloads-ddeath-seq-number")
	}
	w.judge(has, "no seq, or one over 255", ids...)
	switch {
	case !has:
		n.ordered = false
	case t.Type == sparkplug.NBIRTH:
		w.judge(*p.Seq == 0, fmt.Sprintf("seq is %d", *p.Seq), "topics-nbirth-seq-num")
	default:
		if n.ordered {
			w.judge(*p.Seq == n.next, fmt.Sprintf("seq is %d, %d was next (or a message did not reach the grader)", *p.Seq, n.next),
				append(inc[t.Type], "payloads-sequence-num-incrementing")...)
		}
		n.next, n.ordered = (*p.Seq+1)%256, true
	}
}

func (w *Watch) nbirth(p *sparkplugpb.Payload, n *node) {
	bd, ok := bdSeq(p)
	w.judge(ok, "no metric bdSeq with a value", "topics-nbirth-bdseq-included", "payloads-nbirth-bdseq")
	if m := find(p, sparkplug.MetricBdSeq); m != nil {
		w.judge(m.GetDatatype() == uint32(sparkplug.TypeInt64) && ok && bd < 256,
			fmt.Sprintf("bdSeq is %d of datatype %d, not an Int64 of 0 to 255", bd, m.GetDatatype()),
			"message-flow-edge-node-birth-publish-nbirth-payload-bdSeq")
	}
	w.rebirthMetric(p)
	if n.bdKnown && ok {
		w.bdSeqAgain(bd, n)
	}
	if n.asked {
		w.judge(true, "", "operational-behavior-data-commands-rebirth-action-2")
	}
	n.birth()
	n.next = 1
	if p.Seq != nil {
		n.next = (*p.Seq + 1) % 256
	}
	n.bdSeq, n.bdKnown, n.asked = bd, ok, false
}

// bdSeqAgain grades the bdSeq of a birth after one that was seen. A CONNECT to
// another server, or one that came to nothing, may have used up one.
func (w *Watch) bdSeqAgain(bd uint64, n *node) {
	next := (n.bdSeq + 1) % 256
	switch {
	case n.phase == dead && w.wire: // graded at CONNECT
	case n.phase == dead && bd == next:
		w.judge(true, "", "topics-nbirth-bdseq-increment")
	case n.phase == dead && (bd == n.bdSeq || bd == 0):
		w.judge(false, fmt.Sprintf("bdSeq is %d after %d", bd, n.bdSeq), "topics-nbirth-bdseq-increment")
	case n.phase == born && n.asked:
		w.judge(bd == n.bdSeq || bd == next && !w.wire, fmt.Sprintf("a rebirth was asked for, and bdSeq is %d after %d", bd, n.bdSeq),
			"operational-behavior-data-commands-rebirth-action-3")
	}
}

// rebirthMetric grades Node Control/Rebirth in an NBIRTH.
func (w *Watch) rebirthMetric(p *sparkplugpb.Payload) {
	m := find(p, metricRebirth)
	w.judge(m != nil, "no metric "+metricRebirth, "operational-behavior-data-commands-rebirth-name",
		"topics-nbirth-rebirth-metric", "payloads-nbirth-rebirth-req")
	if m == nil {
		return
	}
	isFalse := !m.GetIsNull() && m.Value != nil && !m.GetBooleanValue()
	boolean := m.GetDatatype() == uint32(sparkplug.TypeBoolean)
	w.judge(boolean, fmt.Sprintf("its datatype is %d", m.GetDatatype()), "operational-behavior-data-commands-rebirth-datatype")
	w.judge(isFalse, "its value is not false", "operational-behavior-data-commands-rebirth-value")
	w.judge(m.Alias == nil, metricRebirth+" has an alias", "operational-behavior-data-commands-rebirth-name-aliases")
	w.breach(!boolean || !isFalse, metricRebirth+" is no Boolean false", "topics-nbirth-rebirth-metric", "payloads-nbirth-rebirth-req")
}

func (w *Watch) ndeath(p *sparkplugpb.Payload, n *node) {
	w.judge(p.Seq == nil, "it has a seq", "topics-ndeath-seq", "payloads-ndeath-seq")
	bd, ok := bdSeq(p)
	w.judge(ok && len(p.Metrics) == 1, fmt.Sprintf("%d metrics, want bdSeq alone", len(p.Metrics)), "topics-ndeath-payload")
	if m := find(p, sparkplug.MetricBdSeq); m != nil {
		w.judge(m.GetDatatype() == uint32(sparkplug.TypeInt64), fmt.Sprintf("bdSeq has datatype %d", m.GetDatatype()),
			"message-flow-edge-node-birth-publish-will-message-payload-bdSeq")
	}
	if !ok || !n.bdKnown {
		return
	}
	switch {
	case bd == n.bdSeq:
		w.judge(true, "", "payloads-ndeath-bdseq", "topics-nbirth-bdseq-matching", "payloads-nbirth-bdseq-repeat")
		n.phase = dead
	case (bd+1)%256 == n.bdSeq: // the late will of the session before
	default:
		w.judge(false, fmt.Sprintf("bdSeq is %d, the NBIRTH said %d", bd, n.bdSeq),
			"payloads-ndeath-bdseq", "topics-nbirth-bdseq-matching", "payloads-nbirth-bdseq-repeat")
	}
}

// command grades an NCMD or DCMD.
func (w *Watch) command(t sparkplug.Topic, p *sparkplugpb.Payload, n *node) {
	k := lower[t.Type]
	w.judge(p.Seq == nil, "it has a seq", "payloads-"+k+"-seq")
	w.judge(len(p.Metrics) > 0, "it has no metric", "topics-"+k+"-payload")
	if m := find(p, metricRebirth); m != nil && t.Type == sparkplug.NCMD {
		w.judge(true, "", "operational-behavior-data-commands-ncmd-rebirth-name", "operational-behavior-data-commands-ncmd-rebirth-verb")
		w.judge(m.GetBooleanValue(), "its value is not true", "operational-behavior-data-commands-ncmd-rebirth-value")
		n.asked = m.GetBooleanValue()
	}
	known, ok := n.names[t.Device]
	for _, m := range p.Metrics {
		if ok && n.phase == born {
			b, has := known[m.GetName()]
			if m.Alias != nil {
				d := n.alias[*m.Alias]
				has = d.name != "" && d.device == t.Device
				b = known[d.name]
			}
			w.judge(true, "", "operational-behavior-data-commands-"+k+"-verb")
			if has {
				w.judge(fits(m, b.datatype), fmt.Sprintf("the value of %s does not fit datatype %d", label(m), b.datatype),
					"operational-behavior-data-commands-"+k+"-metric-value")
			}
			w.judge(has, fmt.Sprintf("metric %s is in no birth", label(m)), "operational-behavior-data-commands-"+k+"-metric-name")
		}
		w.judge(m.Datatype == nil, fmt.Sprintf("metric %s carries its datatype", label(m)), "payloads-metric-datatype-not-req")
		w.judge(m.Name != nil || m.Alias != nil, "a metric without name and alias", "payloads-name-requirement")
		if m.Timestamp != nil {
			w.judge(true, "", "payloads-name-cmd-requirement")
		}
		w.value(m, false)
	}
}

const metricRebirth = "Node Control/Rebirth"

func find(p *sparkplugpb.Payload, name string) *sparkplugpb.Payload_Metric {
	for _, m := range p.Metrics {
		if m.GetName() == name {
			return m
		}
	}
	return nil
}

// bdSeq reads the metric bdSeq, in whatever integer it came.
func bdSeq(p *sparkplugpb.Payload) (uint64, bool) {
	m := find(p, sparkplug.MetricBdSeq)
	if m == nil || m.GetIsNull() {
		return 0, false
	}
	switch v := m.Value.(type) {
	case *sparkplugpb.Payload_Metric_LongValue:
		return v.LongValue, true
	case *sparkplugpb.Payload_Metric_IntValue:
		return uint64(v.IntValue), true
	}
	return 0, false
}

// label names a metric in a message for a person.
func label(m *sparkplugpb.Payload_Metric) string {
	if m.Name == nil && m.Alias != nil {
		return fmt.Sprintf("with alias %d", *m.Alias)
	}
	return fmt.Sprintf("%q", m.GetName())
}

// fits says whether the value of m is in the field of its datatype. The text
// and the reference disagree about UInt32, and small numbers are sent as long
// by some: any integer field will do for an integer.
func fits(m *sparkplugpb.Payload_Metric, datatype uint32) bool {
	if m.GetIsNull() {
		return m.Value == nil
	}
	ok := false
	switch m.Value.(type) {
	case *sparkplugpb.Payload_Metric_IntValue, *sparkplugpb.Payload_Metric_LongValue:
		ok = datatype >= uint32(sparkplug.TypeInt8) && datatype <= uint32(sparkplug.TypeUInt64) || datatype == uint32(sparkplug.TypeDateTime)
	case *sparkplugpb.Payload_Metric_FloatValue:
		ok = datatype == uint32(sparkplug.TypeFloat)
	case *sparkplugpb.Payload_Metric_DoubleValue:
		ok = datatype == uint32(sparkplug.TypeDouble)
	case *sparkplugpb.Payload_Metric_BooleanValue:
		ok = datatype == uint32(sparkplug.TypeBoolean)
	case *sparkplugpb.Payload_Metric_StringValue:
		ok = datatype == uint32(sparkplug.TypeString) || datatype == uint32(sparkplug.TypeText) || datatype == uint32(sparkplug.TypeUUID)
	case *sparkplugpb.Payload_Metric_DatasetValue:
		ok = datatype == uint32(sparkplug.TypeDataSet)
	case *sparkplugpb.Payload_Metric_TemplateValue:
		ok = datatype == uint32(sparkplug.TypeTemplate)
	case *sparkplugpb.Payload_Metric_BytesValue:
		ok = datatype == uint32(sparkplug.TypeBytes) || datatype == uint32(sparkplug.TypeFile) || datatype >= uint32(sparkplug.TypeInt8Array)
	}
	return ok
}
