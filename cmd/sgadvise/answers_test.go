package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"

	reports "github.com/sgadvise/sgadvise/report"
)

// questions are command lines about the demo that give an answer.
func questions() [][]string {
	const logs, policy = "../../testdata/demo/logs", "../../testdata/demo/policy"
	return [][]string{
		{"effective", "--policy", policy, "--interface", "eni-04df1da4274566835", "--resolve"},
		{"effective", "--policy", policy, "--instance", "i-06dd5b8197b432861"},
		{"effective", "--policy", policy, "--group", "sg-07b7d388c0c0c9cc4"},
		{"explain", "--policy", policy, "--flow", "10.20.10.11 -> 10.20.20.11:5432/tcp", "--logs", logs},
		{"explain", "--policy", policy, "--flow", "198.51.100.200:4000 -> 10.20.0.10:22/tcp"},
		{"explain", "--policy", policy, "--flow", "198.51.100.20:80 -> 10.20.0.10:22/tcp"},
		{"explain", "--policy", policy, "--flow", "10.20.10.11 -> 10.20.20.11/icmp:8"},
		{"explain", "--policy", policy, "--rule", "sg-0e655ea78fbd0e7c2/sgr-0db753278b0e85b95", "--logs", logs},
		{"explain", "--policy", policy, "--rule", "implicit/default:sg:ingress", "--logs", logs, "--top", "0"},
		{"explain", "--policy", policy, "--rule", "acl-00879aa698ced65e2/egress-100"},
	}
}

func TestAnswersFollowTheirSchema(t *testing.T) {
	for _, q := range questions() {
		schema := reports.EffectiveJSONSchema()
		if q[0] == "explain" {
			schema = reports.ExplainJSONSchema()
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
		if err != nil {
			t.Fatal(err)
		}
		c := jsonschema.NewCompiler()
		c.AssertFormat()
		if err := c.AddResource("answer.json", doc); err != nil {
			t.Fatal(err)
		}
		out, stderr, code := sgadvise(append(q, "--format", "json", "-q")...)
		if q[0] == "effective" {
			out, stderr, code = sgadvise(append(q, "--format", "json")...)
		}
		if code != exitOK || stderr != "" {
			t.Errorf("%q: exit code %d: %s", q, code, stderr)
			continue
		}
		answer, err := jsonschema.UnmarshalJSON(strings.NewReader(out))
		if err != nil {
			t.Errorf("%q: %v", q, err)
			continue
		}
		if err := c.MustCompile("answer.json").Validate(answer); err != nil {
			t.Errorf("%q: %v", q, err)
		}
	}
}

// Text fits 100 columns, but for a word that is longer than its column.
func TestAnswersFitTheWidth(t *testing.T) {
	for _, q := range questions() {
		out, _, _ := sgadvise(q...)
		for line := range strings.Lines(out) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 100 {
				t.Errorf("%q: %d columns: %s", q, n, line)
			}
			if strings.TrimRight(line, " \n") != strings.TrimRight(line, "\n") {
				t.Errorf("%q: blanks at the end of %q", q, line)
			}
		}
	}
}

// The same question gives the same bytes, whatever the number of workers.
func TestAnswersAreDeterministic(t *testing.T) {
	for _, q := range questions() {
		if q[0] != "explain" {
			continue
		}
		one, _, _ := sgadvise(append(q, "--workers", "1", "--format", "json")...)
		for range 2 {
			if more, _, _ := sgadvise(append(q, "--workers", "5", "--format", "json")...); more != one {
				t.Errorf("%q: %s", q, firstDifference(more, one))
			}
		}
	}
}

// Names and descriptions of a policy are someone else's text.
func TestAnswersShowHostileTextInert(t *testing.T) {
	name := filepath.Join(t.TempDir(), "hostile.policy")
	text := `interface "eni-a\x1b[31m" 10.0.0.5 sg-a name="<script>|\u202e\n" instance=i-1
group sg-a name="\x1b]0;x\x07*bold*" description="| a | b |"
  r1 ingress tcp 443 from any "<b>\r\n# title\x1b[2J"
`
	if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, q := range [][]string{
		{"effective", "--policy", name, "--instance", "i-1"},
		{"effective", "--policy", name, "--group", "sg-a"},
		{"explain", "--policy", name, "--flow", "10.0.0.9 -> 10.0.0.5:443/tcp"},
		{"explain", "--policy", name, "--rule", "r1"},
	} {
		for _, format := range []string{"text", "markdown", "json"} {
			out, stderr, code := sgadvise(append(q, "--format", format)...)
			if code != exitOK {
				t.Fatalf("%q: exit code %d: %s", q, code, stderr)
			}
			if strings.ContainsAny(out, "\x1b\x07\r\u202e") {
				t.Errorf("%q as %s lets control characters through: %q", q, format, out)
			}
			if format == "markdown" && (strings.Contains(out, "<script>") || strings.Contains(out, "<b>") || strings.Contains(out, "*bold*")) {
				t.Errorf("%q as markdown lets markup through: %q", q, out)
			}
		}
	}
}
