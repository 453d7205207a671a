package exam

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"time"
)

// REST asks the host application of this house by its REST API. Its zero value
// but for URL works.
type REST struct {
	URL    string // http://host:port
	Client http.Client
}

// shown is what the API says of a node or device.
type shown struct {
	Online    bool      `json:"online"`
	ChangedAt time.Time `json:"changed_at"`
	Metrics   []struct {
		Name    string    `json:"name"`
		Value   any       `json:"value"`
		Stale   bool      `json:"stale"`
		StaleAt time.Time `json:"stale_at"`
	} `json:"metrics"`
}

// Ask looks for a few seconds whether the API says so.
func (r *REST) Ask(ctx context.Context, q Question) (bool, error) {
	limit := time.NewTimer(prompt)
	defer limit.Stop()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		s, err := r.look(ctx, q)
		if err != nil {
			return false, err
		}
		if s != nil && s.answers(q) {
			return true, nil
		}
		select {
		case <-again.C:
		case <-limit.C:
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

func path(group, node, device string) string {
	p := "/v1/nodes/" + url.PathEscape(group) + "/" + url.PathEscape(node)
	if device != "" {
		p += "/devices/" + url.PathEscape(device)
	}
	return p
}

// look asks once; nil without an error: it is not known.
func (r *REST) look(ctx context.Context, q Question) (*shown, error) {
	status, body, err := r.call(ctx, http.MethodGet, path(q.Group, q.Node, q.Device), nil)
	if err != nil || status == http.StatusNotFound {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("the host answers %d: %.200s", status, body)
	}
	s := new(shown)
	return s, json.Unmarshal(body, s)
}

func (r *REST) call(ctx context.Context, method, path string, body []byte) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(r.URL, "/")+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	res, err := r.Client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	return res.StatusCode, b, err
}

func (s *shown) answers(q Question) bool {
	switch q.Aspect {
	case Online:
		return s.Online
	case Offline:
		return !s.Online && within(s.ChangedAt, q)
	}
	for _, m := range s.Metrics {
		if m.Name != q.Metric {
			continue
		}
		if q.Aspect == Stale {
			return m.Stale && within(m.StaleAt, q)
		}
		var want any
		return json.Unmarshal(q.Value, &want) == nil && reflect.DeepEqual(m.Value, want)
	}
	return false
}

func within(at time.Time, q Question) bool { return !at.Before(q.From) && !at.After(q.To) }

// Write has the host send a command, and returns when it has been confirmed.
func (r *REST) Write(ctx context.Context, c Command) error {
	levels := strings.Split(c.Metric, "/")
	for i := range levels {
		levels[i] = url.PathEscape(levels[i])
	}
	body, err := json.Marshal(map[string]json.RawMessage{"value": c.Value})
	if err != nil {
		return err
	}
	status, answer, err := r.call(ctx, http.MethodPut, path(c.Group, c.Node, c.Device)+"/metrics/"+strings.Join(levels, "/"), body)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("the host answers %d: %.200s", status, answer)
	}
	return err
}
