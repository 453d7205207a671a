package fleet

import (
	"context"
	"time"

	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// node is one edge node. Its goroutine owns it.
type node struct {
	fleet  *Fleet
	number int
	topic  sparkplug.Topic
	edge   *session.Edge
	events chan happened
	speak  chan struct{}

	conn    *mqtt.Conn
	session uint32
	told    uint64 // data messages so far
	said    []uint64
	counted bool // as online
	stopped bool
	tasks   int // dials in progress
}

// happened is an event and, of EdgeConnected, the connection.
type happened struct {
	session.EdgeEvent
	conn *mqtt.Conn
}

func newNode(f *Fleet, number int) *node {
	n := &node{
		fleet: f, number: number, topic: sparkplug.Topic{Group: f.cfg.Group, Node: NodeID(number)},
		events: make(chan happened, 16), speak: make(chan struct{}, 1), said: make([]uint64, f.cfg.Metrics),
	}
	n.edge = session.NewEdge(session.EdgeConfig{
		Group: n.topic.Group, Node: n.topic.Node, PrimaryHost: f.cfg.Host, MQTT5: true, Seed: f.cfg.Seed,
	})
	return n
}

func (n *node) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var every <-chan time.Time
	if n.fleet.cfg.Every > 0 {
		t := time.NewTicker(n.fleet.cfg.Every)
		defer t.Stop()
		every = t.C
	}
	stop := ctx.Done()
	n.step(session.EdgeEvent{Kind: session.EdgeStart})
	for !n.stopped || n.tasks > 0 {
		wait := time.Hour
		if at := n.edge.Deadline(); at != 0 {
			wait = max(time.Until(time.UnixMilli(at)), 0)
		}
		timer.Reset(wait)
		select {
		case <-stop:
			stop = nil
			n.step(session.EdgeEvent{Kind: session.EdgeStop})
		case h := <-n.events:
			n.happened(h)
		case <-every:
			n.step(session.EdgeEvent{Kind: session.EdgeData})
		case <-n.speak:
			n.step(session.EdgeEvent{Kind: session.EdgeData})
		case <-timer.C:
			n.step(session.EdgeEvent{Kind: session.EdgeTick})
		}
	}
}

func (n *node) happened(h happened) {
	switch h.Kind {
	case session.EdgeConnected, session.EdgeConnectFailed:
		n.tasks--
		if h.conn != nil {
			n.conn = h.conn
			n.watch(h.Session, h.conn)
		}
	case session.EdgeLost:
		n.tasks--
		if h.Session == n.session {
			n.conn = nil
		}
	case session.EdgeRebirth:
		n.fleet.wasAsked()
	}
	n.step(h.EdgeEvent)
}

// watch reports the end of a connection.
func (n *node) watch(number uint32, c *mqtt.Conn) {
	n.tasks++
	go func() {
		<-c.Done()
		n.events <- happened{EdgeEvent: session.EdgeEvent{Kind: session.EdgeLost, Session: number}}
	}()
}

func (n *node) step(ev session.EdgeEvent) {
	ev.At = time.Now().UnixMilli()
	for _, fx := range n.edge.Step(ev, nil) {
		n.carryOut(&fx)
	}
	if on := n.edge.Phase() == session.Online; on != n.counted {
		n.counted = on
		if on {
			n.fleet.online.Add(1)
		} else {
			n.fleet.online.Add(-1)
		}
	}
}

func (n *node) carryOut(fx *session.EdgeEffect) {
	switch fx.Do {
	case session.EdgeConnect:
		n.dial(fx)
	case session.EdgeSubscribe:
		n.subscribe(fx.Session)
	case session.EdgeNBirth:
		n.fleet.births.Add(1)
		n.publish(sparkplug.NBIRTH, fx, n.birth(fx.BdSeq))
	case session.EdgePublish:
		n.publish(sparkplug.NDATA, fx, n.data())
	case session.EdgeDisconnect, session.EdgeAbandon:
		n.leave(fx.Do == session.EdgeAbandon)
	case session.EdgeStopped:
		n.stopped = true
	}
}

// goodbye bounds the end of one connection.
const goodbye = 2 * time.Second

func (n *node) leave(will bool) {
	if n.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), goodbye)
	defer cancel()
	how := n.conn.Disconnect
	if will {
		how = n.conn.Abandon
	}
	_ = how(ctx) // it is gone either way
	n.conn = nil
}

func (n *node) dial(fx *session.EdgeEffect) {
	number := fx.Session
	n.session = number
	death := sparkplug.Payload{Metrics: []sparkplug.Metric{bdSeq(fx.BdSeq)}}
	will, err := death.Append(nil)
	if err != nil {
		panic("fleet: an NDEATH that cannot be encoded: " + err.Error())
	}
	topic := n.topic
	topic.Type = sparkplug.NDEATH
	c := mqtt.Config{
		Server: n.fleet.cfg.Server, ClientID: n.topic.Group + "/" + n.topic.Node, Log: n.fleet.cfg.Log,
		Will:      &mqtt.Message{Topic: topic.String(), Payload: will, QoS: 1},
		OnMessage: func(m mqtt.Message) { n.hear(number, m) },
	}
	n.tasks++
	go func() {
		conn, err := mqtt.Dial(context.Background(), c)
		ev := session.EdgeEvent{Kind: session.EdgeConnected, Session: number}
		if err != nil {
			ev.Kind = session.EdgeConnectFailed
		}
		n.events <- happened{ev, conn}
	}()
}

func (n *node) subscribe(number uint32) {
	topic := n.topic
	topic.Type = sparkplug.NCMD
	filters := []mqtt.Filter{{Topic: topic.String(), QoS: 1}}
	if h := n.fleet.cfg.Host; h != "" {
		filters = append(filters, mqtt.Filter{Topic: sparkplug.StateTopic(h), QoS: 1})
	}
	ev := session.EdgeEvent{Kind: session.EdgeSubscribed, Session: number}
	if err := n.conn.Subscribe(context.Background(), filters...); err != nil {
		return // the watch over the connection reports its end
	}
	n.step(ev)
}

// hear takes what the server sends; it must not block.
func (n *node) hear(number uint32, m mqtt.Message) {
	ev := session.EdgeEvent{Session: number}
	if host, ok := sparkplug.ParseStateTopic(m.Topic); ok {
		state, err := sparkplug.ParseState(m.Payload)
		if err != nil {
			return
		}
		ev.Kind, ev.Host, ev.State = session.EdgeHostState, host, state
	} else {
		var p sparkplug.Payload
		if p.Decode(m.Payload) != nil || !session.ControlOf(&p).Rebirth {
			return
		}
		ev.Kind = session.EdgeRebirth
	}
	select {
	case n.events <- happened{EdgeEvent: ev}:
	default: // a flood: the host asks again
	}
}

func bdSeq(v uint8) sparkplug.Metric {
	return sparkplug.Metric{Name: sparkplug.MetricBdSeq, Value: sparkplug.Int(sparkplug.TypeInt64, int64(v))}
}

func (n *node) metric(k int, at int64) sparkplug.Metric {
	return sparkplug.Metric{
		Alias: uint64(k + 1), HasAlias: true, Timestamp: at, HasTimestamp: true,
		Value: sparkplug.Double(Value(n.fleet.cfg.Seed, n.number, k, n.said[k])),
	}
}

func (n *node) birth(seq uint8) []sparkplug.Metric {
	at := time.Now().UnixMilli()
	list := []sparkplug.Metric{bdSeq(seq), {Name: sparkplug.MetricRebirth, Value: sparkplug.Boolean(false)}}
	for k := range n.fleet.cfg.Metrics {
		m := n.metric(k, at)
		m.Name = MetricName(k)
		list = append(list, m)
	}
	return list
}

// data is the next values, of the metrics whose turn it is.
func (n *node) data() (list []sparkplug.Metric) {
	at := time.Now().UnixMilli()
	c := &n.fleet.cfg
	for i := range c.Changes {
		k := int((n.told*uint64(c.Changes) + uint64(i)) % uint64(c.Metrics))
		n.said[k]++
		m := n.metric(k, at)
		m.OmitType = true
		list = append(list, m)
	}
	n.told++
	n.fleet.messages.Add(1)
	n.fleet.samples.Add(int64(len(list)))
	return list
}

func (n *node) publish(t sparkplug.Type, fx *session.EdgeEffect, metrics []sparkplug.Metric) {
	if n.conn == nil {
		return
	}
	topic := n.topic
	topic.Type = t
	p := sparkplug.Payload{Timestamp: time.Now().UnixMilli(), HasTimestamp: true, Seq: fx.Seq, HasSeq: true, Metrics: metrics}
	b, err := p.Append(nil)
	if err != nil {
		panic("fleet: a payload that cannot be encoded: " + err.Error())
	}
	_ = n.conn.Publish(context.Background(), mqtt.Message{Topic: topic.String(), Payload: b}) // the watch reports a lost connection
}
