// Package embedded is the store that needs nothing installed: the Prometheus
// TSDB for numbers, SQLite for all else, in one folder, with the Prometheus
// HTTP API in front.
//
// Under Config.Dir there are tsdb/ (blocks and write-ahead log) and catalog.db
// (catalogue, events, quarantine, and every value that a float64 cannot hold:
// strings, bytes, arrays, data sets, templates, integers beyond 2^53).
package embedded
