// Package schedule is Maintenance Checks Scheduling: who does what, when and with
// which tools and parts.
//
// Find, a pure function, looks for the earliest time at which a crew and tools are
// free for some work, and says in words why there is none. Service keeps
// reservations in its database: they are held for a time, and then either confirmed
// or given back by themselves, so that nobody who has died holds anything.
//
// NewPlan checks a maintenance plan, by calendar, meter, both or condition; Due gives
// the occurrences that are due, each once, whatever the clock does.
//
// Service does not keep plans yet and has no REST interface in this version;
// technicians, tools and parts come with the configuration.
package schedule
