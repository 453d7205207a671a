// Package samples writes samples to disk and reads them back: what an edge node
// keeps in its spool and a host in its journal before anything else is done
// with them.
//
// A [Sample] is a value at a time, with its quality, of something that has a
// number. [Append] encodes many into a record of a journal, some 12 bytes for a
// floating-point number; [Read] gives them back. [Names] keeps for good what the
// numbers stand for.
package samples
