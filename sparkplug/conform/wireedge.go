package conform

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/magneto-iiot/magneto/proto/sparkplugpb"
	"github.com/magneto-iiot/magneto/sparkplug"
)

const (
	willStem = "message-flow-edge-node-birth-publish-will-message"

	// withWill is the reason code of MQTT 5 that has the server publish the will.
	withWill = 0x04
)

// edgeConnect grades the CONNECT packet of an edge node.
func (w *Wire) edgeConnect(c *client, e Event, t sparkplug.Topic) {
	if e.Version < 5 {
		w.Judge(e.Clean, "clean session is not set", "principles-persistence-clean-session-311")
	} else {
		w.Judge(e.Clean && e.Expiry == 0, fmt.Sprintf("clean start is %v, session expiry %d", e.Clean, e.Expiry), "principles-persistence-clean-session-50")
	}
	w.Judge(true, "", willStem)
	w.Judge(t.Type == sparkplug.NDEATH, "the will's topic is "+e.Will.Topic, willStem+"-topic", "payloads-ndeath-will-message")
	w.Judge(e.Will.QoS == 1, fmt.Sprintf("the will's QoS is %d", e.Will.QoS), willStem+"-qos", "payloads-ndeath-will-message-qos")
	w.Judge(!e.Will.Retain, "the will is retained", willStem+"-will-retained", "payloads-ndeath-will-message-retain")
	p := new(sparkplugpb.Payload)
	err := proto.Unmarshal(e.Will.Payload, p)
	w.Judge(err == nil, fmt.Sprint("the will's payload: ", err), willStem+"-payload")
	if err != nil {
		return
	}
	w.Judge(p.Seq == nil, "the will has a seq", "topics-ndeath-seq", "payloads-ndeath-seq")
	bd, ok := bdSeq(p)
	w.Judge(ok && len(p.Metrics) == 1, fmt.Sprintf("the will has %d metrics, want bdSeq alone", len(p.Metrics)), "topics-ndeath-payload")
	if m := find(p, sparkplug.MetricBdSeq); m != nil {
		w.Judge(m.GetDatatype() == uint32(sparkplug.TypeInt64), fmt.Sprintf("bdSeq has datatype %d", m.GetDatatype()), willStem+"-payload-bdSeq")
	}
	if before, known := w.last[c.node]; known && ok {
		w.Judge(bd == (before+1)%256, fmt.Sprintf("bdSeq is %d after %d", bd, before), "topics-nbirth-bdseq-increment")
	}
	c.bdSeq, w.last[c.node] = bd, bd
	other := w.others(c, func(o *client) bool { return o.node == c.node && o.alive && o.at.id == c.at.id && !o.left })
	if other != nil {
		w.Judge(false, fmt.Sprintf("it connects to server %d and is on server %d", c.at.server, other.at.server),
			"operational-behavior-primary-application-state-with-multiple-servers-single-server")
	} else if c.at.server > 0 {
		w.Judge(true, "", "operational-behavior-primary-application-state-with-multiple-servers-single-server")
	}
}

// edgeMessage grades what an edge node publishes.
func (w *Wire) edgeMessage(c *client, t sparkplug.Topic, m Message) {
	node := t.Group + "/" + t.Node
	if c.node == "" {
		c.node = node // it has no will, or a strange one
		w.Judge(false, "CONNECT has no will", willStem, "payloads-ndeath-will-message")
	}
	p := new(sparkplugpb.Payload)
	if unmarshal(m.Payload, p) != nil {
		return // the Watch says it
	}
	switch t.Type {
	case sparkplug.NBIRTH:
		w.edgeBirth(c, t, p)
	case sparkplug.DBIRTH:
		w.deviceBirth(c, t, m)
	case sparkplug.DDEATH:
		delete(w.born, node+"/"+t.Device)
	case sparkplug.NDEATH:
		c.alive, c.died = false, true
		w.forget(c)
	}
	w.changes(t, p)
}

// edgeBirth grades an NBIRTH in the light of its session.
func (w *Wire) edgeBirth(c *client, t sparkplug.Topic, p *sparkplugpb.Payload) {
	c.alive = true
	w.forget(c)
	w.Judge(true, "", "message-flow-edge-node-birth-publish-connect")
	if bd, ok := bdSeq(p); ok && c.connect.Will != nil {
		w.Judge(bd == c.bdSeq, fmt.Sprintf("bdSeq is %d, the will said %d", bd, c.bdSeq),
			"topics-nbirth-bdseq-matching", "payloads-nbirth-bdseq-repeat", "payloads-ndeath-bdseq")
	}
	ncmd := sparkplug.Topic{Group: t.Group, Type: sparkplug.NCMD, Node: t.Node}.String()
	w.Judge(covers(c.filters, ncmd), "no subscription at QoS 1 to "+ncmd, "message-flow-edge-node-ncmd-subscribe")
	other := w.others(c, func(o *client) bool { return o.node == c.node && o.at.id != c.at.id && o.alive })
	w.Judge(other == nil, "another client is the same edge node", "intro-edge-node-id-uniqueness",
		"topic-structure-namespace-unique-edge-node-descriptor", "payloads-nbirth-edge-node-descriptor")
	w.spelling(t.Group, t.Group)
	w.spelling(t.Group+"/"+t.Node, t.Node)
}

// deviceBirth grades a DBIRTH in the light of its session.
func (w *Wire) deviceBirth(c *client, t sparkplug.Topic, m Message) {
	key := c.node + "/" + t.Device
	w.Judge(!w.born[key], fmt.Sprintf("device %q is born twice", t.Device), "topic-structure-namespace-unique-device-id")
	w.born[key] = true
	if node, ok := w.devices[t.Device]; ok && node != c.node {
		w.Judge(true, "", "topic-structure-namespace-duplicate-device-id-across-edge-node")
	}
	w.devices[t.Device] = c.node
	dcmd := sparkplug.Topic{Group: t.Group, Type: sparkplug.DCMD, Node: t.Node, Device: t.Device}.String()
	w.Judge(covers(c.filters, dcmd), "no subscription at QoS 1 to "+dcmd, "message-flow-device-dcmd-subscribe")
	w.spelling(key, t.Device)
}

// spelling grades that an id is always spelled in one way.
func (w *Wire) spelling(key, id string) {
	small := strings.ToLower(key)
	as, known := w.ids[small]
	if !known {
		as = id
		w.ids[small] = id
	}
	w.Judge(as == id, fmt.Sprintf("%q and %q differ in case only", as, id), "case-sensitivity-sparkplug-ids")
}

// forget drops the values and devices of a node that is born or dead.
func (w *Wire) forget(c *client) {
	if c.node == "" {
		return
	}
	for key := range w.born {
		if strings.HasPrefix(key, c.node+"/") {
			delete(w.born, key)
		}
	}
}

// changes grades that data is published because it changed.
func (w *Wire) changes(t sparkplug.Topic, p *sparkplugpb.Payload) {
	birth := t.Type == sparkplug.NBIRTH || t.Type == sparkplug.DBIRTH
	data := t.Type == sparkplug.NDATA || t.Type == sparkplug.DDATA
	if !birth && !data {
		return
	}
	entity := t.Group + "/" + t.Node + "/" + t.Device + "\x00"
	n := w.watch.nodes[t.Group+"/"+t.Node]
	changed := 0
	for _, m := range p.Metrics {
		name := m.GetName()
		if name == "" && m.Alias != nil && n != nil {
			name = n.alias[*m.Alias].name
		}
		value := sample(m)
		if old, known := w.values[entity+name]; data && (!known || old != value || m.GetIsHistorical()) {
			changed++
		}
		w.values[entity+name] = value
	}
	if birth {
		return
	}
	id, topic := "operational-behavior-data-publish-nbirth-change", "topics-ndata-payload"
	if t.Device != "" {
		id, topic = "operational-behavior-data-publish-dbirth-change", "topics-ddata-payload"
	}
	w.Judge(changed > 0, "nothing in it has changed", id, "principles-rbe-recommended")
	if changed > 0 || len(p.Metrics) == 0 {
		w.Judge(changed > 0, "it has no metric", topic)
	}
}

// sample is a metric's value and quality, to be compared.
func sample(m *sparkplugpb.Payload_Metric) string {
	s := &sparkplugpb.Payload_Metric{Value: m.Value, IsNull: m.IsNull, Properties: m.Properties}
	if !m.GetIsNull() {
		s.IsNull = nil
	}
	b, _ := proto.MarshalOptions{Deterministic: true}.Marshal(s)
	return string(b)
}

// edgeDisconnect grades how an edge node leaves.
func (w *Wire) edgeDisconnect(c *client, e Event) {
	w.Judge(true, "", "operational-behavior-edge-node-intentional-disconnect-packet")
	if !c.alive && !c.died {
		return // it was never born: nobody needs to know
	}
	asked := c.connect.Version >= 5 && e.Reason == withWill
	w.Judge(c.died || asked, "no NDEATH before the end", "operational-behavior-edge-node-intentional-disconnect-ndeath", "payloads-ndeath-will-message-publisher")
	if c.connect.Version < 5 {
		w.Judge(c.died, "no NDEATH before DISCONNECT", "payloads-ndeath-will-message-publisher-disconnect-mqtt311")
	} else {
		w.Judge(asked, fmt.Sprintf("the reason code is %#02x, not 0x04", e.Reason), "payloads-ndeath-will-message-publisher-disconnect-mqtt50")
	}
}
