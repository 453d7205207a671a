// Package world is a whole plant in one goroutine under a virtual clock: edge
// nodes with spools, an MQTT server, a host with its journal and its store, and
// a network between them, all of which fail as a seed says. It runs the rules
// of package session and the journals as the programs have them; what stands
// around those (sockets, disks, clocks, the server, the database) is a model.
//
// [Run] plays one seed and returns a [Result]: what the oracles found broken,
// a hash of all that happened, and the faults that were planted. The same
// configuration always gives the same Result. [Shrink] finds a smaller list of
// faults that breaks the same.
//
// The oracles: every sample that an edge node took and that its disk has kept
// is in the store, once and with its value; nothing else is; the host's view of
// a node is never wrong for longer than a bound; values shown in the end are
// those of the equipment; memory stays bounded.
//
// A test of a consumer of your own gives [Config.Consumer]: it gets every
// message that reaches the host's connection, also those around crashes, late,
// lost and doubled as they are.
package world
