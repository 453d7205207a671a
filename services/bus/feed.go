package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/magneto-iiot/magneto/services/event"
	"github.com/magneto-iiot/magneto/services/store"
)

// maxPage is the most events of an answer, in number and about in bytes.
const (
	maxPage      = 500
	maxPageBytes = 2 * maxPage * event.MaxData
)

// Page is a part of a feed.
type Page struct {
	Events []event.Event // after the position that was asked for, in order
	First  uint64        // position of the oldest event that the feed still has; 0: it has none
	Head   uint64        // position of the newest event ever said
	Epoch  string        // of the outbox, see store.Store.Epoch
}

// Feed gives the events of a service after a position, 0 for all, limit at most.
type Feed func(ctx context.Context, after uint64, limit int) (Page, error)

// FromStore is the feed of a store in this process.
func FromStore(s *store.Store) Feed {
	return func(ctx context.Context, after uint64, limit int) (p Page, err error) {
		said, err := s.Feed(ctx, int64(after), min(limit, maxPage))
		if err != nil {
			return p, err
		}
		for _, x := range said {
			p.Events = append(p.Events, x.Event)
		}
		oldest, err := s.Feed(ctx, 0, 1)
		if err != nil {
			return p, err
		}
		if len(oldest) > 0 {
			p.First = oldest[0].Event.Position
		}
		head, err := s.Head(ctx)
		p.Head, p.Epoch = uint64(head), s.Epoch()
		return p, err
	}
}

// pageJSON is a Page as it is answered.
type pageJSON struct {
	Events []json.RawMessage `json:"events"` // CloudEvents
	First  uint64            `json:"first"`
	Head   uint64            `json:"head"`
	Epoch  string            `json:"epoch"`
}

// Serve answers GET ?after=POSITION&limit=N with a part of a feed.
func Serve(f Feed) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		after, limit, err := asked(r.URL.Query())
		if err != nil {
			problem(w, http.StatusBadRequest, err.Error())
			return
		}
		page, err := f(r.Context(), after, limit)
		if err != nil {
			problem(w, http.StatusServiceUnavailable, "the feed can not be read now: try again")
			return
		}
		out := pageJSON{Events: []json.RawMessage{}, First: page.First, Head: page.Head, Epoch: page.Epoch}
		for i := range page.Events {
			b, err := page.Events[i].Append(nil)
			if err != nil {
				problem(w, http.StatusInternalServerError, err.Error())
				return
			}
			out.Events = append(out.Events, b)
		}
		w.Header().Set("Content-Type", "application/json")
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(out) // who is gone is gone
	})
}

// asked reads the query of a feed.
func asked(q url.Values) (after uint64, limit int, err error) {
	limit = 100
	if s := q.Get("after"); s != "" {
		if after, err = strconv.ParseUint(s, 10, 62); err != nil {
			return 0, 0, fmt.Errorf("after: %q is no position: want 0 or more", s)
		}
	}
	if s := q.Get("limit"); s != "" {
		if limit, err = strconv.Atoi(s); err != nil || limit < 1 || limit > maxPage {
			return 0, 0, fmt.Errorf("limit: %q is not 1 to %d", s, maxPage)
		}
	}
	return after, limit, nil
}

func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": detail,
	})
}

// OverHTTP is the feed of a service whose REST interface is at a base address, such
// as http://127.0.0.1:8083. The client bounds how long it takes.
func OverHTTP(client *http.Client, base string) Feed {
	return func(ctx context.Context, after uint64, limit int) (Page, error) {
		at := fmt.Sprintf("%s/v1/events?after=%d&limit=%d", strings.TrimSuffix(base, "/"), after, limit)
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, http.NoBody)
		if err != nil {
			return Page{}, fmt.Errorf("bus: feed: %w", err)
		}
		answer, err := client.Do(r)
		if err != nil {
			return Page{}, fmt.Errorf("bus: feed: %w", err)
		}
		defer answer.Body.Close()
		b, err := io.ReadAll(io.LimitReader(answer.Body, maxPageBytes+1))
		switch {
		case err != nil:
			return Page{}, fmt.Errorf("bus: feed %s: %w", base, err)
		case answer.StatusCode != http.StatusOK:
			return Page{}, fmt.Errorf("bus: feed %s: %s", base, answer.Status)
		case len(b) > maxPageBytes:
			return Page{}, fmt.Errorf("bus: feed %s: more than %d bytes", base, maxPageBytes)
		}
		p, err := parsePage(b)
		if err != nil {
			return p, fmt.Errorf("bus: feed %s: %w", base, err)
		}
		return p, nil
	}
}

// parsePage reads an answer, whose events must be in order, without one left out.
func parsePage(b []byte) (p Page, err error) {
	var in pageJSON
	if err := json.Unmarshal(b, &in); err != nil {
		return p, err
	}
	if in.Epoch == "" {
		return p, errors.New("the epoch is missing: it is no feed")
	}
	p.First, p.Head, p.Epoch = in.First, in.Head, in.Epoch
	for _, raw := range in.Events {
		e, err := event.Parse(raw)
		if err != nil {
			return Page{}, err
		}
		if e.Position == 0 {
			return Page{}, errors.New("an event has no position")
		}
		if n := len(p.Events); n > 0 && e.Position != p.Events[n-1].Position+1 {
			return Page{}, fmt.Errorf("position %d follows %d", e.Position, p.Events[n-1].Position)
		}
		p.Events = append(p.Events, e)
	}
	return p, nil
}
