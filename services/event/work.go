package event

import "time"

// Part is a line of parts.
type Part struct {
	Part     string `json:"part"`
	Quantity int    `json:"quantity"`
}

// Origin is what a work order was made for; one of them is set.
type Origin struct {
	Anomaly string `json:"anomaly,omitempty"`
	Alarm   string `json:"alarm,omitempty"`
	Check   string `json:"check,omitempty"`
	Request string `json:"request,omitempty"`
}

// Slot is when work is done, by whom and with which tools.
type Slot struct {
	Start       time.Time `json:"start"`
	End         time.Time `json:"end"`
	Technicians []string  `json:"technicians,omitempty"`
	Tools       []string  `json:"tools,omitempty"`
}

// Order is the data of WorkOrderCreated. The subject is the order's id, as of
// all that follows here.
type Order struct {
	Asset       string    `json:"asset"`
	Origin      Origin    `json:"origin"`
	Priority    string    `json:"priority"` // critical, high, medium, low
	FailureMode string    `json:"failure_mode,omitempty"`
	Template    string    `json:"template"`
	Skills      []string  `json:"skills,omitempty"`
	Tools       []string  `json:"tools,omitempty"`
	Parts       []Part    `json:"parts,omitempty"`
	DueBy       time.Time `json:"due_by"`
}

// OrderState is the data of WorkOrderStateChanged, WorkOrderCompleted and
// WorkOrderCancelled.
type OrderState struct {
	Asset  string `json:"asset"`
	From   string `json:"from,omitempty"`
	To     string `json:"to"`
	Reason string `json:"reason,omitempty"`
	Slot   *Slot  `json:"slot,omitempty"` // held or confirmed
}

// Reserve is the data of ReserveResources and, with its parts, of ReserveParts.
type Reserve struct {
	Reservation string    `json:"reservation"`
	Attempt     int       `json:"attempt"` // for this order, from 1
	Minutes     float64   `json:"minutes"` // of work
	Earliest    time.Time `json:"earliest"`
	Latest      time.Time `json:"latest"` // end of the work
	Skills      []string  `json:"skills,omitempty"`
	Tools       []string  `json:"tools,omitempty"`
	Parts       []Part    `json:"parts,omitempty"`
}

// Reservation is the data of ConfirmReservation, ReleaseReservation and of all that
// Scheduling says about a reservation.
type Reservation struct {
	Reservation string     `json:"reservation"`
	Slot        *Slot      `json:"slot,omitempty"`       // of ResourcesReserved and SlotMoved
	HoldUntil   *time.Time `json:"hold_until,omitempty"` // of ResourcesReserved
	Code        string     `json:"code,omitempty"`       // of a refusal
	Reason      string     `json:"reason,omitempty"`     // in words
	Next        *time.Time `json:"next,omitempty"`       // of a refusal: when it may go; of PartsRejected: when they come
}
