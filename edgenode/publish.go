package edgenode

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// outgoing is the data of the EdgeData event in progress.
type outgoing struct {
	dev        *device
	reports    []report
	historical bool
	spans      []session.Span // of the records in the spool
}

// maxPayload is about how large a data message gets, in bytes; more is split.
const maxPayload = 60 << 10

// tell keeps reports of a device and publishes them, or leaves them in the
// spool.
func (a *Agent) tell(d *device, reports []report) {
	a.inOrder(d, reports)
	d.told = nil
	for len(reports) > 0 {
		n := a.fits(d, reports)
		a.send(d, reports[:n], false, a.keep(d, reports[:n]))
		d.apply(reports[:n])
		reports = reports[n:]
	}
}

// keepAll keeps reports of a device that its next birth tells.
func (a *Agent) keepAll(d *device, reports []report) {
	a.inOrder(d, reports)
	d.told = nil
	for len(reports) > 0 {
		n := a.fits(d, reports)
		for _, s := range a.keep(d, reports[:n]) {
			d.told = d.told.Add(s)
		}
		d.apply(reports[:n])
		reports = reports[n:]
	}
}

func byTime(a, b report) int { return cmp.Compare(a.time, b.time) }

// inOrder sorts reports by time, and moves those by a millisecond or more that
// are not later than what their metric had before: a store keeps one value per
// metric and millisecond.
func (a *Agent) inOrder(d *device, reports []report) {
	if !slices.IsSortedFunc(reports, byTime) {
		slices.SortStableFunc(reports, byTime)
	}
	const back = 1000 // ms: so far back is no coincidence
	moved, clock := false, false
	for i := range reports {
		r := &reports[i]
		last := &d.now[r.slot].last
		if r.time <= *last {
			clock = clock || *last-r.time > back
			r.time = *last + 1
			moved = true
		}
		*last = r.time
	}
	if moved && !slices.IsSortedFunc(reports, byTime) {
		slices.SortStableFunc(reports, byTime)
	}
	if clock && !a.clockBack {
		a.log.Warn("the clock was set back: values get times right after those before, until it has caught up; restart the agent to begin at the new time", "device", d.def.id)
	}
	a.clockBack = clock || a.clockBack && moved
}

// send offers reports to the session, which publishes or holds them.
func (a *Agent) send(d *device, reports []report, historical bool, spans []session.Span) {
	a.outgoing = outgoing{d, reports, historical, spans}
	a.step(session.EdgeEvent{Kind: session.EdgeData, Device: d.def.id})
	a.outgoing = outgoing{}
}

// fits is how many of the reports go into one message, at least one.
func (a *Agent) fits(d *device, reports []report) int {
	size := 0
	for i := range reports {
		r := &reports[i]
		size += 40 + weight(r.value)
		if !*a.plan.cfg.MQTT.Aliases || d.def.metrics[r.slot].in != nil {
			size += len(d.def.metrics[r.slot].name)
		}
		if size > maxPayload && i > 0 {
			return i
		}
	}
	return len(reports)
}

// publish sends the message that an effect asks for.
func (a *Agent) publish(fx *session.EdgeEffect) {
	now := time.Now().UnixMilli()
	if fx.Do == session.EdgeNBirth {
		a.spool.delivery.Born(a.disk.data.Births, a.bornIn == a.session, now)
		a.bornIn = a.session
	}
	now = a.spool.delivery.Stamp(now)
	var carried outgoing
	p := &a.payload
	*p = sparkplug.Payload{Timestamp: now, HasTimestamp: true, Seq: fx.Seq, HasSeq: true, Metrics: p.Metrics[:0]}
	var topic string
	switch fx.Do {
	case session.EdgeNBirth:
		topic = a.topic(sparkplug.NBIRTH, "")
		a.nbirth(p, fx.BdSeq, now)
	case session.EdgeDBirth:
		topic = a.topic(sparkplug.DBIRTH, fx.Device)
		if d := a.byID[fx.Device]; d != nil {
			carried.spans = d.told
			p.Metrics = d.birth(p.Metrics, now, *a.plan.cfg.MQTT.Aliases)
		}
	case session.EdgeDDeath:
		topic = a.topic(sparkplug.DDEATH, fx.Device)
	case session.EdgeNDeath:
		topic = a.topic(sparkplug.NDEATH, "")
		p.HasSeq = false
		p.Metrics = append(p.Metrics, bdSeqMetric(fx.BdSeq, now))
	case session.EdgePublish:
		topic = a.topic(sparkplug.NDATA, "")
		if fx.Device != "" {
			topic = a.topic(sparkplug.DDATA, fx.Device)
		}
		a.data(p)
		carried = a.outgoing
	}
	a.write(topic, p, fx)
	if fx.Do != session.EdgeNDeath { // which does not count
		weight := 0
		if carried.historical {
			weight = len(carried.reports)
		}
		a.spool.delivery.Sent(now, weight, carried.spans...)
	}
}

// compressFrom is the length of a payload, in bytes, that is worth the work.
const compressFrom = 512

var compressions = map[string]sparkplug.Compression{"deflate": sparkplug.Deflate, "gzip": sparkplug.Gzip}

// write encodes and sends; what a broken connection would have carried comes
// again from the spool.
func (a *Agent) write(topic string, p *sparkplug.Payload, fx *session.EdgeEffect) {
	if a.conn == nil || a.broken != nil {
		return
	}
	b, err := p.Append(a.buf[:0])
	if err != nil {
		a.log.Error("message not published: it cannot be encoded", "topic", topic, "err", err)
		return
	}
	a.buf = b
	if how := compressions[a.plan.cfg.MQTT.Compression]; how != sparkplug.Uncompressed && len(b) > compressFrom && fx.Do != session.EdgeNDeath {
		if b, err = sparkplug.AppendCompressed(nil, b, how); err != nil {
			a.log.Error("message not published: it cannot be compressed", "topic", topic, "err", err)
			return
		}
	}
	if len(b) > 1<<20 {
		a.log.Warn("message of more than 1 MiB: servers and hosts may refuse it; spread the metrics over more devices", "topic", topic, "bytes", len(b))
	}
	// Spec: tck-id-topics-nbirth-mqtt, tck-id-topics-ddata-mqtt: QoS 0, not retained.
	if err := a.conn.Publish(context.Background(), mqtt.Message{Topic: topic, Payload: b}); err != nil {
		a.broken = err
		return
	}
	a.count.published.Add(1)
	switch fx.Do {
	case session.EdgeNBirth:
		a.count.births.Add(1)
	case session.EdgeDDeath:
		a.deaths++
	}
}

// nbirth fills in the node's birth.
//
// Spec: tck-id-topics-nbirth-bdseq-included, tck-id-topics-nbirth-rebirth-metric,
// tck-id-operational-behavior-data-commands-rebirth-name-aliases.
func (a *Agent) nbirth(p *sparkplug.Payload, bdSeq uint8, now int64) {
	p.Metrics = append(p.Metrics, a.node.def.defs...)
	defs := len(p.Metrics)
	p.Metrics = a.node.birth(p.Metrics, now, *a.plan.cfg.MQTT.Aliases)
	oldest := now
	if len(p.Metrics) > defs {
		oldest = p.Metrics[defs].Timestamp
	}
	for i := range defs { // before what uses them, and in the order of time
		p.Metrics[i].Timestamp, p.Metrics[i].HasTimestamp = oldest, true
	}
	p.Metrics = append(p.Metrics, bdSeqMetric(bdSeq, now), control(sparkplug.MetricRebirth, now))
	if len(a.plan.cfg.MQTT.Servers) > 1 {
		p.Metrics = append(p.Metrics, control(metricNextServer, now))
	}
	if len(a.plan.cfg.Control.Reboot) > 0 {
		p.Metrics = append(p.Metrics, control(metricReboot, now))
	}
	if host := a.ackHost(); host != "" {
		p.Metrics = append(p.Metrics, session.Announcement(a.disk.data.Births, host, now))
	}
}

func bdSeqMetric(bdSeq uint8, now int64) sparkplug.Metric {
	return sparkplug.Metric{
		Name: sparkplug.MetricBdSeq, Timestamp: now, HasTimestamp: true,
		Value: sparkplug.Int(sparkplug.TypeInt64, int64(bdSeq)),
	}
}

func control(name string, now int64) sparkplug.Metric {
	return sparkplug.Metric{Name: name, Timestamp: now, HasTimestamp: true, Value: sparkplug.Boolean(false)}
}

// ndeath is the payload of the will.
//
// Spec: tck-id-topics-ndeath-payload, tck-id-topics-ndeath-seq.
func (a *Agent) ndeath(bdSeq uint8) []byte {
	now := time.Now().UnixMilli()
	p := sparkplug.Payload{Timestamp: now, HasTimestamp: true, Metrics: []sparkplug.Metric{bdSeqMetric(bdSeq, now)}}
	b, err := p.Append(nil)
	if err != nil {
		panic("edgenode: an NDEATH that cannot be encoded: " + err.Error())
	}
	return b
}

// data fills in the outgoing reports.
func (a *Agent) data(p *sparkplug.Payload) {
	o := &a.outgoing
	for i := range o.reports {
		r := &o.reports[i]
		told := o.historical || o.dev.now[r.slot].quality == r.quality
		p.Metrics = o.dev.data(p.Metrics, r, *a.plan.cfg.MQTT.Aliases, told, o.historical)
	}
}

// doubt is for how long it is not known whether something arrived: a dead link
// is noticed within one and a half keepalives, and its end told some time later.
func (a *Agent) doubt() int64 {
	return (a.plan.cfg.MQTT.KeepAlive.Std()*3/2 + 2*time.Second).Milliseconds()
}
