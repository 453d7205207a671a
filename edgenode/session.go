package edgenode

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// step feeds the session one event and carries out what it asks for.
func (a *Agent) step(ev session.EdgeEvent) {
	ev.At = time.Now().UnixMilli()
	if ev.Taken && ev.Session == a.session {
		a.count.takeovers.Add(1)
	}
	a.fx = a.edge.Step(ev, a.fx[:0])
	for i := range a.fx {
		a.carryOut(&a.fx[i])
	}
	if a.broken != nil {
		ev := lostEvent(a.session, a.server, a.plan.cfg.MQTT.ClientID, a.broken)
		a.broken = nil
		if a.conn != nil { // else it has just been left
			a.quit(conn.Close)
		}
		a.step(ev)
	}
	a.wakeReplay()
}

func (a *Agent) carryOut(fx *session.EdgeEffect) {
	switch fx.Do {
	case session.EdgePersist:
		if err := a.disk.setNext(fx.Next); err != nil {
			a.log.Error("bdSeq is not durable: after a crash hosts may mistake this session for the last", "err", err)
		}
	case session.EdgeConnect:
		a.connect(fx)
	case session.EdgeCancel:
		if a.cancel != nil {
			a.cancel()
		}
	case session.EdgeSubscribe:
		a.subscribe(fx.Session)
	case session.EdgeNBirth:
		if err := a.disk.nextBirth(); err != nil {
			a.log.Error("number of the birth is not durable: after a crash an acknowledgement may be misread", "err", err)
		}
		a.publish(fx)
	case session.EdgeDBirth, session.EdgeDDeath, session.EdgeNDeath, session.EdgePublish:
		a.publish(fx)
	case session.EdgeHold:
		a.count.held.Add(uint64(len(a.outgoing.reports)))
	case session.EdgeDisconnect:
		a.leave(conn.Disconnect)
	case session.EdgeAbandon:
		a.leave(conn.Abandon)
	case session.EdgeSay:
		a.say(fx.Words)
	case session.EdgeStopped:
		a.stopped = true
		a.log.Info("stopped", "devices", a.deaths)
	}
}

// say tells the operator how the session stands: what keeps it from being
// online is a warning.
func (a *Agent) say(words string) {
	if a.edge.Phase() == session.Online {
		a.log.Info(words, "server", a.plan.cfg.MQTT.Servers[a.edge.Server()])
		return
	}
	a.log.Warn(words)
}

// lostWords says that a connection ended, and why.
func lostWords(server string, err error) string {
	words := "connection to MQTT server " + server + " lost"
	if err != nil {
		words += ": " + strings.TrimPrefix(bare(err).Error(), "mqtt: ")
	}
	return words + "; trying again"
}

// lostEvent says that the connection of a session ended. That another client
// with the id took it over is worth other words, and longer pauses.
func lostEvent(number uint32, server, id string, err error) session.EdgeEvent {
	ev := session.EdgeEvent{Kind: session.EdgeLost, Session: number, Words: lostWords(server, err)}
	if e, ok := errors.AsType[*mqtt.ServerError](err); ok && e.Taken() {
		ev.Taken = true
		ev.Words = "another client with the id " + id + " took the session on MQTT server " + server +
			" over: does a second agent run as this node? trying again with growing pauses"
	}
	return ev
}

// failedWords says why there is no connection.
func failedWords(server string, err error) string {
	cause := strings.TrimPrefix(bare(err).Error(), "mqtt: ")
	return "waiting for MQTT server " + server + ": " + strings.TrimPrefix(cause, server+": ") + "; trying again"
}

// bare is what the operating system said of a connection, if it did: without
// the addresses, of which the local one is another each time.
func bare(err error) error {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok {
		return err
	}
	if e, ok := errors.AsType[syscall.Errno](op.Err); ok {
		return e
	}
	return op.Err
}

// leaveTime bounds the goodbye to one server.
const leaveTime = 2 * time.Second

func (a *Agent) leave(how func(conn, context.Context) error) {
	if a.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	a.quit(func(c conn) error { return how(c, ctx) })
}

// connect dials in the background.
//
// Spec: tck-id-message-flow-edge-node-birth-publish-will-message,
// tck-id-message-flow-edge-node-birth-publish-will-message-qos,
// tck-id-message-flow-edge-node-birth-publish-will-message-will-retained.
func (a *Agent) connect(fx *session.EdgeEffect) {
	m := &a.plan.cfg.MQTT
	number, server := fx.Session, m.Servers[fx.Server]
	a.session, a.server = number, server
	c := mqtt.Config{
		Server: server, ClientID: m.ClientID, Username: m.Username, Password: m.Password.Reveal(),
		KeepAlive: m.KeepAlive.Std(), Log: a.log,
		Will: &mqtt.Message{Topic: a.topic(sparkplug.NDEATH, ""), Payload: a.ndeath(fx.BdSeq), QoS: 1},
		OnMessage: func(msg mqtt.Message) {
			select {
			case a.inbox <- inbound{number, msg}:
			default:
				a.count.refused.Add(1)
				a.log.Warn("message dropped: too many at once", "topic", msg.Topic)
			}
		},
	}
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	a.tasks.Go(func() {
		defer cancel()
		var err error
		if strings.HasPrefix(server, "mqtts:") || m.CA != "" {
			c.TLS, err = mqtt.LoadTLS(m.CA, m.Cert, m.Key)
		}
		var got conn
		if err == nil {
			got, err = a.dial(ctx, c)
		}
		ev := session.EdgeEvent{Kind: session.EdgeConnected, Session: number}
		if err != nil {
			ev.Kind, ev.Words = session.EdgeConnectFailed, failedWords(server, err)
			if e, ok := errors.AsType[*mqtt.DialError](err); ok {
				ev.Sent = e.Sent
			}
		}
		a.events <- happening{ev, got}
	})
}

// happened takes in the outcome of a dial or subscription, or the end of a
// connection.
func (a *Agent) happened(h happening) {
	if h.conn != nil {
		a.conn = h.conn
		a.count.connects.Add(1)
		a.watch(h.ev.Session, h.conn)
	}
	if h.ev.Kind == session.EdgeLost && h.ev.Session == a.session && a.conn != nil {
		a.quit(conn.Close)
	}
	a.step(h.ev)
}

// watch reports the end of a connection.
func (a *Agent) watch(number uint32, c conn) {
	server, id := a.server, a.plan.cfg.MQTT.ClientID
	a.tasks.Go(func() {
		<-c.Done()
		a.events <- happening{ev: lostEvent(number, server, id, c.Err())}
	})
}

// subscribe asks for commands and, if there is a primary host, its STATE.
//
// Spec: tck-id-message-flow-edge-node-ncmd-subscribe,
// tck-id-message-flow-device-dcmd-subscribe.
func (a *Agent) subscribe(number uint32) {
	filters := []mqtt.Filter{
		{Topic: a.topic(sparkplug.NCMD, ""), QoS: 1},
		{Topic: a.topic(sparkplug.DCMD, "") + "/+", QoS: 1},
	}
	if h := a.plan.cfg.MQTT.PrimaryHost; h != "" {
		if a.plan.cfg.MQTT.HostState != "v2" {
			filters = append(filters, mqtt.Filter{Topic: sparkplug.StateTopic(h), QoS: 1})
		}
		if s := a.plan.cfg.MQTT.HostState; s == "v2" || s == "both" {
			filters = append(filters, mqtt.Filter{Topic: sparkplug.StateTopicV2(h), QoS: 1})
		}
	}
	c := a.conn
	a.tasks.Go(func() {
		ev := session.EdgeEvent{Kind: session.EdgeSubscribed, Session: number}
		if err := c.Subscribe(context.Background(), filters...); err != nil {
			ev.Kind, ev.Words = session.EdgeLost, "subscribing: "+err.Error()
		}
		a.events <- happening{ev: ev}
	})
}

// received takes in a message of the connection.
func (a *Agent) received(in inbound) {
	if in.session != a.session {
		return
	}
	host, v3 := sparkplug.ParseStateTopic(in.msg.Topic)
	parse, ok := sparkplug.ParseState, v3
	if !v3 {
		parse = sparkplug.ParseStateV2
		host, ok = sparkplug.ParseStateTopicV2(in.msg.Topic)
	}
	if ok {
		st, err := parse(in.msg.Payload)
		if err != nil {
			a.log.Warn("STATE ignored", "host", host, "err", err)
			return
		}
		if !v3 {
			st.Timestamp = nowMilli() // it has none: that of its arrival counts
		}
		a.step(session.EdgeEvent{Kind: session.EdgeHostState, Session: in.session, Host: host, State: st})
		return
	}
	a.commanded(in)
}

// topic is the node's topic of a type, or that of a device.
func (a *Agent) topic(t sparkplug.Type, device string) string {
	n := &a.plan.cfg.Node
	return sparkplug.Topic{Group: n.Group, Type: t, Node: n.ID, Device: device}.String()
}
