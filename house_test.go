package magneto_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/magneto-iiot/magneto"

// A row of the house: what one package (or every package under a pattern that
// ends in /*) may import of ours. Arrows go down only. Patterns are relative to
// the module; "*" alone means everything but a program. The first row that
// matches counts.
type row struct {
	pkg   string
	may   []string
	never []string // standard packages, by pattern, in code that is not a test
	pure  bool     // reads no clock and starts no goroutine
	mute  bool     // generated, or without code: needs no Example
}

var house = []row{
	{pkg: ".", mute: true},
	{pkg: "proto", mute: true},
	{pkg: "proto/sparkplugpb", mute: true},
	{pkg: "sparkplug", may: []string{"proto/sparkplugpb"}, never: []string{"net", "net/*", "os", "os/*", "log", "log/*"}, pure: true},
	{
		pkg: "sparkplug/session", may: []string{"sparkplug"},
		never: []string{"net", "net/*", "os", "os/*", "sync", "sync/*", "log", "log/*", "math/rand", "math/rand/*"}, pure: true,
	},
	{
		pkg: "sparkplug/conform", may: []string{"sparkplug", "proto/sparkplugpb"},
		never: []string{"net", "net/*", "os", "os/*", "log", "log/*"}, pure: true,
	},
	{pkg: "sparkplug/sparkplugtest", may: []string{"sparkplug", "sparkplug/session"}},
	{pkg: "internal/mqtt"},
	{pkg: "internal/config"},
	{pkg: "internal/metrics"},
	{pkg: "internal/journal"},
	{pkg: "internal/journal/journaltest", may: []string{"internal/journal"}},
	{pkg: "internal/samples", may: []string{"internal/journal", "sparkplug"}},
	{pkg: "internal/exam", may: []string{"broker", "sparkplug", "sparkplug/conform"}},
	{pkg: "broker", may: []string{"sparkplug"}},
	{pkg: "edgenode", may: []string{"sparkplug", "sparkplug/session", "edgenode/driver", "internal/*"}},
	{pkg: "edgenode/driver", may: []string{"sparkplug"}},
	{pkg: "edgenode/driver/drivertest", may: []string{"sparkplug", "edgenode/driver"}},
	{pkg: "edgenode/driver/process", may: []string{"sparkplug", "edgenode/driver", "simulators/process"}},
	{pkg: "edgenode/driver/*", may: []string{"sparkplug", "edgenode/driver"}},
	{pkg: "hostapp", may: []string{"sparkplug", "sparkplug/session", "hostapp/watch", "hostapp/history", "internal/*"}},
	{pkg: "hostapp/watch", may: []string{"sparkplug", "sparkplug/session", "internal/mqtt"}},
	{pkg: "hostapp/history", may: []string{"sparkplug"}},
	{pkg: "hostapp/history/historytest", may: []string{"sparkplug", "hostapp/history"}},
	{pkg: "hostapp/history/*", may: []string{"sparkplug", "hostapp/history"}},
	{pkg: "services/event", never: []string{"net", "net/*", "os", "os/*", "log", "log/*"}, pure: true},
	{pkg: "services/store", may: []string{"services/event"}},
	{pkg: "services/workorder", may: []string{"services/event", "services/store", "services/bus"}},
	{pkg: "services/schedule", may: []string{"services/event", "services/store", "services/bus"}},
	{pkg: "services/monitor", may: []string{"services/event"}, pure: true},
	{pkg: "services/bus", may: []string{"services/event", "services/store", "internal/mqtt"}},
	{pkg: "simulators/process", pure: true},
	{pkg: "simulators/world", may: []string{"sparkplug", "sparkplug/session", "internal/journal", "internal/journal/journaltest", "internal/samples"}},
	{pkg: "simulators/*", may: []string{"simulators/process", "sparkplug", "sparkplug/session", "edgenode", "edgenode/driver", "internal/mqtt"}},
	{pkg: "cmd/*", may: []string{"*"}},
}

// Tests may reach for these as well as for what their package may import.
var helpers = []string{
	"sparkplug", "sparkplug/*", "proto/sparkplugpb", "broker", "internal/*", "simulators/*",
	"edgenode/driver", "edgenode/driver/*", "hostapp/history/*",
}

// owners says which packages know a third-party module. Whoever is not listed
// goes through the owner.
var owners = map[string][]string{
	"google.golang.org/protobuf":          {"proto/sparkplugpb", "sparkplug", "sparkplug/conform", "hostapp/watch", "simulators/scenario"}, // hostapp/watch: the naive host of its benchmark; simulators/scenario: an edge node of another make
	"github.com/eclipse/paho.golang":      {"internal/mqtt", "simulators/scenario"},                                                        // simulators/scenario: a network that tampers with packets
	"github.com/goccy/go-yaml":            {"internal/config"},
	"github.com/invopop/jsonschema":       {"internal/config"},
	"github.com/mochi-mqtt/server/v2":     {"broker"},
	"github.com/simonvetter/modbus":       {"edgenode/driver/modbus", "simulators/plc"},
	"github.com/prometheus/prometheus":    {"hostapp/history/embedded"},
	"github.com/prometheus/common":        {"hostapp/history/embedded"},
	"github.com/prometheus/client_golang": {"internal/metrics", "hostapp/history/embedded"},
	"modernc.org/sqlite":                  {"hostapp/history/embedded", "services/store"},
	"github.com/oklog/ulid/v2":            {"hostapp/history/embedded"},
	"github.com/influxdata":               {"hostapp/history/influx"},
	"github.com/google/uuid":              {"services/event"},
	"github.com/teambition/rrule-go":      {"services/schedule"},
	"github.com/expr-lang/expr":           {"services/monitor"},
	"github.com/getkin/kin-openapi":       {"hostapp"},
	"github.com/coder/websocket":          {"broker", "hostapp"},
	"github.com/spf13/cobra":              {"cmd/*"},
	"github.com/spf13/pflag":              {"cmd/*"},
	"golang.org/x/sync":                   {"*"},
	"github.com/rogpeppe/go-internal":     {"test"},
	"github.com/stretchr/testify":         {"test"},
	"go.uber.org/goleak":                  {"test"},
	"pgregory.net/rapid":                  {"test"},
}

// The edge box is small: its program must not link these.
var notInEdge = []string{
	"/broker", "/hostapp", "/hostapp/*", "/services/*", "/dashboards", "/web",
	"github.com/prometheus/prometheus/*", "github.com/mochi-mqtt/*", "modernc.org/*",
	"github.com/influxdata/*", "github.com/grafana/*", "net/http/pprof",
}

// pkg is the part of `go list -json` the house looks at.
type pkg struct {
	ImportPath, Name, Doc, Dir                   string
	GoFiles, CgoFiles, TestGoFiles, XTestGoFiles []string
	Imports, TestImports, XTestImports           []string
}

func (p pkg) rel() string {
	if p.ImportPath == module {
		return "."
	}
	return strings.TrimPrefix(p.ImportPath, module+"/")
}

func TestHouse(t *testing.T) {
	pkgs := goList(t, "-e", "-json=ImportPath,Name,Doc,Dir,GoFiles,CgoFiles,Imports,TestImports,XTestImports,TestGoFiles,XTestGoFiles", "./...")
	standard := standardPackages(t)
	for _, r := range house {
		if !slices.ContainsFunc(pkgs, func(p pkg) bool { return matches(r.pkg, p.rel()) }) {
			t.Errorf("%s has a row and is not there", r.pkg)
		}
	}
	for _, p := range pkgs {
		r, ok := rowOf(p.rel())
		if !ok {
			t.Errorf("%s: no row in the table of house_test.go: say what it may import", p.rel())
			continue
		}
		tests := slices.Concat(p.TestImports, p.XTestImports)
		for _, imp := range p.Imports {
			checkImport(t, p, r, imp, standard[imp], false)
		}
		for _, imp := range tests {
			checkImport(t, p, r, imp, standard[imp], true)
		}
		checkPage(t, p, r)
		if r.pure {
			checkPure(t, p)
		}
		if len(p.CgoFiles) > 0 {
			t.Errorf("%s: cgo: %v", p.rel(), p.CgoFiles)
		}
	}
}

// TestProtobufStaysOut checks that one file alone of the library knows protobuf.
func TestProtobufStaysOut(t *testing.T) {
	files, err := filepath.Glob("sparkplug/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || name == filepath.Join("sparkplug", "convert.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, no := range []string{module + "/proto/sparkplugpb", "google.golang.org/protobuf/proto"} {
			if importedAs(f, no) != "" {
				t.Errorf("%s imports %s: only convert.go does", name, no)
			}
		}
	}
}

func TestEdgeLinks(t *testing.T) {
	edge := module + "/cmd/magneto-edge"
	if _, err := os.Stat("cmd/magneto-edge/main.go"); err != nil {
		t.Skip("skipped: cmd/magneto-edge is not there yet")
	}
	for _, p := range goList(t, "-deps", "-json=ImportPath", edge) {
		for _, no := range notInEdge {
			if strings.HasPrefix(no, "/") {
				no = module + no
			}
			if matches(no, p.ImportPath) {
				t.Errorf("cmd/magneto-edge links %s; why: go mod why -m, or go list -deps", p.ImportPath)
			}
		}
	}
}

// checkImport tells whether p may import imp, in its code or in its tests.
func checkImport(t *testing.T, p pkg, r row, imp string, standard, test bool) {
	t.Helper()
	name := p.rel()
	if rel, ours := ownPath(imp); ours {
		switch {
		case rel == name, test && anyMatch(helpers, rel):
		case strings.HasPrefix(rel, "cmd/"):
			t.Errorf("%s imports %s: nobody imports a program", name, rel)
		case slices.Contains(r.may, "*"), anyMatch(r.may, rel):
		case test && name == "simulators/scenario":
		default:
			t.Errorf("%s imports %s (tests: %t); its row allows %q", name, rel, test, r.may)
		}
		return
	}
	if standard {
		if !test && anyMatch(r.never, imp) {
			t.Errorf("%s imports %s; its row forbids %q", name, imp, r.never)
		}
		return
	}
	mod, who := ownerOf(imp)
	switch {
	case who == nil:
		t.Errorf("%s imports %s: no owner in house_test.go", name, imp)
	case slices.Contains(who, "*"), anyMatch(who, name), test && slices.Contains(who, "test"):
	case test && name == "simulators/scenario":
	default:
		t.Errorf("%s imports %s; module %s belongs to %q", name, imp, mod, who)
	}
}

// checkPage wants a package doc, and an Example that a reader can run. A
// program shows itself in testdata scripts instead.
func checkPage(t *testing.T, p pkg, r row) {
	t.Helper()
	if p.Doc == "" {
		t.Errorf("%s: no package doc", p.rel())
	}
	if r.mute {
		return
	}
	for _, name := range slices.Concat(p.TestGoFiles, p.XTestGoFiles) {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Example") {
				return
			}
		}
	}
	if scripts, _ := filepath.Glob(filepath.Join(p.Dir, "testdata", "*.txt")); p.Name == "main" && len(scripts) > 0 {
		return
	}
	t.Errorf("%s: no Example", p.rel())
}

// clocks are the functions of package time that a pure package leaves alone.
var clocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

func checkPure(t *testing.T, p pkg) {
	t.Helper()
	fset := token.NewFileSet()
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Error(err)
			continue
		}
		timeName := importedAs(f, "time")
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s: a goroutine in a pure package", fset.Position(n.Pos()))
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && timeName != "" && x.Name == timeName && slices.Contains(clocks, n.Sel.Name) {
					t.Errorf("%s: time.%s in a pure package", fset.Position(n.Pos()), n.Sel.Name)
				}
			}
			return true
		})
	}
}

// importedAs gives the name under which f knows the package, or "".
func importedAs(f *ast.File, want string) string {
	for _, imp := range f.Imports {
		if p, _ := strconv.Unquote(imp.Path.Value); p == want {
			if imp.Name != nil {
				return imp.Name.Name
			}
			return path.Base(want)
		}
	}
	return ""
}

func rowOf(rel string) (row, bool) {
	for _, r := range house {
		if matches(r.pkg, rel) {
			return r, true
		}
	}
	return row{}, false
}

func ownPath(imp string) (rel string, ours bool) {
	if imp == module {
		return ".", true
	}
	return strings.CutPrefix(imp, module+"/")
}

// ownerOf finds the longest module path in owners that imp lies in.
func ownerOf(imp string) (mod string, who []string) {
	for _, m := range slices.Sorted(maps.Keys(owners)) {
		if (imp == m || strings.HasPrefix(imp, m+"/")) && len(m) > len(mod) {
			mod, who = m, owners[m]
		}
	}
	return mod, who
}

// matches takes a path, or a pattern ending in /* for all that lies below.
func matches(pattern, p string) bool {
	if below, ok := strings.CutSuffix(pattern, "/*"); ok {
		return strings.HasPrefix(p, below+"/")
	}
	return pattern == p
}

func anyMatch(patterns []string, p string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, p) })
}

func standardPackages(t *testing.T) map[string]bool {
	t.Helper()
	std := map[string]bool{"C": false, "unsafe": true}
	for _, p := range goList(t, "-json=ImportPath", "std") {
		std[p.ImportPath] = true
	}
	return std
}

func goList(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %v: %v\n%s", args, err, stderr.Bytes())
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			return pkgs
		case err != nil:
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}
