// Package process simulates industrial machines: a pump whose bearing can wear,
// a tank, and the replay of a recording. It is pure and seeded: a machine moves
// only when Step is called, and the same seed with the same steps gives the
// same values, on every platform with the same floating point.
//
// The physics is simple on purpose: first-order lags, the affinity laws of
// centrifugal pumps, and noise of the size real sensors show. It is there to
// give every part downstream signals with inertia, correlation and faults.
//
// Machines are not safe for concurrent use: their owner locks.
package process
