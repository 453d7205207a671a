package session_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

var update = flag.Bool("update", false, "write the effects that the scripts give into testdata")

// TestScripts runs each conversation of testdata. A line at the margin is an
// event: its time in ms, its name and its arguments. The indented lines below
// it are the effects it must give, and ~ the phase and deadline where these
// changed. The first word of a file names the machine, the rest of the line
// its configuration.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 20 {
		t.Fatalf("scripts: %d found, error %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name, func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(t, string(want))
			if got == string(want) {
				return
			}
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("%s: effects differ (see with -update and a diff); got:\n%s", file, got)
		})
	}
}

// machine is what a script talks to.
type machine interface {
	step(at int64, name string, args []string) (effects []string, err error)
	status() string
}

func runScript(t *testing.T, text string) string {
	var out strings.Builder
	var m machine
	status := ""
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if strings.HasPrefix(line, " ") {
			continue // an effect as last recorded
		}
		out.WriteString(line + "\n")
		words := strings.Fields(line)
		if len(words) == 0 || words[0][0] == '#' {
			continue
		}
		at, err := strconv.ParseInt(words[0], 10, 64)
		if err != nil {
			m, status = newMachine(t, words[0], words[1:]), ""
			continue
		}
		effects, err := m.step(at, words[1], words[2:])
		if err != nil {
			t.Fatalf("line %d: %v", i+1, err)
		}
		for _, fx := range effects {
			out.WriteString("  " + fx + "\n")
		}
		if s := m.status(); s != status {
			status = s
			out.WriteString("  ~ " + s + "\n")
		}
	}
	return out.String()
}

func newMachine(t *testing.T, kind string, args []string) machine {
	a := arguments(args)
	switch kind {
	case "edge":
		return &edgeScript{edge: session.NewEdge(session.EdgeConfig{
			Group: "g", Node: "n", PrimaryHost: a["host"], Servers: int(a.num("servers")),
			NextBdSeq: uint8(a.num("next")), MQTT5: a.has("mqtt5"), NoDeviceDeaths: a.has("nodeaths"),
			RebirthDebounce: a.num("debounce"),
		})}
	case "node":
		host := session.NewHost(session.HostConfig{
			MaxHeld: int(a.num("held")), RebirthTries: int(a.num("tries")),
			RebirthSpread: a.num("spread"), MaxDevices: int(a.num("devices")), MaxBirths: int(a.num("births")),
		})
		return &nodeScript{node: host.NewNode("g", "n")}
	case "primary":
		return &primaryScript{primary: session.NewPrimary(session.PrimaryConfig{
			Host: a["host"], NewTimestamp: a.has("newtimestamp"),
		})}
	}
	t.Fatalf("unknown machine %q", kind)
	return nil
}

// args are the key=value words of a line; a word without = has an empty value.
type args map[string]string

func arguments(words []string) args {
	a := args{}
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		a[k] = strings.ReplaceAll(v, "_", " ")
	}
	return a
}

func (a args) has(key string) bool { _, ok := a[key]; return ok }

func (a args) num(key string) int64 {
	n, _ := strconv.ParseInt(a[key], 10, 64)
	return n
}

func (a args) session(now uint32) uint32 {
	if a.has("session") {
		return uint32(a.num("session"))
	}
	return now
}

func (a args) state() sparkplug.State {
	return sparkplug.State{Online: a.has("online"), Timestamp: a.num("ts")}
}

type edgeScript struct {
	edge    *session.Edge
	session uint32
	fx      []session.EdgeEffect
}

var edgeEvents = map[string]session.EdgeEventKind{
	"start": session.EdgeStart, "connected": session.EdgeConnected, "failed": session.EdgeConnectFailed,
	"subscribed": session.EdgeSubscribed, "lost": session.EdgeLost, "state": session.EdgeHostState,
	"rebirth": session.EdgeRebirth, "next-server": session.EdgeNextServer, "changed": session.EdgeChanged,
	"ready": session.EdgeDeviceReady, "gone": session.EdgeDeviceGone, "device-changed": session.EdgeDeviceChanged,
	"data": session.EdgeData, "tick": session.EdgeTick, "stop": session.EdgeStop,
}

func (s *edgeScript) step(at int64, name string, words []string) ([]string, error) {
	kind, ok := edgeEvents[name]
	if !ok {
		return nil, fmt.Errorf("unknown event %q", name)
	}
	a := arguments(words)
	s.fx = s.edge.Step(session.EdgeEvent{
		Kind: kind, At: at, Session: a.session(s.session), Device: a["device"], Host: a["host"],
		State: a.state(), Sent: a.has("sent"), Taken: a.has("taken"), Words: a["words"],
	}, s.fx[:0])
	var out []string
	for i := range s.fx {
		if s.fx[i].Do == session.EdgeConnect {
			s.session = s.fx[i].Session
		}
		out = append(out, edgeEffect(&s.fx[i]))
	}
	return out, nil
}

func (s *edgeScript) status() string {
	return s.edge.Phase().String() + deadline(s.edge.Deadline())
}

func deadline(at int64) string {
	if at == 0 {
		return ""
	}
	return fmt.Sprintf(", tick at %d", at)
}

func edgeEffect(f *session.EdgeEffect) string {
	message := func(name string) string {
		who := f.Device
		if who == "" {
			who = "node"
		}
		return fmt.Sprintf("%s %s seq=%d count=%d", name, who, f.Seq, f.Count)
	}
	switch f.Do {
	case session.EdgePersist:
		return fmt.Sprintf("persist next=%d", f.Next)
	case session.EdgeConnect:
		return fmt.Sprintf("connect server=%d bdSeq=%d session=%d", f.Server, f.BdSeq, f.Session)
	case session.EdgeCancel:
		return fmt.Sprintf("cancel session=%d", f.Session)
	case session.EdgeSubscribe:
		return "subscribe"
	case session.EdgeNBirth:
		return fmt.Sprintf("%s bdSeq=%d", message("NBIRTH"), f.BdSeq)
	case session.EdgeDBirth:
		return message("DBIRTH")
	case session.EdgeDDeath:
		return message("DDEATH")
	case session.EdgePublish:
		return message("DATA")
	case session.EdgeHold:
		return "hold"
	case session.EdgeNDeath:
		return fmt.Sprintf("NDEATH bdSeq=%d", f.BdSeq)
	case session.EdgeDisconnect:
		return "disconnect"
	case session.EdgeAbandon:
		return "abandon"
	case session.EdgeSay:
		return "say " + f.Words
	case session.EdgeStopped:
		return "stopped"
	}
	return fmt.Sprintf("unknown effect %d", f.Do)
}

type primaryScript struct {
	primary *session.Primary
	session uint32
	fx      []session.PrimaryEffect
}

var primaryEvents = map[string]session.PrimaryEventKind{
	"start": session.PrimaryStart, "connected": session.PrimaryConnected, "failed": session.PrimaryConnectFailed,
	"subscribed": session.PrimarySubscribed, "lost": session.PrimaryLost, "state": session.PrimaryState,
	"tick": session.PrimaryTick, "stop": session.PrimaryStop,
}

func (s *primaryScript) step(at int64, name string, words []string) ([]string, error) {
	kind, ok := primaryEvents[name]
	if !ok {
		return nil, fmt.Errorf("unknown event %q", name)
	}
	a := arguments(words)
	s.fx = s.primary.Step(session.PrimaryEvent{
		Kind: kind, At: at, Session: a.session(s.session), State: a.state(), Kept: a.has("kept"), Taken: a.has("taken"), Words: a["words"],
	}, s.fx[:0])
	var out []string
	for i := range s.fx {
		if s.fx[i].Do == session.PrimaryConnect {
			s.session = s.fx[i].Session
		}
		out = append(out, primaryEffect(&s.fx[i]))
	}
	return out, nil
}

func (s *primaryScript) status() string {
	status := "offline"
	if s.primary.Online() {
		status = "online"
	}
	return status + deadline(s.primary.Deadline())
}

func primaryEffect(f *session.PrimaryEffect) string {
	will := ""
	if f.HasWill {
		will = " STATE"
	}
	switch f.Do {
	case session.PrimaryConnect:
		if f.HasWill {
			will = " will " + string(f.State.Append(nil))
		}
		return fmt.Sprintf("connect session=%d%s", f.Session, will)
	case session.PrimaryCancel:
		return fmt.Sprintf("cancel session=%d", f.Session)
	case session.PrimarySubscribe:
		return "subscribe spBv1.0/#" + will
	case session.PrimaryPublish:
		return "publish " + string(f.State.Append(nil))
	case session.PrimaryOnline:
		return "online"
	case session.PrimaryOffline:
		return "offline"
	case session.PrimaryDisconnect:
		return "disconnect"
	case session.PrimarySay:
		return "say " + f.Words
	case session.PrimaryRival:
		return "rival"
	case session.PrimaryStopped:
		return "stopped"
	}
	return fmt.Sprintf("unknown effect %d", f.Do)
}
