// Package proto holds the wire format of Sparkplug B as a protobuf file; the
// Go code made from it is in sparkplugpb.
//
// `go generate ./proto` remakes that code. It needs protoc (Debian:
// protobuf-compiler); protoc-gen-go comes from the module's own tool line.
package proto

import _ "embed"

//go:generate go build -o ../bin/protoc-gen-go google.golang.org/protobuf/cmd/protoc-gen-go
//go:generate protoc --plugin=../bin/protoc-gen-go --go_out=sparkplugpb --go_opt=paths=source_relative sparkplug_b.proto

// Source is the text of sparkplug_b.proto, for tools that decode payloads
// with a protobuf reflection library.
//
//go:embed sparkplug_b.proto
var Source string
