package hostapp

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/magneto-iiot/magneto/hostapp/watch"
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// commandsAtOnce bounds the writes that wait for their confirmation.
const commandsAtOnce = 1024

// Target names one metric of a node (Device empty) or device.
type Target struct{ Group, Node, Device, Metric string }

// WriteError says why a write was not confirmed. Status is the HTTP status of
// the REST API: 404 unknown, 409 offline or another write in progress, 422 not
// writable or out of range, 503 too many writes, 504 not confirmed in time.
type WriteError struct {
	Status int
	Reason string
}

func (e *WriteError) Error() string { return "hostapp: write: " + e.Reason }

func refuse(status int, format string, args ...any) *WriteError {
	return &WriteError{status, fmt.Sprintf(format, args...)}
}

// commands are the writes that wait for their value to come back.
type commands struct {
	some atomic.Int32 // len(waiting), to be asked without the lock

	mu      sync.Mutex
	waiting map[Target]*waiter
}

// waiter is one write on its way.
type waiter struct {
	want  sparkplug.Value
	after int64 // ms, in the node's clock: what is older says nothing
	reply chan confirmation

	// Guarded by commands.mu.
	step string // what was seen last
}

type confirmation struct {
	value sparkplug.Value
	time  int64
	gone  string // not empty: it will not come, and why
}

func newCommands() *commands { return &commands{waiting: map[Target]*waiter{}} }

// Write sends a value to a metric and waits until the node reports it. It
// returns the value and its time as reported. The error is a *WriteError, or
// ctx's when it ended first.
func (h *Host) Write(ctx context.Context, t Target, v sparkplug.Value) (watch.MetricInfo, error) {
	m, node, err := h.writable(t)
	if err != nil {
		return m, err
	}
	if err := inRange(&m, v); err != nil {
		return m, err
	}
	w := &waiter{
		want: v, reply: make(chan confirmation, 1), step: "nothing was seen of the node since",
		after: h.now() - node.SkewMs - clockSlack.Milliseconds(),
	}
	if err := h.commands.add(t, w); err != nil {
		return m, err
	}
	defer h.commands.remove(t)
	wait, cancel := context.WithTimeout(ctx, h.cfg.CommandTimeout)
	defer cancel()
	err = h.watch.Command(wait, t.Group, t.Node, t.Device, t.Metric, v)
	switch {
	case errors.Is(err, watch.ErrUnknown):
		return m, refuse(404, "unknown node, device or metric")
	case errors.Is(err, watch.ErrOffline):
		return m, refuse(409, "the node or device is not online")
	case err != nil:
		return m, refuse(504, "the command could not be published: %v", err)
	}
	select {
	case c := <-w.reply:
		if c.gone != "" {
			return m, refuse(504, "the command was published, then %s", c.gone)
		}
		m.Value, m.Time = c.value, c.time
		return m, nil
	case <-wait.Done():
	}
	if err := ctx.Err(); err != nil {
		return m, err
	}
	return m, refuse(504, "not confirmed within %s: the command was published, %s", h.cfg.CommandTimeout, h.commands.lastStep(w))
}

// clockSlack is how much the measured skew of a node's clock may be wrong.
const clockSlack = 250 * time.Millisecond

// writable finds the metric and says whether commands to it can be sent.
func (h *Host) writable(t Target) (watch.MetricInfo, watch.NodeInfo, error) {
	n, ok := h.watch.Node(t.Group, t.Node)
	if !ok {
		return watch.MetricInfo{}, n, refuse(404, "unknown node %s/%s", t.Group, t.Node)
	}
	online := n.State == watch.Online
	if t.Device != "" {
		found := false
		for _, d := range n.Devices {
			if d.Device == t.Device {
				found, online = true, online && d.State == watch.Online
			}
		}
		if !found {
			return watch.MetricInfo{}, n, refuse(404, "unknown device %s of %s/%s", t.Device, t.Group, t.Node)
		}
	}
	m, ok := h.watch.Metric(t.Group, t.Node, t.Device, t.Metric)
	switch {
	case !ok:
		return m, n, refuse(404, "unknown metric %q", t.Metric)
	case !online:
		return m, n, refuse(409, "the node or device is not online")
	case t.Metric == sparkplug.MetricRebirth:
		return m, n, refuse(422, "a rebirth is asked for by POST .../rebirth")
	case t.Metric == sparkplug.MetricBdSeq:
		return m, n, refuse(422, "bdSeq cannot be written")
	}
	if readOnly(m.Properties) {
		return m, n, refuse(422, "metric %q is read-only", t.Metric)
	}
	return m, n, nil
}

// readOnly says whether a birth forbids commands to a metric. A foreign node
// says nothing of it: its metrics count as writable.
func readOnly(props *sparkplug.PropertySet) bool {
	if p, ok := props.Get("readOnly"); ok && p.Value.Type() == sparkplug.TypeBoolean && p.Value.Bool() {
		return true
	}
	p, ok := props.Get("writable")
	return ok && p.Value.Type() == sparkplug.TypeBoolean && !p.Value.IsNull() && !p.Value.Bool()
}

// bound is the first of the properties that is a number.
func bound(props *sparkplug.PropertySet, keys ...string) (sparkplug.Value, bool) {
	for _, key := range keys {
		if p, ok := props.Get(key); ok && p.Value.Type().Numeric() && !p.Value.IsNull() {
			return p.Value, true
		}
	}
	return sparkplug.Value{}, false
}

// inRange checks v against the bounds that the birth gives.
func inRange(m *watch.MetricInfo, v sparkplug.Value) error {
	if part := v.Template(); part != nil {
		return membersInRange(m.Value.Template(), part)
	}
	if !v.Type().Numeric() {
		return nil
	}
	x := v.Float64()
	lo, bounded := bound(m.Properties, "writeMin", "min")
	hi, capped := bound(m.Properties, "writeMax", "max")
	switch {
	case math.IsNaN(x) && (bounded || capped):
		return refuse(422, "NaN is within no bounds")
	case bounded && x < lo.Float64():
		return refuse(422, "%s is below the minimum, %s", v, lo)
	case capped && x > hi.Float64():
		return refuse(422, "%s is above the maximum, %s", v, hi)
	}
	return nil
}

// membersInRange checks the members of an instance that are to be written.
func membersInRange(whole, part *sparkplug.Template) error {
	if whole == nil {
		return nil
	}
	for i := range part.Metrics {
		p := &part.Metrics[i]
		at := slices.IndexFunc(whole.Metrics, func(m sparkplug.Metric) bool { return m.Name == p.Name })
		if at < 0 {
			continue
		}
		m := &whole.Metrics[at]
		if readOnly(m.Properties) {
			return refuse(422, "member %q is read-only", p.Name)
		}
		if err := inRange(&watch.MetricInfo{Properties: m.Properties, Value: m.Value}, p.Value); err != nil {
			return err
		}
	}
	return nil
}

func (c *commands) add(t Target, w *waiter) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.waiting[t] != nil:
		return refuse(409, "another write of this metric is in progress")
	case len(c.waiting) >= commandsAtOnce:
		return refuse(503, "%d writes are in progress", len(c.waiting))
	}
	c.waiting[t] = w
	c.some.Store(int32(len(c.waiting)))
	return nil
}

func (c *commands) remove(t Target) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, t)
	c.some.Store(int32(len(c.waiting)))
}

func (c *commands) lastStep(w *waiter) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return w.step
}

// see looks for the values that are waited for in an Update.
func (c *commands) see(u *watch.Update) {
	if c.some.Load() == 0 || u.Shape == nil || u.Kind == watch.Rebirth || u.Kind == watch.Conflict {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for t, w := range c.waiting {
		if t.Group != u.Group || t.Node != u.Node || t.Device != u.Device {
			continue
		}
		if u.Kind == watch.Death && u.Cause == session.CauseBorn {
			continue
		}
		if u.Kind == watch.Death || u.Kind == watch.Lost {
			w.answer(confirmation{gone: "the node or device went offline (" + u.Reason() + ")"})
			continue
		}
		if i := u.Shape.ByName(t.Metric); i != session.NoSlot {
			w.see(u, int(i))
		}
	}
}

// see compares the samples of one Update with what is waited for.
func (w *waiter) see(u *watch.Update, index int) {
	if u.Sent < w.after {
		return
	}
	w.step = "and the node sent other metrics since"
	for i := range u.Samples {
		s := &u.Samples[i]
		if s.Index != index || s.Historical {
			continue
		}
		if same(s.Value, w.want) {
			w.answer(confirmation{value: s.Value.Clone(), time: s.Time})
			return
		}
		w.step = fmt.Sprintf("and the node reported %s instead", s.Value.String())
	}
}

func (w *waiter) answer(c confirmation) {
	select {
	case w.reply <- c:
	default: // answered already
	}
}

// same compares as equipment does: floating-point values within what a 32-bit
// register loses.
func same(a, b sparkplug.Value) bool {
	if a.IsNull() || b.IsNull() {
		return a.IsNull() && b.IsNull()
	}
	if whole, part := a.Template(), b.Template(); whole != nil && part != nil {
		return holds(whole, part)
	}
	if a.Type().Numeric() && b.Type().Numeric() && !(a.Type().Integer() && b.Type().Integer()) {
		x, y := a.Float64(), b.Float64()
		return x == y || math.Abs(x-y) <= 1e-6*max(math.Abs(x), math.Abs(y)) || math.IsNaN(x) && math.IsNaN(y)
	}
	return a.Equal(b)
}

// holds says whether an instance has the members of another with their values.
func holds(whole, part *sparkplug.Template) bool {
	for i := range part.Metrics {
		p := &part.Metrics[i]
		at := slices.IndexFunc(whole.Metrics, func(m sparkplug.Metric) bool { return m.Name == p.Name })
		if at < 0 || !same(whole.Metrics[at].Value, p.Value) {
			return false
		}
	}
	return true
}
