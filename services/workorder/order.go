package workorder

import (
	"strconv"
	"time"

	"github.com/magneto-iiot/magneto/services/event"
)

// State is where an order is on its way.
type State string

// The states. Those in which a person is waited for are AwaitingApproval,
// NeedsPlanner, Scheduled, InProgress, OnHold and Completed; Closed and Cancelled
// are the ends.
const (
	AwaitingApproval   State = "AWAITING_APPROVAL"
	ReservingResources State = "RESERVING_RESOURCES" // technicians, tools and a time
	ReservingParts     State = "RESERVING_PARTS"
	WaitingParts       State = "WAITING_PARTS" // nothing is held meanwhile
	Confirming         State = "CONFIRMING"
	Scheduled          State = "SCHEDULED"
	InProgress         State = "IN_PROGRESS"
	OnHold             State = "ON_HOLD"
	Completed          State = "COMPLETED"
	Closed             State = "CLOSED"
	NeedsPlanner       State = "NEEDS_PLANNER" // nothing is held
	Compensating       State = "COMPENSATING"  // giving back what is held, then cancelled
	Cancelled          State = "CANCELLED"
)

// Open says whether work on the order may still be done: a second order for the
// same failure of the same asset is not made.
func (s State) Open() bool { return s != Completed && s != Closed && s != Cancelled }

// Need is what the work takes, from its template.
type Need struct {
	Duration time.Duration `json:"duration"`
	Earliest time.Time     `json:"earliest"`
	Latest   time.Time     `json:"latest"` // by when it should be done
	Skills   []string      `json:"skills,omitempty"`
	Tools    []string      `json:"tools,omitempty"`
	Parts    []event.Part  `json:"parts,omitempty"`
}

// Slot is when the work is done, and by whom.
type Slot event.Slot

// Order is a work order, as much of it as its way depends on. It is a value: Step
// does not change the one it is given.
type Order struct {
	ID       string    `json:"id"`
	State    State     `json:"state"`
	Version  uint64    `json:"version"` // grows with each change
	Need     Need      `json:"need"`
	Attempt  int       `json:"attempt"`            // of reserving resources, from 1
	Relaxed  int       `json:"relaxed,omitempty"`  // how often the window was widened
	Sent     int       `json:"sent,omitempty"`     // how often the present command was sent
	Deadline time.Time `json:"deadline,omitzero"`  // when to give a Tick; zero: never
	Slot     *Slot     `json:"slot,omitempty"`     // held or confirmed
	Reason   string    `json:"reason,omitempty"`   // of the last change, in words
	Before   State     `json:"before,omitempty"`   // of OnHold: where it goes back to
	Reminded bool      `json:"reminded,omitempty"` // the deadline of the present state has passed once
}

// Reservation is the id under which the present attempt reserves resources and
// parts. A command that is sent again has the same one.
func (o *Order) Reservation() string {
	return event.IDFrom("reservation", o.ID, strconv.Itoa(o.Attempt))
}
