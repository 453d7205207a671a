package driver

import (
	"context"
	"log/slog"

	"github.com/magneto-iiot/magneto/sparkplug"
)

// Config is one entry of `connections:` in the configuration of an edge node.
type Config struct {
	Name    string       // of the connection, for errors and logs
	Options Options      // everything of the entry but `driver`
	Log     *slog.Logger // nil discards
}

// Open makes a driver without any I/O. Its error joins an [OptionError] for
// every fault found.
type Open func(Config) (Driver, error)

// Driver holds one connection to one piece of equipment. Its methods are called
// by one goroutine at a time and return no later than the deadline of ctx.
type Driver interface {
	// Endpoint names what is physically at the other end, in a form that is
	// equal for two connections to the same device or line ("tcp://10.0.0.11:502").
	Endpoint() string

	// Connect makes one attempt to reach the equipment. It wraps ErrOffline
	// when that fails. Connecting when connected closes and starts afresh.
	Connect(ctx context.Context) error

	// Compile parses the addresses of tags and groups them into blocks, each
	// of which one Read fetches. Every tag ends in exactly one block or in bad.
	// It does no I/O, needs no connection, and keeps neither tags nor state:
	// blocks of several Compiles live side by side.
	Compile(tags []Tag) (blocks []Block, bad []TagError)

	// Read fills out[i] for b.Tags[i]; len(out) is at least len(b.Tags). Values
	// do not change after Read has returned: text and bytes are never reused.
	// With an error out is undefined. See the errors for what the engine does.
	Read(ctx context.Context, b *Block, out []Sample) error

	// Write sets the points in the order given, each once the device has
	// confirmed the one before, and returns one error per write, nil for
	// success. A write that cannot be represented wraps ErrValue, one to a
	// point that takes no writes ErrReadOnly. After an error that wraps
	// ErrOffline the rest are not tried and give the same error.
	Write(ctx context.Context, writes []Write) []error

	// Close ends the connection. It may be called at any time, also twice and
	// also without Connect; Connect may follow.
	Close() error
}

// Splitter is implemented by drivers whose blocks can fail as a whole because
// of one tag (ErrAddress). The engine halves such a block until the bad tag is
// alone.
type Splitter interface {
	// Split cuts b in two blocks that together hold its tags, each once. ok is
	// false when b cannot be cut further.
	Split(b *Block) (left, right Block, ok bool)
}

// WriteChecker is implemented by drivers that know of a tag, before there is a
// connection, that it takes no writes.
type WriteChecker interface {
	// CheckWrite says why the tag, which Compile took, can never be written;
	// nil when it may be. It does no I/O and needs no connection.
	CheckWrite(t Tag) *TagError
}

// Tag is one point to read or write.
type Tag struct {
	ID   uint32             // the engine's; comes back in blocks and samples
	Addr string             // in the driver's own syntax
	Type sparkplug.DataType // raw type in the device, before scaling
	// Order is the word order of values longer than a register (ABCD, CDAB,
	// BADC, DCBA); empty means the connection's. Drivers of protocols with a
	// settled order refuse it.
	Order string
	// Unit is the unit behind the endpoint ("7"); empty means the connection's.
	// Drivers of protocols without units refuse it.
	Unit string
}

// Block is what one request fetches.
type Block struct {
	Unit string   // whom to quarantine when the unit is dead; empty if there are no units
	Tags []uint32 // ids, in the order of the samples
	Plan any      // the driver's own
}

// Sample is one value as read.
type Sample struct {
	ID      uint32          // of the tag
	Quality Quality         // Bad: the device answered, but not with a value of this tag
	Value   sparkplug.Value // raw, of the tag's type; null when Quality is Bad
	Time    int64           // ms since the Unix epoch: the device's own time, else when the reply came
}

// Quality is the quality of a sample in the numbers of Sparkplug's property
// "Quality".
//
// Spec: chapter 6, property "Quality".
type Quality uint16

// The qualities a driver may give. The zero value is Bad.
const (
	Bad  Quality = sparkplug.QualityBad
	Good Quality = sparkplug.QualityGood
)

// Write is one value to set.
type Write struct {
	Tag   Tag
	Value sparkplug.Value // raw, of the tag's type, not null
}
