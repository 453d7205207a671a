package schedule_test

import (
	"fmt"
	"time"

	"github.com/magneto-iiot/magneto/services/schedule"
)

// Find looks for the earliest place in the calendar, or says why there is none.
func Example() {
	ann := schedule.Technician{ID: "ann", Skills: []string{"mechanic"}, Shifts: []schedule.Shift{{Day: time.Monday, From: 8 * time.Hour, To: 16 * time.Hour}}}
	resources := &schedule.Resources{Technicians: []schedule.Technician{ann}}
	sunday := time.Date(2026, 5, 17, 12, 0, 0, 0, time.UTC)
	work := schedule.Work{Duration: 2 * time.Hour, Earliest: sunday, Latest: sunday.Add(48 * time.Hour), Skills: []string{"mechanic"}}
	slot, _ := schedule.Find(resources, nil, work)
	fmt.Println(slot.Start.Format("Mon 15:04"), slot.Technicians)
	work.Skills = []string{"welder"}
	_, refusal := schedule.Find(resources, nil, work)
	fmt.Println(refusal.Why)
	// Output:
	// Mon 08:00 [ann]
	// nobody has the skill "welder"
}
