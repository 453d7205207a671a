package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/internal/config"
)

type plant struct {
	Version int               `yaml:"version"`
	Name    string            `yaml:"name"`
	Scan    config.Duration   `yaml:"scan" doc:"time between polls"`
	Buffer  buffer            `yaml:"buffer"`
	Tanks   []tank            `yaml:"tanks"`
	Links   map[string]link   `yaml:"links"`
	Labels  map[string]string `yaml:"labels"`
}

type buffer struct {
	Max      config.Size `yaml:"max"`
	WhenFull string      `yaml:"when_full" enum:"drop_oldest,drop_newest"`
}

func (b *buffer) Defaults() { b.Max = 1 << 20 }

type tank struct {
	ID    string      `yaml:"id"`
	Level *float64    `yaml:"level"`
	Range *[2]float64 `yaml:"range"`
	On    bool        `yaml:"on"`
	Count uint16      `yaml:"count"`
	Value any         `yaml:"value"`
}

type link struct {
	Driver       string         `yaml:"driver"`
	Password     config.Secret  `yaml:"password"`
	PasswordFile string         `yaml:"password_file"`
	Options      map[string]any `yaml:",inline"`
}

func parse(src string, env map[string]string, check func(*plant, *config.Checker)) (*plant, error) {
	return config.Parse("dir/p.yaml", []byte(src), config.Options{
		Env: func(k string) (string, bool) { v, ok := env[k]; return v, ok },
		ReadFile: func(name string) ([]byte, error) {
			switch name {
			case "dir/pw":
				return []byte("s3cret\n"), nil
			case "dir/empty":
				return []byte("\n"), nil
			}
			return nil, errors.New("no such file")
		},
	}, check)
}

func TestParse(t *testing.T) {
	p, err := parse(`
version: 1
name: "Plant ${WHERE:-north}"
scan: ${SCAN}
buffer: {when_full: drop_oldest}
tanks:
  - {id: T1, level: -0.5, range: [0, 100], on: true, count: 0x10, value: 7}
  - id: 12
    value: "x$${y}"
links:
  a: {driver: modbus, url: "tcp://h:502", unit: 3, password_file: pw}
`, map[string]string{"SCAN": "1m30s"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "Plant north" || p.Scan.Std() != 90*time.Second || p.Buffer.Max != 1<<20 {
		t.Errorf("got %+v", p)
	}
	if a := p.Tanks[0]; *a.Level != -0.5 || *a.Range != [2]float64{0, 100} || !a.On || a.Count != 16 || a.Value != int64(7) {
		t.Errorf("tank 0 = %+v", a)
	}
	if b := p.Tanks[1]; b.ID != "12" || b.Value != "x${y}" || b.Level != nil {
		t.Errorf("tank 1 = %+v", b)
	}
	a := p.Links["a"]
	if a.Password.Reveal() != "s3cret" || a.Options["unit"] != int64(3) || a.Options["url"] != "tcp://h:502" {
		t.Errorf("link = %#v", a)
	}
	if s := fmt.Sprintf("%v %+v %#v", a, a, a); strings.Contains(s, "s3cret") {
		t.Errorf("the secret prints: %s", s)
	}
}

func TestFaults(t *testing.T) {
	tests := map[string]struct {
		src  string
		want []string
	}{
		"five at once": {`version: one
nam: x
scan: 10
buffer: {max: 4GB, when_full: drop_oldes}
`, []string{
			`dir/p.yaml:1:10: want a whole number, not "one"`,
			`dir/p.yaml:2:1: unknown key "nam": did you mean name?`,
			`dir/p.yaml:3:7: 10 has no unit: write 10ms, 10s, 10m, 10h or 10d`,
			`dir/p.yaml:4:15: "4GB" is no size: write it like 64KiB, 512MiB or 4GiB`,
			`dir/p.yaml:4:31: "drop_oldes" is none of drop_oldest, drop_newest: did you mean drop_oldest?`,
		}},
		"shapes": {"tanks:\n  - {id: [1], level: x, range: [1], on: yes, count: -1}\n  - 5\nlinks: [a]\nname: {a: b}\n", []string{
			`dir/p.yaml:2:10: want a text, not a list`,
			`dir/p.yaml:2:22: want a number, not "x"`,
			`dir/p.yaml:2:32: want a list of 2, not of 1`,
			`dir/p.yaml:2:41: want true or false, not "yes"`,
			`dir/p.yaml:2:53: want a whole number, 0 or more, not "-1"`,
			`dir/p.yaml:3:5: want a mapping, not "5"`,
			`dir/p.yaml:4:8: want a mapping, not a list`,
			`dir/p.yaml:5:8: want a text, not a mapping`,
		}},
		"environment": {"name: a${NOPE}\nlabels: {x: \"${\", y: \"${a b}\"}\n", []string{
			`dir/p.yaml:1:7: environment variable NOPE is not set, and ${NOPE} has no default`,
			`dir/p.yaml:2:13: ${ without }: write ${VAR}, ${VAR:-default}, or $${ for itself`,
			`dir/p.yaml:2:22: ${a b} names no variable: write ${VAR} or ${VAR:-default}`,
		}},
		"secrets": {"links:\n  a: {password: x, password_file: pw}\n  b: {password_file: empty}\n  c: {password_file: gone}\n", []string{
			`dir/p.yaml:2:35: password and password_file are both set: keep one`,
			`dir/p.yaml:3:22: the secret's file "empty" is empty`,
			`dir/p.yaml:4:22: the secret's file: no such file`,
		}},
		"misspelt beside the key": {"bufer: {}\nbuffer: {max: 4GB}\n", []string{
			`dir/p.yaml:1:1: unknown key "bufer": did you mean buffer?`,
			`dir/p.yaml:2:15: "4GB" is no size: write it like 64KiB, 512MiB or 4GiB`,
		}},
		"bare variable":         {"name: x\nbuffer: {when_full: a${G}, max: 1KiB}\n", []string{`dir/p.yaml:2:23: inside { } and [ ] a variable must be quoted: write "${G}"`}},
		"bare variable in list": {"tanks: [${G:-x}]\n", []string{`dir/p.yaml:1:10: inside { } and [ ] a variable must be quoted: write "${G:-x}"`}},
		"negative":              {"scan: -10s\n", []string{`dir/p.yaml:1:7: -10s must not be negative`}},
		"binary":                {"\x7fELF\x02\x01", []string{`dir/p.yaml:1:1: not a text in UTF-8: byte 0x7f`}},
		"not UTF-8":             {"name: x\nb: é\xff\n", []string{`dir/p.yaml:2:5: not a text in UTF-8: byte 0xff`}},
		"one long word":         {strings.Repeat("abcde", 100), []string{`dir/p.yaml:1:1: want a mapping, not "` + strings.Repeat("abcde", 8) + `…"`}},
		"twice":                 {"name: a\nname: b\n", []string{`dir/p.yaml:2:1: key "name" stands here twice`}},
		"octal":                 {"version: 010\n", []string{`dir/p.yaml:1:10: want a whole number, not "010"`}},
		"boolean text":          {"name: true\n", []string{`dir/p.yaml:1:7: want a text, not true: quote it if it is one`}},
		"anchor":                {"name: &a x\n", []string{`dir/p.yaml:1:7: anchors and aliases are not supported`}},
		"documents":             {"name: a\n---\nname: b\n", []string{`dir/p.yaml:3:5: a second document: one file holds one configuration`}},
		"empty":                 {"# nothing\n", []string{`dir/p.yaml: the file holds no configuration`}},
		"deep":                  {"name: " + strings.Repeat("[", 10000), []string{`dir/p.yaml:1:507: nested deeper than 100 levels`}},
		"a list":                {"- a\n", []string{`dir/p.yaml:1:1: want a mapping, not a list`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := parse(tt.src, nil, nil)
			faults, ok := errors.AsType[config.Faults](err)
			if !ok {
				t.Fatalf("err = %v", err)
			}
			if got := faults.Error(); got != strings.Join(tt.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", got, strings.Join(tt.want, "\n"))
			}
		})
	}
}

func TestCheckerPositions(t *testing.T) {
	_, err := parse("version: 1\ntanks:\n  - {id: a}\n  - id: a\n    level: 3\n", nil, func(p *plant, c *config.Checker) {
		c.Faultf("tanks[1].id", "id %q is taken", p.Tanks[1].ID)
		c.Faultf("tanks[0].count", "missing")
		c.Faultf("scan", "missing")
		c.FaultAt("tags.csv", 7, 2, "odd")
		if !c.Has("tanks[1].level") || c.Has("tanks[0].level") {
			t.Error("Has is wrong")
		}
		if got := c.Resolve("x.csv"); got != filepath.Join("dir", "x.csv") {
			t.Errorf("Resolve = %q", got)
		}
	})
	want := "dir/p.yaml:1:1: missing\ndir/p.yaml:3:6: missing\ndir/p.yaml:4:9: id \"a\" is taken\ntags.csv:7:2: odd"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.yaml")
	if err := os.WriteFile(file, []byte("name: x\r\nlinks: {a: {password_file: pw}}\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pw"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := config.Load[plant](file, nil)
	if err != nil || p.Links["a"].Password.Reveal() != "secret" {
		t.Fatalf("got %+v, %v", p, err)
	}
	shown, err := config.Show(p, false)
	if err != nil || strings.Contains(string(shown), "secret\n") || !strings.Contains(string(shown), "(redacted)") {
		t.Errorf("Show = %s, %v", shown, err)
	}
	if shown, _ = config.Show(p, true); !strings.Contains(string(shown), "password: secret") {
		t.Errorf("revealed = %s", shown)
	}
	_, err = config.Load[plant](filepath.Join(dir, "gone"), nil)
	if _, ok := errors.AsType[config.Faults](err); !ok {
		t.Errorf("err = %v", err)
	}
}

func TestDurationAndSize(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"0": 0, "100ms": 100 * time.Millisecond, "7d": 7 * 24 * time.Hour, "1d12h": 36 * time.Hour, "1.5s": 1500 * time.Millisecond,
	} {
		d, err := config.ParseDuration(in)
		if err != nil || d.Std() != want {
			t.Errorf("ParseDuration(%q) = %v, %v", in, d, err)
		}
		if again, err := config.ParseDuration(d.String()); err != nil || again != d {
			t.Errorf("%q prints as %q, which is %v, %v", in, d, again, err)
		}
	}
	for _, in := range []string{"", "5", "-1s", "s", "1x", "1d-1h", "999999999d", "NaNd", "106000d3000000h"} {
		if d, err := config.ParseDuration(in); err == nil {
			t.Errorf("ParseDuration(%q) = %v", in, d)
		}
	}
	for in, want := range map[string]config.Size{"0": 0, "12B": 12, "64KiB": 64 << 10, "4GiB": 4 << 30} {
		s, err := config.ParseSize(in)
		if err != nil || s != want || s.String() != in {
			t.Errorf("ParseSize(%q) = %v, %v", in, s, err)
		}
	}
	for _, in := range []string{"", "5", "-1B", "9999999999GiB", "4GB", "1.5KiB"} {
		if s, err := config.ParseSize(in); err == nil {
			t.Errorf("ParseSize(%q) = %v", in, s)
		}
	}
}

func TestSchema(t *testing.T) {
	s := string(config.Schema[plant]())
	for _, want := range []string{`"when_full"`, `"drop_newest"`, `"time between polls"`, `"additionalProperties": true`} {
		if !strings.Contains(s, want) {
			t.Errorf("no %s in\n%s", want, s)
		}
	}
}

func TestNearest(t *testing.T) {
	words := []string{"connection", "class", "metrics", "id"}
	for in, want := range map[string]string{"conection": "connection", "calss": "class", "metric": "metrics", "zzz": "", "di": "id"} {
		if got := config.Nearest(in, words); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", in, got, want)
		}
	}
}

// FuzzParse checks that no file panics, and that every refusal says something.
func FuzzParse(f *testing.F) {
	f.Add("version: 1\ntanks: [{id: a, range: [1, 2]}]\nlinks: {a: {driver: x, y: [1, {z: 2}]}}\n")
	f.Add("a: &x {b: *x}\n? [1]\n: |\n  text\n")
	f.Add("name: \"${A:-b}\"\nlabels:\n  x: >-\n    y\n")
	f.Fuzz(func(t *testing.T, src string) {
		p, err := parse(src, nil, nil)
		if err == nil {
			if _, err := config.Show(p, false); err != nil {
				t.Errorf("Show: %v", err)
			}
			return
		}
		faults, ok := errors.AsType[config.Faults](err)
		if !ok || len(faults) == 0 || p != nil {
			t.Errorf("err = %v", err)
		}
	})
}

// TestShortForm checks that a struct with a short field may be written as the
// list of that field, that faults in it have their place, and that the schema
// says so.
func TestShortForm(t *testing.T) {
	type set struct {
		Note  string   `yaml:"note"`
		Items []string `yaml:"items,short" doc:"what is in it"`
	}
	type file struct {
		Sets map[string]set `yaml:"sets"`
	}
	got, err := config.Parse[file]("f.yaml", []byte("sets:\n  a: [x, y]\n  b: {note: n, items: [z]}\n"), config.Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := got.Sets["a"], got.Sets["b"]; len(a.Items) != 2 || a.Items[1] != "y" || b.Note != "n" || len(b.Items) != 1 {
		t.Errorf("got %+v", got)
	}
	_, err = config.Parse[file]("f.yaml", []byte("sets:\n  a: [x, {}]\n  b: 5\n"), config.Options{}, nil)
	if want := "f.yaml:2:10: want a text, not a mapping\nf.yaml:3:6: want a mapping, not \"5\""; err == nil || err.Error() != want {
		t.Errorf("faults:\n%v\nwant\n%s", err, want)
	}
	if s := string(config.Schema[file]()); !strings.Contains(s, `"oneOf"`) {
		t.Errorf("the schema has one form only: %s", s)
	}
}
