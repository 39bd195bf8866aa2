package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/analyzer"
)

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name      string      `xml:"name,attr"`
	Tests     int         `xml:"tests,attr"`
	Failures  int         `xml:"failures,attr"`
	Errors    int         `xml:"errors,attr"`
	Skipped   int         `xml:"skipped,attr"`
	Time      string      `xml:"time,attr"`
	Timestamp string      `xml:"timestamp,attr,omitempty"`
	Cases     []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string      `xml:"classname,attr"`
	Name    string      `xml:"name,attr"`
	Time    string      `xml:"time,attr"`
	Skipped *junitNote  `xml:"skipped"`
	Failure *junitNote  `xml:"failure"`
	Error   *junitNote  `xml:"error"`
	Out     *junitPlain `xml:"system-out"`
}

type junitNote struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

type junitPlain struct {
	Text string `xml:",chardata"`
}

// JUnit writes r as the results of tests: a suite for each check, a case for each
// finding, and a case that passes for a check without any. A finding at or above
// options.fail_on fails, and so does an assertion that does not hold; one that is suppressed is skipped, others pass and say what
// was found; coverage below what was required is an error. So the cases that fail are
// those that the exit code of the run speaks of.
func JUnit(w io.Writer, r *Report) error {
	r = whole(r)
	out := junitSuites{Name: "sgadvise", Time: "0"}
	stamp := r.Created.format("2006-01-02T15:04:05") // the form has no zone; it is UTC
	add := func(name string, cases []junitCase) {
		s := junitSuite{Name: name, Tests: len(cases), Time: "0", Timestamp: stamp, Cases: cases}
		for i := range cases {
			c := &cases[i]
			c.Time = "0"
			s.Failures += one(c.Failure)
			s.Errors += one(c.Error)
			s.Skipped += one(c.Skipped)
		}
		out.Suites = append(out.Suites, s)
		out.Tests, out.Failures, out.Errors, out.Skipped = out.Tests+s.Tests, out.Failures+s.Failures, out.Errors+s.Errors, out.Skipped+s.Skipped
	}
	if r.Options.RequireCoverage > 0 {
		add("evidence", []junitCase{coverageCase(r)})
	}
	of := map[string][]*Finding{}
	for i := range r.Findings {
		f := &r.Findings[i]
		of[f.Check] = append(of[f.Check], f)
	}
	plans := newSARIFView(r).plans
	for _, check := range checksOf(r) {
		if len(of[check]) == 0 {
			add(check, []junitCase{{Class: check, Name: "no finding"}})
			continue
		}
		add(check, findingCases(check, of[check], r.Options.FailOn, plans))
	}
	b, err := xml.MarshalIndent(out, "", "  ")
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	// Line breaks are only in the text of elements, where they need no escape: what comes
	// from outside has none.
	_, err = io.WriteString(w, xml.Header+strings.ReplaceAll(string(b), "&#xA;", "\n")+"\n")
	return err
}

func one(n *junitNote) int {
	if n == nil {
		return 0
	}
	return 1
}

// coverageCase says whether the evidence is as complete as was asked for.
func coverageCase(r *Report) junitCase {
	c := junitCase{Class: "evidence", Name: "coverage"}
	st := coverageStatement(r)
	switch {
	case r.Summary.Outcome == OutcomeRejectOnly:
		c.Error = &junitNote{Message: "the logs hold no accepted traffic", Type: "coverage", Text: st.Detail}
	case r.Coverage.Ratio < r.Options.RequireCoverage:
		c.Error = &junitNote{Message: st.Value + " covered, " + Percent(r.Options.RequireCoverage) + " required", Type: "coverage", Text: st.Detail}
	default:
		c.Out = &junitPlain{st.Detail}
	}
	return c
}

// findingCases makes a case of each finding. Its name is its subject, so that it is the
// same in the next run; where a check says two things of one subject the fingerprint
// tells them apart.
func findingCases(check string, fs []*Finding, failOn string, plans map[string]string) []junitCase {
	subjects := map[Optional]int{}
	for _, f := range fs {
		subjects[f.Ref]++
	}
	cases := make([]junitCase, 0, len(fs))
	for _, f := range fs {
		c := junitCase{Class: check, Name: orDash(string(f.Ref))}
		if subjects[f.Ref] > 1 {
			c.Name += " " + f.ID
		}
		text := findingText(f, plans[f.ID])
		switch {
		case f.Suppressed != nil:
			c.Skipped = &junitNote{Message: suppressionText(f.Suppressed), Text: text}
		case Grave(f.Severity, failOn), f.Check == analyzer.FailedAssertion.Name:
			c.Failure = &junitNote{Message: f.Message, Type: f.Severity, Text: text}
		default:
			c.Out = &junitPlain{text}
		}
		cases = append(cases, c)
	}
	return cases
}

// findingText is all that the report says of a finding, a line each.
func findingText(f *Finding, plan string) string {
	lines := []string{f.Severity + ": " + f.Message, "confidence: " + f.Confidence}
	for _, x := range f.Facts {
		lines = append(lines, x.Name+": "+x.Value)
	}
	if plan != "" {
		lines = append(lines, "plan: "+plan)
	}
	for _, list := range []struct {
		name string
		of   []string
	}{{"related", f.Related}, {"controls", f.Controls}} {
		if len(list.of) > 0 {
			lines = append(lines, list.name+": "+strings.Join(list.of, ", "))
		}
	}
	return strings.Join(append(lines, "fingerprint: "+f.ID), "\n")
}

// Grave reports whether a severity is at or above the one that fails a run. With "none"
// or "" nothing is.
func Grave(severity, failOn string) bool {
	s, least := analyzer.Severity(severity), analyzer.Severity(failOn)
	return slices.Contains(analyzer.Severities, s) && slices.Contains(analyzer.Severities, least) && s.AtLeast(least)
}
