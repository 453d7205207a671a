// Package bus carries what asset services say to one another over MQTT: what a
// service's outbox has is published, and what its peers have said is brought to its
// handlers, each event once and each peer's in the order in which it said them.
//
// MQTT is the quick way and not the sure one: a broker may lose what it had, a
// session may end, QoS 2 does not outlive the death of a client. So each event has
// a position in its source's outbox, and a service keeps a cursor for each peer,
// which moves in the transaction of the event's effect. What is missing (a position
// is left out, a connection was away, a peer's status tells of more than came) is
// fetched from the peer's feed over REST. While nothing is missing nobody asks.
//
// At the topic
//
//	ams/v1/_svc/{service}/{instance}
//
// each service tells, retained and with a will, that it is there and up to which
// position it has published.
package bus
