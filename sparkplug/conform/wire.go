package conform

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/magneto-iiot/magneto/sparkplug"
)

// Wire grades what an MQTT server sees of its clients: packets with their
// flags, wills and subscriptions, in order. It judges all that a Watch does, and
// what a Watch cannot see. It belongs to one goroutine at a time.
type Wire struct {
	watch   *Watch
	clients map[place]*client
	last    map[string]uint64 // bdSeq of the last CONNECT, by edge node
	values  map[string]string // last value of each metric
	devices map[string]string // of a device in any node: the node
	born    map[string]bool   // devices that are born, by topic
	ids     map[string]string // in lower case: as first spelled
	skipped map[string]string // reasons by id
}

// place is where a client is: an id at a server.
type place struct {
	server int
	id     string
}

// client is one connection.
type client struct {
	at        place
	connect   Event
	node      string // group/id of the edge node that it is
	host      string // id of the host that it is
	willState sparkplug.State
	bdSeq     uint64
	filters   []Filter
	published int
	alive     bool // a birth was published, and no death since
	died      bool // a death was published
	left      bool // it said goodbye
}

// NewWire returns a Wire that has seen nothing. It expects the clocks of the
// clients to be those of the server, but for a minute as the official kit does.
func NewWire() *Wire {
	w := &Wire{
		watch: NewWatch(), clients: map[place]*client{}, last: map[string]uint64{}, values: map[string]string{},
		devices: map[string]string{}, born: map[string]bool{}, ids: map[string]string{},
		skipped: map[string]string{},
	}
	w.watch.wire, w.watch.skew = true, time.Minute
	return w
}

// Observe grades one event. What it holds is not changed, and kept only until
// the client's connection is closed.
func (w *Wire) Observe(e Event) {
	at := place{e.Server, e.Client}
	if e.Kind == Connect {
		w.note(e)
		w.connect(at, e)
		return
	}
	c := w.clients[at]
	if c == nil {
		return
	}
	w.note(e)
	switch e.Kind {
	case Subscribe:
		c.filters = append(c.filters, e.Filters...)
	case Publish:
		w.publish(c, e)
	case Will:
		w.will(c, e)
	case Disconnect:
		w.disconnect(c, e)
	case Closed:
		delete(w.clients, at)
	}
}

// Sent takes in a message of the examiner: it is not graded, but what follows
// is seen in its light.
func (w *Wire) Sent(m Message) {
	w.watch.mute = true
	w.watch.Observe(m)
	w.watch.mute = false
	if t, err := sparkplug.ParseTopic(m.Topic); err == nil && t.Type == sparkplug.DBIRTH {
		w.devices[t.Device] = t.Group + "/" + t.Node
	}
}

// Judge notes what a script has found out. The ids come without tck-id-.
func (w *Wire) Judge(ok bool, why string, ids ...string) { w.watch.judge(ok, why, ids...) }

// Skip says why assertions are not judged; it does not stand against a
// judgement. The ids come without tck-id-.
func (w *Wire) Skip(why string, ids ...string) {
	for _, id := range ids {
		w.skipped["tck-id-"+id] = why
	}
}

// Report says what became of the assertions of any of the profiles.
func (w *Wire) Report(profiles ...string) Report {
	r := w.watch.Report()
	r.Verdicts = slices.DeleteFunc(r.Verdicts, func(v Verdict) bool {
		return !slices.ContainsFunc(profiles, func(p string) bool { return slices.Contains(v.Profiles, p) })
	})
	for i := range r.Verdicts {
		v := &r.Verdicts[i]
		if v.Outcome == Hidden {
			v.Outcome, v.Reason = Unseen, ""
		}
		if why := w.skipped[v.ID]; v.Outcome == Unseen && why != "" {
			v.Outcome, v.Reason = Hidden, why
		}
	}
	return r
}

// note makes e what failures are told of.
func (w *Wire) note(e Event) {
	w.watch.now = e.Message
	w.watch.now.At = e.At
	if e.Kind != Publish && e.Kind != Will {
		w.watch.now.Topic = fmt.Sprintf("%s of %s", strings.ToUpper(string(e.Kind)), e.Client)
	}
}

// connect grades a CONNECT packet, by what its will says of the client.
func (w *Wire) connect(at place, e Event) {
	c := &client{at: at, connect: e}
	w.clients[at] = c
	if e.Will == nil {
		return
	}
	if host, ok := sparkplug.ParseStateTopic(e.Will.Topic); ok {
		c.host = host
		w.hostConnect(c, e)
		return
	}
	if t, err := sparkplug.ParseTopic(e.Will.Topic); err == nil {
		c.node = t.Group + "/" + t.Node
		w.edgeConnect(c, e, t)
	}
}

// publish grades a PUBLISH packet.
func (w *Wire) publish(c *client, e Event) {
	m := e.Message
	m.At = e.At
	first := c.published == 0
	c.published++
	if host, ok := sparkplug.ParseStateTopic(m.Topic); ok {
		w.hostState(c, host, m, first)
		w.watch.Observe(m)
		return
	}
	if c.host != "" && first {
		w.Judge(false, "the first message is not a STATE", hostFirst...)
	}
	t, err := sparkplug.ParseTopic(m.Topic)
	if err == nil && !t.Type.Command() {
		w.edgeMessage(c, t, m)
	}
	w.watch.Observe(m)
}

// will grades a will as it was published.
func (w *Wire) will(c *client, e Event) {
	m := e.Message
	m.At = e.At
	c.alive = false
	w.watch.Observe(m)
	w.forget(c)
}

// disconnect grades a DISCONNECT packet.
func (w *Wire) disconnect(c *client, e Event) {
	c.left = true
	switch {
	case c.node != "":
		w.edgeDisconnect(c, e)
	case c.host != "":
		w.hostDisconnect(c)
	}
}

// others returns a connected client, other than c, for which is holds.
func (w *Wire) others(c *client, is func(*client) bool) *client {
	for _, o := range w.clients {
		if o != c && is(o) {
			return o
		}
	}
	return nil
}

// covers says whether one of the filters asks for topic at QoS 1 or more.
func covers(filters []Filter, topic string) bool {
	return slices.ContainsFunc(filters, func(f Filter) bool { return f.QoS >= 1 && Matches(f.Topic, topic) })
}

// Matches says whether an MQTT filter matches a topic.
func Matches(filter, topic string) bool {
	f, t := strings.Split(filter, "/"), strings.Split(topic, "/")
	for i, level := range f {
		switch {
		case level == "#":
			return true
		case i == len(t) || level != "+" && level != t[i]:
			return false
		}
	}
	return len(f) == len(t)
}
