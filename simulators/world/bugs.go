package world

// Bug is a fault planted in the parts themselves, to see that the oracles find
// it.
type Bug uint8

// The bugs; the zero Bug is none.
const (
	BugAckEarly         Bug = iota + 1 // the host acknowledges what it has received
	BugNoSync                          // what it has written, not what is durable
	BugAckReceived                     // also what it holds back for a missing message
	BugCursorAhead                     // its sink passes what the database has refused
	BugIgnoreBdSeq                     // it takes the will of an old session for that of the present one
	BugForgetRebirth                   // it asks for no rebirth
	BugOlderAlias                      // it resolves aliases by an older birth
	BugReplayOverwrites                // it shows replayed values as the present ones
	BugForeignAck                      // the agent listens to any host
	BugIgnoreStamp                     // and does not compare the timestamp of a position
	BugAppendLate                      // it publishes before it appends
	BugNoReplay                        // it sends nothing again
	BugVolatileBdSeq                   // it begins with bdSeq 0 after each start
	BugSameMillisecond                 // it lets two values of a metric have one timestamp

	bugs = iota + 1
)

// Bugs lists all.
func Bugs() (list []Bug) {
	for b := Bug(1); b < bugs; b++ {
		list = append(list, b)
	}
	return list
}

var bugNames = [bugs]string{
	"none", "acknowledge early", "no sync", "acknowledge what is held", "cursor ahead", "ignore bdSeq", "forget rebirth",
	"alias of an older birth", "replay overwrites", "foreign acknowledgement", "ignore timestamp", "append late", "no replay",
	"volatile bdSeq", "same millisecond",
}

// String names the bug.
func (b Bug) String() string {
	if int(b) < len(bugNames) {
		return bugNames[b]
	}
	return "unknown"
}

func (w *world) bug(b Bug) bool { return w.cfg.Bug == b }
