package report

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/analyzer"
)

// What SARIF 2.1.0 has room for and we have something to say in. Objects that are not
// there are left out: code scanning services refuse empty texts.
type sarifLog struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool       sarifTool          `json:"tool"`
	Automation sarifAutomation    `json:"automationDetails"`
	Invocation []sarifInvocation  `json:"invocations"`
	Artifacts  []sarifArtifact    `json:"artifacts"`
	Results    []sarifResult      `json:"results"`
	Properties sarifRunProperties `json:"properties"`
}

type sarifTool struct {
	Driver sarifDriver `json:"driver"`
}

type sarifDriver struct {
	Name           string      `json:"name"`
	Version        string      `json:"version,omitempty"`
	InformationURI string      `json:"informationUri"`
	Rules          []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID         string              `json:"id"`
	Name       string              `json:"name,omitempty"`
	Short      sarifText           `json:"shortDescription"`
	Full       sarifText           `json:"fullDescription"`
	Help       sarifText           `json:"help"`
	Default    sarifConfiguration  `json:"defaultConfiguration"`
	Properties sarifRuleProperties `json:"properties"`
}

type sarifText struct {
	Text     string `json:"text"`
	Markdown string `json:"markdown,omitempty"`
}

type sarifConfiguration struct {
	Level string `json:"level"`
}

type sarifRuleProperties struct {
	Tags             []string `json:"tags"`
	SecuritySeverity string   `json:"security-severity,omitempty"`
}

type sarifAutomation struct {
	ID string `json:"id"`
}

type sarifInvocation struct {
	Successful    bool                `json:"executionSuccessful"`
	End           string              `json:"endTimeUtc,omitempty"`
	Notifications []sarifNotification `json:"toolExecutionNotifications"`
}

type sarifNotification struct {
	Level   string    `json:"level"`
	Message sarifText `json:"message"`
}

type sarifArtifact struct {
	Location    sarifURI          `json:"location"`
	Roles       []string          `json:"roles"`
	Hashes      map[string]string `json:"hashes,omitempty"`
	Description *sarifText        `json:"description,omitempty"`
}

type sarifURI struct {
	URI   string `json:"uri"`
	Index *int   `json:"index,omitempty"`
}

type sarifResult struct {
	RuleID       string                `json:"ruleId"`
	RuleIndex    int                   `json:"ruleIndex"`
	Level        string                `json:"level"`
	Message      sarifText             `json:"message"`
	Locations    []sarifLocation       `json:"locations,omitempty"`
	Related      []sarifLocation       `json:"relatedLocations,omitempty"`
	Fingerprints sarifFingerprints     `json:"partialFingerprints"`
	Suppressions *[]sarifSuppression   `json:"suppressions,omitempty"` // of all results, or of none
	Properties   sarifResultProperties `json:"properties"`
}

type sarifLocation struct {
	Physical *sarifPhysical `json:"physicalLocation,omitempty"`
	Logical  []sarifLogical `json:"logicalLocations"`
	Message  *sarifText     `json:"message,omitempty"`
}

type sarifPhysical struct {
	Artifact sarifURI    `json:"artifactLocation"`
	Region   sarifRegion `json:"region"`
}

type sarifRegion struct {
	StartLine int `json:"startLine"`
}

type sarifLogical struct {
	Name string `json:"name"`
	Full string `json:"fullyQualifiedName"`
	Kind string `json:"kind"`
}

// sarifFingerprints is one fingerprint under two names: ours, and the only one that
// GitHub reads.
type sarifFingerprints struct {
	Line string `json:"primaryLocationLineHash"`
	Own  string `json:"sgadvise/v1"`
}

type sarifSuppression struct {
	Kind          string                     `json:"kind"`
	Status        string                     `json:"status"`
	Justification string                     `json:"justification,omitempty"`
	Properties    sarifSuppressionProperties `json:"properties"`
}

type sarifSuppressionProperties struct {
	Expires Time   `json:"expires"`
	Owner   string `json:"owner,omitempty"`
	Ticket  string `json:"ticket,omitempty"`
	Entry   string `json:"entry,omitempty"`
}

type sarifResultProperties struct {
	Tags       []string `json:"tags"` // controls
	Severity   string   `json:"severity"`
	Confidence string   `json:"confidence"`
	Plan       string   `json:"plan,omitempty"`
}

type sarifRunProperties struct {
	Headline string  `json:"headline"`
	Scope    string  `json:"scope"`
	Window   Window  `json:"window"`
	Records  uint64  `json:"records"`
	Fidelity float64 `json:"fidelity"`
	Coverage float64 `json:"coverage"`
}

// How long a description of a rule may be, and how many results there may be: GitHub
// cuts or refuses longer ones, and shows no more.
const (
	sarifDescription = 1000
	sarifResults     = 5000
)

// SARIF writes the findings of r in the Static Analysis Results Interchange Format,
// version 2.1.0. Checks are its rules, findings its results: the gravest 5,000, those
// that are suppressed last. Each result is one line.
func SARIF(w io.Writer, r *Report) error {
	s := newSARIFView(whole(r))
	run := sarifRun{
		Tool: sarifTool{sarifDriver{Name: s.r.Tool.Name, Version: s.r.Tool.Version,
			InformationURI: "https://github.com/sgadvise/sgadvise", Rules: []sarifRule{}}},
		Automation: sarifAutomation{s.automation()},
		Invocation: []sarifInvocation{{Successful: true, End: s.r.Created.String(), Notifications: []sarifNotification{}}},
		Artifacts:  s.artifacts(),
		Results:    []sarifResult{},
		Properties: sarifRunProperties{s.r.Summary.Headline, s.r.Summary.Scope, s.r.Window, s.r.Ledger.Records, s.r.Fidelity.Rate, s.r.Coverage.Ratio},
	}
	if run.Tool.Driver.Name == "" {
		run.Tool.Driver.Name = "sgadvise"
	}
	for _, note := range s.r.Notes {
		run.Invocation[0].Notifications = append(run.Invocation[0].Notifications, sarifNotification{"note", sarifText{Text: sarifPlain(note)}})
	}
	checks := checksOf(s.r)
	index := make(map[string]int, len(checks))
	for i, name := range checks {
		index[name] = i
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, newSARIFRule(name))
	}
	findings := countingFirst(s.r.Findings)
	s.suppressed = len(findings) > 0 && findings[len(findings)-1].Suppressed != nil
	shown := firstOf(findings, sarifResults)
	if text := showing(len(shown), len(findings), "findings"); text != "" {
		run.Invocation[0].Notifications = append(run.Invocation[0].Notifications, sarifNotification{"warning", sarifText{Text: upperFirst(text) + ", the gravest first; the JSON report has all."}})
	}
	var head bytes.Buffer
	if err := writeJSON(&head, sarifLog{"https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json", "2.1.0", []sarifRun{run}}); err != nil {
		return err
	}
	// Nothing else is written so: quotes inside of texts are escaped.
	before, after, _ := bytes.Cut(head.Bytes(), []byte(`"results": []`))
	b := bufio.NewWriter(w)
	b.Write(before)
	b.WriteString(`"results": [`)
	for i := range shown {
		line, err := marshalPlain(s.result(&shown[i], index[shown[i].Check]))
		if err != nil {
			return fmt.Errorf("report: %w", err)
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n        ")
		b.Write(line)
	}
	if len(shown) > 0 {
		b.WriteString("\n      ")
	}
	b.WriteByte(']')
	b.Write(after)
	return b.Flush()
}

// checksOf lists the checks that were run or found something, by name.
func checksOf(r *Report) []string {
	out := slices.Clone(r.Checks)
	for i := range r.Findings {
		out = append(out, r.Findings[i].Check)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func newSARIFRule(name string) sarifRule {
	out := sarifRule{ID: orDash(name), Name: camel(name), Default: sarifConfiguration{"warning"},
		Properties: sarifRuleProperties{Tags: []string{"network", "security"}}}
	title, doc := "A check that this version does not have", "The report was made by a version that has the check "+name+"."
	if a := analyzer.ByName(name); a != nil {
		title, doc = a.Title, strings.TrimSpace(a.Doc)
		out.Default.Level = sarifLevel(string(a.Severity))
		out.Properties.SecuritySeverity = sarifSeverity(string(a.Severity))
	}
	first, _, _ := strings.Cut(doc, "\n\n")
	out.Short = sarifText{Text: sarifPlain(clip(title, sarifDescription))}
	out.Full = sarifText{Text: sarifPlain(clip(strings.Join(strings.Fields(first), " "), sarifDescription))}
	out.Help = sarifText{Text: sarifPlain(doc), Markdown: doc}
	return out
}

// camel writes "unused-rule" as "UnusedRule".
func camel(name string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(name, "-") {
		b.WriteString(upperFirst(part))
	}
	return clip(b.String(), 200)
}

func sarifLevel(severity string) string {
	switch severity {
	case "critical", "high":
		return "error"
	case "medium":
		return "warning"
	}
	return "note"
}

// sarifSeverity is a number inside the band that code scanning services give the
// severity. Info has none.
func sarifSeverity(severity string) string {
	return map[string]string{"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "2.0"}[severity]
}

// sarifPlain makes s a message that says s: brackets would begin a link and braces a
// placeholder.
func sarifPlain(s string) string {
	return sarifEscaper.Replace(orDash(s))
}

var sarifEscaper = strings.NewReplacer("[", `\[`, "]", `\]`, `\`, `\\`, "{", "{{", "}", "}}")

// orDash keeps out texts without a character, which are refused.
func orDash(s string) string {
	if strings.TrimSpace(s) == "" {
		return "–"
	}
	return s
}

func (s *sarifView) result(f *Finding, rule int) sarifResult {
	out := sarifResult{RuleID: orDash(f.Check), RuleIndex: rule, Level: sarifLevel(f.Severity),
		Fingerprints: sarifFingerprints{f.ID, f.ID},
		Properties:   sarifResultProperties{Tags: f.Controls, Severity: f.Severity, Confidence: f.Confidence, Plan: s.plans[f.ID]},
	}
	text := f.Message
	if plan := s.plans[f.ID]; plan != "" {
		text += ". The plan: " + plan
	}
	var facts []string
	for _, x := range f.Facts {
		facts = append(facts, x.Name+": "+x.Value)
	}
	if len(facts) > 0 {
		text += "\n" + strings.Join(facts, "; ")
	}
	out.Message = sarifText{Text: sarifPlain(text)}
	if f.Ref != "" {
		out.Locations = []sarifLocation{s.location(string(f.Ref))}
	}
	for _, ref := range f.Related {
		out.Related = append(out.Related, s.location(ref))
	}
	if s.suppressed {
		out.Suppressions = new([]sarifSuppression)
		*out.Suppressions = []sarifSuppression{}
	}
	if x := f.Suppressed; x != nil {
		*out.Suppressions = []sarifSuppression{{"external", "accepted", x.Reason, sarifSuppressionProperties{x.Expires, x.Owner, x.Ticket, x.Entry}}}
	}
	return out
}
