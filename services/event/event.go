package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// ContentType is what an MQTT message or an HTTP body with an event says it is.
const ContentType = "application/cloudevents+json; charset=utf-8"

// Bounds of an event.
const (
	MaxData = 32 << 10 // of its data, in bytes
	MaxID   = 128      // of site and aggregate ids, in bytes
)

// Event is a fact or a command.
type Event struct {
	ID          string    // a UUID: the same event has the same one wherever it appears
	Source      string    // /services/{name}
	Type        Type      // as in the catalogue
	Site        string    // where the aggregate belongs
	Subject     string    // id of the aggregate
	Time        time.Time // when it happened, to the millisecond, in UTC
	Sequence    uint64    // of the aggregate's facts, from 1; 0 for a command
	Position    uint64    // among all that Source has said, from 1 without a gap; 0: not told
	Correlation string    // what all events of one story have in common, such as a work order's id
	Causation   string    // ID of the event that led to this one; empty: none did
	TraceParent string    // W3C trace context; empty: none
	Data        json.RawMessage
}

// Error says what is wrong with an event.
type Error struct {
	Attribute string // of CloudEvents, or empty
	Reason    string
}

func (e *Error) Error() string {
	if e.Attribute == "" {
		return "event: " + e.Reason
	}
	return "event: " + e.Attribute + ": " + e.Reason
}

// envelope is an event as CloudEvents JSON has it.
type envelope struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject"`
	Time            string          `json:"time"`
	DataContentType string          `json:"datacontenttype,omitempty"`
	DataSchema      string          `json:"dataschema,omitempty"`
	Site            string          `json:"site"`
	Sequence        string          `json:"sequence,omitempty"`
	Position        string          `json:"position,omitempty"`
	Correlation     string          `json:"correlationid,omitempty"`
	Causation       string          `json:"causationid,omitempty"`
	TraceParent     string          `json:"traceparent,omitempty"`
	Data            json.RawMessage `json:"data,omitempty"`
}

// sequenceDigits makes sequences sort as texts, as the extension wants them.
const sequenceDigits = 12

// timeForm is RFC 3339 with milliseconds.
const timeForm = "2006-01-02T15:04:05.000Z07:00"

// Append appends e as CloudEvents JSON. The error is that of Check.
func (e *Event) Append(dst []byte) ([]byte, error) {
	if err := e.Check(); err != nil {
		return dst, err
	}
	v := envelope{
		SpecVersion: "1.0", ID: e.ID, Source: e.Source, Type: string(e.Type), Subject: e.Subject, Site: e.Site,
		Time: e.Time.UTC().Format(timeForm), Correlation: e.Correlation, Causation: e.Causation, TraceParent: e.TraceParent, Data: e.Data,
	}
	if len(e.Data) > 0 {
		v.DataContentType, v.DataSchema = "application/json", e.Type.Schema()
	}
	if e.Sequence > 0 {
		v.Sequence = fmt.Sprintf("%0*d", sequenceDigits, e.Sequence)
	}
	if e.Position > 0 {
		v.Position = fmt.Sprintf("%0*d", sequenceDigits, e.Position)
	}
	// Not json.Marshal, which makes six bytes of a < in the data, so that what is
	// within its bounds here would be too long to be read.
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return dst, &Error{"data", err.Error()}
	}
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...), nil
}

// Parse reads an event from CloudEvents JSON. Its error is an *Error. A type that
// the catalogue does not know is none: newer services have more of them.
func Parse(b []byte) (Event, error) {
	var v envelope
	if len(b) > 2*MaxData {
		return Event{}, &Error{"", fmt.Sprintf("%d bytes are too many", len(b))}
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&v); err != nil {
		return Event{}, &Error{"", "not CloudEvents JSON: " + err.Error()}
	}
	if _, err := d.Token(); err == nil {
		return Event{}, &Error{"", "something follows the event"}
	}
	e := Event{
		ID: v.ID, Source: v.Source, Type: Type(v.Type), Site: v.Site, Subject: v.Subject,
		Correlation: v.Correlation, Causation: v.Causation, TraceParent: v.TraceParent, Data: v.Data,
	}
	var err error
	switch {
	case v.SpecVersion != "1.0":
		return Event{}, &Error{"specversion", fmt.Sprintf("%q is not 1.0", v.SpecVersion)}
	case v.DataContentType != "" && !strings.HasPrefix(v.DataContentType, "application/json"):
		return Event{}, &Error{"datacontenttype", fmt.Sprintf("%q is not application/json", v.DataContentType)}
	}
	if e.Time, err = time.Parse(time.RFC3339, v.Time); err != nil {
		return Event{}, &Error{"time", fmt.Sprintf("%q is not RFC 3339", v.Time)}
	}
	e.Time = e.Time.UTC().Truncate(time.Millisecond)
	if e.Sequence, err = number("sequence", v.Sequence); err != nil {
		return Event{}, err
	}
	if e.Position, err = number("position", v.Position); err != nil {
		return Event{}, err
	}
	return e, e.Check()
}

// number reads a number that may be missing.
func number(attribute, text string) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, &Error{attribute, fmt.Sprintf("%q is no number", text)}
	}
	return n, nil
}

// Check returns an *Error unless e can be sent: everything that is required is
// there, and within its bounds. Its data is JSON, and is not looked into.
func (e *Event) Check() error {
	switch _, _, known := e.Type.parts(); {
	case uuid.Validate(e.ID) != nil || len(e.ID) != 36:
		return &Error{"id", fmt.Sprintf("%q is no UUID", e.ID)}
	case !strings.HasPrefix(e.Source, "/services/") || !ValidID(e.Source[len("/services/"):]):
		return &Error{"source", fmt.Sprintf("%q is not /services/NAME", e.Source)}
	case !known:
		return &Error{"type", fmt.Sprintf("%q is not magneto.DOMAIN.NAME.vN", e.Type)}
	case !ValidID(e.Site):
		return &Error{"site", e.idReason(e.Site)}
	case !ValidID(e.Subject):
		return &Error{"subject", e.idReason(e.Subject)}
	case e.Time.IsZero() || e.Time.Year() < 1970 || e.Time.Year() > 9999:
		return &Error{"time", "is missing, or out of range"}
	case e.Sequence >= 1e12:
		return &Error{"sequence", fmt.Sprintf("%d has more than %d digits", e.Sequence, sequenceDigits)}
	case e.Position >= 1e12:
		return &Error{"position", fmt.Sprintf("%d has more than %d digits", e.Position, sequenceDigits)}
	case len(e.Correlation) > MaxID || len(e.Causation) > MaxID || len(e.TraceParent) > MaxID:
		return &Error{"", fmt.Sprintf("correlationid, causationid or traceparent is longer than %d bytes", MaxID)}
	case len(e.Data) > MaxData:
		return &Error{"data", fmt.Sprintf("%d bytes, at most %d", len(e.Data), MaxData)}
	case len(e.Data) > 0 && !json.Valid(e.Data):
		return &Error{"data", "is not JSON"}
	}
	return nil
}

func (*Event) idReason(id string) string {
	return fmt.Sprintf("%q is not 1 to %d of A-Z a-z 0-9 _ . -", id, MaxID)
}

// ValidID says whether s can be a site's or an aggregate's id: 1 to MaxID of
// A-Z a-z 0-9 _ . -
func ValidID(s string) bool {
	if s == "" || len(s) > MaxID {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '.', c == '-':
		default:
			return false
		}
	}
	return true
}

// ErrNoData is returned by Into for an event without data.
var ErrNoData = errors.New("event: no data")

// Into reads the data of e into v; what v does not know is left out.
func (e *Event) Into(v any) error {
	if len(e.Data) == 0 {
		return ErrNoData
	}
	if err := json.Unmarshal(e.Data, v); err != nil {
		return &Error{"data", err.Error()}
	}
	return nil
}

// NewID returns an id that sorts by time.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }

// IDFrom returns an id that is the same for the same parts, for a command that may
// be sent again and must not be obeyed twice.
func IDFrom(parts ...string) string {
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte("magneto\x00"+strings.Join(parts, "\x00"))).String()
}
