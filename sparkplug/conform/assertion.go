package conform

import (
	_ "embed" // the list of ids
	"slices"
	"strings"
	"sync"
)

// Assertion is one normative statement of the Sparkplug 3.0 specification.
type Assertion struct {
	ID       string   `json:"id"`       // tck-id-...
	Level    string   `json:"level"`    // MUST, SHOULD or MAY
	Profiles []string `json:"profiles"` // naming, edge, host, broker-compliant, broker-aware

	visible bool // a Watch can judge it
}

//go:embed assertions.tsv
var list string

// all lists every statement in the order of the specification.
var all = sync.OnceValue(func() []Assertion {
	var a []Assertion
	for line := range strings.Lines(list) {
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		a = append(a, Assertion{f[0], f[1], strings.Split(f[2], ","), f[3] == "w"})
	}
	return a
})

// hidden says by a part of the id why one who looks on cannot judge an
// assertion. The first that matches counts.
var hidden = []struct{ part, why string }{
	{"conformance-mqtt", "asks for an active test of the MQTT server"},
	{"clean-session", "stands in the CONNECT packet"},
	{"will", "stands in the CONNECT packet"},
	{"connect-birth", "asks what else the host sent before"},
	{"death-required", "stands in the CONNECT packet"},
	{"timestamp-connect", "stands in the CONNECT packet"},
	{"state-with-multiple-servers", "asks for the connections to several servers"},
	{"multi-server", "asks for the connections to several servers"},
	{"subscri", "stands in the SUBSCRIBE packet"},
	{"sub-required", "stands in the SUBSCRIBE packet"},
	{"state-subs", "stands in the SUBSCRIBE packet"},
	{"host-action", "is in the host's own view of its nodes"},
	{"reordering", "asks for messages that come out of order"},
	{"retain", "the server shows subscribers no retain flag of a live message"},
	{"unique", "two publishers look like one from here"},
	{"descriptor", "two publishers look like one from here"},
	{"host-application-host-id", "two publishers look like one from here"},
	{"rbe", "asks what the equipment did"},
	{"-change", "asks what the equipment did"},
	{"topics-ndata-payload", "asks what the equipment did"},
	{"topics-ddata-payload", "asks what the equipment did"},
	{"device-ddeath", "asks what the equipment did"},
	{"disconnect", "stands in the DISCONNECT packet"},
	{"phid", "asks for a conversation of host and node"},
	{"host-offline", "asks for a conversation of host and node"},
	{"sequence-wait", "asks for a conversation of host and node"},
}

// reason says why a Watch cannot judge a.
func reason(a Assertion) string {
	for _, h := range hidden {
		if strings.Contains(a.ID, h.part) {
			return h.why
		}
	}
	return "asks for a conversation, not a look"
}

// Assertions lists every normative statement in the order of the specification.
// The list is the caller's.
func Assertions() []Assertion { return slices.Clone(all()) }
