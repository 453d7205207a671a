package session_test

import (
	"slices"
	"testing"

	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// savedNode is a node with a device, in order at seq 3, as a host has saved it.
func savedNode(t *testing.T) session.Saved {
	t.Helper()
	n := session.NewHost(session.HostConfig{}).NewNode("G", "N")
	step(n, message(sparkplug.NBIRTH, "", 1000, 0, named("bdSeq", sparkplug.TypeInt64), named("a", sparkplug.TypeInt32)))
	step(n, message(sparkplug.DBIRTH, "D", 1001, 1, named("b", sparkplug.TypeInt32)))
	step(n, message(sparkplug.NDATA, "", 1002, 2, named("a", sparkplug.TypeInt32)))
	if _, ok := n.Save(); ok {
		t.Fatal("a node that is online was saved")
	}
	step(n, session.NodeEvent{Kind: session.NodeHostLost, At: 2000})
	s, ok := n.Save()
	if !ok || s.Next != 3 || len(s.Devices) != 1 || s.Devices[0].Name != "D" {
		t.Fatalf("saved %+v, %v", s, ok)
	}
	s.Metrics = []sparkplug.Metric{named("bdSeq", sparkplug.TypeInt64), named("a", sparkplug.TypeInt32)}
	s.Devices[0].Metrics = []sparkplug.Metric{named("b", sparkplug.TypeInt32)}
	return s
}

func named(name string, t sparkplug.DataType) sparkplug.Metric {
	return sparkplug.Metric{Name: name, Value: sparkplug.Int(t, 0)}
}

func message(typ sparkplug.Type, device string, at int64, seq uint8, metrics ...sparkplug.Metric) session.NodeEvent {
	return session.NodeEvent{
		Kind: session.NodeMessage, At: at, Type: typ, Device: device,
		Payload: &sparkplug.Payload{Timestamp: at, HasTimestamp: true, Seq: seq, HasSeq: typ != sparkplug.NDEATH, Metrics: metrics},
	}
}

// step returns what is to be done, by kind.
func step(n *session.Node, ev session.NodeEvent) (do []session.NodeDo) {
	for _, fx := range n.Step(ev, nil) {
		do = append(do, fx.Do)
	}
	return do
}

func TestRestore(t *testing.T) {
	restored := func() *session.Node {
		s := savedNode(t)
		n := session.NewHost(session.HostConfig{}).NewNode("G", "N")
		n.Restore(&s)
		if do := step(n, session.NodeEvent{Kind: session.NodeExpected, At: 10_000}); len(do) != 0 || n.State() != session.NodeUnknown {
			t.Fatalf("after a restart: %v, %v", do, n.State())
		}
		return n
	}
	ask := func(do []session.NodeDo) bool {
		return slices.Contains(do, session.NodeDoAskRebirth)
	}
	n := restored()
	do := step(n, message(sparkplug.DDATA, "D", 10_500, 3, named("b", sparkplug.TypeInt32)))
	if len(do) != 2 || do[0] != session.NodeDoResume || do[1] != session.NodeDoData || !n.InOrder() || n.Deadline() != 0 {
		t.Errorf("it goes on: %v, deadline %d", do, n.Deadline())
	}
	if _, online := n.Device("D"); !online {
		t.Error("its device is not back")
	}
	n = restored()
	step(n, message(sparkplug.NDATA, "", 10_500, 5, named("a", sparkplug.TypeInt32)))
	if at := n.Deadline(); at != 12_500 || n.State() == session.NodeOnline {
		t.Errorf("messages are missing: %v, deadline %d", n.State(), at)
	}
	if do := step(n, session.NodeEvent{Kind: session.NodeTick, At: 12_500}); !ask(do) {
		t.Errorf("messages are missing: %v", do)
	}
	n = restored()
	if do := step(n, message(sparkplug.NDATA, "", 500, 3, named("a", sparkplug.TypeInt32))); n.State() == session.NodeOnline {
		t.Errorf("older than what was applied: %v", do)
	}
	n = restored()
	if at := n.Deadline(); at != 40_000 {
		t.Errorf("a silent node is asked at %d", at)
	}
	if do := step(n, session.NodeEvent{Kind: session.NodeTick, At: 40_000}); !ask(do) {
		t.Errorf("a silent node: %v", do)
	}
	n = restored()
	do = step(n, message(sparkplug.NBIRTH, "", 11_000, 0, sparkplug.Metric{Name: "bdSeq", Value: sparkplug.Int(sparkplug.TypeInt64, 1)}))
	if len(do) != 1 || do[0] != session.NodeDoBirth || n.State() != session.NodeOnline {
		t.Errorf("born anew: %v", do)
	}
	n = restored()
	do = step(n, message(sparkplug.NDEATH, "", 11_000, 0, sparkplug.Metric{Name: "bdSeq", Value: sparkplug.Int(sparkplug.TypeInt64, 0)}))
	if n.State() != session.NodeOffline || ask(do) {
		t.Errorf("dead: %v, %v", do, n.State())
	}
	n = restored()
	step(n, session.NodeEvent{Kind: session.NodeHostLost, At: 12_000})
	if s, ok := n.Save(); !ok || s.Next != 3 || len(s.Devices) != 1 {
		t.Errorf("not heard between two restarts: %+v, %v", s, ok)
	}
}
