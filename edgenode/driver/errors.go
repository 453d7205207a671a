package driver

import (
	"errors"
	"strconv"
	"strings"
)

// The classes of errors from Connect, Read and Write: each says what the engine
// has to do. An error may wrap two: a timeout wraps ErrUnit, for the unit did
// not answer, and ErrOffline, for the connection had to be closed.
var (
	// ErrOffline: the connection is closed. Connect before the next call.
	ErrOffline = errors.New("driver: offline")
	// ErrUnit: the unit of the block does not answer, or its gateway says so.
	// Leave this unit alone for a while; others on the endpoint may be well.
	ErrUnit = errors.New("driver: unit does not answer")
	// ErrAddress: the device refuses an address of the block. The connection is
	// good. Split the block until the bad tag is alone, and retry that one
	// rarely.
	ErrAddress = errors.New("driver: address refused")
	// ErrRefused: the device answered that it cannot do it now (busy, fault).
	// The connection is good. Try again at the next scan.
	ErrRefused = errors.New("driver: refused by the device")
	// ErrReadOnly: a write to a point that takes none. Nothing was sent.
	ErrReadOnly = errors.New("driver: read-only")
	// ErrValue: a write of a value that the point cannot hold. Nothing was sent.
	ErrValue = errors.New("driver: value does not fit")
)

// Error is an error of one of the classes above with its facts.
type Error struct {
	Op    string // what was tried: "read hr:100..219"
	At    string // where: endpoint, and unit if there are units
	Class error  // one of the classes above, or several joined
	Err   error  // what the protocol said; may be nil
}

// Error says what was tried, where, and what came back.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.At != "" {
		b.WriteString(" at ")
		b.WriteString(e.At)
	}
	b.WriteString(": ")
	if e.Err != nil {
		b.WriteString(e.Err.Error())
	} else {
		b.WriteString(strings.ReplaceAll(e.Class.Error(), "\n", ", "))
	}
	return b.String()
}

// Unwrap gives the class and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Class}
	}
	return []error{e.Class, e.Err}
}

// TagError says why a tag cannot be compiled.
type TagError struct {
	ID     uint32
	Addr   string
	Field  string // which field of the tag is at fault: addr, type, order or unit
	Reason string // what is wrong and what would be right
}

// Error names the address and the reason.
func (e TagError) Error() string {
	return e.Field + " of " + strconv.Quote(e.Addr) + ": " + e.Reason
}

// OptionError says what is wrong with one key of a connection.
type OptionError struct {
	Connection string
	Key        string
	Reason     string // what is wrong and what would be right
}

// Error names connection, key and reason.
func (e *OptionError) Error() string {
	return "connection " + e.Connection + ": " + e.Key + ": " + e.Reason
}
