package monitor_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/magneto-iiot/magneto/services/event"
	"github.com/magneto-iiot/magneto/services/monitor"
)

// model is the machine as a person would draw it: three questions, not six states.
type model struct {
	on, raised, seen bool // seen: nothing is left to be acknowledged
	silence          string
	until            time.Time
}

func (m *model) state(latched bool) string {
	switch active := m.on || latched && m.raised; {
	case m.silence != "":
		return m.silence
	case active && m.seen:
		return "ACKED"
	case active:
		return "UNACK"
	case !m.seen:
		return "RTNUN"
	}
	return "NORM"
}

// notice brings what was told up to what is, unless there is silence.
func (m *model) notice(latched bool) (told []string) {
	switch {
	case m.silence != "":
	case m.on && !m.raised:
		m.raised, m.seen = true, false
		told = append(told, "Raised")
	case !m.on && m.raised && !latched:
		m.raised = false
		told = append(told, "Cleared")
	}
	return told
}

// speak ends a silence: what is active is to be seen again, what is not needs no one.
func (m *model) speak(latched bool, as string) []string {
	m.silence = ""
	m.seen = !m.on && (!m.raised || !latched)
	return append([]string{as}, m.notice(latched)...)
}

// do applies an input, and returns what is told; ok is false for an illegal one.
func (m *model) do(latched bool, in monitor.Input, now time.Time) (told []string, ok bool) {
	if m.silence == "SHLVD" && !now.Before(m.until) {
		told = m.speak(latched, "Unshelved")
	}
	state := m.state(latched)
	switch in := in.(type) {
	case monitor.ConditionIs:
		m.on = in.On
		return append(told, m.notice(latched)...), true
	case monitor.Ack:
		m.seen = true
		return append(told, "Acknowledged"), state == "UNACK" || state == "RTNUN"
	case monitor.Shelve:
		m.silence, m.until = "SHLVD", in.Until
		return append(told, "Shelved"), state != "SHLVD" && state != "OOSRV" && in.Until.After(now)
	case monitor.Unshelve:
		return append(told, m.speak(latched, "Unshelved")...), state == "SHLVD"
	case monitor.TakeOut:
		m.silence = "OOSRV"
		return append(told, "OutOfService"), state != "OOSRV"
	case monitor.PutBack:
		return append(told, m.speak(latched, "OutOfService")...), state == "OOSRV"
	case monitor.Reset:
		m.raised = false
		return append(told, "Cleared"), state == "ACKED" && !m.on
	}
	return told, true
}

func anyInput(t *rapid.T, now time.Time) monitor.Input {
	inputs := []monitor.Input{
		monitor.ConditionIs{On: true},
		monitor.ConditionIs{},
		monitor.ConditionIs{On: true, Value: new(1.5)},
		monitor.Ack{By: "a"},
		monitor.Ack{By: "a"},
		monitor.Unshelve{By: "b"},
		monitor.TakeOut{By: "c"},
		monitor.PutBack{By: "d"},
		monitor.Shelve{By: "e", Until: now.Add(time.Duration(rapid.IntRange(-1, 9).Draw(t, "shelf")) * time.Second)},
		monitor.Reset{By: "f"},
		monitor.Tick{},
	}
	return timed(inputs[rapid.IntRange(0, len(inputs)-1).Draw(t, "input")], now)
}

// The machine does what the model does; raised and cleared alternate; silence is
// silent; nothing is told without a change; and a restart changes nothing.
func TestAlarmLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := limitRule(80)
		r.Latched = rapid.Bool().Draw(t, "latched")
		a, m := monitor.NewAlarm("pump-1", &r), model{seen: true}
		now, raised := t0, false
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "passes")) * time.Second)
			in := anyInput(t, now)
			if rapid.Bool().Draw(t, "restart") {
				b, err := json.Marshal(a)
				require.NoError(t, err)
				var again monitor.Alarm
				require.NoError(t, json.Unmarshal(b, &again))
				require.Equal(t, a, again)
				a = again
			}
			before := m
			want, legal := m.do(r.Latched, in, now)
			if _, isReset := in.(monitor.Reset); isReset && !r.Latched {
				legal = false
			}
			next, fx, err := a.Step(&r, in)
			require.Equal(t, legal, err == nil, "%T in %s: %v", in, a.State, err)
			if !legal {
				require.True(t, errors.Is(err, monitor.ErrState) || errors.Is(err, monitor.ErrInput))
				require.Equal(t, a, next)
				require.Empty(t, fx)
				m = before
				continue
			}
			got := []string{}
			for _, e := range fx {
				got = append(got, strings.TrimPrefix(e.Type.Name(), "Alarm"))
				require.False(t, e.At.Before(t0) || e.At.After(now))
				switch e.Type {
				case event.AlarmRaised:
					require.False(t, raised)
					raised = true
				case event.AlarmCleared:
					require.True(t, raised)
					raised = false
				}
			}
			require.Equal(t, append([]string{}, want...), got, fmt.Sprintf("%T", in))
			require.Equal(t, m.state(r.Latched), string(next.State))
			require.Equal(t, raised, next.Raised)
			if len(fx) > 0 {
				require.Equal(t, string(next.State), fx[len(fx)-1].Data.State)
			} else {
				require.Equal(t, a.State, next.State, "no change of state is untold")
			}
			a = next
		}
	})
}

// However a signal flaps, an alarm is raised once per on-delay and off-delay at most.
func TestNoFlood(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := limitRule(80)
		r.OnDelay = monitor.Duration(rapid.IntRange(1, 5).Draw(t, "on-delay")) * second
		r.OffDelay = monitor.Duration(rapid.IntRange(1, 5).Draw(t, "off-delay")) * second
		c, err := monitor.NewCondition(r, t0)
		require.NoError(t, err)
		a := monitor.NewAlarm("pump-1", &r)
		var raised []time.Time
		now := t0
		for range 80 {
			now = now.Add(time.Duration(rapid.IntRange(1, 3000).Draw(t, "ms")) * time.Millisecond)
			v := rapid.SampledFrom([]float64{79, 81}).Draw(t, "value")
			for _, ch := range c.Observe("temp", monitor.Num(now, v), nil) {
				next, fx, err := a.Step(&r, ch.Input())
				require.NoError(t, err)
				require.Len(t, fx, 1)
				if a = next; a.On {
					raised = append(raised, ch.At)
				}
			}
		}
		for i := 1; i < len(raised); i++ {
			require.GreaterOrEqual(t, raised[i].Sub(raised[i-1]), time.Duration(r.OnDelay+r.OffDelay))
		}
		require.Equal(t, uint64(len(raised)), a.Raises)
	})
}
