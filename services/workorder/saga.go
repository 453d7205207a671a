package workorder

import (
	"fmt"
	"slices"
	"time"
)

// Limits of the way of an order.
const (
	answerIn     = 30 * time.Second // by when a command is answered, at first; then twice as long each time
	sendAtMost   = 5                // times that a command is sent
	relaxAtMost  = 3                // times that the window is widened after a refusal
	attemptsMost = 20               // reservations made for an order before a planner is asked
	approveIn    = 24 * time.Hour   // until somebody is reminded
	approveLast  = 48 * time.Hour   // and then until it is a planner's
	closeIn      = 7 * 24 * time.Hour
	partsIn      = time.Hour // until missing parts are asked for again, when nobody knows when they come
	grace        = time.Hour // after the end of a slot until the work is overdue
)

// Kind says what an Input is.
type Kind uint8

// The inputs. Those about a reservation carry its id: one of another attempt is
// late, and has no effect.
const (
	Approved      Kind = iota + 1 // by a person
	Reserved                      // ResourcesReserved: Slot
	Rejected                      // ReservationRejected: Reason
	PartsReserved                 // all of them
	PartsRejected                 // Reason; At: when they come, zero if unknown
	Confirmed                     // ReservationConfirmed
	Expired                       // ReservationExpired
	Released                      // ReservationReleased
	Moved                         // SlotMoved: Slot
	Started                       // by a technician
	Held                          // the work is interrupted: Reason
	Resumed
	Done     // the work is done
	Verified // by an engineer: the order can be closed
	Cancel   // by a person, or because its cause is gone: Reason
	Retry    // a planner has made room: try again
	Tick     // Order.Deadline has passed
)

// Input is something that has happened.
type Input struct {
	Kind        Kind
	Now         time.Time
	Reservation string // of what is about one
	Slot        *Slot  // of Reserved and Moved
	Until       time.Time
	Reason      string
	By          string // person or service
}

// Do says what an Effect asks for.
type Do uint8

// The effects. Commands carry the order's Reservation, by which they can be sent
// again without harm.
const (
	ReserveResources Do = iota + 1
	ReserveParts
	Confirm
	Release // also of parts
	Tell    // WorkOrderStateChanged: From, To
	TellCompleted
	TellCancelled
	TellOverdue // somebody is to look: the deadline of a person's step has passed
)

// Effect is something that is to be said.
type Effect struct {
	Do          Do
	Reservation string
	From, To    State
	Reason      string
}

// Begin is an order at the start of its way.
func Begin(id string, need Need, approval bool, now time.Time) (Order, []Effect) {
	o := Order{ID: id, Need: need}
	if approval {
		return o.turn(AwaitingApproval, "it needs to be approved", now.Add(approveIn))
	}
	return o.reserve("", now)
}

// Step takes an input: it returns the order as it is then and what is to be said.
// What does not fit the order's state has no effect: it comes late, or again, and
// ok is false.
func Step(o Order, in Input) (next Order, fx []Effect, ok bool) {
	if o.stale(in) {
		return o, nil, false
	}
	if in.Kind == Tick {
		if o.Deadline.IsZero() || in.Now.Before(o.Deadline) {
			return o, nil, false
		}
		next, fx = o.late(in.Now)
		return next, fx, true
	}
	if in.Kind == Cancel {
		return o.cancel(in)
	}
	move := moves[o.State][in.Kind]
	if move == nil {
		return o, nil, false
	}
	next, fx = move(o, in)
	return next, fx, next.Version != o.Version
}

// stale says whether an answer is about a reservation that the order has given up.
func (o *Order) stale(in Input) bool {
	switch in.Kind {
	case Reserved, Rejected, PartsReserved, PartsRejected, Confirmed, Expired, Released, Moved:
		return in.Reservation != o.Reservation()
	default:
		return false
	}
}

// moves are what an order does in a state when something happens. What is not there
// has no effect.
var moves = map[State]map[Kind]func(Order, Input) (Order, []Effect){
	AwaitingApproval:   {Approved: Order.approved},
	ReservingResources: {Reserved: Order.reserved, Rejected: Order.rejected, Expired: Order.again, Released: Order.again},
	ReservingParts:     {PartsReserved: Order.confirm, PartsRejected: Order.short, Expired: Order.again, Released: Order.again, Moved: Order.moved},
	WaitingParts:       {Retry: Order.again},
	Confirming:         {Confirmed: Order.scheduled, Expired: Order.again, Released: Order.again, Moved: Order.moved},
	Scheduled:          {Started: Order.start, Moved: Order.moved, Released: Order.lost, Expired: Order.lost},
	InProgress:         {Done: Order.completed, Held: Order.hold},
	OnHold:             {Resumed: Order.resume},
	Completed:          {Verified: Order.closed},
	NeedsPlanner:       {Retry: Order.retry},
	Compensating:       {Released: Order.gone, Expired: Order.gone},
}

func (o Order) turn(to State, reason string, deadline time.Time, fx ...Effect) (Order, []Effect) {
	from := o.State
	o.State, o.Reason, o.Deadline, o.Sent, o.Reminded = to, reason, deadline, 0, false
	o.Version++
	return o, append(fx, Effect{Do: Tell, From: from, To: to, Reason: reason})
}

// send is turn to a state in which a command waits for its answer.
func (o Order) send(to State, do Do, reason string, now time.Time, fx ...Effect) (Order, []Effect) {
	o, fx = o.turn(to, reason, now.Add(answerIn), fx...)
	o.Sent = 1
	return o, append(fx, Effect{Do: do, Reservation: o.Reservation()})
}

// reserve makes a new attempt.
func (o Order) reserve(reason string, now time.Time) (Order, []Effect) {
	if o.Attempt >= attemptsMost {
		return o.plan(fmt.Sprintf("%d reservations came to nothing; the last: %s", o.Attempt, reason))
	}
	return o.attempt(reason, now)
}

// attempt asks for resources under a new reservation. A window in which the work does
// not fit any more begins anew.
func (o Order) attempt(reason string, now time.Time) (Order, []Effect) {
	if o.Need.Latest.Before(now.Add(o.Need.Duration)) {
		window := max(o.Need.Latest.Sub(o.Need.Earliest), o.Need.Duration)
		o.Need.Earliest, o.Need.Latest = now, now.Add(window)
	}
	o.Attempt++
	o.Slot = nil
	return o.send(ReservingResources, ReserveResources, reason, now)
}

// plan gives the order to a planner. Nothing must be held, or fx gives it back.
func (o Order) plan(reason string, fx ...Effect) (Order, []Effect) {
	o.Slot = nil
	return o.turn(NeedsPlanner, reason, time.Time{}, fx...)
}

func (o *Order) release() Effect { return Effect{Do: Release, Reservation: o.Reservation()} }

func (o Order) approved(in Input) (Order, []Effect) {
	return o.reserve("approved by "+in.By, in.Now)
}

func (o Order) reserved(in Input) (Order, []Effect) {
	if in.Slot == nil {
		return o.plan("reserved without a time: not understood", o.release())
	}
	o.Slot = in.Slot.clone()
	if len(o.Need.Parts) == 0 {
		return o.send(Confirming, Confirm, "no parts are needed", in.Now)
	}
	return o.send(ReservingParts, ReserveParts, "resources are held", in.Now)
}

// rejected widens the window by half of it, or by the work's duration if that is
// more.
func (o Order) rejected(in Input) (Order, []Effect) {
	if o.Relaxed >= relaxAtMost {
		return o.plan("no resources: " + in.Reason)
	}
	o.Relaxed++
	window := o.Need.Latest.Sub(o.Need.Earliest)
	o.Need.Latest = o.Need.Latest.Add(max(window/2, o.Need.Duration))
	return o.reserve("no resources: "+in.Reason+"; with more time", in.Now)
}

func (o Order) again(in Input) (Order, []Effect) {
	reason := in.Reason
	switch in.Kind {
	case Expired:
		reason = "the reservation has expired"
	case Released:
		reason = "the reservation was given back"
	}
	return o.reserve(reason, in.Now)
}

func (o Order) confirm(in Input) (Order, []Effect) {
	return o.send(Confirming, Confirm, "parts are set aside", in.Now)
}

// short waits for parts, and holds nobody meanwhile.
func (o Order) short(in Input) (Order, []Effect) {
	at := in.Until
	if !at.After(in.Now) {
		at = in.Now.Add(partsIn)
	}
	back := o.release()
	o.Slot = nil
	return o.turn(WaitingParts, "parts are missing: "+in.Reason, at, back)
}

func (o Order) scheduled(Input) (Order, []Effect) {
	return o.turn(Scheduled, "confirmed", o.Slot.End.Add(grace))
}

// moved is a slot at another time; where the order is on its way stays.
func (o Order) moved(in Input) (Order, []Effect) {
	if in.Slot == nil {
		return o, nil
	}
	o.Slot = in.Slot.clone()
	deadline, sent := o.Deadline, o.Sent
	if o.State == Scheduled {
		deadline = o.Slot.End.Add(grace)
	}
	o, fx := o.turn(o.State, "moved: "+in.Reason, deadline)
	o.Sent = sent
	return o, fx
}

// lost is a confirmed slot that Scheduling could not keep.
func (o Order) lost(in Input) (Order, []Effect) {
	return o.reserve("its slot was lost: "+in.Reason, in.Now)
}

func (o Order) start(in Input) (Order, []Effect) {
	return o.turn(InProgress, "started by "+in.By, o.Slot.End.Add(grace))
}

func (o Order) hold(in Input) (Order, []Effect) {
	return o.turn(OnHold, in.Reason, time.Time{})
}

func (o Order) resume(in Input) (Order, []Effect) {
	return o.turn(InProgress, "resumed by "+in.By, o.Slot.End.Add(grace))
}

func (o Order) completed(in Input) (Order, []Effect) {
	return o.turn(Completed, "done by "+in.By, in.Now.Add(closeIn), Effect{Do: TellCompleted})
}

func (o Order) closed(in Input) (Order, []Effect) {
	return o.turn(Closed, "verified by "+in.By, time.Time{})
}

// retry is a planner's: the count of attempts that came to nothing begins anew, the
// numbers of the reservations go on.
func (o Order) retry(in Input) (Order, []Effect) {
	o.Relaxed = 0
	if o.Attempt >= attemptsMost { // one more, and then it comes back
		return o.attempt("tried again by "+in.By, in.Now)
	}
	return o.reserve("tried again by "+in.By, in.Now)
}

// gone is the end of a cancelled order, which holds nothing now.
func (o Order) gone(Input) (Order, []Effect) {
	o.Slot = nil
	return o.turn(Cancelled, o.Reason, time.Time{}, Effect{Do: TellCancelled, Reason: o.Reason})
}

// cancel ends an order that was not begun; what it may hold is given back first.
func (o Order) cancel(in Input) (Order, []Effect, bool) {
	switch o.State {
	case AwaitingApproval, WaitingParts, NeedsPlanner:
		o.Reason = in.Reason
		next, fx := o.gone(in)
		return next, fx, true
	case ReservingResources, ReservingParts, Confirming, Scheduled:
		next, fx := o.send(Compensating, Release, in.Reason, in.Now)
		return next, fx, true
	default: // begun, ended, or on its way to that
		return o, nil, false
	}
}

// late is a deadline that has passed.
func (o Order) late(now time.Time) (Order, []Effect) {
	switch o.State {
	case ReservingResources, ReservingParts, Confirming, Compensating:
		return o.unanswered(now)
	case WaitingParts:
		return o.reserve("missing parts may be there", now)
	case AwaitingApproval:
		if o.Reminded {
			return o.plan("nobody has approved it")
		}
		return o.remind(now.Add(approveLast))
	default:
		return o.remind(time.Time{})
	}
}

// remind tells once that a person is waited for.
func (o Order) remind(next time.Time) (Order, []Effect) {
	o.Reminded, o.Deadline = true, next
	o.Version++
	return o, []Effect{{Do: TellOverdue, From: o.State, To: o.State}}
}

// unanswered sends a command again, and after the last time gives what may be held
// back. Giving back is asked for until it is done: it can not be left.
func (o Order) unanswered(now time.Time) (Order, []Effect) {
	if o.Sent >= sendAtMost && o.State != Compensating {
		back := o.release()
		return o.plan(fmt.Sprintf("%s: no answer from Scheduling, %d times", o.State, o.Sent), back)
	}
	o.Deadline = now.Add(answerIn << min(o.Sent, sendAtMost))
	o.Sent++
	o.Version++
	do := map[State]Do{ReservingResources: ReserveResources, ReservingParts: ReserveParts, Confirming: Confirm, Compensating: Release}[o.State]
	return o, []Effect{{Do: do, Reservation: o.Reservation()}}
}

func (s *Slot) clone() *Slot {
	c := *s
	c.Technicians, c.Tools = slices.Clone(s.Technicians), slices.Clone(s.Tools)
	return &c
}
