package hostapp

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/magneto-iiot/magneto/hostapp/watch"
	"github.com/magneto-iiot/magneto/sparkplug"
)

const (
	streamClients   = 64   // at once; further ones get 503
	streamQueue     = 1024 // events that wait for one client; when full, the newest are dropped and it is told how many
	streamHeartbeat = 15 * time.Second
	streamWrite     = 10 * time.Second // a client that takes nothing for so long is cut
)

// stream sends Updates to the clients of GET /v1/stream.
type stream struct {
	some    atomic.Int32 // len(clients), to be asked without the lock
	missed  atomic.Uint64
	mu      sync.Mutex
	clients map[*client]struct{}
	closed  bool
}

// client is one reader of the stream.
type client struct {
	filter streamFilter
	events chan []byte
	missed atomic.Uint64 // since it was last told
	end    chan struct{}
}

// streamFilter says what a client wants; empty fields mean everything.
type streamFilter struct {
	group, node, device, metric string
	nodeOnly                    bool // ?device= was given, and empty
	kinds                       map[string]bool
}

func newStream() *stream { return &stream{clients: map[*client]struct{}{}} }

func (s *stream) add(f streamFilter) (*client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.clients) >= streamClients {
		return nil, refuse(503, "%d clients follow the stream", len(s.clients))
	}
	c := &client{filter: f, events: make(chan []byte, streamQueue), end: make(chan struct{})}
	s.clients[c] = struct{}{}
	s.some.Store(int32(len(s.clients)))
	return c, nil
}

func (s *stream) remove(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clients, c)
	s.some.Store(int32(len(s.clients)))
}

// close ends all clients, and refuses new ones.
func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	for c := range s.clients {
		close(c.end)
	}
}

// send hands an Update to every client that wants it. It never blocks.
func (s *stream) send(u *watch.Update) {
	if s.some.Load() == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []byte // shared by the clients that want every metric
	for c := range s.clients {
		if !c.filter.wants(u) {
			continue
		}
		b := all
		if b == nil || c.filter.metric != "" {
			if b = appendEvent(nil, u, c.filter.metric); b == nil {
				continue
			}
			if c.filter.metric == "" {
				all = b
			}
		}
		select {
		case c.events <- b:
		default:
			c.missed.Add(1)
			s.missed.Add(1)
		}
	}
}

func (f *streamFilter) wants(u *watch.Update) bool {
	switch {
	case f.group != "" && f.group != u.Group,
		f.node != "" && f.node != u.Node,
		f.device != "" && f.device != u.Device,
		f.nodeOnly && u.Device != "",
		len(f.kinds) > 0 && !f.kinds[u.Kind.String()]:
		return false
	}
	return true
}

// streamFilterOf reads ?group= &node= &device= &metric= &kind=birth,death.
func streamFilterOf(q url.Values) (f streamFilter, err error) {
	for key, values := range q {
		v := values[len(values)-1]
		switch key {
		case "group":
			f.group = v
		case "node":
			f.node = v
		case "device":
			f.device, f.nodeOnly = v, v == ""
		case "metric":
			f.metric = v
		case "kind":
			f.kinds = map[string]bool{}
			for k := range strings.SplitSeq(strings.Join(values, ","), ",") {
				switch k {
				case "birth", "data", "death", "lost", "rebirth", "conflict":
					f.kinds[k] = true
				default:
					return f, refuse(400, "kind %q is none of birth, data, death, lost, rebirth, conflict", k)
				}
			}
		default:
			return f, refuse(400, "unknown parameter %q: group, node, device, metric and kind are known", key)
		}
	}
	return f, nil
}

// appendEvent renders an Update as a server-sent event; nil if it has nothing
// of the metric that was asked for.
func appendEvent(dst []byte, u *watch.Update, metric string) []byte {
	dst = append(dst, "event: "...)
	dst = append(dst, u.Kind.String()...)
	dst = append(dst, "\ndata: {\"group\":"...)
	dst = appendString(dst, u.Group)
	dst = append(dst, `,"node":`...)
	dst = appendString(dst, u.Node)
	if u.Device != "" {
		dst = append(dst, `,"device":`...)
		dst = appendString(dst, u.Device)
	}
	dst = append(dst, `,"received":`...)
	dst = appendTime(dst, u.Received)
	dst = append(dst, `,"sent":`...)
	dst = appendTime(dst, u.Sent)
	switch u.Kind {
	case watch.Birth, watch.Data:
		var n int
		if dst, n = appendSamples(dst, u, metric); n == 0 && (metric != "" || u.Kind == watch.Data) {
			return nil
		}
	default:
		dst = append(dst, `,"cause":`...)
		dst = appendString(dst, u.Reason())
	}
	return append(dst, "}\n\n"...)
}

func appendSamples(dst []byte, u *watch.Update, metric string) (_ []byte, n int) {
	dst = append(dst, `,"metrics":[`...)
	for i := range u.Samples {
		s := &u.Samples[i]
		d := u.Shape.Def(uint32(s.Index))
		if metric != "" && metric != d.Name {
			continue
		}
		if n++; n > 1 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"name":`...)
		dst = appendString(dst, d.Name)
		dst = append(dst, `,"value":`...)
		dst = sparkplug.AppendJSON(dst, s.Value)
		dst = append(dst, `,"timestamp":`...)
		dst = appendTime(dst, s.Time)
		dst = fmt.Appendf(dst, `,"quality":%d`, s.Quality)
		if s.Historical {
			dst = append(dst, `,"historical":true`...)
		}
		dst = append(dst, '}')
	}
	return append(dst, ']'), n
}

func appendString(dst []byte, s string) []byte {
	b, err := json.Marshal(s)
	if err != nil { // a string always marshals
		return append(dst, `""`...)
	}
	return append(dst, b...)
}

// appendTime appends RFC 3339 in UTC with milliseconds, or null for 0.
func appendTime(dst []byte, ms int64) []byte {
	if ms == 0 {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	dst = time.UnixMilli(ms).UTC().AppendFormat(dst, timeLayout)
	return append(dst, '"')
}

const timeLayout = "2006-01-02T15:04:05.000Z07:00"

// getStream answers GET /v1/stream until the client leaves or the host stops.
func (h *Host) getStream(w http.ResponseWriter, r *http.Request) error {
	f, err := streamFilterOf(r.URL.Query())
	if err != nil {
		return err
	}
	c, err := h.stream.add(f)
	if err != nil {
		return err
	}
	defer h.stream.remove(c)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	_ = out.SetReadDeadline(time.Time{})                     // the server's limit is for requests that end
	defer func() { _ = out.SetWriteDeadline(time.Time{}) }() // the connection may serve more
	c.feed(r.Context(), func(b []byte) error {
		_ = out.SetWriteDeadline(time.Now().Add(streamWrite)) // not every writer has one
		if _, err := w.Write(b); err != nil {
			return err
		}
		return out.Flush()
	})
	return nil
}

// feed writes events, and a comment now and then, until writing fails.
func (c *client) feed(ctx context.Context, write func([]byte) error) {
	beat := time.NewTicker(streamHeartbeat)
	defer beat.Stop()
	if write([]byte(": hello\n\n")) != nil {
		return
	}
	for {
		b := []byte(": still here\n\n")
		select {
		case <-ctx.Done():
			return
		case <-c.end:
			return
		case <-beat.C:
		case b = <-c.events:
		}
		if n := c.missed.Swap(0); n > 0 {
			b = fmt.Appendf(nil, "event: dropped\ndata: {\"dropped\":%d}\n\n%s", n, b)
		}
		if write(b) != nil {
			return
		}
	}
}
