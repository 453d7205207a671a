package session_test

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// nodeScript talks to a Node. A message is its type, its device if it is of
// one, seq=, ts= and bdSeq= where it has them, and its metrics:
// name@alias:Type=value in a birth, @alias=value or name=value in data. A
// number with a point is a Double, another an Int64.
type nodeScript struct {
	node *session.Node
	fx   []session.NodeEffect
}

var nodeEvents = map[string]session.NodeEventKind{
	"tick": session.NodeTick, "host-lost": session.NodeHostLost, "host-back": session.NodeHostBack,
	"operator-rebirth": session.NodeRebirth, "malformed": session.NodeMalformed,
	"expected": session.NodeExpected,
}

func (s *nodeScript) step(at int64, name string, words []string) ([]string, error) {
	ev := session.NodeEvent{At: at}
	switch kind, ok := nodeEvents[name]; {
	case ok:
		ev.Kind = kind
	default:
		ev.Kind, ev.Type = session.NodeMessage, sparkplug.Type(name)
		if ev.Type.OfDevice() {
			ev.Device, words = words[0], words[1:]
		}
		p, err := scriptPayload(words)
		if err != nil {
			return nil, err
		}
		ev.Payload = p
	}
	s.fx = s.node.Step(ev, s.fx[:0])
	var out []string
	for i := range s.fx {
		out = append(out, nodeEffect(&s.fx[i]))
	}
	return out, nil
}

func (s *nodeScript) status() string {
	state := s.node.State().String()
	if s.node.State() == session.NodeOnline && !s.node.InOrder() {
		state += ", not in order"
	}
	return state + deadline(s.node.Deadline())
}

func scriptPayload(words []string) (*sparkplug.Payload, error) {
	p := &sparkplug.Payload{}
	for _, w := range words {
		key, val, _ := strings.Cut(w, "=")
		n, err := strconv.ParseInt(val, 10, 64)
		switch key {
		case "seq":
			p.Seq, p.HasSeq = uint8(n), true
		case "ts":
			p.Timestamp, p.HasTimestamp = n, true
		case "bdSeq":
			p.Metrics = append(p.Metrics, sparkplug.Metric{Name: key, Value: sparkplug.Int(sparkplug.TypeInt64, n)})
		default:
			m, merr := scriptMetric(key, val)
			if merr != nil {
				return nil, merr
			}
			p.Metrics, err = append(p.Metrics, m), nil
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", w, err)
		}
	}
	return p, nil
}

func scriptMetric(key, val string) (m sparkplug.Metric, err error) {
	key, typ, _ := strings.Cut(key, ":")
	name, alias, aliased := strings.Cut(key, "@")
	m.Name = name
	if aliased {
		m.HasAlias = true
		if m.Alias, err = strconv.ParseUint(alias, 10, 64); err != nil {
			return m, err
		}
	}
	t := sparkplug.TypeInt64
	if strings.Contains(val, ".") {
		t = sparkplug.TypeDouble
	}
	if typ != "" {
		t, _ = sparkplug.ParseDataType(typ)
	}
	switch {
	case val == "null":
		m.Value = sparkplug.Null(t)
	case t.Textual():
		m.Value = sparkplug.Text(t, val)
	case t == sparkplug.TypeDouble:
		f, ferr := strconv.ParseFloat(val, 64)
		m.Value, err = sparkplug.Double(f), ferr
	case t == sparkplug.TypeBoolean:
		m.Value = sparkplug.Boolean(val == "true")
	default:
		n, nerr := strconv.ParseInt(val, 10, 64)
		m.Value, err = sparkplug.Int(t, n), nerr
	}
	return m, err
}

func nodeEffect(f *session.NodeEffect) string {
	who := "node"
	if f.Device != "" {
		who = f.Device
	}
	switch f.Do {
	case session.NodeDoBirth:
		again := ""
		if f.Again {
			again = " again"
		}
		return fmt.Sprintf("birth%s bdSeq=%d seq=%d%s", again, f.BdSeq, f.Seq, nodeMetrics(f))
	case session.NodeDoDeviceBirth:
		return fmt.Sprintf("birth of %s seq=%d count=%d%s", who, f.Seq, f.Count, nodeMetrics(f))
	case session.NodeDoData:
		return fmt.Sprintf("data of %s seq=%d count=%d%s", who, f.Seq, f.Count, nodeMetrics(f))
	case session.NodeDoDeviceOffline:
		return fmt.Sprintf("%s offline and stale at %d: %s", who, f.At, f.Cause)
	case session.NodeDoOffline:
		return fmt.Sprintf("node offline and stale at %d: %s", f.At, f.Cause)
	case session.NodeDoStale:
		return fmt.Sprintf("all stale at %d: %s", f.At, f.Cause)
	case session.NodeDoAskRebirth:
		return fmt.Sprintf("ask for rebirth, try %d: %s", f.Tries, f.Cause)
	case session.NodeDoGap:
		return fmt.Sprintf("gap from %d to %d, %d held dropped: %s", f.Expected, f.Seq, f.Dropped, f.Cause)
	case session.NodeDoDrop:
		if f.Dropped == 0 {
			return fmt.Sprintf("drop %s of %s seq=%d: %s", f.Type, who, f.Seq, f.Cause)
		}
		return fmt.Sprintf("drop %d metrics of %s of %s seq=%d: %s", f.Dropped, f.Type, who, f.Seq, f.Cause)
	case session.NodeDoFault:
		return fmt.Sprintf("fault of %s of %s: %s (%d)", f.Type, who, f.Cause, f.Dropped)
	}
	return fmt.Sprintf("unknown effect %d", f.Do)
}

// nodeMetrics prints name=value:Type of what has a slot.
func nodeMetrics(f *session.NodeEffect) string {
	var b strings.Builder
	for i, slot := range f.Slots {
		if slot == session.NoSlot {
			continue
		}
		v, d := f.Payload.Metrics[i].Value, f.Shape.Def(slot)
		text := "null"
		switch {
		case v.IsNull():
		case v.Type().Textual():
			text = v.Str()
		default:
			text = strconv.FormatFloat(v.Float64(), 'g', -1, 64)
		}
		fmt.Fprintf(&b, " %s=%s", d.Name, text)
		if d.Name != sparkplug.MetricBdSeq {
			fmt.Fprintf(&b, ":%s", v.Type())
		}
	}
	return b.String()
}
