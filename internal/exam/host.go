package exam

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/conform"
)

// HostConfig says how to examine a host application.
type HostConfig struct {
	Lab
	Reorder time.Duration // its reorder timeout; 2 s if zero
	Hands   HostHands
}

// HostHands do what can't be done over MQTT. Start is required; without the
// others what they are for is not judged. An error ends the examination.
type HostHands struct {
	// Start has the host run on these MQTT servers, mqtt://host:port, at once.
	Start func(ctx context.Context, servers []string) error
	Stop  func(ctx context.Context) error // have it stop in good order
	Kill  func(ctx context.Context) error // end it without a word

	Write func(ctx context.Context, c Command) error          // have it send a command
	Ask   func(ctx context.Context, q Question) (bool, error) // look at what it shows, a few seconds at most
}

const (
	playedGroup  = "Exam"
	playedNode   = "Played"
	playedDevice = "Device"
)

// host is an examination of a host application.
type host struct {
	*lab
	c    HostConfig
	id   string // its host id
	node *node
}

// Host examines a host application. The error is not about the host's faults,
// which are in the report: ctx has ended, a server can't be, a hand has failed,
// or nobody came.
func Host(ctx context.Context, c HostConfig) (conform.Report, error) {
	c.Reorder = cmp.Or(c.Reorder, 2*time.Second)
	l, err := openLab(ctx, c.Lab)
	if err != nil {
		return conform.Report{}, err
	}
	defer l.close()
	x := &host{lab: l, c: c, node: newNode(l, 0, playedGroup, playedNode)}
	x.excuses()
	for _, part := range []func() error{
		x.arrive, x.contradict, x.births, x.shows, x.writes, x.disorder, x.deviceDies, x.nodeDies, x.cut, x.stop, x.kill, x.both,
	} {
		if err := part(); err != nil {
			r, _ := l.report("host")
			return r, err
		}
	}
	return l.report("host")
}

// excuses says what is not judged, and why.
func (x *host) excuses() {
	x.skip("the host speaks MQTT 5", "message-flow-phid-sparkplug-clean-session-311")
	x.skip("the host says goodbye with DISCONNECT", "host-topic-phid-death-payload-timestamp-disconnect-with-no-disconnect-packet")
	x.skip("a rule for edge nodes: a host publishes under no descriptor of its own", "intro-edge-node-id-uniqueness",
		"topic-structure-namespace-unique-edge-node-descriptor", "topic-structure-namespace-unique-device-id")
	if len(x.servers) < 2 {
		x.skip("there is one server", "operational-behavior-host-application-multi-server-timestamp")
	}
	if x.c.Hands.Ask == nil {
		x.skip("nobody looks at what the host shows", append(x.actions("ndeath", "ddeath"), shared("")...)...)
		x.skip("nobody looks at what the host shows", "topic-structure-namespace-duplicate-device-id-across-edge-node")
	}
	if x.c.Hands.Write == nil {
		for _, a := range conform.Assertions() {
			if id := strings.TrimPrefix(a.ID, "tck-id-"); strings.Contains(id, "dcmd") || strings.Contains(id, "ncmd-verb") || strings.Contains(id, "ncmd-metric") {
				x.skip("nobody has the host send commands", id)
			}
		}
	}
	if x.c.Hands.Stop == nil {
		x.skip("nobody stops the host", "host-topic-phid-death-payload-timestamp-disconnect-clean", "operational-behavior-host-application-termination",
			"operational-behavior-host-application-disconnect-intentional", "operational-behavior-host-application-death-retained",
			"operational-behavior-host-application-death-topic", "operational-behavior-host-application-death-payload", "operational-behavior-host-application-death-qos")
	}
}

// actions are the assertions about what a host does at a death.
func (x *host) actions(deaths ...string) (ids []string) {
	const stem = "operational-behavior-edge-node-termination-host-action-"
	for _, d := range deaths {
		ids = append(ids, stem+d+"-devices-offline", stem+d+"-devices-tags-stale")
		if d == "ndeath" {
			ids = append(ids, stem+d+"-node-offline", stem+d+"-node-tags-stale")
		}
	}
	return ids
}

// shared are the assertions about payloads that bind edge node and host alike,
// with a part in their id. Whoever writes such a payload is graded by what it
// wrote; a host, which writes only commands, by whether it reads it.
func shared(part string) (ids []string) {
	for _, a := range conform.Assertions() {
		if slices.Contains(a.Profiles, "edge") && slices.Contains(a.Profiles, "host") &&
			strings.HasPrefix(a.ID, "tck-id-payloads-") && strings.Contains(a.ID, part) {
			ids = append(ids, strings.TrimPrefix(a.ID, "tck-id-"))
		}
	}
	return ids
}

// online is about a STATE birth of the host at a server.
func (x *host) online(server int, online bool) event {
	return func(e conform.Event) bool {
		id, ok := sparkplug.ParseStateTopic(e.Message.Topic)
		if !ok || id != x.id || e.Server != server || e.Kind != conform.Publish && e.Kind != conform.Will {
			return false
		}
		s, err := sparkplug.ParseState(e.Message.Payload)
		return err == nil && s.Online == online
	}
}

func (x *host) own(server int, kind conform.Kind) event {
	return func(e conform.Event) bool {
		return e.Server == server && e.Kind == kind && (kind != conform.Connect || e.Will != nil)
	}
}

// arrive has the host connect and say that it is there.
func (x *host) arrive() error {
	x.say("start the host application")
	mark := x.mark()
	if err := x.c.Hands.Start(x.ctx, x.urls(1)); err != nil {
		return err
	}
	e, ok := x.await(mark, starting, x.own(0, conform.Connect))
	if !ok {
		return fmt.Errorf("%w: no host with a will has connected to %s within %v", ErrSilent, x.servers[0].url, starting)
	}
	if x.id, ok = sparkplug.ParseStateTopic(e.Will.Topic); !ok {
		return fmt.Errorf("%w: the will of client %q is on %q, not a STATE topic", ErrSilent, e.Client, e.Will.Topic)
	}
	if _, ok := x.await(mark, patient, x.online(0, true)); !ok {
		return fmt.Errorf("%w: host %s does not say that it is online within %v", ErrSilent, x.id, patient)
	}
	return nil
}

// contradict says that the host is offline; it must not let that stand.
func (x *host) contradict() error {
	mark := x.mark()
	if err := x.state(0, x.id, false, time.Now().UnixMilli(), true); err != nil {
		return err
	}
	_, ok := x.await(mark, prompt, x.online(0, true))
	x.judge(ok, fmt.Sprintf("no STATE birth within %v of somebody's offline STATE", prompt), "message-flow-hid-sparkplug-state-message-delivered")
	// some hosts then begin a session with a new timestamp
	if _, again := x.await(mark, 2*quiet, x.own(0, conform.Closed)); again {
		mark = x.mark()
		if _, ok := x.await(mark, patient, x.online(0, true)); !ok {
			x.judge(false, "it does not come back after somebody's offline STATE", "message-flow-hid-sparkplug-state-message-delivered")
		}
	}
	return nil
}

// births publishes all that the specification knows, as an edge node would.
func (x *host) births() error {
	if err := x.node.birth(complex()...); err != nil {
		return err
	}
	if err := x.node.deviceBirth(playedDevice, deviceMetrics()...); err != nil {
		return err
	}
	twin := newNode(x.lab, 0, playedGroup, playedNode+"Twin")
	if err := twin.birth(); err != nil {
		return err
	}
	return twin.deviceBirth(playedDevice, deviceMetrics()...)
}

// ask puts a question, and judges by the answer.
func (x *host) ask(q Question, ids ...string) error {
	if x.c.Hands.Ask == nil {
		return nil
	}
	ok, err := x.c.Hands.Ask(x.ctx, q)
	if err != nil {
		return fmt.Errorf("exam: %s: %w", q, err)
	}
	x.judge(ok, "the answer is no: "+q.String(), ids...)
	return nil
}

// about is a question about the node or the device that the examiner plays.
func about(a Aspect, device, metric string) Question {
	return Question{Aspect: a, Group: playedGroup, Node: playedNode, Device: device, Metric: metric}
}

// shows asks how the host has read the births and data.
func (x *host) shows() error {
	q := about(Online, playedDevice, "")
	if err := x.ask(q, "topic-structure-namespace-duplicate-device-id-across-edge-node"); err != nil {
		return err
	}
	if err := x.node.say(sparkplug.NDATA, "", partial()); err != nil {
		return err
	}
	if err := x.node.say(sparkplug.DDATA, playedDevice, sparkplug.Metric{Alias: speedAlias, HasAlias: true, Value: sparkplug.Double(2), OmitType: true}); err != nil {
		return err
	}
	type look struct {
		device, metric string
		value          sparkplug.Value
		ids            []string
	}
	rest := slices.DeleteFunc(shared(""), func(id string) bool {
		return strings.Contains(id, "template") || strings.Contains(id, "dataset") || strings.Contains(id, "propert")
	})
	for _, l := range []look{
		{playedDevice, "Speed", sparkplug.Double(2), rest},
		{"", "Table", table(), shared("dataset")},
		{"", "Motor 1", instance(4, 5), shared("template")},
		{"", "Flow", sparkplug.Double(12.5), append(shared("propertyset"), shared("propertyvalue")...)},
	} {
		q := about(Shown, l.device, l.metric)
		q.Value = json.RawMessage(sparkplug.AppendJSON(nil, l.value))
		if err := x.ask(q, l.ids...); err != nil {
			return err
		}
	}
	return nil
}

// writes has the host send commands, and answers them.
func (x *host) writes() error {
	if x.c.Hands.Write == nil {
		return nil
	}
	if err := x.write("", "Setpoint", sparkplug.NCMD, sparkplug.NDATA, "ncmd"); err != nil {
		return err
	}
	return x.write(playedDevice, "Limit", sparkplug.DCMD, sparkplug.DDATA, "dcmd")
}

func (x *host) write(device, metric string, cmd, data sparkplug.Type, k string) error {
	mark := x.mark()
	done := make(chan error, 1)
	go func() {
		done <- x.c.Hands.Write(x.ctx, Command{playedGroup, playedNode, device, metric, json.RawMessage("33.5")})
	}()
	e, ok := x.await(mark, starting, x.heard(cmd))
	if !ok {
		x.judge(false, fmt.Sprintf("no %s within %v of a command to %q", cmd, starting, metric), "topics-"+k+"-topic", "operational-behavior-data-commands-"+k+"-verb")
		return <-done
	}
	var p sparkplug.Payload
	right := p.Decode(e.Message.Payload) == nil && len(p.Metrics) == 1
	if right {
		v, err := p.Metrics[0].Value.As(sparkplug.TypeDouble)
		right = err == nil && v.Float64() == 33.5
	}
	x.judge(right, "the value is not the 33.5 that was asked for", "topics-"+k+"-payload", "operational-behavior-data-commands-"+k+"-metric-value")
	return errors.Join(x.node.say(data, device, sparkplug.Metric{Name: metric, Value: sparkplug.Double(33.5), OmitType: true}), <-done)
}

// heard is about a command to the node that the examiner plays.
func (x *host) heard(t sparkplug.Type) event {
	return published(0, func(s sparkplug.Topic) bool { return s.Type == t && s.Group == playedGroup && s.Node == playedNode })
}

// disorder swaps two messages, and loses one.
func (x *host) disorder() error {
	n, k := x.node, "operational-behavior-host-reordering-"
	mark := x.mark()
	n.at = time.Now() // they were made in order
	n.seq++
	if err := n.say(sparkplug.NDATA, "", setpoint(2)); err != nil {
		return err
	}
	n.seq -= 2
	if err := n.say(sparkplug.NDATA, "", setpoint(1)); err != nil {
		return err
	}
	n.at = time.Time{}
	n.seq++
	x.judge(x.never(mark, x.c.Reorder+quiet, x.heard(sparkplug.NCMD)), "a rebirth request though the missing message has come", k+"success")
	x.say("losing a message")
	mark, at := x.mark(), time.Now()
	n.seq++
	if err := n.say(sparkplug.NDATA, "", setpoint(4)); err != nil {
		return err
	}
	e, ok := x.await(mark, x.c.Reorder+patient, x.heard(sparkplug.NCMD))
	x.judge(ok, "no rebirth request for a message that was lost", k+"rebirth")
	if ok {
		after := e.At.Sub(at)
		why := fmt.Sprintf("it asks for a rebirth %v after the gap, the reorder timeout is %v", after, x.c.Reorder)
		x.judge(after > x.c.Reorder*8/10, why, k+"start")
		x.judge((after-x.c.Reorder).Abs() < prompt, why, k+"param")
	}
	if err := x.births(); err != nil {
		return err
	}
	// they make devices offline for a moment: what follows asks about that
	q := about(Shown, playedDevice, "Speed")
	q.Value = json.RawMessage(sparkplug.AppendJSON(nil, sparkplug.Double(bornSpeed)))
	return x.ask(q)
}

// deviceDies is the first half of the kit's questions: a device's death, with
// the time of its payload.
func (x *host) deviceDies() error {
	mark := time.Now()
	if err := x.node.say(sparkplug.DDEATH, playedDevice); err != nil {
		return err
	}
	return x.asks(mark, time.Now(), "ddeath", playedDevice)
}

// nodeDies is the other half: a node's death, with the host's time.
func (x *host) nodeDies() error {
	if err := x.node.deviceBirth(playedDevice, deviceMetrics()...); err != nil {
		return err
	}
	if err := x.ask(about(Online, playedDevice, ""), "topic-structure-namespace-duplicate-device-id-across-edge-node"); err != nil {
		return err
	}
	mark := time.Now()
	if err := x.node.death(); err != nil {
		return err
	}
	if err := x.asks(mark, mark.Add(prompt), "ndeath", ""); err != nil {
		return err
	}
	return x.asks(mark, mark.Add(prompt), "ndeath", playedDevice)
}

// asks whether a node or device is offline and its metrics stale.
func (x *host) asks(from, to time.Time, death, device string) error {
	who, metric := "node", "Setpoint"
	if device != "" {
		who, metric = "devices", "Speed"
	}
	id := "operational-behavior-edge-node-termination-host-action-" + death + "-" + who
	q := about(Offline, device, "")
	q.From, q.To = from.Truncate(time.Millisecond), to
	if err := x.ask(q, id+"-offline"); err != nil {
		return err
	}
	q.Aspect, q.Metric = Stale, metric
	return x.ask(q, id+"-tags-stale")
}

// cut ends the host's connection; it must come back.
func (x *host) cut() error {
	mark := x.mark()
	if err := x.sever(0); err != nil {
		return err
	}
	_, ok := x.await(mark, patient, x.online(0, true))
	x.judge(ok, fmt.Sprintf("no STATE birth within %v of a lost connection", patient),
		"operational-behavior-primary-application-state-with-multiple-servers-state", "operational-behavior-host-application-connect-birth")
	return nil
}

// sever cuts the last client that connected to a server as the host.
func (x *host) sever(server int) error {
	x.mu.Lock()
	id := ""
	for _, e := range x.seen {
		if x.own(server, conform.Connect)(e) {
			id = e.Client
		}
	}
	x.mu.Unlock()
	return x.servers[server].b.Cut(id)
}

// stop has the host leave in good order.
func (x *host) stop() error {
	if x.c.Hands.Stop == nil {
		return nil
	}
	x.say("stop the host application in good order")
	mark := x.mark()
	if err := x.c.Hands.Stop(x.ctx); err != nil {
		return err
	}
	_, gone := x.await(mark, patient, x.own(0, conform.Closed))
	dead := x.count(mark, func(e conform.Event) bool { return e.Kind == conform.Publish && x.online(0, false)(e) })
	x.judge(gone && dead > 0, "it stops without a STATE death", "operational-behavior-host-application-termination")
	if left := x.count(mark, x.own(0, conform.Disconnect)); gone && dead > 0 && left == 0 {
		x.judge(true, "", "host-topic-phid-death-payload-timestamp-disconnect-with-no-disconnect-packet")
	}
	return nil
}

// kill ends the host without a word; its will must speak.
func (x *host) kill() error {
	if x.c.Hands.Stop == nil || x.c.Hands.Kill == nil {
		return nil
	}
	x.say("start the host application again")
	mark := x.mark()
	if err := x.c.Hands.Start(x.ctx, x.urls(1)); err != nil {
		return err
	}
	if _, ok := x.await(mark, starting, x.online(0, true)); !ok {
		return fmt.Errorf("%w: host %s is not online again within %v", ErrSilent, x.id, starting)
	}
	x.say("kill the host application")
	mark = x.mark()
	if err := x.c.Hands.Kill(x.ctx); err != nil {
		return err
	}
	_, ok := x.await(mark, patient, func(e conform.Event) bool { return e.Kind == conform.Will && x.online(0, false)(e) })
	x.judge(ok, "its will was not published", "operational-behavior-host-application-connect-will", "host-topic-phid-death-required", "payloads-state-will-message")
	return nil
}

// both has the host on two servers at once, of which one is cut.
func (x *host) both() error {
	if len(x.servers) < 2 || x.c.Hands.Stop == nil && x.c.Hands.Kill == nil {
		return nil
	}
	x.say("start the host application on both servers")
	mark := x.mark()
	if err := x.c.Hands.Start(x.ctx, x.urls(2)); err != nil {
		return err
	}
	_, first := x.await(mark, starting, x.online(0, true))
	_, second := x.await(mark, starting, x.online(1, true))
	x.judge(first && second, "it is not online on both servers", "operational-behavior-primary-application-state-with-multiple-servers-state",
		"operational-behavior-primary-application-state-with-multiple-servers-state-subs")
	if first && second {
		mark = x.mark()
		if err := x.sever(1); err != nil {
			return err
		}
		_, back := x.await(mark, patient, x.online(1, true))
		// on the first server it keeps its timestamp, which the Wire compares with the will
		if err := x.state(0, x.id, false, time.Now().UnixMilli(), true); err != nil {
			return err
		}
		_, again := x.await(mark, prompt, x.online(0, true))
		x.judge(back && again, "it does not say so on both servers after one was cut", "operational-behavior-host-application-multi-server-timestamp")
	}
	if x.c.Hands.Stop == nil {
		return x.c.Hands.Kill(x.ctx)
	}
	return x.c.Hands.Stop(x.ctx)
}
