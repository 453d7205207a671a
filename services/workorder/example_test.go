package workorder_test

import (
	"fmt"
	"time"

	"github.com/magneto-iiot/magneto/services/workorder"
)

// An order finds its slot.
func Example() {
	now := time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC)
	order, effects := workorder.Begin("WO-1", workorder.Need{
		Duration: 2 * time.Hour, Earliest: now, Latest: now.Add(24 * time.Hour), Skills: []string{"mechanic"},
	}, false, now)
	fmt.Println(order.State, len(effects))
	for _, answer := range []workorder.Input{
		{Kind: workorder.Reserved, Slot: &workorder.Slot{Start: now.Add(time.Hour), End: now.Add(3 * time.Hour), Technicians: []string{"ann"}}},
		{Kind: workorder.Confirmed},
	} {
		answer.Now, answer.Reservation = now, order.Reservation()
		order, _, _ = workorder.Step(order, answer)
		fmt.Println(order.State)
	}
	fmt.Println(order.Slot.Start.Format(time.TimeOnly), order.Slot.Technicians)
	// Output:
	// RESERVING_RESOURCES 2
	// CONFIRMING
	// SCHEDULED
	// 13:00:00 [ann]
}
