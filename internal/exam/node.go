package exam

import (
	"time"

	"github.com/magneto-iiot/magneto/sparkplug"
)

// node is an edge node that the examiner plays.
type node struct {
	l      *lab
	server int
	id     sparkplug.Topic
	seq    uint8
	at     time.Time // of what it says; now if zero
	bdSeq  int64
}

func newNode(l *lab, server int, group, id string) *node {
	return &node{l: l, server: server, id: sparkplug.Topic{Group: group, Node: id}}
}

// say publishes metrics with the next sequence number; the time of each is now.
func (n *node) say(t sparkplug.Type, device string, metrics ...sparkplug.Metric) error {
	at := n.at
	if at.IsZero() {
		at = time.Now()
	}
	now := at.UnixMilli()
	for i := range metrics {
		metrics[i].Timestamp, metrics[i].HasTimestamp = now, true
	}
	topic := n.id
	topic.Type, topic.Device = t, device
	p := sparkplug.Payload{Timestamp: now, HasTimestamp: true, Seq: n.seq, HasSeq: true, Metrics: metrics}
	n.seq++
	return n.l.send(n.server, topic, p)
}

func (n *node) bd() sparkplug.Metric {
	return sparkplug.Metric{Name: sparkplug.MetricBdSeq, Value: sparkplug.Int(sparkplug.TypeInt64, n.bdSeq)}
}

// birth publishes an NBIRTH.
func (n *node) birth(metrics ...sparkplug.Metric) error {
	n.seq = 0
	all := append([]sparkplug.Metric{n.bd(), {Name: "Node Control/Rebirth", Value: sparkplug.Boolean(false)}}, metrics...)
	return n.say(sparkplug.NBIRTH, "", all...)
}

// deviceBirth publishes a DBIRTH.
func (n *node) deviceBirth(device string, metrics ...sparkplug.Metric) error {
	return n.say(sparkplug.DBIRTH, device, metrics...)
}

// death publishes the NDEATH that a server would for its will.
func (n *node) death() error {
	topic := n.id
	topic.Type = sparkplug.NDEATH
	p := sparkplug.Payload{Metrics: []sparkplug.Metric{n.bd()}}
	p.Metrics[0].Timestamp, p.Metrics[0].HasTimestamp = time.Now().UnixMilli(), true
	n.bdSeq = (n.bdSeq + 1) % 256
	return n.l.send(n.server, topic, p)
}
