// Package exam examines Sparkplug edge nodes and host applications: it is the
// MQTT servers they connect to and the other end they talk with, leads them
// through the conversations of the specification, and grades every packet with
// package sparkplug/conform.
//
// [Edge] examines an edge node, [Host] a host application. What no program can
// do over MQTT (start the part, kill it, unplug its equipment, look at its
// screen) is done by hands that the caller gives; what there are no hands for is
// not judged, with a reason.
package exam
