// Package scenario holds whole-plant tests over real sockets: the programs as
// they are built, beside servers and clients that others wrote. It has no code
// of its own.
//
// The tests named Real need those others, or the programs, and skip with the
// reason when they lack them; .ci/real installs all of it and runs them.
package scenario
