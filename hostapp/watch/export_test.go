package watch

import "github.com/magneto-iiot/magneto/internal/mqtt"

var fedAt int64

// Feed handles one message as Run would, for benchmarks without its goroutine.
// As there, the clock is looked at once for a few messages.
func (l *Link) Feed(m mqtt.Message) {
	if w := l.watcher; w.stats.Messages%16 == 0 {
		fedAt = w.now()
	}
	l.watcher.queued.Add(int64(len(m.Payload)))
	l.watcher.handle(fedAt, item{kind: itemMessage, link: l, msg: m})
}
