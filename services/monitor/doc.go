// Package monitor holds the rules of Remote Asset Monitoring: which assets there
// are and whether they are online, when an alarm's condition holds, what becomes of
// an alarm, and what a meter reads. It does no I/O and reads no clock: time comes
// in with each input, and the same inputs always give the same results.
//
//   - A [Rule] says when an alarm is wanted, as data; [ParseRules] reads and checks
//     a file of them.
//   - A [Condition] follows the samples of one asset for one rule, and says when the
//     condition begins and ends, with delays, deadband and m of n.
//   - An [Alarm] is the ISA-18.2 state of one asset and rule; what a person or a
//     condition does to it gives the events to be told.
//   - An [Asset] is what the registry holds; [Discover] makes one from a birth, and
//     [Presence] follows whether it is online.
//   - A [Meter] counts hours and cycles.
//
// Times are those of whoever runs this, and should not go back. One that does is
// taken for the latest seen so far: a clock that is put back neither hides an alarm
// nor keeps a person from acknowledging one.
package monitor
