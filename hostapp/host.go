package hostapp

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/hostapp/watch"
)

// Host is a host application. Make one with New.
type Host struct {
	cfg       Config
	watch     *watch.Watcher
	presences []*presence
	ingest    *ingest // nil: nothing is kept
	commands  *commands
	stream    *stream
	handler   http.Handler
	ran       atomic.Bool
	onServers atomic.Int32
}

// New returns a host that is not connected yet. A fault in c is an error.
func New(c Config) (*Host, error) {
	c, err := c.ready()
	if err != nil {
		return nil, err
	}
	h := &Host{cfg: c, commands: newCommands(), stream: newStream()}
	acksAs := ""
	if c.Journal != "" {
		acksAs = c.ID
	}
	h.watch, err = watch.New(watch.Config{
		Handler: h.handle, AckAs: acksAs, ReorderTimeout: c.ReorderTimeout, Untyped: c.UntypedCommand, Now: c.Now, Log: c.Log,
	})
	if err != nil {
		return nil, err
	}
	if c.History != nil {
		if h.ingest, err = newIngest(c, acknowledger{watch: h.watch}); err != nil {
			return nil, err
		}
	}
	for _, s := range c.Servers {
		h.presences = append(h.presences, h.newPresence(s))
	}
	h.handler = h.routes()
	return h, nil
}

// Run is on all servers until ctx ends. It then says so (a proper death of the
// host on each), marks all series stale, writes what is left to the history
// and returns nil. It may be called once.
func (h *Host) Run(ctx context.Context) error {
	if !h.ran.CompareAndSwap(false, true) {
		return errors.New("hostapp: run: called twice")
	}
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var behind, servers sync.WaitGroup
	var watching error
	written := make(chan struct{})
	if h.ingest != nil {
		behind.Go(func() { h.ingest.run(written) })
	}
	h.restore()
	var watcher sync.WaitGroup
	watcher.Go(func() { watching = h.watch.Run(work) })
	servers.Go(func() { // what the history knows now, and what it learns from the journal
		h.expect(ctx)
		if h.ingest != nil {
			h.ingest.catchUp(ctx)
			h.expect(ctx)
		}
	})
	for _, p := range h.presences {
		servers.Go(func() { p.run(ctx) })
	}
	<-ctx.Done()
	h.stream.close()
	servers.Wait()
	stop()
	watcher.Wait()
	h.save()
	close(written)
	behind.Wait()
	return watching
}

// restore takes in the births of an earlier run. What cannot be read costs
// rebirths, nothing else.
func (h *Host) restore() {
	if h.cfg.Births == "" {
		return
	}
	f, err := os.Open(h.cfg.Births)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	nodes := 0
	if err == nil {
		nodes, err = h.watch.Load(f)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		h.cfg.Log.Warn("births of the last run cannot all be read: the others are asked for", "file", h.cfg.Births, "nodes", nodes, "err", err)
		return
	}
	h.cfg.Log.Info("births of the last run restored", "nodes", nodes)
	if err := os.Remove(h.cfg.Births); err != nil { // after a crash they would be those of the run before
		h.cfg.Log.Warn("births of the last run cannot be removed", "file", h.cfg.Births, "err", err)
	}
}

// save keeps the births for the next run.
func (h *Host) save() {
	if h.cfg.Births == "" {
		return
	}
	if err := h.saveTo(h.cfg.Births); err != nil {
		h.cfg.Log.Warn("births are not kept for the next run: all nodes will be asked for theirs", "file", h.cfg.Births, "err", err)
	}
}

func (h *Host) saveTo(file string) (err error) {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	_, err = h.watch.Save(f)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// expect has the nodes that an earlier run left online asked for their births.
func (h *Host) expect(ctx context.Context) {
	if h.cfg.History == nil {
		return
	}
	type node struct{ group, name string }
	var known []node
	alive := map[node]bool{}
	err := h.cfg.History.Events(ctx, history.Filter{NodeOnly: true}, func(e history.Event) bool {
		n := node{e.Group, e.Node}
		switch e.Kind {
		case history.NBIRTH, history.STALE:
			if _, seen := alive[n]; !seen {
				known = append(known, n)
			}
			alive[n] = true
		case history.NDEATH:
			alive[n] = false
		}
		return true
	})
	if err != nil && ctx.Err() == nil {
		h.cfg.Log.Error("history: nodes of an earlier run are not asked for", "err", err)
	}
	for _, n := range known {
		if alive[n] {
			h.watch.Expect(n.group, n.name)
		}
	}
}

// handle takes each Update of the watcher.
func (h *Host) handle(u *watch.Update) {
	if h.ingest != nil {
		h.ingest.take(u)
	}
	h.commands.see(u)
	h.stream.send(u)
}

// turned notes that the host's own STATE on a server changed. The history
// knows one state, online when it is so on any server.
func (h *Host) turned(server string, online bool) {
	detail, change := "offline", int32(-1)
	if online {
		detail, change = "online", 1
	}
	servers := h.onServers.Add(change)
	h.cfg.Log.Info("host is "+detail, "host", h.cfg.ID, "server", server)
	if turned := servers == max(change, 0); turned && h.ingest != nil && h.cfg.Primary {
		h.ingest.event(history.Event{At: h.now(), Node: h.cfg.ID, Kind: history.STATE, Detail: detail})
	}
}

func (h *Host) now() int64 { return h.cfg.Now().UnixMilli() }

// Handler answers the REST calls, the Prometheus API, the status page and the
// health checks. It may be served before Run. It does not ask who calls: serve
// it on the loopback only, or behind something that does.
func (h *Host) Handler() http.Handler { return h.handler }

// Online says whether the host is on every server, with its STATE published.
func (h *Host) Online() bool {
	for _, p := range h.presences {
		if !p.online.Load() {
			return false
		}
	}
	return true
}

// Watcher is the host's view of the namespace, for reading.
func (h *Host) Watcher() *watch.Watcher { return h.watch }
