// Package hostapp is the primary host application: it follows every edge node
// of a Sparkplug namespace, keeps what they report in a history, answers REST
// requests about it and carries commands back.
//
// Make a Host with New, give its Handler to an HTTP server on the loopback and
// run it. How it reaches the MQTT servers is the caller's: a Server has a Dial
// function, so that a broker in the process and one far away look the same.
//
// A host keeps, for a namespace that outruns it, these promises: the view of
// the namespace is never held up by the history (samples that wait for it are
// bounded; beyond that they are dropped, counted and the host is not ready),
// nor by a client of the event stream (each has a bounded queue and is told
// how many events it missed).
package hostapp
