//go:build !linux

package mqtt

import (
	"syscall"
	"time"
)

// userTimeout does nothing here: pings and write deadlines find a dead link.
func userTimeout(time.Duration) func(network, addr string, c syscall.RawConn) error { return nil }
