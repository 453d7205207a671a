package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/magneto-iiot/magneto/edgenode"
	"github.com/magneto-iiot/magneto/simulators/plc"
	"github.com/magneto-iiot/magneto/simulators/process"
)

// TestDocumentedSample checks that the configuration in docs/edge.md is good
// and reads every tag from what `magneto sim plc` serves.
func TestDocumentedSample(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "edge.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	sample, _, ok := strings.Cut(rest, "```")
	if !ok || strings.Count(sample, "127.0.0.1:1502") != 1 {
		t.Fatalf("no sample for the simulated PLC in docs/edge.md: %q", sample)
	}
	server, err := plc.Listen(t.Context(), "127.0.0.1:0", process.NewPump(42))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	file := filepath.Join(t.TempDir(), "edge.yaml")
	if err := os.WriteFile(file, []byte(strings.Replace(sample, "127.0.0.1:1502", server.Addr(), 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := edgenode.Load(file, drivers)
	if err != nil {
		t.Fatal(err)
	}
	readings, err := edgenode.Probe(t.Context(), *cfg, drivers)
	if err != nil || len(readings) != 6 {
		t.Fatalf("%d readings, %v", len(readings), err)
	}
	for _, r := range readings {
		if r.Err != nil || r.Value.IsNull() {
			t.Errorf("%s %s: %v", r.Metric, r.Addr, r.Err)
		}
	}
}
