package plc

import (
	"testing"

	"github.com/magneto-iiot/magneto/simulators/process"
)

// FuzzAnswer checks that any request is answered by its function code and data,
// or by an exception, within the longest PDU.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte{3, 0, 0, 0, 4})
	f.Add([]byte{1, 0, 0, 7, 208})
	f.Add([]byte{5, 0, 1, 0xFF, 0})
	f.Add([]byte{6, 0, 1, 0, 9})
	f.Add([]byte{15, 0, 0, 0, 9, 2, 1, 1})
	f.Add([]byte{16, 0, 0, 0, 2, 4, 0x44, 0x61, 0, 0})
	f.Add([]byte{43, 14, 1, 0})
	mem := NewMemory()
	sim, err := newMachine(process.NewPump(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, req []byte) {
		if len(req) < 1 || len(req) > 253 {
			return // the frame reader lets no others in
		}
		for _, b := range []bank{mem, sim} {
			s := &Server{bank: b}
			b.begin(1)
			reply := s.answer(nil, 1, req)
			ok := len(reply) >= 2 && reply[0] == req[0]
			exception := len(reply) == 2 && reply[0] == req[0]|0x80
			if len(reply) > 253 || !ok && !exception {
				t.Errorf("answer(% x) = % x", req, reply)
			}
		}
	})
}
