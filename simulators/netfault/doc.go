// Package netfault is a network that fails on purpose: a TCP proxy between a
// client and a server whose connections can be reset, go half-open, slow down,
// stutter or be refused, at any time and from any goroutine.
//
// [Listen] takes the address of the server; the client is told [Proxy.Addr]
// instead. Faults are switched on by [Proxy.Reset], [Proxy.HalfOpen],
// [Proxy.Slow], [Proxy.Lossy] and [Proxy.Refuse], and off by [Proxy.Heal].
//
// A half-open link is the worst of them: both ends believe that they are
// connected, and what they write is taken and never arrives. When it heals, the
// connections of that time are reset, as happens when a machine is back that
// knows nothing of them: what was swallowed stays lost.
package netfault
