// Package watch follows a Sparkplug B namespace: MQTT messages in, ordered and
// typed Updates out, and beside them a picture of every edge node, device and
// metric that can be asked at any time.
//
// Make a Watcher with New, run it, and feed it from one or more MQTT servers,
// each over a Link. Follow does the dialling, subscribing and reconnecting for
// a program that only listens; a primary host, which has a STATE of its own to
// publish, drives its Links itself.
//
// One goroutine, the one in Run, owns the state and calls Config.Handler. The
// picture is read under a lock by whoever asks. What arrives faster than it is
// handled waits in one bounded queue; when that is full, messages are dropped
// and counted. A dropped data message shows as a gap in seq and is healed by a
// rebirth; after a dropped birth or death every node of that server is stale
// until it is born again.
package watch
