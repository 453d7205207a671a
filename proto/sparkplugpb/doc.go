// Package sparkplugpb is the wire format of Sparkplug B as protobuf-go makes it
// of sparkplug_b.proto: for programs that already speak protobuf, and the twin
// against which the codec of package sparkplug is tested. Everyone else wants
// package sparkplug, whose ToProto and FromProto lead here and back.
package sparkplugpb
