package watch

import "github.com/magneto-iiot/magneto/internal/mqtt"

// Batch is how many messages Run handles together when so many wait.
const Batch = few

// Feed handles messages as Run would that finds them waiting, for benchmarks
// without its goroutine.
func (l *Link) Feed(ms ...mqtt.Message) {
	w := l.watcher
	for len(ms) > 0 {
		batch := w.batch[:min(len(ms), few)]
		for i := range batch {
			batch[i].item = item{kind: itemMessage, link: l, msg: ms[i]}
		}
		w.handle(w.now(), batch)
		ms = ms[len(batch):]
	}
}
