package exam

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/conform"
)

// EdgeConfig says how to examine an edge node.
type EdgeConfig struct {
	Lab
	Host  string // id of the primary host that it waits for; empty if for none
	Write Write  // a metric that may be written; its Metric is empty if there is none
	Hands EdgeHands
}

// Write is a command that the edge node under examination may be given.
type Write struct {
	Device string // empty: a metric of the node
	Metric string
	Value  json.RawMessage // another than it has
}

// EdgeHands do what can't be done over MQTT. Start is required; without the
// others what they are for is not judged. An error ends the examination.
type EdgeHands struct {
	// Start has the edge node run with these MQTT servers, mqtt://host:port.
	Start func(ctx context.Context, servers []string) error
	Stop  func(ctx context.Context) error // have it stop in good order
	Kill  func(ctx context.Context) error // end it without a word

	Change func(ctx context.Context) error // change a value of the equipment
	Unplug func(ctx context.Context) error // cut a device from the edge node
	Plug   func(ctx context.Context) error // connect it again; with Unplug
}

// edge is an examination of an edge node.
type edge struct {
	*lab
	c       EdgeConfig
	node    sparkplug.Topic // its group and node
	devices []string
	clock   int64 // timestamp of the last STATE
}

// Edge examines an edge node. The error is not about the edge node's faults,
// which are in the report: ctx has ended, a server can't be, a hand has failed,
// or nobody came.
func Edge(ctx context.Context, c EdgeConfig) (conform.Report, error) {
	l, err := openLab(ctx, c.Lab)
	if err != nil {
		return conform.Report{}, err
	}
	defer l.close()
	x := &edge{lab: l, c: c, clock: time.Now().UnixMilli()}
	x.excuses()
	for _, part := range []func() error{x.arrive, x.stale, x.rebirth, x.changes, x.write, x.unplug, x.hostLeaves, x.stop, x.kill, x.walk} {
		if err := part(); err != nil {
			r, _ := l.report("edge")
			return r, err
		}
	}
	return l.report("edge")
}

// excuses says what is not judged for want of hands or of configuration.
func (x *edge) excuses() {
	x.skip("the edge node speaks MQTT 5", "principles-persistence-clean-session-311", "payloads-ndeath-will-message-publisher-disconnect-mqtt311")
	if x.c.Host == "" {
		x.skip("the edge node waits for no primary host",
			"message-flow-edge-node-birth-publish-phid-wait", "message-flow-edge-node-birth-publish-phid-wait-id",
			"message-flow-edge-node-birth-publish-phid-wait-online", "message-flow-edge-node-birth-publish-phid-wait-timestamp",
			"message-flow-edge-node-birth-publish-phid-offline", "operational-behavior-edge-node-birth-sequence-wait",
			"operational-behavior-edge-node-termination-host-offline", "operational-behavior-edge-node-termination-host-offline-reconnect",
			"operational-behavior-edge-node-termination-host-offline-timestamp",
			"operational-behavior-primary-application-state-with-multiple-servers-state-subs")
	}
	if x.c.Host == "" || len(x.servers) < 2 {
		x.skip("there is one server, or no primary host",
			"operational-behavior-primary-application-state-with-multiple-servers-single-server",
			"operational-behavior-primary-application-state-with-multiple-servers-walk")
	}
	if x.c.Hands.Unplug == nil {
		x.skip("nobody unplugs a device", "operational-behavior-device-ddeath", "topics-ddeath-topic", "topics-ddeath-mqtt",
			"topics-ddeath-seq-num", "payloads-ddeath-timestamp", "payloads-ddeath-seq", "payloads-ddeath-seq-inc", "payloads-ddeath-seq-number")
	}
	if x.c.Hands.Stop == nil {
		x.skip("nobody stops the edge node", "operational-behavior-edge-node-intentional-disconnect-ndeath",
			"operational-behavior-edge-node-intentional-disconnect-packet", "payloads-ndeath-will-message-publisher",
			"payloads-ndeath-will-message-publisher-disconnect-mqtt50")
	}
}

func (x *edge) is(t sparkplug.Type) func(sparkplug.Topic) bool {
	return func(s sparkplug.Topic) bool { return s.Type == t && s.Group == x.node.Group && s.Node == x.node.Node }
}

// sent is about a message of the edge node.
func (x *edge) sent(server int, t sparkplug.Type) event { return published(server, x.is(t)) }

func (x *edge) data(server int) event {
	return func(e conform.Event) bool {
		return x.sent(server, sparkplug.NDATA)(e) || x.sent(server, sparkplug.DDATA)(e)
	}
}

// own is about what the edge node's client did at a server.
func (x *edge) own(server int, kinds ...conform.Kind) event {
	return func(e conform.Event) bool {
		return e.Server == server && slices.Contains(kinds, e.Kind) && (e.Kind != conform.Connect || e.Will != nil)
	}
}

func (x *edge) asks(server int) event {
	own := sparkplug.StateTopic(x.c.Host)
	return func(e conform.Event) bool {
		return e.Kind == conform.Subscribe && e.Server == server &&
			slices.ContainsFunc(e.Filters, func(f conform.Filter) bool { return conform.Matches(f.Topic, own) })
	}
}

// host says on a server that the primary host is there, or not, and when.
func (x *edge) host(server int, online bool, at int64) error {
	return x.state(server, x.c.Host, online, at, true)
}

// tick is a new time for a STATE.
func (x *edge) tick() int64 {
	x.clock = max(x.clock+1, time.Now().UnixMilli())
	return x.clock
}

// arrive has the edge node connect and be born.
func (x *edge) arrive() error {
	x.say("start the edge node")
	mark := x.mark()
	if x.c.Host != "" {
		if err := x.state(0, x.c.Host+"-other", true, x.tick(), true); err != nil {
			return err
		}
	}
	if err := x.c.Hands.Start(x.ctx, x.urls(1)); err != nil {
		return err
	}
	e, ok := x.await(mark, starting, func(e conform.Event) bool { return e.Kind == conform.Connect })
	if !ok {
		return fmt.Errorf("%w: no client has connected to %s within %v", ErrSilent, x.servers[0].url, starting)
	}
	if e.Will == nil {
		return x.strange(mark, e.Client)
	}
	t, err := sparkplug.ParseTopic(e.Will.Topic)
	if err != nil {
		return fmt.Errorf("%w: the will of client %q is no NDEATH: %w", ErrSilent, e.Client, err)
	}
	x.node = sparkplug.Topic{Group: t.Group, Node: t.Node}
	if x.c.Host != "" {
		if err := x.wait(mark); err != nil {
			return err
		}
	}
	if _, ok := x.await(mark, patient, x.sent(0, sparkplug.NBIRTH)); !ok {
		return fmt.Errorf("%w: edge node %s/%s has connected but is not born within %v", ErrSilent, t.Group, t.Node, patient)
	}
	x.settle(0, mark)
	return nil
}

// strange deals with a client that has no will, and may be an edge node.
func (x *edge) strange(mark int, client string) error {
	if x.c.Host != "" {
		if err := x.host(0, true, x.tick()); err != nil {
			return err
		}
	}
	e, ok := x.await(mark, patient, published(0, func(t sparkplug.Topic) bool { return t.Type == sparkplug.NBIRTH }))
	if !ok {
		return fmt.Errorf("%w: client %q has connected without a will, and is not born within %v", ErrSilent, client, patient)
	}
	t, _ := sparkplug.ParseTopic(e.Message.Topic)
	x.node = sparkplug.Topic{Group: t.Group, Node: t.Node}
	x.settle(0, mark)
	return nil
}

// wait is the first half of the kit's primary host script: the wrong host, an
// offline one, and one that is online with the same timestamp.
func (x *edge) wait(mark int) error {
	_, ok := x.await(mark, prompt, x.asks(0))
	x.judge(ok, "no subscription to STATE of "+x.c.Host, "operational-behavior-primary-application-state-with-multiple-servers-state-subs")
	born := x.sent(0, sparkplug.NBIRTH)
	x.judge(x.never(mark, quiet, born), "it is born though only another host is online",
		"message-flow-edge-node-birth-publish-phid-wait", "message-flow-edge-node-birth-publish-phid-wait-id", "operational-behavior-edge-node-birth-sequence-wait")
	at := x.tick()
	if err := x.host(0, false, at); err != nil {
		return err
	}
	x.judge(x.never(mark, quiet, born), "it is born though its host is offline", "message-flow-edge-node-birth-publish-phid-wait-online")
	return x.welcome(0, at, "a STATE with the same timestamp")
}

// welcome says that the host is online, and wants births in time.
func (x *edge) welcome(server int, at int64, what string) error {
	mark := x.mark()
	if err := x.host(server, true, at); err != nil {
		return err
	}
	_, ok := x.await(mark, prompt, x.sent(server, sparkplug.NBIRTH))
	x.judge(ok, fmt.Sprintf("no NBIRTH within %v of %s", prompt, what), "message-flow-edge-node-birth-publish-phid-wait-timestamp")
	if ok {
		x.settle(server, mark)
	}
	return nil
}

// settle waits until no more devices are born, and learns their names.
func (x *edge) settle(server, mark int) {
	seen := map[string]bool{}
	for {
		e, ok := x.await(mark, 2*quiet, func(e conform.Event) bool {
			if !x.sent(server, sparkplug.DBIRTH)(e) {
				return false
			}
			t, _ := sparkplug.ParseTopic(e.Message.Topic)
			return !seen[t.Device]
		})
		if !ok {
			return
		}
		t, _ := sparkplug.ParseTopic(e.Message.Topic)
		seen[t.Device] = true
		if !slices.Contains(x.devices, t.Device) {
			x.devices = append(x.devices, t.Device)
		}
	}
}

// stale sends an old offline STATE, which the edge node must not follow.
func (x *edge) stale() error {
	if x.c.Host == "" {
		return nil
	}
	mark := x.mark()
	if err := x.state(0, x.c.Host, false, x.clock-1000, false); err != nil {
		return err
	}
	x.judge(x.never(mark, quiet, x.own(0, conform.Disconnect, conform.Closed)), "it follows an offline STATE older than the online one",
		"operational-behavior-edge-node-termination-host-offline-timestamp")
	return nil
}

// rebirth asks for one, after another node has given birth to the same device.
func (x *edge) rebirth() error {
	if len(x.devices) > 0 {
		if err := x.twin(x.devices[0]); err != nil {
			return err
		}
	}
	x.say("asking for a rebirth")
	mark := x.mark()
	at := time.Now()
	if err := x.command(sparkplug.NCMD, "", sparkplug.Metric{Name: "Node Control/Rebirth", Value: sparkplug.Boolean(true)}); err != nil {
		return err
	}
	e, ok := x.await(mark, patient, x.sent(0, sparkplug.NBIRTH))
	x.judge(ok, fmt.Sprintf("no NBIRTH within %v of a rebirth request", patient), "operational-behavior-data-commands-rebirth-action-2")
	if !ok {
		return nil
	}
	// what was on its way may still come
	late := x.count(mark, func(d conform.Event) bool {
		return x.data(0)(d) && d.At.After(at.Add(prompt/10)) && d.At.Before(e.At)
	})
	x.judge(late == 0, fmt.Sprintf("%d DATA messages between the request and the NBIRTH", late), "operational-behavior-data-commands-rebirth-action-1")
	x.settle(0, mark)
	return nil
}

// twin is another edge node with a device of the same id, which is allowed.
func (x *edge) twin(device string) error {
	n := newNode(x.lab, 0, x.node.Group, x.node.Node+"-twin")
	if err := n.birth(sparkplug.Metric{Name: "Idle", Value: sparkplug.Boolean(true)}); err != nil {
		return err
	}
	return n.deviceBirth(device, sparkplug.Metric{Name: "Idle", Value: sparkplug.Boolean(true)})
}

func (x *edge) command(typ sparkplug.Type, device string, m sparkplug.Metric) error {
	t := x.node
	t.Type, t.Device = typ, device
	now := time.Now().UnixMilli()
	m.Timestamp, m.HasTimestamp = now, true
	return x.send(0, t, sparkplug.Payload{Timestamp: now, HasTimestamp: true, Metrics: []sparkplug.Metric{m}})
}

// changes has the equipment change and wants to hear of it.
func (x *edge) changes() error {
	if x.c.Hands.Change == nil {
		return nil
	}
	x.say("change a value of the equipment")
	mark := x.mark()
	if err := x.c.Hands.Change(x.ctx); err != nil {
		return err
	}
	if _, ok := x.await(mark, patient, x.data(0)); !ok {
		x.judge(false, "no DATA after the equipment has changed", "topics-ddata-payload", "principles-rbe-recommended")
	}
	return nil
}

// write gives a command and wants to hear of the new value.
func (x *edge) write() error {
	w := x.c.Write
	if w.Metric == "" {
		return nil
	}
	typ, ok := x.datatype(w)
	if !ok {
		return fmt.Errorf("exam: metric %q of device %q is in no birth of %s/%s", w.Metric, w.Device, x.node.Group, x.node.Node)
	}
	v, err := sparkplug.ParseJSON(typ, w.Value)
	if err != nil {
		return fmt.Errorf("exam: value to write to %q: %w", w.Metric, err)
	}
	x.say("writing %s to %s", w.Value, w.Metric)
	cmd, data := sparkplug.NCMD, sparkplug.NDATA
	if w.Device != "" {
		cmd, data = sparkplug.DCMD, sparkplug.DDATA
	}
	mark := x.mark()
	if err := x.command(cmd, w.Device, sparkplug.Metric{Name: w.Metric, Value: v}); err != nil {
		return err
	}
	id := map[sparkplug.Type]string{sparkplug.NDATA: "topics-ndata-payload", sparkplug.DDATA: "topics-ddata-payload"}[data]
	if _, ok := x.await(mark, patient, x.sent(0, data)); !ok {
		x.judge(false, fmt.Sprintf("no %s after %s was written", data, w.Metric), id)
	}
	return nil
}

// datatype looks a metric up in the last birth that holds it.
func (x *edge) datatype(w Write) (sparkplug.DataType, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range slices.Backward(x.seen) {
		t, err := sparkplug.ParseTopic(e.Message.Topic)
		if err != nil || e.Kind != conform.Publish || t.Device != w.Device || t.Type != sparkplug.NBIRTH && t.Type != sparkplug.DBIRTH {
			continue
		}
		var p sparkplug.Payload
		if p.Decode(e.Message.Payload) != nil {
			continue
		}
		for i := range p.Metrics {
			if p.Metrics[i].Name == w.Metric {
				return p.Metrics[i].Value.Type(), true
			}
		}
	}
	return 0, false
}

// unplug cuts a device off and connects it again.
func (x *edge) unplug() error {
	if x.c.Hands.Unplug == nil {
		return nil
	}
	x.say("unplug a device")
	mark := x.mark()
	if err := x.c.Hands.Unplug(x.ctx); err != nil {
		return err
	}
	_, ok := x.await(mark, starting, x.sent(0, sparkplug.DDEATH))
	x.judge(ok, fmt.Sprintf("no DDEATH within %v of the end of a device", starting), "operational-behavior-device-ddeath")
	if x.c.Hands.Plug == nil {
		return nil
	}
	x.say("plug it in again")
	mark = x.mark()
	if err := x.c.Hands.Plug(x.ctx); err != nil {
		return err
	}
	if _, ok := x.await(mark, starting, x.sent(0, sparkplug.DBIRTH)); !ok {
		x.judge(false, fmt.Sprintf("no DBIRTH within %v of the return of a device", starting), "payloads-dbirth-order")
	}
	return nil
}
