package hostapp

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// loopback says whether addr, host:port, can be reached from this machine only.
func loopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not host:port", addr)
	}
	if localName(host) {
		return nil
	}
	return fmt.Errorf("%q is not a loopback address, and without users and TLS only those are served", addr)
}

func localName(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// guard refuses what pages of other sites send, and says what browsers may do
// with the answers. On a loopback connection it also refuses host names other
// than those of the loopback: a page on the web could otherwise reach the API
// under a name of its own that it lets point here.
func guard(next http.Handler) http.Handler {
	next = http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'; form-action 'self'; base-uri 'none'")
		head.Set("Referrer-Policy", "no-referrer")
		if overLoopback(r) && !localName(hostName(r.Host)) {
			writeProblem(w, r, refuse(http.StatusMisdirectedRequest, "this address is not served under the name %q", r.Host))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// overLoopback says whether a request came over a connection to this machine's
// loopback address.
func overLoopback(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && loopback(local.String()) == nil
}

// hostName is what a Host header says, without port and brackets.
func hostName(header string) string {
	if host, _, err := net.SplitHostPort(header); err == nil {
		return host
	}
	return strings.Trim(header, "[]")
}
