package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// xmlNode is an element as it stands in a file.
type xmlNode struct {
	name     string
	attr     map[string]string
	text     string
	children []*xmlNode
}

func parseXML(t *testing.T, text string) *xmlNode {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	d.Strict = true
	root := &xmlNode{}
	stack := []*xmlNode{root}
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in %q", err, text)
		}
		top := stack[len(stack)-1]
		switch x := tok.(type) {
		case xml.StartElement:
			n := &xmlNode{name: x.Name.Local, attr: map[string]string{}}
			for _, a := range x.Attr {
				if _, twice := n.attr[a.Name.Local]; twice {
					t.Errorf("<%s> has %s twice", n.name, a.Name.Local)
				}
				n.attr[a.Name.Local] = a.Value
			}
			top.children = append(top.children, n)
			stack = append(stack, n)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			top.text += string(x)
		}
	}
	if len(root.children) != 1 {
		t.Fatalf("%d root elements", len(root.children))
	}
	return root.children[0]
}

// junitForm is what readers of JUnit files agree on: elements, their attributes (those
// with ! must be there) and children.
var junitForm = map[string]struct{ attr, children []string }{
	"testsuites": {[]string{"name", "tests!", "failures!", "errors!", "skipped", "time"}, []string{"testsuite"}},
	"testsuite":  {[]string{"name!", "tests!", "failures!", "errors!", "skipped", "time", "timestamp"}, []string{"testcase"}},
	"testcase":   {[]string{"classname!", "name!", "time"}, []string{"skipped", "failure", "error", "system-out"}},
	"skipped":    {[]string{"message"}, nil},
	"failure":    {[]string{"message!", "type!"}, nil},
	"error":      {[]string{"message!", "type!"}, nil},
	"system-out": {nil, nil},
}

// checkJUnit holds n to the form and counts to what they count, and returns the cases
// by class and name.
func checkJUnit(t *testing.T, n *xmlNode) map[string]*xmlNode {
	t.Helper()
	cases := map[string]*xmlNode{}
	var walk func(n *xmlNode) map[string]int
	walk = func(n *xmlNode) map[string]int {
		form, ok := junitForm[n.name]
		if !ok {
			t.Fatalf("<%s> is no element of JUnit", n.name)
		}
		for a := range n.attr {
			if !slices.Contains(form.attr, a) && !slices.Contains(form.attr, a+"!") {
				t.Errorf("<%s> has %s", n.name, a)
			}
		}
		for _, a := range form.attr {
			if _, there := n.attr[strings.TrimSuffix(a, "!")]; strings.HasSuffix(a, "!") && !there {
				t.Errorf("<%s> lacks %s", n.name, a)
			}
		}
		counts := map[string]int{}
		for _, c := range n.children {
			if !slices.Contains(form.children, c.name) {
				t.Errorf("<%s> in <%s>", c.name, n.name)
			}
			for k, v := range walk(c) {
				counts[k] += v
			}
		}
		switch n.name {
		case "failure", "error", "skipped":
			return map[string]int{n.name: 1}
		case "testcase":
			counts["test"]++
			if counts["failure"]+counts["error"]+counts["skipped"] > 1 {
				t.Errorf("%s has two outcomes", n.attr["name"])
			}
			key := n.attr["classname"] + " " + n.attr["name"]
			if cases[key] != nil {
				t.Errorf("case %q twice", key)
			}
			cases[key] = n
		default:
			if len(n.children) > 0 && strings.TrimSpace(n.text) != "" {
				t.Errorf("text %q in <%s>", n.text, n.name)
			}
			for attr, what := range map[string]string{"tests": "test", "failures": "failure", "errors": "error", "skipped": "skipped"} {
				if got, err := strconv.Atoi(n.attr[attr]); n.name != "system-out" && (err != nil || got != counts[what]) {
					t.Errorf("<%s name=%q> says %s=%q, there are %d", n.name, n.attr["name"], attr, n.attr[attr], counts[what])
				}
			}
		}
		return counts
	}
	walk(n)
	return cases
}

func junitCases(t *testing.T, r *Report) map[string]*xmlNode {
	t.Helper()
	return checkJUnit(t, parseXML(t, render(t, func(b *bytes.Buffer) error { return JUnit(b, r) })))
}

func TestJUnitIsWhatItsReadersTake(t *testing.T) {
	for name, r := range map[string]*Report{"sample": sample(), "hostile": hostile(), "zero": {}, "declined": declined(), "large": large(300)} {
		cases := junitCases(t, r)
		if len(cases) < len(r.Findings) {
			t.Errorf("%s: %d cases of %d findings", name, len(cases), len(r.Findings))
		}
	}
}

// outcome is the one child of a case that is no output, or "pass".
func outcome(n *xmlNode) string {
	for _, c := range n.children {
		if c.name != "system-out" {
			return c.name
		}
	}
	return "pass"
}

func TestJUnitFailsWhereTheGateWould(t *testing.T) {
	for failOn, want := range map[string]int{"none": 0, "": 0, "critical": 1, "high": 3, "medium": 6, "low": 9, "info": 9} { // the one of info is suppressed
		r := sample()
		r.Options.FailOn = failOn
		failed := 0
		for _, c := range junitCases(t, r) {
			if outcome(c) == "failure" {
				failed++
			}
		}
		if failed != want {
			t.Errorf("--fail-on %s: %d failures, want %d", failOn, failed, want)
		}
	}
}

func TestJUnitTellsOutcomes(t *testing.T) {
	r := sample()
	r.Findings[0].Suppressed = &Suppression{Reason: "until the VPN is there", Expires: at(31, 0)}
	r.Findings[2].Suppressed = &Suppression{Reason: "accepted"}
	twice := r.Findings[1]
	twice.ID, twice.Message = "ffffffffffffffff", "another"
	r.Findings = append(r.Findings, twice)
	cases := junitCases(t, r)
	for key, want := range map[string]string{
		"exposed-admin-port sg-0bas/sgr-0b1":                  "skipped",
		"wide-source sg-0app/sgr-0c1":                         "skipped",
		"exposed-admin-port sg-0web/sgr-0e2 41d88f182a833539": "failure",
		"exposed-admin-port sg-0web/sgr-0e2 ffffffffffffffff": "failure",
		"unused-rule sg-0web/sgr-0e2":                         "pass",
		"mergeable-rules no finding":                          "pass",
	} {
		if cases[key] == nil {
			t.Errorf("no case %q", key)
		} else if got := outcome(cases[key]); got != want {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
	}
	skipped := cases["exposed-admin-port sg-0bas/sgr-0b1"].children[0]
	if skipped.attr["message"] != "suppressed until 2025-03-31: until the VPN is there" || !strings.Contains(skipped.text, "critical: tcp 22") {
		t.Errorf("a suppressed case says %q and %q", skipped.attr["message"], skipped.text)
	}
	if c := cases["wide-source sg-0app/sgr-0c1"].children[0]; c.attr["message"] != "suppressed: accepted" {
		t.Errorf("%q", c.attr["message"])
	}
	if cases["evidence coverage"] != nil {
		t.Error("coverage is a case though nothing was asked for")
	}
}

func TestJUnitHoldsCoverageToWhatWasRequired(t *testing.T) {
	for _, c := range []struct {
		required float64
		outcome  string
		want     string
	}{{0.9, OutcomeChange, "pass"}, {0.99, OutcomeChange, "error"}, {0.5, OutcomeRejectOnly, "error"}} {
		r := sample()
		r.Options.RequireCoverage, r.Summary.Outcome = c.required, c.outcome
		if got := outcome(junitCases(t, r)["evidence coverage"]); got != c.want {
			t.Errorf("%v, %s: %s, want %s", c.required, c.outcome, got, c.want)
		}
	}
}

// What XML 1.0 has no character for is gone or replaced; markup is text.
func TestJUnitTextIsText(t *testing.T) {
	r := sample()
	r.Findings[0].Message = "a\x00b\x1b[31m\ufffe\uffff]]><script>&amp;\"'\n\tx"
	c := junitCases(t, r)["exposed-admin-port sg-0bas/sgr-0b1"].children[0]
	if want := "ab\ufffd\ufffd]]><script>&amp;\"'  x"; c.attr["message"] != want {
		t.Errorf("the message is %q, want %q", c.attr["message"], want)
	}
	r.Options.FailOn = "none"
	c = junitCases(t, r)["exposed-admin-port sg-0bas/sgr-0b1"].children[0]
	if !strings.Contains(c.text, "]]><script>") || !strings.Contains(c.text, "\nfingerprint: ") {
		t.Errorf("the output is %q", c.text)
	}
}
