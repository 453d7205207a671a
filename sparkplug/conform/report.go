package conform

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

// Outcome is what became of an assertion.
type Outcome string

// The outcomes.
const (
	Pass   Outcome = "pass"   // it held each time it could be checked
	Fail   Outcome = "fail"   // it was broken at least once
	Unseen Outcome = "unseen" // it could have been checked, but there was no occasion
	Hidden Outcome = "hidden" // it cannot be judged from where the grader stands; Reason says why
)

// Failure is one breach.
type Failure struct {
	At    time.Time `json:"at"`
	Topic string    `json:"topic"`
	Why   string    `json:"why"`
}

// Verdict is the outcome of one assertion.
type Verdict struct {
	Assertion
	Outcome  Outcome   `json:"outcome"`
	Held     int       `json:"held"`               // how often it was checked and held
	Broken   int       `json:"broken"`             // how often it was broken
	Failures []Failure `json:"failures,omitempty"` // the first few of them
	Reason   string    `json:"reason,omitempty"`   // of Hidden
}

// Report holds a Verdict for every assertion, in the order of the specification.
type Report struct {
	Messages int       `json:"messages"`
	Nodes    int       `json:"nodes"`
	Verdicts []Verdict `json:"verdicts"`
}

// Count says how many assertions had the outcome.
func (r *Report) Count(o Outcome) int {
	n := 0
	for i := range r.Verdicts {
		if r.Verdicts[i].Outcome == o {
			n++
		}
	}
	return n
}

// Failed says whether a MUST was broken. A broken SHOULD is in the report, but
// does not fail it.
func (r *Report) Failed() bool {
	for i := range r.Verdicts {
		if v := &r.Verdicts[i]; v.Outcome == Fail && v.Level == "MUST" {
			return true
		}
	}
	return false
}

// WriteText writes the report for a person: what was broken first, then, if
// whole is set, the rest, then a line of counts.
func (r *Report) WriteText(w io.Writer, whole bool) error {
	b := new(strings.Builder)
	for i := range r.Verdicts {
		v := &r.Verdicts[i]
		if v.Outcome != Fail {
			continue
		}
		fmt.Fprintf(b, "FAIL %s (%s), %d of %d times\n", v.ID, v.Level, v.Broken, v.Broken+v.Held)
		for _, f := range v.Failures {
			fmt.Fprintf(b, "     %s %s: %s\n", f.At.UTC().Format("15:04:05.000"), f.Topic, f.Why)
		}
	}
	for i := range r.Verdicts {
		if v := &r.Verdicts[i]; whole && v.Outcome != Fail {
			fmt.Fprintf(b, "%-6s %s %s\n", v.Outcome, v.ID, v.Reason)
		}
	}
	if r.Messages > 0 {
		fmt.Fprintf(b, "%d messages of %d nodes: ", r.Messages, r.Nodes)
	}
	fmt.Fprintf(b, "%d held, %d broken, %d without occasion, %d not judged from here\n",
		r.Count(Pass), r.Count(Fail), r.Count(Unseen), r.Count(Hidden))
	_, err := io.WriteString(w, b.String())
	return err
}

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string     `xml:"name,attr"`
	Class   string     `xml:"classname,attr"`
	Failure *junitText `xml:"failure,omitempty"`
	Skipped *junitText `xml:"skipped,omitempty"`
}

type junitText struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes the report as JUnit XML: a test case an assertion; unseen
// and hidden ones are skipped, and a broken SHOULD is skipped too, with what
// was seen.
func (r *Report) WriteJUnit(w io.Writer) error {
	s := junitSuite{Name: "sparkplug", Tests: len(r.Verdicts)}
	for i := range r.Verdicts {
		v := &r.Verdicts[i]
		c := junitCase{Name: v.ID, Class: strings.Join(v.Profiles, ",")}
		switch {
		case v.Outcome == Fail:
			t := &junitText{Message: fmt.Sprintf("broken %d of %d times", v.Broken, v.Broken+v.Held)}
			for _, f := range v.Failures {
				t.Text += fmt.Sprintf("%s %s: %s\n", f.At.UTC().Format(time.RFC3339Nano), f.Topic, f.Why)
			}
			if v.Level == "MUST" {
				c.Failure = t
				s.Failures++
			} else {
				c.Skipped = t
				s.Skipped++
			}
		case v.Outcome != Pass:
			c.Skipped = &junitText{Message: strings.TrimSpace(string(v.Outcome) + " " + v.Reason)}
			s.Skipped++
		}
		s.Cases = append(s.Cases, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(s); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
