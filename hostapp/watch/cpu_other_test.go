//go:build !unix

package watch_test

import (
	"testing"
	"time"
)

var start = time.Now()

// cpuTime is the time since the start, where there is none of the processor.
func cpuTime(testing.TB) time.Duration { return time.Since(start) }
