// Package edgenode is an edge node beside its equipment: it reads tags through
// drivers, reports what changed as Sparkplug B metrics, writes what it is
// commanded to, and keeps one session with one MQTT server.
//
// Start with [Load], which reads and checks a configuration file, then [New]
// and [Agent.Run]; [Agent.Reload] changes the configuration while it runs:
//
//	drivers := edgenode.Drivers{"modbus": modbus.Open}
//	cfg, err := edgenode.Load("edge.yaml", drivers)
//	...
//	agent, err := edgenode.New(*cfg, edgenode.Options{Drivers: drivers})
//	...
//	err = agent.Run(ctx)
//
// Inside, one goroutine for each physical endpoint schedules, reads and writes
// (scan.go), and one goroutine owns the session, the current values and the
// spool (agent.go). The rules are pure and stand apart: when to read
// (schedule.go), whom to leave alone (quarantine.go), how a raw value becomes
// a metric and back (tag.go), what is worth reporting (report.go), and the
// session itself (package session).
//
// While the session is down, or the primary host is offline, reports wait in a
// bounded spool in memory and are sent after the next birth as historical
// metrics with their own timestamps; what does not fit is dropped oldest first
// and counted. Reports of the last seconds before a connection broke are sent
// again, because nobody knows whether they arrived.
package edgenode
