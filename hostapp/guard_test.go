package hostapp_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/magneto-iiot/magneto/hostapp"
)

// A page on the web must not reach the API under a name that it lets point to
// the loopback.
func TestOnlyLocalNames(t *testing.T) {
	h, err := hostapp.New(hostapp.Config{ID: "plant", Servers: []hostapp.Server{{Name: "test", Dial: (&server{}).dial}}})
	must(t, err)
	srv := httptest.NewServer(h.Handler())
	defer srv.Close()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for name, want := range map[string]int{"": 200, "localhost": 200, "localhost:80": 200, "[::1]:80": 200, "[::1]": 200, "127.0.0.1": 200, "evil.example": 421, "evil.example:8080": 421} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/v1/nodes", nil)
		must(t, err)
		r.Host = name
		resp, err := client.Do(r)
		must(t, err)
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("Host %q: %d, want %d", name, resp.StatusCode, want)
		}
	}
}
