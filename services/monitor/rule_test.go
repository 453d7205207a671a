package monitor_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/services/event"
	"github.com/magneto-iiot/magneto/services/monitor"
)

var t0 = time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC)

const second = monitor.Duration(time.Second)

func at(s float64) time.Time { return t0.Add(time.Duration(s * float64(time.Second))) }

func limitRule(limit float64) monitor.Rule {
	return monitor.Rule{
		ID: "hot", Kind: monitor.KindLimit, Priority: monitor.High, Metric: "temp", Side: monitor.SideHigh, Limit: new(limit),
	}
}

func exprRule(source string) monitor.Rule {
	return monitor.Rule{
		ID: "both", Kind: monitor.KindExpression, Priority: monitor.Low, Expression: source,
		Inputs: []monitor.Var{{Name: "t", Metric: "Motor/Temp", Type: monitor.Number}, {Name: "on", Metric: "Motor/Running", Type: monitor.Bool}},
	}
}

func TestParseRules(t *testing.T) {
	text := `[
		{"id":"hi","kind":"limit","priority":"high","metric":"temp","side":"high","limit":80,"deadband":2,"on_delay":"5s","off_delay":"10s"},
		{"id":"hihi","kind":"limit","priority":"critical","metric":"temp","side":"hihi","limit":95,"latched":true,"max_shelve":"1h"},
		{"id":"fast","kind":"rate","priority":"medium","metric":"temp","side":"both","limit":0.5,"window":"1m","m":2,"n":3},
		{"id":"off","kind":"deviation","priority":"low","metric":"temp","side":"low","limit":-4,"setpoint_metric":"sp"},
		{"id":"dead","kind":"nodata","priority":"high","after":"30s","class":"pump","assets":["p-1"]},
		{"id":"odd","kind":"expression","priority":"low","expression":"abs(t) > 5 and not on","inputs":[
			{"name":"t","metric":"Motor/Temp","type":"number"},{"name":"on","metric":"Motor/Running","type":"bool"}]}]`
	rules, err := monitor.ParseRules([]byte(text))
	require.NoError(t, err)
	require.Len(t, rules, 6)
	require.Equal(t, 5*second, rules[0].OnDelay)
	b, err := json.Marshal(rules)
	require.NoError(t, err)
	again, err := monitor.ParseRules(b)
	require.NoError(t, err)
	require.Equal(t, rules, again)

	pump := monitor.Asset{ID: "p-1", Asset: event.Asset{Class: "pump"}}
	require.True(t, rules[4].Applies(&pump))
	require.True(t, rules[0].Applies(&pump))
	pump.ID = "p-2"
	require.False(t, rules[4].Applies(&pump))
	pump = monitor.Asset{ID: "p-1", Asset: event.Asset{Class: "fan"}}
	require.False(t, rules[4].Applies(&pump))
}

func TestParseRulesRefuses(t *testing.T) {
	good := `{"id":"a","kind":"nodata","priority":"low","after":"1s"}`
	for text, want := range map[string]string{
		`{}`:   "rules: near byte",
		`null`: "rules: null is no array",
		`[` + strings.Replace(good, "1s", "1", 1) + `]`:   "is not a number with a unit",
		`[` + strings.Replace(good, "id", "key", 1) + `]`: `unknown field "key"`,
		`[` + good + `,` + good + `]`:                     `rules[1].id: "a" is that of rules[0] too`,
		`[` + good + `] x`:                                "rules: something follows",
		`[` + good + `] []`:                               "rules: something follows",
		`[` + good + `,{}]`:                               `rules[1].kind: "" is none of`,
		strings.Repeat(" ", monitor.MaxRulesSize+1):       "rules: 16777217 bytes",
	} {
		_, err := monitor.ParseRules([]byte(text))
		require.ErrorContains(t, err, want)
		require.ErrorAs(t, err, new(*monitor.Fault))
	}
	require.ErrorContains(t, monitor.CheckRules(make([]monitor.Rule, monitor.MaxRules+1)), "10001 rules")
}

func TestCheck(t *testing.T) {
	nan := 0.0
	nan /= nan
	deviation := func(r *monitor.Rule) { r.Kind, r.Setpoint = monitor.KindDeviation, new(1.0) }
	for want, change := range map[string]func(*monitor.Rule){
		"id: \"a/b\" is not":               func(r *monitor.Rule) { r.ID = "a/b" },
		"name: 257 bytes":                  func(r *monitor.Rule) { r.Name = strings.Repeat("x", 257) },
		"class: \"\\x00\" has control":     func(r *monitor.Rule) { r.Class = "\x00" },
		"assets[1]: \"\" is not":           func(r *monitor.Rule) { r.Assets = []string{"a", ""} },
		"priority: \"urgent\" is none":     func(r *monitor.Rule) { r.Priority = "urgent" },
		"kind: \"x\" is none":              func(r *monitor.Rule) { r.Kind = "x" },
		"on_delay: -1s is not from 0s":     func(r *monitor.Rule) { r.OnDelay = -second },
		"off_delay: 48h0m0s is not":        func(r *monitor.Rule) { r.OffDelay = 2 * monitor.MaxDelay },
		"max_shelve: -1s is":               func(r *monitor.Rule) { r.MaxShelve = -second },
		"m: 3 of 2 is not":                 func(r *monitor.Rule) { r.M, r.N = 3, 2 },
		"m: 1 of 65 is not":                func(r *monitor.Rule) { r.M, r.N = 1, 65 },
		"m: 0 of 2 is not":                 func(r *monitor.Rule) { r.N = 2 },
		"metric: is missing: kind limit":   func(r *monitor.Rule) { r.Metric = "" },
		"side: is missing":                 func(r *monitor.Rule) { r.Side = "" },
		"side: \"both\" is none":           func(r *monitor.Rule) { r.Side = monitor.SideBoth },
		"limit: is missing":                func(r *monitor.Rule) { r.Limit = nil },
		"limit: NaN is no number":          func(r *monitor.Rule) { r.Limit = &nan },
		"deadband: -1 is negative":         func(r *monitor.Rule) { r.Deadband = -1 },
		"window: kind limit has none":      func(r *monitor.Rule) { r.Window = second },
		"window: is missing":               func(r *monitor.Rule) { r.Kind = monitor.KindRate },
		"window: 1ns is not":               func(r *monitor.Rule) { r.Kind, r.Window = monitor.KindRate, 1 },
		"setpoint: give this or":           func(r *monitor.Rule) { r.Kind = monitor.KindDeviation },
		"setpoint_metric: \"temp\" is the": func(r *monitor.Rule) { r.Kind, r.SetpointMetric = monitor.KindDeviation, "temp" },
		"limit: -5 is negative: side both": func(r *monitor.Rule) { deviation(r); r.Side, r.Limit = monitor.SideBoth, new(-5.0) },
		"deadband: 90 is beyond the limit": func(r *monitor.Rule) { deviation(r); r.Side, r.Deadband = monitor.SideBoth, 90 },
		"setpoint: NaN is no":              func(r *monitor.Rule) { deviation(r); r.Setpoint = &nan },
		"after: is missing":                func(r *monitor.Rule) { r.Kind = monitor.KindNoData },
		"after: 1ns is not":                func(r *monitor.Rule) { r.Kind, r.After = monitor.KindNoData, 1 },
		"expression: is missing":           func(r *monitor.Rule) { r.Kind = monitor.KindExpression },
		"inputs: kind limit has none":      func(r *monitor.Rule) { r.Inputs = []monitor.Var{{}} },
	} {
		r := limitRule(80)
		require.NoError(t, r.Check())
		change(&r)
		require.ErrorContains(t, r.Check(), "monitor: "+want)
		_, err := monitor.NewCondition(r, t0)
		require.Equal(t, r.Check(), err)
	}
}

// All faults are told at once.
func TestCheckAll(t *testing.T) {
	r := monitor.Rule{Kind: monitor.KindLimit, OnDelay: -1, M: 2}
	err := r.Check()
	for _, want := range []string{"id:", "priority:", "on_delay:", "m:", "metric:", "side:", "limit:"} {
		require.ErrorContains(t, err, "monitor: "+want)
	}
	require.Equal(t, 6, strings.Count(err.Error(), "\n"))
}

func TestExpressionFaults(t *testing.T) {
	for source, want := range map[string]string{
		"t >":                                  "expression: column",
		"t > 1 and on and x":                   "expression: column 18: unknown name x",
		"t + 1 == 2 ? on : t":                  "expression: ",
		"t and on":                             "expression: column 3: invalid operation",
		"t + (on ? 1 : 2)":                     "expression: expected bool",
		"on and t in 1..9":                     "is not allowed here",
		"on and t in [1, 2]":                   "is not allowed here",
		"on and all([t], # > 1)":               "expression: ",
		"on and t > now().Unix()":              "expression: ",
		"on and len(string(t)) > 2":            "expression: ",
		"let x = t; on and x > 1":              "is not allowed here",
		"on and '' matches '^(a+)+$'":          "is not allowed here",
		"on and t > 1 % 0":                     "expression: ",
		"on":                                   `inputs[0].name: "t" is not used`,
		"on and t > 1; on":                     "is not allowed here",
		"on and t?.x":                          "is not allowed here",
		strings.Repeat("t > 1 or on or ", 100): "expression: 1500 bytes, at most 1024",
		strings.Repeat("on||", 200) + "t>1":    "expression exceeds maximum allowed nodes",
	} {
		r := exprRule(source)
		require.ErrorContains(t, r.Check(), want, source)
	}
	for want, vars := range map[string][]monitor.Var{
		`inputs[0].name: "1a" is not a letter`: {{Name: "1a", Metric: "m", Type: monitor.Bool}},
		`inputs[0].name: "abs" is a function`:  {{Name: "abs", Metric: "m", Type: monitor.Bool}},
		`inputs[1].name: "on" is there twice`:  {{Name: "on", Metric: "m", Type: monitor.Bool}, {Name: "on", Metric: "n", Type: monitor.Bool}},
		`inputs[0].metric: is missing`:         {{Name: "on", Type: monitor.Bool}},
		`inputs[0].type: "" is none of`:        {{Name: "on", Metric: "m"}},
		`inputs: 33, at most 32`:               make([]monitor.Var, 33),
	} {
		r := exprRule("on")
		r.Inputs = vars
		require.ErrorContains(t, r.Check(), want)
	}
	for _, word := range []string{"true", "not", "in", "nil", "let"} {
		r := exprRule(word)
		r.Inputs = []monitor.Var{{Name: word, Metric: "m", Type: monitor.Bool}}
		require.Error(t, r.Check(), word)
	}
}

// What people write gives faults, and never a panic; what is accepted runs.
func FuzzExpression(f *testing.F) {
	for _, s := range []string{"t > 5 and on", "on ? t < 1 : t > 2", "10 % (on ? 1 : 0) == t", "max(t, 3) ** 2 > abs(-t)", "let x = t; x > 1", "((((", "t..t"} {
		f.Add(s, 1.5)
	}
	f.Fuzz(func(t *testing.T, source string, v float64) {
		r := exprRule(source)
		c, err := monitor.NewCondition(r, t0)
		if err != nil {
			require.ErrorAs(t, err, new(*monitor.Fault))
			return
		}
		c.Observe("Motor/Temp", monitor.Num(t0, v), nil)
		ch := c.Observe("Motor/Running", monitor.Flag(t0, true), nil)
		require.Equal(t, len(ch) == 1, c.On(), fmt.Sprint(ch))
		require.Equal(t, c.Stats().Faults > 0, c.Faulty() != "")
	})
}

func FuzzParseRules(f *testing.F) {
	f.Add([]byte(`[{"id":"a","kind":"nodata","priority":"low","after":"1s"}]`))
	f.Add([]byte(`[{"id":"a","kind":"limit","priority":"low","metric":"m","side":"low","limit":-1e9,"m":1,"n":2}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		rules, err := monitor.ParseRules(b)
		if err != nil {
			return
		}
		out, err := json.Marshal(rules)
		require.NoError(t, err)
		again, err := monitor.ParseRules(out)
		require.NoError(t, err)
		out2, err := json.Marshal(again)
		require.NoError(t, err)
		require.Equal(t, string(out), string(out2))
		for _, r := range rules {
			_, err := monitor.NewCondition(r, t0)
			require.NoError(t, err)
		}
	})
}
