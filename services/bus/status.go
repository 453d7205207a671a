package bus

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/services/event"
)

// Status is what a service tells of itself.
type Status struct {
	Service  string    `json:"service"`
	Instance string    `json:"instance"`
	Site     string    `json:"site"`
	Online   bool      `json:"online"`
	Since    time.Time `json:"since"` // of Online; of a will: when the connection began
	Head     uint64    `json:"head"`  // position up to which its events were published
	Epoch    string    `json:"epoch"` // of its outbox
}

// statusRoot is where statuses are.
const statusRoot = event.Root + "/_svc/"

// message is the status as it is published.
func (s Status) message() mqtt.Message {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // texts, numbers and a time of this century
	}
	return mqtt.Message{Topic: statusRoot + s.Service + "/" + s.Instance, Payload: b, QoS: 1, Retain: true}
}

// parseStatus reads a status; ok is false for what is none, or is at a topic that
// is not its own.
func parseStatus(topic string, payload []byte) (s Status, ok bool) {
	if json.Unmarshal(payload, &s) != nil {
		return Status{}, false
	}
	return s, strings.TrimPrefix(topic, statusRoot) == s.Service+"/"+s.Instance
}
