package conform_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/magneto-iiot/magneto/sparkplug/conform"
)

// TestConformanceDoc checks that docs/conformance.md names for each assertion
// a test that exists, or a reason why there is none, and no assertion that the
// specification does not have.
func TestConformanceDoc(t *testing.T) {
	doc, err := os.ReadFile("../../docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../../simulators/scenario/*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var code strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		code.Write(b)
	}
	rows := map[string][]string{}
	for line := range strings.Lines(string(doc)) {
		cells := strings.Split(line, "|")
		if len(cells) != 7 || strings.HasPrefix(cells[1], "---") || strings.TrimSpace(cells[1]) == "id" {
			continue
		}
		rows["tck-id-"+strings.TrimSpace(cells[1])] = cells
	}
	for _, a := range conform.Assertions() {
		cells, ok := rows[a.ID]
		delete(rows, a.ID)
		if !ok {
			t.Errorf("%s has no row", a.ID)
			continue
		}
		tests, reason := strings.TrimSpace(cells[4]), strings.TrimSpace(cells[5])
		if tests == "" && len(reason) < 10 {
			t.Errorf("%s has neither a test nor a reason", a.ID)
		}
		for name := range strings.SplitSeq(tests, "; ") {
			function, _, _ := strings.Cut(name, "/")
			if name != "" && !strings.Contains(code.String(), "func "+function+"(") {
				t.Errorf("%s: there is no test %s", a.ID, name)
			}
		}
	}
	for id := range rows {
		t.Errorf("%s is no assertion of the specification", id)
	}
}
