// Package store is the database of an asset service: one transaction over the
// service's state, the events that it has taken in and those that it says.
//
// So each event has its effect exactly once, whatever is killed and however often
// the event comes: the note that it was taken in (the inbox) is committed together
// with its effect and with the events that follow from it (the outbox), or none of
// them is. What the outbox has is published until that is confirmed, and is kept
// for the feed from which others catch up.
//
// The database is a SQLite file, with one writer; reading does not wait for it.
package store
