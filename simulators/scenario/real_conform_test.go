package scenario_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/simulators/plc"
	"github.com/magneto-iiot/magneto/sparkplug/conform"
)

// conformed runs 'magneto conform' and returns its report.
func conformed(t *testing.T, args ...string) conform.Report {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program(t, "magneto"), append([]string{"conform"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, t.Output()
	require.NoError(t, cmd.Run(), out.String())
	var r conform.Report
	require.NoError(t, json.Unmarshal(out.Bytes(), &r))
	require.NotZero(t, r.Count(conform.Pass))
	return r
}

// TestRealConformCommands has the command line examine our programs, as a user
// would do it.
func TestRealConformCommands(t *testing.T) {
	dir := t.TempDir()
	port, second := freePort(t), freePort(t)
	server, other := "127.0.0.1:"+port, "127.0.0.1:"+second
	p, err := plc.ListenMemory(t.Context(), "127.0.0.1:0", plc.NewMemory())
	require.NoError(t, err)
	defer p.Close()
	for n, list := range []string{fmt.Sprintf(`["mqtt://%s"]`, server), fmt.Sprintf(`["mqtt://%s", "mqtt://%s"]`, server, other)} {
		write(t, dir, fmt.Sprintf("edge-%d.yaml", n+1), fmt.Sprintf(edgeExamined, list, p.Addr()))
		write(t, dir, fmt.Sprintf("plant-%d.yaml", n+1), fmt.Sprintf(hostExamined, list, "2s"))
	}
	r := conformed(t, "edge", "--json", "--listen", server, "--second", other, "--host", "plant", "--write", "Setpoint=30",
		"--skip", "change,unplug", "--exec", program(t, "magneto-edge")+" run -c "+filepath.Join(dir, "edge-{n}.yaml"))
	require.Zero(t, r.Count(conform.Fail))
	require.Greater(t, r.Count(conform.Pass), 140)

	r = conformed(t, "host", "--json", "--listen", server, "--second", other, "--skip", "ask,write",
		"--exec", program(t, "magneto")+" host -c "+filepath.Join(dir, "plant-{n}.yaml"))
	require.Zero(t, r.Count(conform.Fail))
	require.Greater(t, r.Count(conform.Pass), 70)

	b := start(t, program(t, "magneto"), "broker", "--mqtt", server)
	b.err.await(t, `msg="broker listens"`)
	junit := filepath.Join(dir, "report.xml")
	r = conformed(t, "broker", "--json", "--mqtt", "mqtt://"+server, "--junit", junit)
	require.Equal(t, 11, r.Count(conform.Pass))
	xml, err := os.ReadFile(junit)
	require.NoError(t, err)
	require.Contains(t, string(xml), `testcase name="tck-id-conformance-mqtt-aware-store"`)
}

// TestRealConformMosquitto examines a server that others wrote: it is compliant,
// and without a plugin not aware.
func TestRealConformMosquitto(t *testing.T) {
	server := "mqtt://" + mosquitto(t)
	r := conformed(t, "broker", "--json", "--aware=false", "--mqtt", server)
	require.Len(t, r.Verdicts, 4)
	require.Equal(t, 4, r.Count(conform.Pass))
	cmd := exec.CommandContext(t.Context(), program(t, "magneto"), "conform", "broker", "--mqtt", server)
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	require.Error(t, err)
	require.Equal(t, 4, cmd.ProcessState.ExitCode())
	require.Contains(t, string(out), "FAIL tck-id-conformance-mqtt-aware-store")
}
