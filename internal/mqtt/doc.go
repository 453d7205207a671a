// Package mqtt is one MQTT 5 connection to a broker: its will, what it
// publishes, what it receives. It carries bytes and knows nothing of
// Sparkplug, and no other package knows the client library under it.
//
// A [Conn] lives once: [Dial] opens it with a clean session that ends with the
// connection, and when [Conn.Done] closes the caller dials again, waiting as a
// [Backoff] says. It does not reconnect by itself, because every Sparkplug
// session needs a new will.
//
// A connection ends in one of three ways, and they differ in the will:
// [Conn.Disconnect] says goodbye and the broker drops the will,
// [Conn.Abandon] says goodbye and asks for the will, [Conn.Close] (like a
// broken link) says nothing and the broker sends the will when it notices.
//
// A link that is half open, where packets vanish without an error, is noticed
// within 1.5 keepalives; until then QoS 0 messages were handed to the kernel
// with success and are lost. Whoever cannot lose them keeps them until
// somebody at the other end has confirmed them.
package mqtt
