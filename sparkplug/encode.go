package sparkplug

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// EncodeError says which part of a payload cannot be put on the wire.
type EncodeError struct {
	Path   string // such as metrics[3].value; empty: the payload itself
	Reason string
}

func (e *EncodeError) Error() string {
	if e.Path == "" {
		return "sparkplug: encode: " + e.Reason
	}
	return "sparkplug: encode: " + e.Path + ": " + e.Reason
}

// in puts the name of the part that holds the offending one before the path;
// e may be nil.
func (e *EncodeError) in(part string) *EncodeError {
	if e == nil {
		return nil
	}
	if e.Path != "" {
		part += "."
	}
	e.Path = part + e.Path
	return e
}

func (e *EncodeError) at(part string, i int) *EncodeError {
	if e == nil {
		return nil
	}
	return e.in(fmt.Sprintf("%s[%d]", part, i))
}

func unfit(why string) *EncodeError { return &EncodeError{Reason: why} }

// Append appends the wire form of p to dst and returns the longer slice. It
// allocates only when dst has no room. Fields go out in the order of their
// numbers, as protobuf encoders write them. Empty names and texts of the
// payload, of metrics, metadata and templates are left out; a null value is
// is_null; UInt32 is a long_value; a small negative integer is sign-extended to
// 32 bits.
//
// Room for up to 160 bytes more than it writes is wanted of dst.
//
// On an error, an *EncodeError, dst is returned as it was: a value out of the
// range of its type, or not of a type for its place; text that is not UTF-8; a
// property set or data set whose parts differ in length; nesting deeper than 16.
func (p *Payload) Append(dst []byte) ([]byte, error) {
	out := dst
	if p.HasTimestamp {
		out = appendUint(out, tagPayloadTimestamp, uint64(p.Timestamp))
	}
	for i := 0; i < len(p.Metrics); i++ {
		var n int
		if out, n = appendFast(out, p.Metrics[i:]); n > 0 {
			i += n - 1
			continue
		}
		var err *EncodeError
		if out, err = appendMetric(out, tagPayloadMetric, &p.Metrics[i], 0); err != nil {
			return dst, err.at("metrics", i)
		}
	}
	if p.HasSeq {
		out = appendUint(out, tagPayloadSeq, uint64(p.Seq))
	}
	out, err := appendOptional(out, tagPayloadUUID, p.UUID)
	if err != nil {
		return dst, err.in("uuid")
	}
	if len(p.Body) > 0 {
		out = appendBytes(out, tagPayloadBody, p.Body)
	}
	return out, nil
}

func appendUint(dst []byte, tag, v uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(dst, tag), v)
}

func appendBool(dst []byte, tag uint64, v bool) []byte {
	if v {
		return append(binary.AppendUvarint(dst, tag), 1)
	}
	return append(binary.AppendUvarint(dst, tag), 0)
}

func appendBytes(dst []byte, tag uint64, b []byte) []byte {
	return append(appendUint(dst, tag, uint64(len(b))), b...)
}

func appendText(dst []byte, tag uint64, s string) ([]byte, *EncodeError) {
	if !utf8.ValidString(s) {
		return dst, unfit("invalid UTF-8")
	}
	return append(appendUint(dst, tag, uint64(len(s))), s...), nil
}

// appendOptional appends s unless it is empty.
func appendOptional(dst []byte, tag uint64, s string) ([]byte, *EncodeError) {
	if s == "" {
		return dst, nil
	}
	return appendText(dst, tag, s)
}

// open begins a message of unknown length; its content goes after the returned
// slice, and closed, given where that ended, puts the length in front of it.
func open(dst []byte, tag uint64) []byte { return append(binary.AppendUvarint(dst, tag), 0) }

// closed puts the length in front of the content that began at start, moving
// it when the length needs more than the byte that open left for it.
func closed(dst []byte, start int) []byte {
	n := len(dst) - start
	if n < 0x80 {
		dst[start-1] = byte(n)
		return dst
	}
	var length [binary.MaxVarintLen64]byte
	k := binary.PutUvarint(length[:], uint64(n))
	dst = append(dst, length[1:k]...) // room only
	copy(dst[start+k-1:], dst[start:start+n])
	copy(dst[start-1:], length[:k])
	return dst
}
