package workorder_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/magneto-iiot/magneto/services/event"
	"github.com/magneto-iiot/magneto/services/workorder"
)

var noon = time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC)

func need(parts bool) workorder.Need {
	n := workorder.Need{Duration: time.Hour, Earliest: noon, Latest: noon.Add(8 * time.Hour), Skills: []string{"mechanic"}, Tools: []string{"puller"}}
	if parts {
		n.Parts = []event.Part{{Part: "bearing", Quantity: 1}}
	}
	return n
}

// drive gives an order inputs, each about its present reservation, and wants each to
// have an effect.
func drive(t *testing.T, o workorder.Order, inputs ...workorder.Input) (workorder.Order, []workorder.Effect) {
	t.Helper()
	var all []workorder.Effect
	for _, in := range inputs {
		in.Reservation = o.Reservation()
		if in.Now.IsZero() {
			in.Now = noon
		}
		next, fx, ok := workorder.Step(o, in)
		require.True(t, ok, "%v in %s", in.Kind, o.State)
		require.Greater(t, next.Version, o.Version)
		o, all = next, append(all, fx...)
	}
	return o, all
}

func does(fx []workorder.Effect) (all []workorder.Do) {
	for _, f := range fx {
		all = append(all, f.Do)
	}
	return all
}

func slot() *workorder.Slot {
	return &workorder.Slot{Start: noon.Add(time.Hour), End: noon.Add(2 * time.Hour), Technicians: []string{"ann"}, Tools: []string{"puller"}}
}

func TestWay(t *testing.T) {
	o, fx := workorder.Begin("WO-1", need(true), true, noon)
	require.Equal(t, workorder.AwaitingApproval, o.State)
	require.Equal(t, []workorder.Do{workorder.Tell}, does(fx))
	for _, x := range []struct {
		in   workorder.Input
		want workorder.State
		do   []workorder.Do
	}{
		{workorder.Input{Kind: workorder.Approved, By: "eve"}, workorder.ReservingResources, []workorder.Do{workorder.Tell, workorder.ReserveResources}},
		{workorder.Input{Kind: workorder.Reserved, Slot: slot()}, workorder.ReservingParts, []workorder.Do{workorder.Tell, workorder.ReserveParts}},
		{workorder.Input{Kind: workorder.PartsReserved}, workorder.Confirming, []workorder.Do{workorder.Tell, workorder.Confirm}},
		{workorder.Input{Kind: workorder.Confirmed}, workorder.Scheduled, []workorder.Do{workorder.Tell}},
		{workorder.Input{Kind: workorder.Started, By: "ann"}, workorder.InProgress, []workorder.Do{workorder.Tell}},
		{workorder.Input{Kind: workorder.Held, Reason: "no light"}, workorder.OnHold, []workorder.Do{workorder.Tell}},
		{workorder.Input{Kind: workorder.Resumed, By: "ann"}, workorder.InProgress, []workorder.Do{workorder.Tell}},
		{workorder.Input{Kind: workorder.Done, By: "ann"}, workorder.Completed, []workorder.Do{workorder.TellCompleted, workorder.Tell}},
		{workorder.Input{Kind: workorder.Verified, By: "eve"}, workorder.Closed, []workorder.Do{workorder.Tell}},
	} {
		o, fx = drive(t, o, x.in)
		require.Equal(t, x.want, o.State)
		require.Equal(t, x.do, does(fx), x.want)
	}
	require.Zero(t, o.Deadline)
}

func TestRefusals(t *testing.T) {
	o, _ := workorder.Begin("WO-1", need(false), false, noon)
	first := o.Reservation()
	for range 3 {
		latest := o.Need.Latest
		o, _ = drive(t, o, workorder.Input{Kind: workorder.Rejected, Reason: "ann is away"})
		require.Equal(t, workorder.ReservingResources, o.State)
		require.True(t, o.Need.Latest.After(latest), "a wider window")
		require.NotEqual(t, first, o.Reservation())
	}
	o, _ = drive(t, o, workorder.Input{Kind: workorder.Rejected, Reason: "ann is away"})
	require.Equal(t, workorder.NeedsPlanner, o.State)
	require.Contains(t, o.Reason, "ann is away")
	o, fx := drive(t, o, workorder.Input{Kind: workorder.Retry, By: "pat"}, workorder.Input{Kind: workorder.Reserved, Slot: slot()})
	require.Equal(t, workorder.Confirming, o.State, "without parts there is nothing to reserve")
	require.NotContains(t, does(fx), workorder.ReserveParts)
	o, fx = drive(t, o, workorder.Input{Kind: workorder.Cancel, Reason: "the anomaly is gone"})
	require.Equal(t, workorder.Compensating, o.State)
	require.Contains(t, does(fx), workorder.Release)
	_, _, ok := workorder.Step(o, workorder.Input{Kind: workorder.Confirmed, Reservation: o.Reservation(), Now: noon})
	require.False(t, ok, "too late")
	o, fx = drive(t, o, workorder.Input{Kind: workorder.Released})
	require.Equal(t, workorder.Cancelled, o.State)
	require.Equal(t, "the anomaly is gone", o.Reason)
	require.Contains(t, does(fx), workorder.TellCancelled)
}

func TestPartsAreMissing(t *testing.T) {
	o, _ := workorder.Begin("WO-1", need(true), false, noon)
	eta := noon.Add(48 * time.Hour)
	o, fx := drive(t, o, workorder.Input{Kind: workorder.Reserved, Slot: slot()}, workorder.Input{Kind: workorder.PartsRejected, Reason: "bearing", Until: eta})
	require.Equal(t, workorder.WaitingParts, o.State)
	require.Contains(t, does(fx), workorder.Release, "nobody waits for a part")
	require.Nil(t, o.Slot)
	require.Equal(t, eta, o.Deadline)
	o, _ = drive(t, o, workorder.Input{Kind: workorder.Tick, Now: eta})
	require.Equal(t, workorder.ReservingResources, o.State)
	require.Equal(t, 2, o.Attempt)
}

// An order that has waited beyond its window gets a new one.
func TestLateWindow(t *testing.T) {
	o, _ := workorder.Begin("WO-1", need(true), false, noon)
	late := noon.Add(90 * 24 * time.Hour)
	o, _ = drive(t, o, workorder.Input{Kind: workorder.Reserved, Slot: slot()}, workorder.Input{Kind: workorder.PartsRejected, Until: late})
	o, _ = drive(t, o, workorder.Input{Kind: workorder.Tick, Now: late})
	require.Equal(t, late, o.Need.Earliest)
	require.Equal(t, late.Add(8*time.Hour), o.Need.Latest)
}

func TestNoAnswer(t *testing.T) {
	o, _ := workorder.Begin("WO-1", need(false), false, noon)
	id, sent, now := o.Reservation(), 1, noon
	for o.State == workorder.ReservingResources {
		_, _, early := workorder.Step(o, workorder.Input{Kind: workorder.Tick, Now: o.Deadline.Add(-1)})
		require.False(t, early)
		require.True(t, o.Deadline.After(now))
		now = o.Deadline
		var fx []workorder.Effect
		o, fx = drive(t, o, workorder.Input{Kind: workorder.Tick, Now: now})
		for _, f := range fx {
			if f.Do == workorder.ReserveResources {
				require.Equal(t, id, f.Reservation)
				sent++
			}
		}
	}
	require.Equal(t, workorder.NeedsPlanner, o.State)
	require.Equal(t, 5, sent)
}

func TestReminders(t *testing.T) {
	o, _ := workorder.Begin("WO-1", need(false), true, noon)
	o, fx := drive(t, o, workorder.Input{Kind: workorder.Tick, Now: noon.Add(24 * time.Hour)})
	require.Equal(t, []workorder.Do{workorder.TellOverdue}, does(fx))
	o, _ = drive(t, o, workorder.Input{Kind: workorder.Tick, Now: noon.Add(72 * time.Hour)})
	require.Equal(t, workorder.NeedsPlanner, o.State)
	require.True(t, o.State.Open())
	o, _ = drive(t, o, workorder.Input{Kind: workorder.Cancel, Reason: "no"})
	require.Equal(t, workorder.Cancelled, o.State)
	require.False(t, o.State.Open())
	_, _, ok := workorder.Step(o, workorder.Input{Kind: workorder.Cancel})
	require.False(t, ok)
}

// Whatever comes in whatever order: nothing panics, what has no effect changes
// nothing, and no order waits for a machine without a deadline.
func TestAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := noon
		o, _ := workorder.Begin("WO-1", need(rapid.Bool().Draw(t, "parts")), rapid.Bool().Draw(t, "approval"), now)
		for range rapid.IntRange(1, 60).Draw(t, "inputs") {
			now = now.Add(time.Duration(rapid.IntRange(-3600, 36000).Draw(t, "s")) * time.Second)
			in := workorder.Input{Kind: workorder.Kind(rapid.IntRange(0, int(workorder.Tick)+1).Draw(t, "kind")), Now: now, Reason: "so"}
			if rapid.Bool().Draw(t, "slot") {
				in.Slot = slot()
			}
			if rapid.IntRange(0, 4).Draw(t, "late") > 0 {
				in.Reservation = o.Reservation()
			}
			before, err := json.Marshal(o)
			require.NoError(t, err)
			next, fx, ok := workorder.Step(o, in)
			after, err := json.Marshal(o)
			require.NoError(t, err)
			require.JSONEq(t, string(before), string(after), "Step has changed its argument")
			if !ok {
				require.Empty(t, fx)
				require.Equal(t, o, next)
				continue
			}
			require.LessOrEqual(t, o.Version, next.Version)
			o = next
			switch o.State {
			case workorder.ReservingResources, workorder.ReservingParts, workorder.Confirming, workorder.Compensating, workorder.WaitingParts:
				require.False(t, o.Deadline.IsZero(), o.State)
			case workorder.Scheduled, workorder.InProgress:
				require.NotNil(t, o.Slot)
			case workorder.NeedsPlanner, workorder.Cancelled:
				require.Nil(t, o.Slot, o.State)
			}
			var again workorder.Order
			b, err := json.Marshal(o)
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(b, &again))
			require.Equal(t, o, again, "kept in a database and read back")
		}
	})
}

// desk is a simple Scheduling: one technician with two hours to give.
type desk struct {
	Held map[string]int  // reservation -> hour
	Firm map[string]bool // confirmed
	Gone map[string]bool // given back, expired, or never to be had
}

func (d *desk) free() int {
	for hour := range 2 {
		if !slices.Contains(slices.Collect(maps.Values(d.Held)), hour) {
			return hour
		}
	}
	return -1
}

// obey answers a command.
func (d *desk) obey(f workorder.Effect) workorder.Input {
	in := workorder.Input{Reservation: f.Reservation, Now: noon}
	hour, held := d.Held[f.Reservation]
	switch f.Do {
	case workorder.ReserveResources:
		if !held && d.Gone[f.Reservation] {
			in.Kind = workorder.Released
			return in
		}
		if !held {
			if hour = d.free(); hour < 0 {
				in.Kind, in.Reason = workorder.Rejected, "no hour is free"
				d.Gone[f.Reservation] = true
				return in
			}
			d.Held[f.Reservation] = hour
		}
		in.Kind, in.Slot = workorder.Reserved, &workorder.Slot{Start: noon.Add(time.Duration(hour) * time.Hour), End: noon.Add(time.Duration(hour+1) * time.Hour)}
	case workorder.ReserveParts:
		in.Kind = workorder.PartsReserved
		if !held {
			in.Kind = workorder.Expired
		}
	case workorder.Confirm:
		in.Kind = workorder.Confirmed
		if !held {
			in.Kind = workorder.Expired
		} else {
			d.Firm[f.Reservation] = true
		}
	case workorder.Release:
		in.Kind = workorder.Released
		d.drop(f.Reservation)
	}
	return in
}

func (d *desk) drop(id string) {
	delete(d.Held, id)
	delete(d.Firm, id)
	d.Gone[id] = true
}

// scene is two orders, the desk, and what is under way between them, in order each
// way.
type scene struct {
	Orders   [2]workorder.Order
	Desk     desk
	Commands []workorder.Effect
	Answers  []workorder.Input
	Cancels  int // that a person may still ask for
	Expiries int // holds that may still run out
	Ticks    int // deadlines that may still pass
}

func (s *scene) clone() *scene {
	c := *s
	c.Desk = desk{maps.Clone(s.Desk.Held), maps.Clone(s.Desk.Firm), maps.Clone(s.Desk.Gone)}
	c.Commands, c.Answers = slices.Clone(s.Commands), slices.Clone(s.Answers)
	return &c
}

func (s *scene) say(fx []workorder.Effect) {
	for _, f := range fx {
		if f.Do <= workorder.Release {
			s.Commands = append(s.Commands, f)
		}
	}
}

func (s *scene) step(i int, in workorder.Input) bool {
	next, fx, ok := workorder.Step(s.Orders[i], in)
	s.Orders[i] = next
	s.say(fx)
	return ok
}

// next are all scenes that can follow.
func (s *scene) next() (all []*scene) {
	if len(s.Commands) > 0 {
		c := s.clone()
		c.Answers = append(c.Answers, c.Desk.obey(c.Commands[0]))
		c.Commands = c.Commands[1:]
		all = append(all, c)
	}
	if len(s.Answers) > 0 {
		c := s.clone()
		for i := range c.Orders {
			c.step(i, c.Answers[0])
		}
		c.Answers = c.Answers[1:]
		all = append(all, c)
	}
	for i, o := range s.Orders {
		if c := s.clone(); s.Cancels > 0 && c.step(i, workorder.Input{Kind: workorder.Cancel, Now: noon, Reason: "cancelled"}) {
			c.Cancels--
			all = append(all, c)
		}
		waits := o.State != workorder.Scheduled && !o.Deadline.IsZero()
		if c := s.clone(); waits && s.Ticks > 0 && c.step(i, workorder.Input{Kind: workorder.Tick, Now: o.Deadline}) {
			c.Ticks--
			all = append(all, c)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.Desk.Held)) {
		if s.Expiries > 0 && !s.Desk.Firm[id] {
			c := s.clone()
			c.Expiries--
			c.Desk.drop(id)
			c.Answers = append(c.Answers, workorder.Input{Kind: workorder.Expired, Reservation: id, Now: noon})
			all = append(all, c)
		}
	}
	return all
}

func (s *scene) settled() bool { return len(s.Commands) == 0 && len(s.Answers) == 0 }

// check is what holds when nothing is under way: an order that is scheduled has its
// firm hour, one that is not holds none, and no hour is given twice.
func (s *scene) check(t *testing.T) {
	hours := slices.Sorted(maps.Values(s.Desk.Held))
	require.Len(t, slices.Compact(hours), len(s.Desk.Held), "an hour was given twice")
	if !s.settled() {
		return
	}
	held := map[string]bool{}
	for i := range s.Orders {
		o := &s.Orders[i]
		id := o.Reservation()
		switch o.State {
		case workorder.Scheduled:
			require.True(t, s.Desk.Firm[id], "scheduled without a firm hour")
			require.Equal(t, noon.Add(time.Duration(s.Desk.Held[id])*time.Hour), o.Slot.Start)
			held[id] = true
		case workorder.NeedsPlanner, workorder.Cancelled:
		default:
			t.Fatalf("%s: nothing is under way and the order waits in %s", o.ID, o.State)
		}
	}
	for id := range s.Desk.Held {
		require.True(t, held[id], "somebody is held for nothing")
	}
}

// All orders in which two sagas, one technician, holds that run out, deadlines that
// pass and a person who cancels can meet.
func TestAllInterleavings(t *testing.T) {
	t.Run("at once", func(t *testing.T) { interleave(t, 1) })
	t.Run("sent often", func(t *testing.T) { interleave(t, 5) })
}

// interleave lets two orders meet whose first command was sent that often already.
func interleave(t *testing.T, sent int) {
	first := &scene{Desk: desk{map[string]int{"another": 0}, map[string]bool{"another": true}, map[string]bool{}}, Cancels: 1, Expiries: 1, Ticks: 1}
	for i := range first.Orders {
		o, fx := workorder.Begin(fmt.Sprint("WO-", i), need(i == 0), false, noon)
		o.Sent = sent
		first.Orders[i] = o
		first.say(fx)
	}
	// The other's hour is never given back: one hour is left for two orders.
	seen := map[string]bool{}
	queue, ends := []*scene{first}, map[string]int{}
	for len(queue) > 0 {
		s := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		key, err := json.Marshal(s)
		require.NoError(t, err)
		if seen[string(key)] {
			continue
		}
		seen[string(key)] = true
		if s.settled() {
			delete(s.Desk.Held, "another")
			s.check(t)
			s.Desk.Held["another"] = 0
			ends[string(s.Orders[0].State)+" "+string(s.Orders[1].State)]++
		} else {
			s.check(t)
		}
		queue = append(queue, s.next()...)
	}
	t.Logf("%d scenes; settled: %v", len(seen), ends)
	for _, want := range []string{"SCHEDULED NEEDS_PLANNER", "NEEDS_PLANNER SCHEDULED", "CANCELLED SCHEDULED", "SCHEDULED CANCELLED"} {
		require.Positive(t, ends[want], want)
	}
	require.Zero(t, ends["SCHEDULED SCHEDULED"])
}
