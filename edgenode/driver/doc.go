// Package driver is the contract between the scan engine of an edge node and
// the protocols of the equipment: a driver knows one protocol, the engine knows
// when to read, whom to blame and what to report.
//
// To write a driver, implement [Driver], give it an Open function of the shape
// [Open], and let drivertest.Run pass over it. What a driver owes the engine:
//
//   - Open does no I/O and reports every fault of its options at once, as
//     [OptionError]s.
//   - [Driver.Connect] makes one attempt. A driver never reconnects by itself:
//     the engine owns retry and back-off.
//   - Any I/O error and any timeout closes the connection before the method
//     returns, so that a late reply is never taken for the answer to a later
//     question. The error then wraps [ErrOffline].
//   - Every method returns by the deadline of its ctx.
//   - A driver keeps no queue, starts no goroutine that outlives a call, and
//     does not panic, whatever the equipment sends.
//
// What the engine owes a driver: one call at a time on one Driver, Connect
// before Read and Write, and Close at the end. Two drivers with the same
// [Driver.Endpoint] share one physical device or line: the engine calls them
// one after the other, never at the same time.
package driver
