// Package workorder is Work Order Generation: what turns an anomaly, an alarm, a
// check that is due or a person's request into a work order, and sees the order to
// its slot.
//
// An order's way over several services is a saga: Step, a pure function, takes the
// order as it is and what has happened, and gives the order as it is then, with the
// commands and events that are to be said and the time by which to ask again. Each
// step that was taken can be undone until the reservation is confirmed; after that
// the way is forward.
//
// Service keeps the orders in its database and puts the step between the bus and
// it: what comes in, the order as it is then and what is said are one transaction. It
// has no REST interface in this version, and knows anomalies only.
package workorder
