// Package journal is a durable log of records: what has been made durable is
// there after any crash, whole and in order, or it is said how many records are
// missing.
//
// [Open] a [Journal], [Journal.Append] records and now and then
// [Journal.Sync] them: one Sync makes all durable that were appended before.
// [Journal.Read] gives them back from any position. A reader keeps its place
// in a named cursor, on disk too; what lies behind all cursors is given back.
// The journal is bounded by bytes and by age, and keeps some of the disk free;
// what it drops for that it counts.
//
// It works on an [FS], so that tests can lose what was not synced.
package journal
