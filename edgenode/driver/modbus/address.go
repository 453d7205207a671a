package modbus

import (
	"fmt"
	"strconv"
	"strings"
)

// table is one of the four tables.
type table uint8

const (
	holding table = iota
	input
	coil
	discrete
)

var tableNames = [...]string{holding: "hr", input: "ir", coil: "co", discrete: "di"}

func (t table) String() string { return tableNames[t] }

// bits says whether the table holds bits, not registers.
func (t table) bits() bool { return t >= coil }

// readOnly says whether the table takes no writes.
func (t table) readOnly() bool { return t == input || t == discrete }

// address is a parsed address.
type address struct {
	table table
	start uint16
	bit   int // of a register; -1 if none was named
	n     int // in brackets; 0 if none was given
}

const addressForm = "write hr:, ir:, co: or di: and a number from 0 to 65535, then .bit (0 to 15) or [length] if needed, such as hr:100, hr:100.3 or hr:100[20]"

// parseAddress parses an address. What it takes prints back as it came.
func parseAddress(s string) (address, error) {
	a := address{bit: -1}
	prefix, rest, _ := strings.Cut(s, ":")
	found := false
	for t, name := range tableNames {
		if name == prefix {
			a.table, found = table(t), true
		}
	}
	if !found {
		return address{}, fmt.Errorf("unknown table %.20q; %s", prefix, addressForm)
	}
	number, length, hasLength := strings.Cut(rest, "[")
	number, bit, hasBit := strings.Cut(number, ".")
	start, ok := decimal(number, 65535)
	if !ok {
		return address{}, fmt.Errorf("%.20q is not a number from 0 to 65535; %s", number, addressForm)
	}
	a.start = uint16(start)
	if hasBit {
		if a.bit, ok = decimal(bit, 15); !ok || a.table.bits() {
			return address{}, fmt.Errorf("no bit %.20q: bits are 0 to 15, of hr and ir only", bit)
		}
	}
	if hasLength {
		digits, closed := strings.CutSuffix(length, "]")
		if a.n, ok = decimal(digits, 2000); !ok || !closed || a.n == 0 || hasBit {
			return address{}, fmt.Errorf("length [%.20s must be a number from 1 to 2000 in brackets, and not of a bit", length)
		}
	}
	return a, nil
}

// decimal parses a number without sign or leading zeros.
func decimal(s string, most int) (int, bool) {
	if s == "" || len(s) > 5 || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n <= most
}

// String gives the address as it is written.
func (a address) String() string {
	s := a.table.String() + ":" + strconv.Itoa(int(a.start))
	if a.bit >= 0 {
		s += "." + strconv.Itoa(a.bit)
	}
	if a.n > 0 {
		s += "[" + strconv.Itoa(a.n) + "]"
	}
	return s
}
