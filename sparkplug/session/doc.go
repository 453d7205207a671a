// Package session holds the session rules of Sparkplug B as three pure
// machines: [Edge] is an edge node's own session, [Node] is a host's view of
// one edge node, and [Primary] is a host's own session with its STATE.
//
// A machine is a struct with one method, Step, that takes one event and
// appends to the caller's slice what must be done because of it, in order.
// Events and effects are plain structs: a kind and the fields that the kind
// names. A machine does no I/O, reads no clock, starts no goroutine and draws
// no random number, so the same events always give the same effects. It
// changes in place: one goroutine at a time owns it.
//
// All times are milliseconds since the Unix epoch, UTC, and come with the
// events; the wall clock will do, also when it is set. A timeout is a
// Deadline; the runner sends a Tick when it has come.
//
// The runner beside a machine owns the socket, the disk and the clock:
//
//	for ev := range events {
//		fx = edge.Step(ev, fx[:0])
//		for i := range fx {
//			carryOut(&fx[i])
//		}
//		timer.Reset(until(edge.Deadline()))
//	}
//
// Effects are to be carried out in their order and before the next event. When
// one cannot be (the connection broke), the runner skips the rest that need
// the connection and reports the loss as an event.
//
// # An edge node
//
// The runner tells an Edge which devices answer, and asks with EdgeData before
// it publishes values: the answer is EdgePublish with the seq to use, or
// EdgeHold. What is held belongs in a spool and is published, marked as
// historical, through EdgeData like everything else once the Edge is Online.
//
// # A host
//
// A [Host] has what its Nodes share. Each message of the namespace goes to the
// Node of its group and edge node id. What comes out is in order, without
// repeats, and resolved: NodeEffect.Slots says for each metric of the payload
// which metric of the birth it is, so that values can be kept in a plain slice,
//
//	case session.NodeDoData:
//		for i, slot := range fx.Slots {
//			if slot != session.NoSlot {
//				values[slot] = fx.Payload.Metrics[i].Value
//			}
//		}
//
// and the birth's names, types and properties are read from its [Shape], which
// nodes with equal births share. A DATA message that is in order costs no
// allocation. Who keeps very many nodes uses Shape.Resolve and Node.Data for
// such messages, and Step for all others: the same outcome in less time.
//
// Two things a host cannot know from seq alone: that a whole birth was lost if
// the next message that comes happens to carry the seq that it waits for, and
// that 256 messages in a row were lost. The payload timestamps and the count of
// messages since the birth, which every effect carries, are what an end-to-end
// acknowledgement can compare.
package session
