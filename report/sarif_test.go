package report

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// sarifSchemaModule is a Go module that carries the schema of the OASIS standard. It is
// fetched for the test alone, through the module proxy, which holds it to its checksum;
// the terms of the schema do not let us carry it ourselves.
const sarifSchemaModule = "github.com/owenrumney/go-sarif/v3@v3.3.1"

// officialSARIF compiles the schema of the standard, or skips the test.
func officialSARIF(t *testing.T) *jsonschema.Schema {
	t.Helper()
	if testing.Short() {
		t.Skip("it may fetch " + sarifSchemaModule)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", sarifSchemaModule)
	cmd.Dir = t.TempDir() // outside of our module, whose go.mod stays as it is
	out, err := cmd.Output()
	var module struct{ Dir string }
	if err != nil || json.Unmarshal(out, &module) != nil || module.Dir == "" {
		t.Skipf("the official schema is not at hand: %s: %v", sarifSchemaModule, err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(module.Dir, "pkg/report/v210/sarif/schema.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	ast.Inspect(file, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING && text == "" {
			text, err = strconv.Unquote(lit.Value)
		}
		return true
	})
	if err != nil || !strings.Contains(text, "sarif-schema-2.1.0.json") {
		t.Fatalf("%s does not hold the schema any more: %v", sarifSchemaModule, err)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("sarif.json", doc); err != nil {
		t.Fatal(err)
	}
	return c.MustCompile("sarif.json")
}

// placed is the sample with places of rules, a suppression, and what is rare.
func placed() *Report {
	r := sample()
	r.Rules[4].Source = &Source{Path: "policy/security-groups.json", Line: 17}
	r.Rules[10].Source = &Source{Path: "infra/bastion main.tf", Line: 4, Address: `module.edge.aws_security_group_rule.ssh["all"]`}
	r.Rules[13].Source = &Source{Address: "aws_vpc_security_group_ingress_rule.db"}
	r.Findings[0].Suppressed = &Suppression{Reason: "until the VPN is there [OPS-1]", Expires: at(31, 0)}
	r.Findings[1].Related = []string{"sg-0alb/sgr-0a1", "sg-0alb"}
	r.Findings[2].Check, r.Findings[2].Ref = "a-check-of-tomorrow", "eni-0app1"
	return r
}

func TestSARIFFollowsTheOfficialSchema(t *testing.T) {
	schema := officialSARIF(t)
	for name, r := range map[string]*Report{"sample": sample(), "placed": placed(), "hostile": hostile(), "zero": {}, "declined": declined(), "large": large(300)} {
		out := render(t, func(b *bytes.Buffer) error { return SARIF(b, r) })
		if err := schema.Validate(decode(t, []byte(out))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if schema.Validate(decode(t, []byte(`{"version": "2.1.0", "runs": [{}]}`))) == nil {
		t.Error("the schema takes a run without a tool: it checks nothing")
	}
}

func readSARIF(t *testing.T, r *Report) sarifRun {
	t.Helper()
	out := render(t, func(b *bytes.Buffer) error { return SARIF(b, r) })
	d := json.NewDecoder(strings.NewReader(out))
	d.DisallowUnknownFields()
	var log sarifLog
	if err := d.Decode(&log); err != nil {
		t.Fatal(err)
	}
	if log.Version != "2.1.0" || len(log.Runs) != 1 {
		t.Fatalf("version %q with %d runs", log.Version, len(log.Runs))
	}
	return log.Runs[0]
}

// What code scanning services ask for beyond the schema: no empty text, a file and a
// line for each result, URIs that are some, ids that are found, lengths that are kept.
func TestSARIFIsWhatCodeScanningTakes(t *testing.T) {
	for name, r := range map[string]*Report{"sample": sample(), "placed": placed(), "hostile": hostile(), "large": large(300)} {
		run := readSARIF(t, r)
		if len(run.Results) != len(r.Findings) {
			t.Errorf("%s: %d results of %d findings", name, len(run.Results), len(r.Findings))
		}
		seen := map[string]bool{}
		for i, rule := range run.Tool.Driver.Rules {
			if seen[rule.ID] {
				t.Errorf("%s: rule %q twice", name, rule.ID)
			}
			seen[rule.ID] = true
			for what, text := range map[string]string{"id": rule.ID, "short": rule.Short.Text, "full": rule.Full.Text, "help": rule.Help.Text, "markdown": rule.Help.Markdown} {
				if strings.TrimSpace(text) == "" {
					t.Errorf("%s: rule %d: %s is empty", name, i, what)
				}
			}
			if len(rule.Name) > 255 || len([]rune(rule.Short.Text)) > 1024 || len([]rune(rule.Full.Text)) > 1024 {
				t.Errorf("%s: rule %s is too long", name, rule.ID)
			}
		}
		for i, x := range run.Results {
			if got := run.Tool.Driver.Rules[x.RuleIndex].ID; got != x.RuleID {
				t.Errorf("%s: result %d: rule %q, by number %q", name, i, x.RuleID, got)
			}
			if id := countingFirst(r.Findings)[i].ID; x.Fingerprints.Own != id || x.Fingerprints.Line != id {
				t.Errorf("%s: result %d: fingerprints %v", name, i, x.Fingerprints)
			}
			if len(x.Locations) == 0 || strings.TrimSpace(x.Message.Text) == "" {
				t.Errorf("%s: result %d: %d locations, message %q", name, i, len(x.Locations), x.Message.Text)
			}
			for _, l := range append(x.Locations, x.Related...) {
				if l.Physical == nil || l.Physical.Region.StartLine < 1 || l.Physical.Artifact.URI == "" {
					t.Errorf("%s: result %d: no file or no line: %+v", name, i, l)
					continue
				}
				if _, err := url.Parse(l.Physical.Artifact.URI); err != nil {
					t.Errorf("%s: result %d: %v", name, i, err)
				}
				if n := l.Physical.Artifact.Index; n != nil && run.Artifacts[*n].Location.URI != l.Physical.Artifact.URI {
					t.Errorf("%s: result %d: artifact %d is %q", name, i, *n, run.Artifacts[*n].Location.URI)
				}
			}
		}
	}
}

func TestSARIFSaysWhatTheReportSays(t *testing.T) {
	r := placed()
	run := readSARIF(t, r)
	of := func(finding int) *sarifResult { // those that are suppressed come last
		i := slices.IndexFunc(run.Results, func(x sarifResult) bool { return x.Fingerprints.Own == r.Findings[finding].ID })
		return &run.Results[i]
	}
	first := of(0)
	if first.Level != "error" || !strings.HasPrefix(first.Message.Text, "tcp 22 is open to the internet; 37 connections from 2 networks used it. The plan: replace by ") {
		t.Errorf("level %s, message %q", first.Level, first.Message.Text)
	}
	want := sarifLocation{
		Physical: &sarifPhysical{sarifURI{URI: "infra/bastion%20main.tf"}, sarifRegion{4}},
		Logical: []sarifLogical{{"sgr-0b1", "sg-0bas/sgr-0b1", "resource"},
			{`module.edge.aws_security_group_rule.ssh["all"]`, `module.edge.aws_security_group_rule.ssh["all"]`, "resource"}},
	}
	if d := cmp.Diff([]sarifLocation{want}, first.Locations); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]sarifSuppression{{"external", "accepted", "until the VPN is there [OPS-1]", sarifSuppressionProperties{Expires: at(31, 0)}}}, *first.Suppressions); d != "" {
		t.Error(d)
	}
	if s := of(1).Suppressions; s == nil || len(*s) != 0 {
		t.Errorf("a finding that is not suppressed says %v, not that it is not", s)
	}
	// A rule with a line, its group with the file, and one that nothing is known of.
	two := 2
	for i, w := range []sarifPhysical{{sarifURI{"policy/security-groups.json", &two}, sarifRegion{17}}, {sarifURI{"policy/security-groups.json", &two}, sarifRegion{1}}} {
		if d := cmp.Diff(&w, of(1).Related[i].Physical); d != "" {
			t.Error(d)
		}
		if of(1).Related[i].Message != nil {
			t.Error("a place that is known is called unknown")
		}
	}
	if l := of(1).Locations[0]; l.Message == nil || l.Physical.Artifact.URI != "policy/security-groups.json" {
		t.Errorf("a place that is not known is %+v", l)
	}
	levels := map[string]string{"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note"}
	for i := range run.Results {
		if got, want := of(i).Level, levels[r.Findings[i].Severity]; got != want {
			t.Errorf("result %d is %s, want %s", i, got, want)
		}
	}
	if run.Automation.ID != "sgadvise/vpc-1/2025-04-01T10:00:00Z" {
		t.Errorf("the series is %q", run.Automation.ID)
	}
	if n := len(run.Invocation[0].Notifications); n != len(r.Notes) {
		t.Errorf("%d of %d notes", n, len(r.Notes))
	}
	if a := run.Artifacts[0]; a.Location.URI != "policy/network-acls.json" || a.Hashes["sha-256"] != strings.TrimPrefix(r.Inputs.Policy[0].Digest, "sha256:") {
		t.Errorf("the first artifact is %+v", a)
	}
}

// Every check that was run is a rule with the help that the checks command prints, and
// the gravest that it reports is its severity.
func TestSARIFHelpIsThatOfTheChecks(t *testing.T) {
	run := readSARIF(t, sample())
	for i, name := range sample().Checks {
		rule := run.Tool.Driver.Rules[i]
		if rule.ID != name || len(rule.Help.Markdown) < 100 || rule.Name == "" {
			t.Errorf("rule %d is %+v, want %s with its help", i, rule, name)
		}
		if rule.Default.Level != "note" && rule.Properties.SecuritySeverity == "" {
			t.Errorf("%s has no severity", name)
		}
	}
}

// A message may hold links and placeholders: text from outside must make neither.
func TestSARIFTextIsPlain(t *testing.T) {
	r := sample()
	r.Findings[0].Message = `[click](https://evil.example) {0} \[x](1) ![i](2)`
	run := readSARIF(t, r)
	text := run.Results[0].Message.Text
	if !strings.HasPrefix(text, `\[click\](https://evil.example) {{0}} \\\[x\](1) !\[i\](2)`) {
		t.Errorf("the message is %q", text)
	}
	link := regexp.MustCompile(`(^|[^\\])(\\\\)*\[`)
	for i, x := range readSARIF(t, hostile()).Results {
		if link.MatchString(x.Message.Text) {
			t.Errorf("result %d: a link could begin in %q", i, x.Message.Text)
		}
	}
}

func TestFileURI(t *testing.T) {
	for path, want := range map[string]string{
		"policy/sg.json":      "policy/sg.json",
		"./a b/ü%#?.json":     "./a%20b/%C3%BC%25%23%3F.json",
		"../up.json":          "../up.json",
		"a:b/c:d":             "a%3Ab/c%3Ad",
		"/etc/sg.json":        "file:///etc/sg.json",
		`C:\policy\sg 1.json`: "file:///C:/policy/sg%201.json",
		"c:/x":                "file:///c:/x",
		`policy\sg.json`:      "policy/sg.json",
		`\\host\share\a.json`: "file://host/share/a.json",
		"javascript:alert(1)": "javascript%3Aalert%281%29",
		"-":                   "-",
	} {
		got := fileURI(path)
		if got != want {
			t.Errorf("%q is %q, want %q", path, got, want)
		}
		if u, err := url.Parse(got); err != nil || u.Scheme != "" && u.Scheme != "file" {
			t.Errorf("%q: %v, %v", got, u, err)
		}
	}
}

func TestSARIFPicksTheLikelyFile(t *testing.T) {
	r := sample()
	r.Inputs.Policy = nil
	for _, x := range [][2]string{{"a/interfaces.json", "x:interfaces"}, {"a/rules.json", "x:security-group-rules"}, {"a/groups.json", "x:security-groups"},
		{"a/acls.json", "x:network-acls"}, {"a/attribute-sg-0db.json", "x:other"}} {
		r.Inputs.Policy = append(r.Inputs.Policy, PolicyInput{Path: x[0], Kind: x[1]})
	}
	s := newSARIFView(whole(r))
	for ref, want := range map[string]string{"sg-0web/sgr-0e1": "a/groups.json", "sg-0web": "a/groups.json", "sg-0db/sgr-0d1": "a/attribute-sg-0db.json",
		"acl-0c1/ingress-100": "a/acls.json", "implicit/default:sg:ingress": "a/interfaces.json", "eni-1": "a/interfaces.json"} {
		if got := s.likelyFile(ref); got != want {
			t.Errorf("%s: %s, want %s", ref, got, want)
		}
	}
}

// A series has the same name in the next run, and another on another network.
func TestSARIFSeriesIsStable(t *testing.T) {
	series := func(vpcs ...string) string {
		r := &Report{Created: at(1, 0)}
		for i, v := range vpcs {
			r.Groups = append(r.Groups, Group{ID: fmt.Sprint("sg-", i), VPC: v})
		}
		id := newSARIFView(r).automation()
		return id[:strings.LastIndex(id, "/")+1]
	}
	if a, b := series("vpc-b", "vpc-a", ""), series("", "vpc-a"); a != "sgadvise/vpc-a/" || a != b {
		t.Errorf("%q and %q", a, b)
	}
	if got := series(); got != "sgadvise/" {
		t.Errorf("%q", got)
	}
}

// Services show 5,000 results: the gravest of more are written, what is suppressed goes
// first, and the run says so. Each is one line.
func TestSARIFHoldsWhatServicesShow(t *testing.T) {
	r := large(6000)
	for i := range 700 {
		r.Findings[i].Suppressed = &Suppression{Reason: "known"}
	}
	out := render(t, func(b *bytes.Buffer) error { return SARIF(b, r) })
	if err := officialSARIF(t).Validate(decode(t, []byte(out))); err != nil {
		t.Error(err)
	}
	run := readSARIF(t, r)
	if len(run.Results) != sarifResults || run.Results[0].Fingerprints.Own != r.Findings[700].ID {
		t.Errorf("%d results, first %s", len(run.Results), run.Results[0].Fingerprints.Own)
	}
	last := run.Invocation[0].Notifications[len(run.Invocation[0].Notifications)-1]
	if last.Message.Text != "Showing 5,000 of 6,000 findings, the gravest first; the JSON report has all." {
		t.Error(last.Message.Text)
	}
	lines := 0
	for line := range strings.Lines(out) {
		if strings.Contains(line, `"ruleId":`) {
			lines++
		}
	}
	if lines != sarifResults {
		t.Errorf("%d lines with a result", lines)
	}
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write([]byte(out)); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	if len(out) > 10<<20 || z.Len() > 1<<20 {
		t.Errorf("%d bytes, %d compressed", len(out), z.Len())
	}
	small := readSARIF(t, large(3))
	if small.Results[0].Suppressions != nil {
		t.Error("a run without suppressions speaks of them")
	}
}
