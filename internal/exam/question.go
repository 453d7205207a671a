package exam

import (
	"encoding/json"
	"fmt"
	"time"
)

// Aspect is what a Question is about.
type Aspect string

// The aspects. The first is of a node or device, the last two are of a metric.
const (
	Online  Aspect = "online"
	Offline Aspect = "offline" // since a time between From and To
	Stale   Aspect = "stale"   // since a time between From and To
	Shown   Aspect = "shown"   // with Value
)

// Question asks how a host application shows something.
type Question struct {
	Aspect   Aspect
	Group    string
	Node     string
	Device   string          // empty: the node itself
	Metric   string          // of Stale and Shown
	Value    json.RawMessage // of Shown, as package sparkplug writes it
	From, To time.Time       // of Offline and Stale, to the millisecond
}

// String is the question as a person is asked.
func (q Question) String() string {
	what := "node " + q.Group + "/" + q.Node
	if q.Device != "" {
		what = "device " + q.Group + "/" + q.Node + "/" + q.Device
	}
	since := ""
	if !q.From.IsZero() {
		since = " since " + q.From.UTC().Format("15:04:05.000") + " UTC"
		if !q.To.Equal(q.From) {
			since += " to " + q.To.UTC().Format("15:04:05.000")
		}
	}
	switch q.Aspect {
	case Stale:
		return fmt.Sprintf("Is metric %q of %s shown stale%s?", q.Metric, what, since)
	case Shown:
		return fmt.Sprintf("Is metric %q of %s shown with the value %s?", q.Metric, what, q.Value)
	}
	return fmt.Sprintf("Is %s shown %s%s?", what, q.Aspect, since)
}

// Command is what a host application is asked to write.
type Command struct {
	Group, Node string
	Device      string // empty: a metric of the node
	Metric      string
	Value       json.RawMessage
}

// String is the command as a person is told.
func (c Command) String() string {
	what := "node " + c.Group + "/" + c.Node
	if c.Device != "" {
		what = "device " + c.Group + "/" + c.Node + "/" + c.Device
	}
	return fmt.Sprintf("write %s to metric %q of %s", c.Value, c.Metric, what)
}
