package main

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
)

// onLoopback refuses what is no address to listen on, and addresses that other
// machines reach.
func onLoopback(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	switch {
	case err != nil:
		return fmt.Errorf("%q is no address: write host:port", addr)
	case !loopback(host):
		return fmt.Errorf("%s is open to the network, which needs users (not in this version): use 127.0.0.1", addr)
	}
	return checkPort(port, 0)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// checkPort wants a number from low to 65535.
func checkPort(port string, low int) error {
	if n, err := strconv.Atoi(port); err != nil || n < low || n > 65535 {
		return fmt.Errorf("%q is no port: write a number from %d to 65535", port, low)
	}
	return nil
}

// parseServer reads the address of an MQTT server.
func parseServer(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || !slices.Contains([]string{"mqtt", "mqtts"}, u.Scheme) {
		return nil, fmt.Errorf("%q is no server: write mqtt://host:1883 or mqtts://host:8883", s)
	}
	if u.Port() != "" {
		return u, checkPort(u.Port(), 1)
	}
	return u, nil
}

// parseHostURL reads the address of a host's REST API.
func parseHostURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || !slices.Contains([]string{"http", "https"}, u.Scheme) {
		return fmt.Errorf("%q is no address of a host: write http://127.0.0.1:8080", s)
	}
	if u.Port() != "" {
		return checkPort(u.Port(), 1)
	}
	return nil
}
