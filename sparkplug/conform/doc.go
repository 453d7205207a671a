// Package conform grades what is seen of a Sparkplug B 3.0 infrastructure
// against the assertions of the specification, by their ids (tck-id-...).
//
// A Watch is given messages as a subscriber or a capture sees them, in order,
// and gives a Report: of every assertion whether it held each time it could be
// checked, was broken, had no occasion, or cannot be judged by looking on. It
// does no I/O and reads no clock. It reads payloads with the generated protobuf
// code, not with the codec of package sparkplug, so that the two check each
// other.
package conform
