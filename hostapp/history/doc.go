// Package history is the contract of Magneto's time series stores: what the
// host writes, what readers may ask, and the names under which it is kept.
//
// A series is a Key: group, node, device and metric name. The writer resolves
// a key once, with Writer.Series, and then writes Points under the handle that
// it got, so that the hot path builds no strings. The rules that every store
// keeps, and that historytest checks:
//
//   - Writing the same (series, timestamp, value) again changes nothing and is
//     counted as a duplicate. The same timestamp with another value keeps the
//     first one and is counted as a conflict.
//   - Samples may come in any order. Only those older than the retention are
//     refused (counted as expired); those further in the future than the
//     tolerance are quarantined, so that one wrong clock cannot hurt another
//     node's samples.
//   - A stale point ends a series: from its time on there is no value, until
//     the next sample. A null value does the same at its own time.
//   - Reads give the values as they were measured, with the datatype they had
//     then: no rounding, no invented rows, no markers.
//
// The embedded store is in package embedded; schema.go holds the names that
// dashboards and sinks are built from.
package history
