package monitor_test

import (
	"fmt"
	"time"

	"github.com/magneto-iiot/magneto/services/monitor"
)

// A pump gets hot, somebody sees it, and it cools down.
func Example() {
	rules, err := monitor.ParseRules([]byte(`[{"id":"hot","kind":"limit","priority":"high","metric":"temp",
		"side":"high","limit":80,"deadband":2,"on_delay":"5s"}]`))
	if err != nil {
		fmt.Println(err)
		return
	}
	start := time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC)
	condition, err := monitor.NewCondition(rules[0], start)
	if err != nil {
		fmt.Println(err)
		return
	}
	alarm := monitor.NewAlarm("pump-1", &rules[0])
	step := func(in monitor.Input) {
		next, effects, err := alarm.Step(&rules[0], in)
		if err != nil {
			fmt.Println(err)
		}
		for _, e := range effects {
			fmt.Println(e.At.Format("05"), e.Type.Name(), e.Data.State)
		}
		alarm = next
	}
	for second, temp := range []float64{79, 81, 82, 83, 84, 83, 82, 79, 78} {
		for _, change := range condition.Observe("temp", monitor.Num(start.Add(time.Duration(second)*time.Second), temp), nil) {
			step(change.Input())
			step(monitor.Ack{At: change.At, By: "ann"})
		}
	}
	// Output:
	// 06 AlarmRaised UNACK
	// 06 AlarmAcknowledged ACKED
	// 08 AlarmCleared NORM
	// monitor: alarm hot of pump-1, NORM: not possible now: has nothing to acknowledge
}
