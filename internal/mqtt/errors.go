package mqtt

import (
	"errors"
	"fmt"
	"strings"
)

// ErrClosed is wrapped by the errors of a Conn that was closed by its owner.
var ErrClosed = errors.New("mqtt: connection closed")

// ErrSilent is wrapped by the error of a Conn whose broker did not answer a
// ping in time: the link is half open, or the broker hangs.
var ErrSilent = errors.New("mqtt: no answer to a ping")

// DialError says why there is no connection.
type DialError struct {
	Server string
	Sent   bool // bytes of a CONNECT left this machine: the broker may have opened the session and kept the will
	Code   byte // reason code of the broker's CONNACK, 0x80 and above; 0 when it sent none
	Err    error
}

func (e *DialError) Error() string {
	if e.Code != 0 {
		return fmt.Sprintf("mqtt: %s: the broker refused: %s", e.Server, reason(e.Code))
	}
	return fmt.Sprintf("mqtt: %s: %s", e.Server, strings.TrimPrefix(e.Err.Error(), "mqtt: "))
}

func (e *DialError) Unwrap() error { return e.Err }

// ServerError says that the broker ended the connection, and why.
type ServerError struct {
	Code   byte   // reason code of its DISCONNECT
	Reason string // in the broker's words, may be empty
}

func (e *ServerError) Error() string {
	s := "mqtt: the broker ended the connection: " + reason(e.Code)
	if e.Reason != "" {
		s += fmt.Sprintf(" (%.200q)", e.Reason)
	}
	return s
}

// Taken says whether another client with the same id took the session over.
// Whoever dials again at once fights it: wait long, and tell somebody.
func (e *ServerError) Taken() bool { return e.Code == 0x8E }

// reason says in words what a reason code means.
//
// Source: MQTT 5.0, section 2.4.
func reason(code byte) string {
	word, ok := map[byte]string{
		0x80: "unspecified error",
		0x81: "malformed packet",
		0x82: "protocol error",
		0x83: "implementation specific error",
		0x84: "unsupported protocol version",
		0x85: "client id not valid",
		0x86: "bad user name or password",
		0x87: "not authorized",
		0x88: "server unavailable",
		0x89: "server busy",
		0x8A: "banned",
		0x8B: "server shutting down",
		0x8D: "keep alive timeout",
		0x8E: "session taken over",
		0x8F: "topic filter invalid",
		0x90: "topic name invalid",
		0x91: "packet id in use",
		0x93: "receive maximum exceeded",
		0x95: "packet too large",
		0x96: "message rate too high",
		0x97: "quota exceeded",
		0x98: "administrative action",
		0x99: "payload format invalid",
		0x9A: "retain not supported",
		0x9B: "qos not supported",
		0x9C: "use another server",
		0x9D: "server moved",
		0x9E: "shared subscriptions not supported",
		0x9F: "connection rate exceeded",
		0xA1: "subscription ids not supported",
		0xA2: "wildcard subscriptions not supported",
	}[code]
	if !ok {
		return fmt.Sprintf("code 0x%02X", code)
	}
	return fmt.Sprintf("%s (0x%02X)", word, code)
}
