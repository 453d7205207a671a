package session_test

import (
	"testing"

	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// TestDeliveryPaces replays over lines of several rates, with a host that
// acknowledges once a second. The line must be used and little must wait on it.
func TestDeliveryPaces(t *testing.T) {
	for name, rate := range map[string]int64{"thin": 300, "slow": 5_000, "fast": 100_000} { // weight a second
		t.Run(name, func(t *testing.T) {
			const total = 120_000 // ms
			d := session.NewDelivery(session.DeliveryConfig{Host: "h", Acks: true, Next: 1 << 40})
			d.Born(1, false, 0)
			d.Sent(d.Stamp(0), 0)
			type sent struct {
				at, arrives int64 // arrives in µs
				stamp       int64
			}
			messages := []sent{{0, 0, 0}}
			var free, carried, longest, pos int64 // free: when the line is, µs
			pos = 1
			got := -1
			for at := int64(0); at < total; at += 100 {
				for budget := 5000; budget > 0; {
					n := min(d.Room(100_000, at), budget)
					if n < 1 {
						break
					}
					budget -= n
					stamp := d.Stamp(at)
					d.Sent(stamp, n, session.Span{From: uint64(pos), To: uint64(pos) + 1})
					pos++
					free = max(free, at*1000) + int64(n)*1_000_000/rate
					messages = append(messages, sent{at, free, stamp})
					carried += int64(n)
				}
				if at > 20_000 {
					longest = max(longest, free/1000-at)
				}
				if at%1000 != 0 {
					continue
				}
				last := got
				for last+1 < len(messages) && messages[last+1].arrives <= (at-200)*1000 { // the host takes 0.2 s
					last++
				}
				if last > got {
					got = last
					if v := d.Acked(session.Position{Birth: 1, Count: uint64(last), Timestamp: messages[last].stamp}, "h", at); v != session.AckGood {
						t.Fatalf("acknowledgement at %d: %v", at, v)
					}
				}
			}
			line := min(rate, 50_000) * total / 1000 // the budget bounds it too
			if carried < line*9/10 {
				t.Errorf("%d of %d were carried", carried, line)
			}
			if longest > 4000 {
				t.Errorf("%d ms waited on the line", longest)
			}
			t.Logf("%d %% of the line used, %d ms waited at most", carried*100/line, longest)
		})
	}
}
