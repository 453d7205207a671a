package schedule_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/services/event"
	"github.com/magneto-iiot/magneto/services/schedule"
)

func TestICal(t *testing.T) {
	mine := []schedule.Entry{{
		UID: "r1@magneto", From: at(0, 6), To: at(0, 7), Summary: "Work order wo-r1", Description: "Technicians: bob\nTools: c1", Status: "CONFIRMED",
	}}
	got, err := schedule.AppendICal(nil, mine, at(0, 1).Local())
	require.NoError(t, err)
	require.Equal(t, strings.ReplaceAll(`BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//Magneto//Maintenance Checks Scheduling//EN
BEGIN:VEVENT
UID:r1@magneto
DTSTAMP:20260518T010000Z
DTSTART:20260518T060000Z
DTEND:20260518T070000Z
SUMMARY:Work order wo-r1
DESCRIPTION:Technicians: bob\nTools: c1
STATUS:CONFIRMED
END:VEVENT
END:VCALENDAR
`, "\n", "\r\n"), string(got))
	checks := schedule.Checks([]schedule.Occurrence{{Type: event.CheckSkipped, Plan: "p", Asset: "a", Key: "k", Basis: "calendar", Due: monday, Why: "out of season"}})
	got, err = schedule.AppendICal([]byte("x"), checks, monday)
	require.NoError(t, err)
	require.Contains(t, string(got), "STATUS:CANCELLED")
	require.NotContains(t, string(got), "DTEND")
	for _, bad := range []schedule.Entry{{}, {UID: "u", From: at(0, 2), To: at(0, 1)}, {UID: "u", From: monday, To: monday, Status: "X"}} {
		_, err := schedule.AppendICal(nil, []schedule.Entry{bad}, monday)
		require.ErrorContains(t, err, "calendar entry")
	}
}

// unfold reads the lines of a calendar, as RFC 5545 has them, and undoes the text.
func unfold(t *testing.T, s string) map[string]string {
	out := map[string]string{}
	require.True(t, strings.HasSuffix(s, "\r\n"))
	for line := range strings.SplitSeq(strings.TrimSuffix(s, "\r\n"), "\r\n") {
		require.LessOrEqual(t, len(line), 75)
		require.True(t, utf8.ValidString(line), "a character is cut")
		require.NotContains(t, line, "\n")
		require.NotContains(t, line, "\r")
	}
	for line := range strings.SplitSeq(strings.ReplaceAll(s, "\r\n ", ""), "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		var text strings.Builder
		for i := 0; i < len(value); i++ {
			switch c := value[i]; {
			case c == '\\' && i+1 < len(value):
				i++
				if value[i] == 'n' {
					text.WriteByte('\n')
				} else {
					require.Contains(t, `\;,`, string(value[i]))
					text.WriteByte(value[i])
				}
			default:
				require.NotContains(t, `\;,`, string(c))
				text.WriteByte(c)
			}
		}
		out[name] = text.String()
	}
	return out
}

// FuzzICal checks that what was written can be read, folded and escaped as it is.
func FuzzICal(f *testing.F) {
	f.Add("plain", "a;b,c\\d\ne\r\nf\rg")
	f.Add(strings.Repeat("ä€😀", 60), strings.Repeat("\\", 200))
	f.Add("bad \xff\x00\x1b\tend", strings.Repeat("x", 74)+" "+strings.Repeat("y", 75))
	f.Fuzz(func(t *testing.T, summary, description string) {
		e := schedule.Entry{UID: "u", From: monday, To: at(0, 1), Summary: summary, Description: description}
		got, err := schedule.AppendICal(nil, []schedule.Entry{e}, monday)
		require.NoError(t, err)
		read := unfold(t, string(got))
		clean := func(s string) string {
			s = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.ToValidUTF8(s, "\ufffd"))
			return strings.Map(func(r rune) rune {
				if unicode.IsControl(r) && r != '\n' && r != '\t' {
					return '\ufffd'
				}
				return r
			}, s)
		}
		require.Equal(t, clean(summary), read["SUMMARY"])
		require.Equal(t, clean(description), read["DESCRIPTION"])
	})
}
