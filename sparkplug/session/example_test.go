package session_test

import (
	"fmt"

	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// An edge node's session, without a network: what a runner would do is printed.
func ExampleEdge() {
	edge := session.NewEdge(session.EdgeConfig{Group: "line1", Node: "press"})
	events := []session.EdgeEvent{
		{Kind: session.EdgeDeviceReady, Device: "pump"},
		{Kind: session.EdgeStart},
		{Kind: session.EdgeConnected, Session: 1},
		{Kind: session.EdgeSubscribed, Session: 1},
		{Kind: session.EdgeData, Device: "pump"},
		{Kind: session.EdgeStop},
	}
	var fx []session.EdgeEffect
	for i, ev := range events {
		ev.At = 1_700_000_000_000 + int64(i)
		fx = edge.Step(ev, fx[:0])
		for _, f := range fx {
			switch f.Do {
			case session.EdgePersist:
				fmt.Println("on disk: next bdSeq", f.Next)
			case session.EdgeConnect:
				fmt.Println("CONNECT, will NDEATH bdSeq", f.BdSeq)
			case session.EdgeSubscribe:
				fmt.Println("SUBSCRIBE")
			case session.EdgeNBirth:
				fmt.Println("NBIRTH seq", f.Seq, "bdSeq", f.BdSeq)
			case session.EdgeDBirth:
				fmt.Println("DBIRTH", f.Device, "seq", f.Seq)
			case session.EdgePublish:
				fmt.Println("DDATA", f.Device, "seq", f.Seq)
			case session.EdgeDDeath:
				fmt.Println("DDEATH", f.Device, "seq", f.Seq)
			case session.EdgeNDeath:
				fmt.Println("NDEATH bdSeq", f.BdSeq)
			case session.EdgeDisconnect:
				fmt.Println("DISCONNECT")
			}
		}
	}
	// Output:
	// on disk: next bdSeq 1
	// CONNECT, will NDEATH bdSeq 0
	// SUBSCRIBE
	// NBIRTH seq 0 bdSeq 0
	// DBIRTH pump seq 1
	// DDATA pump seq 2
	// DDEATH pump seq 3
	// NDEATH bdSeq 0
	// DISCONNECT
}

// A host's view of one node: it keeps the values itself, in slots.
func ExampleNode() {
	node := session.NewHost(session.HostConfig{}).NewNode("line1", "press")
	birth := &sparkplug.Payload{
		Timestamp: 1000, HasTimestamp: true, HasSeq: true,
		Metrics: []sparkplug.Metric{
			{Name: sparkplug.MetricBdSeq, Value: sparkplug.Int(sparkplug.TypeInt64, 7)},
			{Name: "Temperature", Alias: 1, HasAlias: true, Value: sparkplug.Float(20)},
		},
	}
	data := &sparkplug.Payload{
		Timestamp: 2000, HasTimestamp: true, HasSeq: true, Seq: 1,
		Metrics: []sparkplug.Metric{{Alias: 1, HasAlias: true, Value: sparkplug.Float(21.5)}},
	}
	var slots []float64
	var fx []session.NodeEffect
	for _, ev := range []session.NodeEvent{
		{Kind: session.NodeMessage, At: 1000, Type: sparkplug.NBIRTH, Payload: birth},
		{Kind: session.NodeMessage, At: 2000, Type: sparkplug.NDATA, Payload: data},
	} {
		fx = node.Step(ev, fx[:0])
		for _, f := range fx {
			if f.Do == session.NodeDoBirth {
				slots = make([]float64, f.Shape.Len())
			}
			for i, slot := range f.Slots {
				if slot != session.NoSlot {
					slots[slot] = f.Payload.Metrics[i].Value.Float64()
					fmt.Println(f.Shape.Def(slot).Name, "=", slots[slot])
				}
			}
		}
	}
	// Output:
	// bdSeq = 7
	// Temperature = 20
	// Temperature = 21.5
}

// A host's own session: its will and its birth carry the same timestamp.
func ExamplePrimary() {
	primary := session.NewPrimary(session.PrimaryConfig{Host: "plant"})
	var fx []session.PrimaryEffect
	for _, ev := range []session.PrimaryEvent{
		{Kind: session.PrimaryStart, At: 1000},
		{Kind: session.PrimaryConnected, At: 1010, Session: 1},
		{Kind: session.PrimarySubscribed, At: 1020, Session: 1},
		{Kind: session.PrimaryStop, At: 9000},
	} {
		fx = primary.Step(ev, fx[:0])
		for _, f := range fx {
			switch f.Do {
			case session.PrimaryConnect:
				fmt.Printf("will: %s\n", f.State.Append(nil))
			case session.PrimaryPublish:
				fmt.Printf("publish: %s\n", f.State.Append(nil))
			}
		}
	}
	// Output:
	// will: {"online":false,"timestamp":1000}
	// publish: {"online":true,"timestamp":1000}
	// publish: {"online":false,"timestamp":9000}
}
