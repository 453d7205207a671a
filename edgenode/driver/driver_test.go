package driver_test

import (
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/edgenode/driver"
)

func TestReader(t *testing.T) {
	cfg := driver.Config{Name: "plc", Options: driver.Options{
		"url": "tcp://h", "port": 502, "big": uint64(7), "wide": int64(-9), "text": "12", "whole": 3.0,
		"ratio": 0.5, "half": "0.5", "wait": "250ms", "pause": 2 * time.Second, "order": "CDAB", "none": nil, "year": 2026,
	}}
	r := cfg.Reader()
	got := []any{
		r.String("url", ""), r.Int("port", 0, 1, 65535), r.Int("big", 0, 0, 10), r.Int("wide", 0, -10, 0),
		r.Int("text", 0, 0, 20), r.Int("whole", 0, 0, 20), r.Float("ratio", 0, 0, 1), r.Float("half", 0, 0, 1),
		r.Duration("wait", 0, 0, time.Minute), r.Duration("pause", 0, 0, time.Minute),
		r.Choice("order", "ABCD", "ABCD", "CDAB"), r.Int("none", 5, 0, 9), r.String("year", ""),
		r.String("absent", "x"), r.Int("absent", 1, 2, 3), r.Float("absent", 1, 2, 3), r.Duration("absent", 1, 2, 3),
	}
	want := []any{
		"tcp://h", int64(502), int64(7), int64(-9), int64(12), int64(3), 0.5, 0.5, 250 * time.Millisecond,
		2 * time.Second, "CDAB", int64(5), "2026", "x", int64(1), 1.0, time.Duration(1),
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("option %d = %v; want %v", i, got[i], want[i])
		}
	}
	if err := r.Done(); err != nil {
		t.Error(err)
	}
}

// TestReaderFaults wants one fault a key, all at once, in order.
func TestReaderFaults(t *testing.T) {
	r := driver.Config{Name: "plc", Options: driver.Options{
		"list": []any{1}, "unit": 300, "float": 1.5, "nan": math.NaN(), "word": "x", "bare": 5, "long": "2h",
		"order": "ABDC", "max_bloc": 1, "zzzzzzzz": 1,
	}}.Reader()
	r.String("list", "")
	r.Int("unit", 0, 0, 255)
	r.Int("float", 0, 0, 255)
	r.Float("nan", 0, 0, 1)
	r.Float("word", 0, 0, 1)
	r.Duration("bare", 0, 0, time.Minute)
	r.Duration("long", 0, 0, time.Minute)
	r.Choice("order", "ABCD", "ABCD", "CDAB")
	r.Int("max_block", 0, 0, 1)
	want := []string{
		"connection plc: list: must be text, not [1]",
		"connection plc: unit: 300 is outside 0 to 255",
		"connection plc: float: must be a whole number, not 1.5",
		"connection plc: nan: NaN is outside 0 to 1",
		"connection plc: word: must be a number, not x",
		"connection plc: bare: must be a duration such as 1s or 250ms, not 5",
		"connection plc: long: 2h0m0s is outside 0s to 1m0s",
		`connection plc: order: "ABDC" is not one of ABCD, CDAB; did you mean ABCD?`,
		"connection plc: max_bloc: unknown key; did you mean max_block?",
		"connection plc: zzzzzzzz: unknown key",
	}
	err := r.Done()
	if err == nil {
		t.Fatal("Done gave no error")
	}
	got := strings.Split(err.Error(), "\n")
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("faults\n%s\nwant\n%s", err, strings.Join(want, "\n"))
		}
	}
	if bad, ok := errors.AsType[*driver.OptionError](err); !ok || bad.Key != "list" || bad.Connection != "plc" {
		t.Errorf("the first OptionError is %+v", bad)
	}
}

func TestSuggest(t *testing.T) {
	words := []string{"timeout", "max_gap", "url"}
	for in, want := range map[string]string{
		"timeuot": "; did you mean timeout?", "MAX_GAP": "; did you mean max_gap?", "ulr": "; did you mean url?",
		"completely": "", "": "",
	} {
		if got := driver.Suggest(in, words); got != want {
			t.Errorf("Suggest(%q) = %q; want %q", in, got, want)
		}
	}
}

func TestError(t *testing.T) {
	silent := errors.Join(driver.ErrUnit, driver.ErrOffline)
	err := error(&driver.Error{Op: "read hr:0..9", At: "tcp://h:502 unit 3", Class: silent, Err: io.EOF})
	if err.Error() != "read hr:0..9 at tcp://h:502 unit 3: EOF" {
		t.Errorf("Error() = %q", err)
	}
	for _, class := range []error{driver.ErrUnit, driver.ErrOffline, io.EOF} {
		if !errors.Is(err, class) {
			t.Errorf("%v does not wrap %v", err, class)
		}
	}
	bare := &driver.Error{Op: "write hr:0", Class: silent}
	if bare.Error() != "write hr:0: driver: unit does not answer, driver: offline" || errors.Is(bare, io.EOF) {
		t.Errorf("Error() = %q", bare)
	}
	bad := driver.TagError{ID: 1, Addr: "hr:x", Field: "addr", Reason: "no"}
	if bad.Error() != `addr of "hr:x": no` {
		t.Errorf("TagError = %q", bad)
	}
}
