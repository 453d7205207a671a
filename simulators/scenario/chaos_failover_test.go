package scenario_test

import (
	"testing"
	"time"
)

// TestChaosFailover has agent and host on two MQTT servers, and ends the one
// that the agent is on for good, with all that it knows.
func TestChaosFailover(t *testing.T) {
	t.Parallel()
	first, second := chaosBroker(t), chaosBroker(t)
	r := newRig(t, first.addr+","+second.addr, "")
	r.run(30)
	r.note()
	first.proc.kill()
	took := r.right()
	r.run(50)
	r.report("failover to a second server", "the first one killed for good", took, 20*time.Second)
}
