package scenario_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/internal/exam"
	"github.com/magneto-iiot/magneto/sparkplug/conform"
)

var update = flag.Bool("update", false, "write docs/conformance.md anew")

const conformanceDoc = "../../docs/conformance.md"

// TestRealConformance examines our programs as built, in all four profiles, and
// compares what they hold with docs/conformance.md.
func TestRealConformance(t *testing.T) {
	program(t, "magneto") // or skip
	var mu sync.Mutex
	reports := map[string]conform.Report{}
	keep := func(t *testing.T, profile string, r conform.Report, err error) {
		require.NoError(t, err)
		if r.Count(conform.Fail)+r.Count(conform.Unseen) > 0 {
			require.NoError(t, r.WriteText(t.Output(), true))
		}
		require.Zero(t, r.Count(conform.Fail), "broken")
		require.Zero(t, r.Count(conform.Unseen), "neither judged nor excused")
		mu.Lock()
		defer mu.Unlock()
		reports[profile] = r
	}
	t.Run("parts", func(t *testing.T) {
		t.Run("edge", func(t *testing.T) {
			t.Parallel()
			r, err := exam.Edge(t.Context(), exam.EdgeConfig{
				Lab: exam.Lab{Second: "127.0.0.1:0", Say: t.Logf}, Host: "plant",
				Write: exam.Write{Metric: "Setpoint", Value: json.RawMessage("30")}, Hands: newEdgeHands(t).hands(),
			})
			keep(t, "edge", r, err)
		})
		t.Run("host", func(t *testing.T) {
			t.Parallel()
			h := newHostHands(t)
			h.reorder = 5 * time.Second // that of the official kit
			r, err := exam.Host(t.Context(), exam.HostConfig{
				Lab: exam.Lab{Second: "127.0.0.1:0", Say: t.Logf}, Reorder: h.reorder, Hands: h.hands(),
			})
			keep(t, "host", r, err)
		})
		t.Run("broker", func(t *testing.T) {
			t.Parallel()
			b := start(t, program(t, "magneto"), "broker", "--mqtt", "127.0.0.1:0")
			server := "mqtt://" + b.err.await(t, `msg="broker listens".* mqtt=(\S+)`)[1]
			r, err := exam.Broker(t.Context(), exam.BrokerConfig{Server: server, Say: t.Logf})
			keep(t, "broker", r, err)
		})
	})
	if t.Failed() {
		return
	}
	doc, line := conformance(reports)
	t.Log(line)
	fmt.Println("conform: " + line)
	if *update {
		require.NoError(t, os.WriteFile(conformanceDoc, []byte(doc), 0o600))
		return
	}
	was, err := os.ReadFile(conformanceDoc)
	require.NoError(t, err)
	require.Equal(t, string(was), doc, "docs/conformance.md is not what the tests prove: 'make conform-doc' writes it anew")
}

// proof says which tests prove an assertion, and for which part, or why none can.
type proof struct {
	tests   []string
	reasons []string
}

// conformance makes the document, and the line of counts.
func conformance(reports map[string]conform.Report) (doc, line string) {
	proofs := map[string]*proof{}
	for _, a := range conform.Assertions() {
		proofs[a.ID] = new(proof)
	}
	counts := map[string][2]int{} // held and judged, by profile
	excused := 0
	for _, part := range slices.Sorted(maps.Keys(reports)) {
		for _, v := range reports[part].Verdicts {
			p := proofs[v.ID]
			if v.Outcome == conform.Hidden {
				excused++
				p.reasons = append(p.reasons, part+": "+v.Reason)
				continue
			}
			p.tests = append(p.tests, "TestRealConformance/"+part)
			for _, profile := range []string{"edge", "host", "broker-compliant", "broker-aware"} {
				if slices.Contains(v.Profiles, profile) && strings.HasPrefix(profile, part) {
					c := counts[profile]
					counts[profile] = [2]int{c[0] + 1, c[1] + 1}
				}
			}
		}
	}
	for name, faults := range map[string]map[string]planted{"TestRealMutationEdge": edgeFaults(), "TestRealMutationHost": hostFaults()} {
		for what, f := range faults {
			p := proofs["tck-id-"+f.id]
			p.tests = append(p.tests, name+"/"+what)
		}
	}
	line = fmt.Sprintf("edge %d/%d, host %d/%d, broker %d/%d, aware %d/%d; %d not testable",
		counts["edge"][0], counts["edge"][1], counts["host"][0], counts["host"][1],
		counts["broker-compliant"][0], counts["broker-compliant"][1], counts["broker-aware"][0], counts["broker-aware"][1], excused)
	var b strings.Builder
	b.WriteString(conformanceHead)
	fmt.Fprintf(&b, "%s.\n\n| id | level | profiles | proved by | not testable |\n|---|---|---|---|---|\n", line)
	for _, a := range conform.Assertions() {
		p := proofs[a.ID]
		slices.Sort(p.tests)
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", strings.TrimPrefix(a.ID, "tck-id-"), a.Level,
			strings.Join(a.Profiles, ", "), strings.Join(p.tests, "; "), strings.Join(p.reasons, "; "))
	}
	return b.String(), line
}

const conformanceHead = `# Conformance to Sparkplug 3.0

Written by 'make conform-doc' and compared by 'make conform'; do not edit.

The agent, the host and the broker, as built, are examined with what
'magneto conform edge', 'host' and 'broker' use, in TestRealConformance of
simulators/scenario: an MQTT server sees their packets, wills and subscriptions
in order, and the other end of each conversation is played. TestRealMutationEdge
and TestRealMutationHost plant the named faults into the running agent and host,
and want the assertion found broken. The rules themselves are tested in
sparkplug/conform and internal/exam. A host publishes only commands: assertions
about other payloads, which bind edge node and host alike, are proved for it by
what it shows after it has read them.

`
