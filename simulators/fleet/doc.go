// Package fleet is thousands of edge nodes in one process, for tests of what
// stands above them: each has an MQTT connection and a session of its own, by the
// rules of package session, with births, deaths, sequence numbers and answers to
// rebirth requests, and no equipment: its values follow from a seed.
//
// [New] makes a [Fleet], [Fleet.Run] runs it. What was published needs no memory:
// [Value] gives it back.
package fleet
