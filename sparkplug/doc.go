// Package sparkplug is the vocabulary and the codec of Sparkplug B 3.0: topics,
// payloads, metrics, every datatype, and what a host says about itself.
//
// Begin with Payload: fill one in and Append it, or Decode the bytes of a
// message into one, again and again into the same. A Value is one typed value,
// made by Int, Double, String and the like; ParseTopic and StateTopic are about
// topics. The session rules (births, sequence numbers, rebirths) are in package
// session, helpers for tests in package sparkplugtest.
//
// The package does no I/O, reads no clock and starts no goroutine. It promises
// that no input makes Decode, ParseTopic, ParseState or ParseJSON panic or
// allocate beyond Limits, and that the bytes of Append are those that
// protobuf-go makes of the same content; both are fuzzed.
//
// What Decode gives points into the bytes it was given. Clone what you keep.
package sparkplug
