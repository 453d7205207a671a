package session_test

import (
	"testing"

	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// FuzzNode reads events from bytes and checks that a Node takes whatever comes
// in whatever order, that its effects are whole, that it does not grow, and
// that Data and Step agree.
func FuzzNode(f *testing.F) {
	f.Add([]byte{0, 0, 0, 5, 1, 0, 3, 1, 0, 5, 1, 0, 4, 2, 0, 5, 1, 0})
	f.Add([]byte{0, 0, 1, 0, 0, 7, 3, 7, 1, 2, 9, 0, 7, 200, 0, 0, 8, 0, 0, 0, 0, 9, 255, 255, 10, 0, 0, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		host := session.NewHost(session.HostConfig{MaxDevices: 3, MaxHeld: 8})
		node := host.NewNode("g", "n")
		both := newPair(session.HostConfig{MaxDevices: 3, MaxHeld: 8})
		online := false
		var fx []session.NodeEffect
		for at := int64(1000); len(in) >= 6; in = in[6:] {
			at += int64(in[5]) * 40
			ev := fuzzEvent(in)
			ev.At = at
			pairEvent := ev
			if ev.Payload != nil {
				p := ev.Payload.Clone()
				pairEvent.Payload = &p
			}
			if _, err := both.step(pairEvent, nil); err != nil {
				t.Fatal(err)
			}
			fx = node.Step(ev, fx[:0])
			for i := range fx {
				checkNodeEffect(t, &fx[i], &online)
			}
		}
		node.Forget()
		if n := host.Shapes().Len(); n != 0 {
			t.Errorf("%d shapes after the node was forgotten", n)
		}
	})
}

var fuzzTypes = []sparkplug.Type{
	sparkplug.NBIRTH, sparkplug.NBIRTH, sparkplug.NDEATH, sparkplug.NDATA, sparkplug.DBIRTH, sparkplug.DDATA,
	sparkplug.DDEATH, sparkplug.NCMD, "STATE",
}

func fuzzEvent(in []byte) session.NodeEvent {
	kind := int(in[0] % 16)
	if kind >= len(fuzzTypes) {
		return session.NodeEvent{Kind: session.NodeEventKind(kind - len(fuzzTypes))}
	}
	ev := session.NodeEvent{Kind: session.NodeMessage, Type: fuzzTypes[kind]}
	if in[2]&7 != 0 {
		ev.Device = string("abcdefg"[in[2]&7-1])
	}
	p := &sparkplug.Payload{
		Seq: in[1], HasSeq: in[2]&8 == 0, Timestamp: 1000 + int64(in[3])*100, HasTimestamp: in[2]&16 == 0,
	}
	if in[2]&32 == 0 {
		p.Metrics = append(p.Metrics, sparkplug.Metric{
			Name: sparkplug.MetricBdSeq, Value: sparkplug.Int(sparkplug.TypeInt64, int64(in[3])-2),
		})
	}
	for i := range in[4] % 5 {
		m := sparkplug.Metric{Alias: uint64(in[4]>>(i%4)) << (in[3] % 64), HasAlias: in[2]&64 == 0}
		if in[2]&128 == 0 || i == 0 {
			m.Name = string("xyxz"[i%4])
		}
		m.Value = sparkplug.Int(sparkplug.DataType(in[3]), int64(in[4]))
		p.Metrics = append(p.Metrics, m)
	}
	ev.Payload = p
	if in[1] == 77 {
		ev.Payload = nil
	}
	return ev
}

func checkNodeEffect(t *testing.T, fx *session.NodeEffect, online *bool) {
	t.Helper()
	switch fx.Do {
	case session.NodeDoBirth:
		*online = true
	case session.NodeDoOffline, session.NodeDoStale:
		*online = false
	case session.NodeDoDeviceBirth, session.NodeDoData:
	default:
		return
	}
	if fx.Shape == nil {
		return
	}
	if !*online || len(fx.Slots) != len(fx.Payload.Metrics) {
		t.Fatalf("online %v, effect %+v", *online, fx)
	}
	for i, slot := range fx.Slots {
		if slot == session.NoSlot {
			continue
		}
		d := fx.Shape.Def(slot)
		if m := &fx.Payload.Metrics[i]; m.Name != "" && m.Name != d.Name || fx.Shape.ByName(d.Name) != slot {
			t.Fatalf("metric %+v in the slot of %+v", m, d)
		}
	}
}
