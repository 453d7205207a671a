package monitor_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/services/event"
	"github.com/magneto-iiot/magneto/services/monitor"
)

// say writes effects as the names of their types and their states.
func say(fx []monitor.Effect) string {
	var s []string
	for _, e := range fx {
		s = append(s, strings.TrimPrefix(e.Type.Name(), "Alarm")+" "+e.Data.State)
	}
	return strings.Join(s, ", ")
}

func TestAlarm(t *testing.T) {
	on, off := monitor.ConditionIs{On: true}, monitor.ConditionIs{}
	ack, tick := monitor.Ack{By: "ann"}, monitor.Tick{}
	shelve := monitor.Shelve{By: "ann", Until: at(3.5)} // at step 1, 2 or 3
	unshelve, reset := monitor.Unshelve{By: "ann"}, monitor.Reset{By: "ann"}
	out, back := monitor.TakeOut{By: "ann"}, monitor.PutBack{By: "ann"}
	for name, tt := range map[string]struct {
		latched bool
		in      []monitor.Input
		want    string
	}{
		"raised, acked, cleared":    {false, []monitor.Input{on, on, ack, off, off}, "Raised UNACK; ; Acknowledged ACKED; Cleared NORM; "},
		"returned, acked":           {false, []monitor.Input{on, off, tick, ack}, "Raised UNACK; Cleared RTNUN; ; Acknowledged NORM"},
		"returned, back":            {false, []monitor.Input{on, off, on, ack}, "Raised UNACK; Cleared RTNUN; Raised UNACK; Acknowledged ACKED"},
		"latched":                   {true, []monitor.Input{on, off, ack, on, off, reset}, "Raised UNACK; ; Acknowledged ACKED; ; ; Cleared NORM"},
		"shelved, came":             {false, []monitor.Input{tick, shelve, on, tick}, "; Shelved SHLVD; ; Unshelved UNACK, Raised UNACK"},
		"shelved, came and went":    {false, []monitor.Input{shelve, on, off, tick}, "Shelved SHLVD; ; ; Unshelved NORM"},
		"shelved, went":             {false, []monitor.Input{on, shelve, off, tick}, "Raised UNACK; Shelved SHLVD; ; Unshelved NORM, Cleared NORM"},
		"shelved, stays":            {false, []monitor.Input{on, shelve, unshelve}, "Raised UNACK; Shelved SHLVD; Unshelved UNACK"},
		"shelf ends before input":   {false, []monitor.Input{on, shelve, tick, off}, "Raised UNACK; Shelved SHLVD; ; Unshelved UNACK, Cleared RTNUN"},
		"shelved, latched":          {true, []monitor.Input{on, shelve, off, tick, ack, reset}, "Raised UNACK; Shelved SHLVD; ; Unshelved UNACK; Acknowledged ACKED; Cleared NORM"},
		"out of service":            {false, []monitor.Input{out, on, back, out, off, back}, "OutOfService OOSRV; ; OutOfService UNACK, Raised UNACK; OutOfService OOSRV; ; OutOfService NORM, Cleared NORM"},
		"out of service from shelf": {false, []monitor.Input{shelve, out, tick, tick, back}, "Shelved SHLVD; OutOfService OOSRV; ; ; OutOfService NORM"},
	} {
		t.Run(name, func(t *testing.T) {
			r := limitRule(80)
			r.Latched = tt.latched
			a := monitor.NewAlarm("pump-1", &r)
			var got []string
			for i, in := range tt.in {
				next, fx, err := a.Step(&r, timed(in, at(float64(i+1))))
				require.NoError(t, err, "step %d", i)
				a = next
				got = append(got, say(fx))
			}
			require.Equal(t, tt.want, strings.Join(got, "; "))
		})
	}
}

// timed is in at another time.
func timed(in monitor.Input, t time.Time) monitor.Input {
	switch in := in.(type) {
	case monitor.ConditionIs:
		in.At = t
		return in
	case monitor.Ack:
		in.At = t
		return in
	case monitor.Shelve:
		in.At = t
		return in
	case monitor.Unshelve:
		in.At = t
		return in
	case monitor.TakeOut:
		in.At = t
		return in
	case monitor.PutBack:
		in.At = t
		return in
	case monitor.Reset:
		in.At = t
		return in
	}
	return monitor.Tick{At: t}
}

func TestAlarmData(t *testing.T) {
	r := limitRule(80)
	a := monitor.NewAlarm("pump-1", &r)
	a, fx, err := a.Step(&r, monitor.ConditionIs{At: at(1), On: true, Value: new(82.5), Quality: monitor.Good})
	require.NoError(t, err)
	require.Equal(t, []monitor.Effect{{Type: event.AlarmRaised, At: at(1), Data: event.Alarm{
		Asset: "pump-1", Rule: "hot", Priority: "high", State: "UNACK", Metric: "temp", Value: new(82.5), Limit: new(80.0), Quality: 192,
	}}}, fx)
	a, fx, err = a.Step(&r, monitor.Shelve{At: at(2), By: "ann", Until: at(60)})
	require.NoError(t, err)
	require.Equal(t, new(at(60)), fx[0].Data.Until)
	require.Equal(t, "ann", fx[0].Data.By)
	require.Equal(t, at(60), a.Deadline())
	a, fx, err = a.Step(&r, monitor.Tick{At: at(100)})
	require.NoError(t, err)
	require.Equal(t, at(60), fx[0].At, "the shelf ended then, not when it was looked at")
	require.Empty(t, fx[0].Data.By)
	require.Nil(t, fx[0].Data.Until)
	require.True(t, a.Deadline().IsZero())
	a, fx, err = a.Step(&r, monitor.Ack{At: at(3), By: "bob"})
	require.NoError(t, err, "a clock put back keeps nobody from acknowledging")
	require.Equal(t, at(100), fx[0].At)
	r.Latched = true
	a, fx, err = a.Step(&r, monitor.ConditionIs{At: at(101)})
	require.NoError(t, err)
	require.Empty(t, fx)
	r.Latched = false
	_, fx, err = a.Step(&r, monitor.Tick{At: at(102)})
	require.NoError(t, err)
	require.Equal(t, "Cleared NORM", say(fx), "a rule that latches no more lets go")
}

func TestAlarmRefuses(t *testing.T) {
	r, other := limitRule(80), limitRule(80)
	other.ID = "other"
	norm := monitor.NewAlarm("pump-1", &r)
	step := func(a monitor.Alarm, in monitor.Input) monitor.Alarm {
		a, _, err := a.Step(&r, in)
		require.NoError(t, err)
		return a
	}
	acked := step(step(norm, monitor.ConditionIs{At: at(1), On: true}), monitor.Ack{At: at(2), By: "ann"})
	shelved := step(norm, monitor.Shelve{At: at(1), By: "ann", Until: at(99)})
	out := step(norm, monitor.TakeOut{At: at(1), By: "ann"})
	for want, tt := range map[string]struct {
		a   monitor.Alarm
		in  monitor.Input
		err error
	}{
		"NORM: not possible now: has nothing to acknowledge":  {norm, monitor.Ack{At: at(5), By: "ann"}, monitor.ErrState},
		"ACKED: not possible now: has nothing to acknowledge": {acked, monitor.Ack{At: at(5), By: "ann"}, monitor.ErrState},
		"SHLVD: not possible now: is silent already":          {shelved, monitor.Shelve{At: at(5), By: "ann", Until: at(9)}, monitor.ErrState},
		"OOSRV: not possible now: is silent already":          {out, monitor.Shelve{At: at(5), By: "ann", Until: at(9)}, monitor.ErrState},
		"NORM: not possible now: is not shelved":              {shelved, monitor.Unshelve{At: at(99), By: "ann"}, monitor.ErrState},
		"OOSRV: not possible now: is out of service already":  {out, monitor.TakeOut{At: at(5), By: "ann"}, monitor.ErrState},
		"is not out of service":                               {norm, monitor.PutBack{At: at(5), By: "ann"}, monitor.ErrState},
		"is not latched, acknowledged":                        {acked, monitor.Reset{At: at(5), By: "ann"}, monitor.ErrState},
		"by is not a name":                                    {norm, monitor.TakeOut{At: at(5)}, monitor.ErrInput},
		"until is not later than now":                         {norm, monitor.Shelve{At: at(5), By: "ann", Until: at(5)}, monitor.ErrInput},
		"until is more than 8h0m0s ahead":                     {norm, monitor.Shelve{At: at(5), By: "ann", Until: at(8*3600 + 6)}, monitor.ErrInput},
		"there is none":                                       {norm, nil, monitor.ErrInput},
		"the time is missing":                                 {norm, monitor.Tick{}, monitor.ErrInput},
		"*monitor.Tick is unknown":                            {norm, &monitor.Tick{At: at(5)}, monitor.ErrInput},
	} {
		a, fx, err := tt.a.Step(&r, tt.in)
		require.ErrorIs(t, err, tt.err)
		require.ErrorContains(t, err, want)
		require.Equal(t, tt.a, a, "an error changes nothing")
		require.Empty(t, fx)
	}
	_, _, err := norm.Step(&other, monitor.Tick{At: at(1)})
	require.ErrorContains(t, err, "monitor: alarm hot of pump-1, NORM: not a proper input: that is another rule")
	_, _, err = norm.Step(nil, monitor.Tick{At: at(1)})
	require.ErrorIs(t, err, monitor.ErrInput)
}

func TestAlarmHides(t *testing.T) {
	r := limitRule(80)
	a := monitor.NewAlarm("pump-1", &r)
	for i, in := range []monitor.Input{
		monitor.Shelve{By: "ann", Until: at(50)},
		monitor.ConditionIs{On: true},
		monitor.ConditionIs{},
		monitor.ConditionIs{On: true},
		monitor.TakeOut{By: "ann"},
	} {
		next, _, err := a.Step(&r, timed(in, at(float64(i+1))))
		require.NoError(t, err)
		a = next
	}
	require.Equal(t, uint64(2), a.Hidden)
	require.Zero(t, a.Raises)
	require.True(t, a.Deadline().IsZero(), "the shelf went when it was taken out")
}
