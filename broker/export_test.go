package broker

// Hidden rules with tests of their own.
var (
	Match = match
	Stamp = stamp
)
