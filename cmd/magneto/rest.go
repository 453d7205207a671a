package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// hostClient speaks to the REST API of a host.
type hostClient struct {
	url  string // http://127.0.0.1:8080
	http http.Client
}

func newHostClient(base string) *hostClient {
	return &hostClient{url: strings.TrimSuffix(base, "/"), http: http.Client{Timeout: 30 * time.Second}}
}

// hostAt is the client of the host that --url names.
func hostAt(base string) (*hostClient, error) {
	if err := parseHostURL(base); err != nil {
		return nil, usagef("--url: %v", err)
	}
	return newHostClient(base), nil
}

// urlFlag adds the flag that says where the host is.
func urlFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("url", "http://127.0.0.1:8080", "address of the host's REST API")
}

// target is GROUP/NODE or GROUP/NODE/DEVICE as given on a command line.
type target struct{ group, node, device string }

func parseTarget(s string) (target, error) {
	p := strings.Split(s, "/")
	if len(p) < 2 || len(p) > 3 || strings.Contains("/"+s+"/", "//") {
		return target{}, usagef("%q: want GROUP/NODE or GROUP/NODE/DEVICE", s)
	}
	t := target{group: p[0], node: p[1]}
	if len(p) == 3 {
		t.device = p[2]
	}
	return t, nil
}

func (t target) String() string {
	if t.device == "" {
		return t.group + "/" + t.node
	}
	return t.group + "/" + t.node + "/" + t.device
}

// path is where the API has the node or device.
func (t target) path() string {
	p := "/v1/nodes/" + url.PathEscape(t.group) + "/" + url.PathEscape(t.node)
	if t.device != "" {
		p += "/devices/" + url.PathEscape(t.device)
	}
	return p
}

// metricPath keeps the slashes of a metric's name: they are levels of the path.
func (t target) metricPath(name string) string {
	levels := strings.Split(name, "/")
	for i, l := range levels {
		levels[i] = url.PathEscape(l)
	}
	return t.path() + "/metrics/" + strings.Join(levels, "/")
}

// problem is an error answer of the API.
type problem struct {
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
}

func (p *problem) Error() string {
	if p.Detail != "" {
		return fmt.Sprintf("%d %s: %s", p.Status, p.Title, p.Detail)
	}
	return fmt.Sprintf("%d %s", p.Status, p.Title)
}

// do sends a request and decodes the answer into out, which may be nil. An
// answer of 400 and above is a *problem; no answer at all is unreachable.
func (c *hostClient) do(ctx context.Context, method, path string, body, out any) error {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, r)
	if err != nil {
		return usagef("--url: %v", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		return unreachable(fmt.Errorf("%w\nis a host running there? --url says where it is", err))
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if err != nil {
		return unreachable(err)
	}
	if res.StatusCode >= 400 {
		p := &problem{}
		if json.Unmarshal(b, p) != nil || p.Title == "" {
			p.Title = http.StatusText(res.StatusCode)
		}
		p.Status = res.StatusCode
		return p
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(b, out)
}
