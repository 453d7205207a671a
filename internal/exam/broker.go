package exam

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/conform"
)

// BrokerConfig says how to examine an MQTT server.
type BrokerConfig struct {
	Server   string // mqtt://host:port
	Username string
	Password string

	Compliant bool // examine for compliance only, not for awareness

	// Tamper changes or hides what the server delivers, for tests of the
	// examination itself; it is called by one at a time. Nil changes nothing.
	Tamper func(d *Delivery) (keep bool)

	Say func(format string, args ...any) // tells a person what goes on; nil is silent
}

// certificates is what stands before the topic of a birth that an aware server keeps.
const certificates = "$sparkplug/certificates/"

// examined is an examination of an MQTT server in one version of MQTT.
type examined struct {
	ctx     context.Context //nolint:containedctx // of one examination, which is one call
	c       BrokerConfig
	version byte
	wire    *conform.Wire
	group   string // all topics have it: no other traffic is touched
	count   int
}

// Broker examines an MQTT server, with MQTT 3.1.1 and with MQTT 5: whether it
// is compliant, and whether it is aware. All its messages are below a group of
// their own, exam-<number>; what it had the server retain it removes. Births
// that an aware server keeps stay. The error is not about the server's faults.
func Broker(ctx context.Context, c BrokerConfig) (conform.Report, error) {
	if c.Say == nil {
		c.Say = func(string, ...any) {}
	}
	if tamper := c.Tamper; tamper != nil {
		var mu sync.Mutex
		c.Tamper = func(d *Delivery) bool {
			mu.Lock()
			defer mu.Unlock()
			return tamper(d)
		}
	}
	wire := conform.NewWire()
	group := "exam-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	for _, version := range []byte{4, 5} {
		c.Say("with MQTT version %d", version)
		x := &examined{ctx: ctx, c: c, version: version, wire: wire, group: fmt.Sprintf("%s-%d", group, version)}
		parts := []func() error{x.qos, x.retained, x.wills}
		if !c.Compliant {
			parts = append(parts, x.births)
		}
		for _, part := range parts {
			if err := part(); err != nil {
				return conform.Report{}, err
			}
		}
	}
	if c.Compliant {
		return wire.Report("broker-compliant"), ctx.Err()
	}
	r := wire.Report("broker-compliant")
	basic := !r.Failed()
	wire.Judge(basic, "it is not compliant", "conformance-mqtt-aware-basic")
	return wire.Report("broker-compliant", "broker-aware"), ctx.Err()
}

func (x *examined) dial(will *Delivery) (*client, error) {
	x.count++
	return dialClient(x.ctx, x.c, x.version, fmt.Sprintf("%s-%d", x.group, x.count), will)
}

func (x *examined) judge(ok bool, ids []string, format string, args ...any) {
	x.wire.Judge(ok, fmt.Sprintf("MQTT version %d: ", x.version)+fmt.Sprintf(format, args...), ids...)
}

func (x *examined) topic(name string) string { return x.group + "/" + name }

// with runs f with two clients.
func (x *examined) with(f func(a, b *client) error) error {
	a, err := x.dial(nil)
	if err != nil {
		return err
	}
	defer a.cut()
	b, err := x.dial(nil)
	if err != nil {
		return err
	}
	defer b.cut()
	return f(a, b)
}

// same says whether d is what was published.
func same(d Delivery, ok bool, qos byte, retain bool, payload string) bool {
	return ok && d.QoS == qos && d.Retain == retain && string(d.Payload) == payload
}

func told(d Delivery, ok bool) string {
	if !ok {
		return "nothing came"
	}
	return fmt.Sprintf("QoS %d, retain %v, %d bytes came", d.QoS, d.Retain, len(d.Payload))
}

// qos publishes and subscribes with QoS 0 and 1.
func (x *examined) qos() error {
	return x.with(func(a, b *client) error {
		for sub := range byte(2) {
			for pub := range byte(2) {
				topic := x.topic(fmt.Sprintf("qos/%d/%d", sub, pub))
				if err := b.subscribe(x.ctx, topic, sub); err != nil {
					return err
				}
				if err := a.publish(x.ctx, Delivery{Topic: topic, QoS: pub, Payload: []byte("value")}); err != nil {
					return err
				}
				id := "conformance-mqtt-qos0"
				if sub == 1 && pub == 1 {
					id = "conformance-mqtt-qos1"
				}
				d, ok := b.get(x.ctx, topic, prompt)
				x.judge(same(d, ok, min(sub, pub), false, "value"), []string{id}, "published with QoS %d, subscribed with %d: %s", pub, sub, told(d, ok))
			}
		}
		return nil
	})
}

// retained has messages kept, replaced and removed.
func (x *examined) retained() error {
	id := []string{"conformance-mqtt-retained"}
	topic := x.topic("kept")
	return x.with(func(a, b *client) error {
		if err := x.listen(b, topic); err != nil {
			return err
		}
		for _, value := range []string{"first", "second"} {
			if err := a.publish(x.ctx, Delivery{Topic: topic, QoS: 1, Retain: true, Payload: []byte(value)}); err != nil {
				return err
			}
			d, ok := b.get(x.ctx, topic, prompt)
			x.judge(same(d, ok, 1, false, value), id, "a retained message, live: %s", told(d, ok))
			if err := x.later(topic, func(d Delivery, ok bool) {
				x.judge(same(d, ok, 1, true, value), id, "a retained message, later: %s", told(d, ok))
			}); err != nil {
				return err
			}
		}
		if err := x.clear(topic); err != nil {
			return err
		}
		return x.later(topic, func(d Delivery, ok bool) { x.judge(!ok, id, "a retained message was removed, and %s", told(d, ok)) })
	})
}

// later hands f what a new subscriber gets at once: before a message that it
// publishes itself after it has subscribed.
func (x *examined) later(topic string, f func(Delivery, bool)) error {
	c, err := x.dial(nil)
	if err != nil {
		return err
	}
	defer c.cut()
	if err := c.subscribe(x.ctx, topic, 1); err != nil {
		return err
	}
	marker, err := x.mark(c)
	if err != nil {
		return err
	}
	f(c.before(x.ctx, topic, marker))
	return nil
}

// mark has c send itself a message, and returns its topic. What the server had
// for c before comes before.
func (x *examined) mark(c *client) (topic string, err error) {
	x.count++
	topic = x.topic(fmt.Sprintf("marker/%d", x.count))
	if err := c.subscribe(x.ctx, topic, 1); err != nil {
		return "", err
	}
	return topic, c.publish(x.ctx, Delivery{Topic: topic, QoS: 1})
}

// listen subscribes, and returns when the server is done with that: some look
// for retained messages only after they have acknowledged.
func (x *examined) listen(c *client, topic string) error {
	if err := c.subscribe(x.ctx, topic, 1); err != nil {
		return err
	}
	marker, err := x.mark(c)
	if err == nil {
		if _, ok := c.get(x.ctx, marker, prompt); !ok {
			err = errors.New("exam: a client does not get the message it published itself")
		}
	}
	return err
}

// clear removes a retained message.
func (x *examined) clear(topic string) error {
	c, err := x.dial(nil)
	if err != nil {
		return err
	}
	return errors.Join(c.publish(x.ctx, Delivery{Topic: topic, QoS: 1, Retain: true}), c.leave(0))
}

// wills ends clients in every way.
func (x *examined) wills() error {
	id := []string{"conformance-mqtt-will-messages"}
	for _, retain := range []bool{false, true} {
		for qos := range byte(2) {
			topic := x.topic(fmt.Sprintf("will/%v/%d", retain, qos))
			will := &Delivery{Topic: topic, QoS: qos, Retain: retain, Payload: []byte("gone")}
			if err := x.ends(will, prompt, func(c *client) error { c.cut(); return nil }, func(d Delivery, ok bool) {
				x.judge(same(d, ok, qos, false, "gone"), id, "the will of a client that was cut: %s", told(d, ok))
			}); err != nil {
				return err
			}
			if err := x.later(topic, func(d Delivery, ok bool) {
				x.judge(ok == retain && (!ok || d.Retain && string(d.Payload) == "gone"), id, "a will, retain %v, later: %s", retain, told(d, ok))
			}); err != nil {
				return err
			}
			if err := x.clear(topic); err != nil {
				return err
			}
		}
	}
	will := &Delivery{Topic: x.topic("will/left"), QoS: 1, Payload: []byte("gone")}
	if err := x.ends(will, quiet, func(c *client) error { return c.leave(0) }, func(d Delivery, ok bool) {
		x.judge(!ok, id, "the will of a client that said goodbye: %s", told(d, ok))
	}); err != nil {
		return err
	}
	if x.version < 5 {
		return nil
	}
	return x.ends(will, prompt, func(c *client) error { return c.leave(0x04) }, func(d Delivery, ok bool) {
		x.judge(same(d, ok, 1, false, "gone"), id, "the will of a client that asked for it with DISCONNECT 0x04: %s", told(d, ok))
	})
}

// ends has a client with a will end, and hands f what a subscriber gets of it.
func (x *examined) ends(will *Delivery, within time.Duration, how func(*client) error, f func(Delivery, bool)) error {
	b, err := x.dial(nil)
	if err != nil {
		return err
	}
	defer b.cut()
	if err := x.listen(b, will.Topic); err != nil {
		return err
	}
	a, err := x.dial(will)
	if err != nil {
		return err
	}
	if err := how(a); err != nil {
		return err
	}
	f(b.get(x.ctx, will.Topic, within))
	return nil
}

// births looks for the certificates of an aware server.
func (x *examined) births() error {
	for _, t := range []sparkplug.Topic{
		{Group: x.group, Type: sparkplug.NBIRTH, Node: "Node"},
		{Group: x.group, Type: sparkplug.DBIRTH, Node: "Node", Device: "Device"},
	} {
		if err := x.birth(t); err != nil {
			return err
		}
	}
	return x.death()
}

// birth publishes a birth twice, and wants it kept each time as it was.
func (x *examined) birth(t sparkplug.Topic) error {
	stem := map[sparkplug.Type]string{sparkplug.NBIRTH: "conformance-mqtt-aware-nbirth-mqtt-", sparkplug.DBIRTH: "conformance-mqtt-aware-dbirth-mqtt-"}[t.Type]
	kept := certificates + t.String()
	store := []string{"conformance-mqtt-aware-store", stem + "topic"}
	retain := []string{stem + "retain"}
	return x.with(func(a, b *client) error {
		if err := x.listen(b, kept); err != nil {
			x.judge(false, store, "%v", err) // some refuse topics with $
			x.judge(false, retain, "%v", err)
			return nil
		}
		for round := range 2 {
			payload, err := x.payload(uint64(round), sparkplug.Metric{Name: "Round", Value: sparkplug.Int(sparkplug.TypeInt32, int64(round))})
			if err != nil {
				return err
			}
			if err := a.publish(x.ctx, Delivery{Topic: t.String(), Payload: payload}); err != nil {
				return err
			}
			d, ok := b.get(x.ctx, kept, prompt)
			x.judge(ok && bytes.Equal(d.Payload, payload), store, "%s, live: %s", kept, told(d, ok))
			x.judge(ok && d.Retain, retain, "%s, live: %s", kept, told(d, ok))
			if err := x.later(kept, func(d Delivery, ok bool) {
				x.judge(ok && bytes.Equal(d.Payload, payload), store, "%s, later: %s", kept, told(d, ok))
				x.judge(ok && d.Retain, retain, "%s, later: %s", kept, told(d, ok))
			}); err != nil {
				return err
			}
		}
		return nil
	})
}

func (x *examined) payload(seq uint64, metrics ...sparkplug.Metric) ([]byte, error) {
	now := time.Now().UnixMilli()
	for i := range metrics {
		metrics[i].Timestamp, metrics[i].HasTimestamp = now, true
	}
	p := sparkplug.Payload{Timestamp: now, HasTimestamp: true, Seq: uint8(seq), HasSeq: true, Metrics: metrics}
	return p.Append(nil)
}

// death looks whether the timestamp of an NDEATH is replaced, which is allowed.
func (x *examined) death() error {
	const id = "conformance-mqtt-aware-ndeath-timestamp"
	old := time.Now().Add(-time.Hour).UnixMilli()
	bd := sparkplug.Metric{Name: sparkplug.MetricBdSeq, Value: sparkplug.Int(sparkplug.TypeInt64, 7), Timestamp: old, HasTimestamp: true}
	p := sparkplug.Payload{Timestamp: old, HasTimestamp: true, Metrics: []sparkplug.Metric{bd}}
	b, err := p.Append(nil)
	if err != nil {
		return err
	}
	t := sparkplug.Topic{Group: x.group, Type: sparkplug.NDEATH, Node: "Node"}
	return x.ends(&Delivery{Topic: t.String(), QoS: 1, Payload: b}, prompt, func(c *client) error { c.cut(); return nil }, func(d Delivery, ok bool) {
		var got sparkplug.Payload
		if err := got.Decode(d.Payload); !ok || err != nil {
			x.judge(false, []string{id}, "%s", errors.Join(errors.New(told(d, ok)), err))
			return
		}
		if got.Timestamp == old {
			x.wire.Skip("the server leaves the timestamp of an NDEATH as it is", id)
			return
		}
		off := time.Since(time.UnixMilli(got.Timestamp)).Abs()
		got.Timestamp = old
		x.judge(off < prompt && got.Equal(&p), []string{id}, "the timestamp of an NDEATH was replaced by one %v away, or more was changed", off)
	})
}
