package modbus

import (
	"strings"
	"testing"

	"github.com/magneto-iiot/magneto/sparkplug"
)

func TestParseAddress(t *testing.T) {
	tests := map[string]struct {
		in    string
		want  address
		fault string // part of the error; empty when the address is good
	}{
		"holding":          {"hr:0", address{holding, 0, -1, 0}, ""},
		"last":             {"ir:65535", address{input, 65535, -1, 0}, ""},
		"bit":              {"hr:103.15", address{holding, 103, 15, 0}, ""},
		"length":           {"hr:100[20]", address{holding, 100, -1, 20}, ""},
		"coils":            {"co:7[8]", address{coil, 7, -1, 8}, ""},
		"empty":            {"", address{}, "unknown table"},
		"no table":         {"100", address{}, "unknown table"},
		"Modicon":          {"40001", address{}, "unknown table"},
		"upper case":       {"HR:1", address{}, "unknown table"},
		"beyond":           {"hr:65536", address{}, "0 to 65535"},
		"negative":         {"hr:-1", address{}, "0 to 65535"},
		"leading zero":     {"hr:01", address{}, "0 to 65535"},
		"no number":        {"hr:", address{}, "0 to 65535"},
		"bit beyond":       {"hr:1.16", address{}, "0 to 15"},
		"bit of a coil":    {"co:1.0", address{}, "of hr and ir only"},
		"bit and length":   {"hr:1.0[2]", address{}, "not of a bit"},
		"zero length":      {"hr:1[0]", address{}, "1 to 2000"},
		"open bracket":     {"hr:1[2", address{}, "in brackets"},
		"behind bracket":   {"hr:1[2]x", address{}, "in brackets"},
		"space":            {"hr: 1", address{}, "0 to 65535"},
		"placeholder left": {"hr:{base}", address{}, "0 to 65535"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parseAddress(tt.in)
			switch {
			case tt.fault == "" && (err != nil || got != tt.want):
				t.Errorf("parseAddress(%q) = %+v, %v; want %+v", tt.in, got, err, tt.want)
			case tt.fault != "" && (err == nil || !strings.Contains(err.Error(), tt.fault)):
				t.Errorf("parseAddress(%q): %v; want an error with %q", tt.in, err, tt.fault)
			}
		})
	}
}

// FuzzParseAddress checks that what parses prints back as it came, and that no
// type makes a layout that a decoder would run out of.
func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"hr:100", "ir:5.15", "co:0[2000]", "di:65535", "hr:1[20]", "hr:{base}"} {
		f.Add(s, uint8(sparkplug.TypeString))
	}
	f.Fuzz(func(t *testing.T, s string, typ uint8) {
		a, err := parseAddress(s)
		if err != nil {
			return
		}
		if a.String() != s {
			t.Errorf("parseAddress(%q).String() = %q", s, a)
		}
		l, err := place(a, sparkplug.DataType(typ), order{})
		if err != nil {
			return
		}
		if l.width < 1 {
			t.Fatalf("place(%q, %s) is %d wide", s, l.typ, l.width)
		}
		if a.table.bits() {
			l.decodeBits(make([]bool, l.width))
		} else if v, err := l.decode(make([]byte, 2*l.width)); err != nil || v.Type() != l.typ {
			t.Errorf("decode of %q as %s: %v, %v", s, l.typ, v, err)
		}
	})
}
