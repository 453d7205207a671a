// Package influx is a store outside: everything that speaks InfluxDB's v2 write
// API, which are InfluxDB 1.8, 2 and 3, and VictoriaMetrics. It is a
// history.Writer and no Reader: queries go to the database itself.
//
// A sample is one line of the line protocol, with the measurement, tags and
// fields that package history names and times in milliseconds:
//
//	sparkplug,group=Plant,edge_node=line1,device=press,metric=Temp f=21.5 1779278400000
//
// A field q is there when the quality is not good (192); a line with nothing but
// q says that there is no value from then on, with q=500i that the series is
// stale. Not-a-number and infinities, which the protocol cannot say, are the
// strings "NaN", "Infinity", "-Infinity" in field s. A server that does not say
// that it is InfluxDB 2 or later has no unsigned integers: field u is signed
// there, and what is above 2^63-1 becomes a string.
//
// A line that the server refuses harms no other. It goes with the reason into
// the dead-letter file, as a line of JSON ([DeadLetter]).
package influx
