package session

import "github.com/magneto-iiot/magneto/sparkplug"

// Saved is what a host can keep of a node over a restart of its own, so that
// it needs no rebirth of a node that has said nothing meanwhile.
type Saved struct {
	BdSeq   uint64
	Next    uint8  // seq of the message to come
	Stamp   int64  // payload timestamp of the NBIRTH, ms; 0: it had none
	Applied int64  // payload timestamp of the last message, ms
	Count   uint64 // messages since the NBIRTH, with it
	Number  uint64 // of the NBIRTH, see Node.Number; 0: none
	AckHost string // whose acknowledgements the node wants
	Metrics []sparkplug.Metric
	Devices []SavedDevice
}

// SavedDevice is one device of a Saved.
type SavedDevice struct {
	Name    string
	Metrics []sparkplug.Metric
}

// Save returns what is to be kept of a node that was online and in order when
// the host lost its connection (NodeHostLost), or was restored and not heard
// since; ok is false for any other. The
// metrics are left out: the owner has their values, and the Shapes the rest.
func (n *Node) Save() (s Saved, ok bool) {
	if n.state != NodeUnknown || !n.kept && !n.resume {
		return Saved{}, false
	}
	s = Saved{BdSeq: n.bdSeq, Next: n.expect, Stamp: n.stamp, Applied: n.applied, Count: n.count}
	if !n.unstored {
		s.Number, s.AckHost = n.number, n.ackHost
	}
	for i := range n.devices.list {
		if d := &n.devices.list[i]; d.kept {
			s.Devices = append(s.Devices, SavedDevice{Name: d.name})
		}
	}
	return s, true
}

// Restore makes n, of which nothing is known, what it was when it was saved.
// Its state is unknown until it speaks: if it goes on where it was, NodeDoResume
// says so, and else it is asked for a rebirth, as it is when it is silent for a
// while after NodeExpected. The metrics are not kept.
func (n *Node) Restore(s *Saved) {
	n.born, n.resume, n.state = true, true, NodeUnknown
	n.bdSeq, n.expect, n.stamp, n.applied, n.count = s.BdSeq, s.Next, s.Stamp, s.Applied, s.Count
	n.number, n.ackHost = s.Number, s.AckHost
	n.shape, _ = n.host.shapes.take(s.Metrics)
	for i := range s.Devices {
		d := n.devices.add(s.Devices[i].Name)
		d.shape, _ = n.host.shapes.take(s.Devices[i].Metrics)
		d.kept = true
	}
}

// goOn puts a restored node online if the message is the one to come.
func (n *Node) goOn(ev *NodeEvent, fx []NodeEffect) []NodeEffect {
	n.resume, n.ask.at = false, 0
	if p := ev.Payload; p.Seq != n.expect || p.HasTimestamp && p.Timestamp < n.applied {
		return fx
	}
	n.state, n.turned = NodeOnline, ev.At
	for i := range n.devices.list {
		n.devices.list[i].online = n.devices.list[i].kept
	}
	return append(fx, NodeEffect{Do: NodeDoResume, At: ev.At, BdSeq: n.bdSeq})
}
