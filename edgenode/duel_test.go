package edgenode

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magneto-iiot/magneto/internal/mqtt"
)

// TestAgentYieldsToAnother lets another client take the session over whenever
// the agent is back: it comes back less and less often, and says why.
func TestAgentYieldsToAnother(t *testing.T) {
	inBubble(t, func(st *stand) {
		st.start(onePress)
		pass(time.Minute)
		begun, dials := time.Now(), st.s.dials()
		for time.Since(begun) < 10*time.Minute {
			st.s.throwOut(&mqtt.ServerError{Code: 0x8E})
			for back := st.s.dials(); st.s.dials() == back && time.Since(begun) < 10*time.Minute; {
				pass(100 * time.Millisecond)
			}
			pass(15 * time.Second) // longer than a session must be not to be called short
		}
		if n := st.s.dials() - dials; n < 10 || n > 30 {
			t.Errorf("%d dials in ten minutes", n)
		}
		if n := st.agent.Stats().Takeovers; n < 10 || n > 30 {
			t.Errorf("%d takeovers in ten minutes", n)
		}
		if log := st.log.String(); !strings.Contains(log, "another client with the id G/E took the session on MQTT server mqtt://127.0.0.1 over") {
			t.Error("nothing is said of the other client")
		}
		pass(15 * time.Minute)
		st.s.throwOut(&mqtt.ServerError{Code: 0x8E})
		back := st.s.dials()
		pass(4 * time.Second)
		if st.s.dials() == back {
			t.Error("not back within 4 s of a takeover after a long peace")
		}
	})
}

// throwOut ends the connection as an MQTT server does, with a reason.
func (s *server) throwOut(why error) {
	s.mu.Lock()
	w := s.live
	s.mu.Unlock()
	w.err = why
	_ = w.end("thrown out")
	synctest.Wait()
}

// dials is how many connections were accepted.
func (s *server) dials() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.wills)
}
