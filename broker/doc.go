// Package broker is an MQTT 3.1.1 and 5 server in this process, Sparkplug
// aware. It is the only package that knows the engine under it.
//
// Call [New], which listens, and [Broker.Run], which serves until its context
// ends. Programs connect over TCP, TLS or WebSocket; a host application in the
// same process uses [Broker.Attach] instead and receives without a socket.
//
// # Promises
//
// A client that takes no bytes for [Limits.WriteTimeout] is cut, so it cannot
// hold up those who publish to it; messages that a slow client has no room for
// are dropped and counted in [Stats]. A will passes the same [Policy] as a
// publish, when the client connects. Nobody but the broker publishes below a
// first level that starts with $.
//
// NBIRTH and DBIRTH are kept, and delivered with the retain flag, under
// $sparkplug/certificates/ followed by their own topic. The NDEATH of a will
// carries the time at which it is sent.
//
// # Limits of the engine
//
// Sessions and retained messages live in memory. QoS 1 and 2 messages to one
// client beyond [Limits.Inflight] are dropped after their publisher was
// acknowledged, and a client that publishes and subscribes with QoS 1 or 2 on
// one connection can lose a message when packet ids of both directions meet:
// whoever cannot lose messages confirms them end to end. A client's receive
// maximum and topic aliases are not used. A will of no bytes is refused; a
// DISCONNECT with any reason but 0x04 drops the will, and so can a take-over
// by a client with the same id.
package broker
