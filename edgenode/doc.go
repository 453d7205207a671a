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
// Every report is appended to the spool on disk (spool.go) before it is
// published, and stays there until the host has acknowledged it or, with a host
// that acknowledges nothing, until the connection has outlived it. What has not
// arrived is sent after the next birth as historical metrics with their own
// timestamps (replay.go); what has no room is dropped oldest first and counted.
// [OpenSpool] reads a spool from outside.
package edgenode
