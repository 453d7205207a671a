package schedule

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Entry is one line of a calendar: a slot or a check.
type Entry struct {
	UID         string    `json:"uid"` // the same for the same thing, for ever
	From        time.Time `json:"from"`
	To          time.Time `json:"to"`
	Summary     string    `json:"summary"`
	Description string    `json:"description,omitempty"`
	Location    string    `json:"location,omitempty"`
	Status      string    `json:"status,omitempty"` // TENTATIVE, CONFIRMED or CANCELLED
	Technicians []string  `json:"technicians,omitempty"`
	Tools       []string  `json:"tools,omitempty"`
}

// Checks returns checks as entries of a calendar; a check takes no time in it.
func Checks(list []Occurrence) []Entry {
	out := make([]Entry, 0, len(list))
	for _, o := range list {
		e := Entry{
			UID: o.Plan + "/" + o.Key + "@magneto", From: o.Due, To: o.Due, Summary: "Check of " + o.Asset,
			Description: "Plan " + o.Plan + ", by " + o.Basis, Status: "TENTATIVE",
		}
		if o.Why != "" {
			e.Status, e.Description = "CANCELLED", e.Description+": "+o.Why
		}
		out = append(out, e)
	}
	return out
}

const (
	icalTime = "20060102T150405Z"
	foldAt   = 75 // octets of a line, without its end
)

// AppendICal appends entries as an iCalendar object to dst; stamp is when it was
// made. Times are in UTC. Characters a calendar can not hold become U+FFFD, and an
// Entry without a UID, without times or with a status that is none is refused.
//
// Source: RFC 5545: 3.1 folding, 3.3.11 text, 3.6.1 event.
func AppendICal(dst []byte, entries []Entry, stamp time.Time) ([]byte, error) {
	out := dst
	line := func(name, value string) { out = appendFolded(out, name+":"+value) }
	line("BEGIN", "VCALENDAR")
	line("VERSION", "2.0")
	line("PRODID", "-//Magneto//Maintenance Checks Scheduling//EN")
	for _, e := range entries {
		if e.UID == "" || e.From.IsZero() || e.To.Before(e.From) || !slices.Contains([]string{"", "TENTATIVE", "CONFIRMED", "CANCELLED"}, e.Status) {
			return dst, fmt.Errorf("schedule: calendar entry %.80q: has no uid, no times, an end before its begin or the status %.20q", e.UID, e.Status)
		}
		line("BEGIN", "VEVENT")
		line("UID", escape(e.UID))
		line("DTSTAMP", stamp.UTC().Format(icalTime))
		line("DTSTART", e.From.UTC().Format(icalTime))
		if e.To.After(e.From) {
			line("DTEND", e.To.UTC().Format(icalTime))
		}
		for _, p := range [][2]string{{"SUMMARY", e.Summary}, {"DESCRIPTION", e.Description}, {"LOCATION", e.Location}} {
			if p[1] != "" {
				line(p[0], escape(p[1]))
			}
		}
		if e.Status != "" {
			line("STATUS", e.Status)
		}
		line("END", "VEVENT")
	}
	line("END", "VCALENDAR")
	return out, nil
}

var escaper = strings.NewReplacer(`\`, `\\`, ";", `\;`, ",", `\,`, "\r\n", `\n`, "\r", `\n`, "\n", `\n`)

// escape is s as TEXT.
func escape(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(s, string(utf8.RuneError)))
	return escaper.Replace(s)
}

// appendFolded appends one content line, broken so that no line is longer than
// foldAt and no character is cut.
func appendFolded(dst []byte, s string) []byte {
	room := foldAt
	for len(s) > room {
		n := room
		for !utf8.RuneStart(s[n]) {
			n--
		}
		dst = append(append(dst, s[:n]...), "\r\n "...)
		s, room = s[n:], foldAt-1
	}
	return append(append(dst, s...), "\r\n"...)
}
