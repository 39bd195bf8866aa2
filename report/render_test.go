package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"flag"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the goldens in testdata")

func render(t *testing.T, f func(*bytes.Buffer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := f(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGoldens(t *testing.T) {
	r := sample()
	views := map[string]func(*bytes.Buffer) error{
		"sample-verbose.txt": func(b *bytes.Buffer) error { return Text(b, r, Options{Verbose: true, Width: 140}) },
		"sample-narrow.txt":  func(b *bytes.Buffer) error { return Text(b, r, Options{Width: 60}) },
		"declined.txt":       func(b *bytes.Buffer) error { return Text(b, declined(), Options{}) },
		"declined.md":        func(b *bytes.Buffer) error { return Markdown(b, declined()) },
	}
	for _, f := range Formats {
		views["sample"+f.Ext] = func(b *bytes.Buffer) error { return f.Render(b, r) }
	}
	for name, f := range views {
		t.Run(name, func(t *testing.T) { checkGolden(t, name, render(t, f)) })
	}
}

// checkGolden holds got to the file of that name in testdata.
func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("run with -update if this is meant (-want +got):\n%s", d)
	}
}

// declined is the sample with a plan that was refused as a whole.
func declined() *Report {
	r := sample()
	r.Notes, r.Findings, r.Undecided = nil, nil, nil
	r.Coverage, r.Ledger = Coverage{Ratio: 1}, Ledger{Records: 10, Dispositions: Dispositions{Blocked: 8, Unexplained: 2}}
	r.Fidelity = Fidelity{Judged: 10, Agree: 8, Rate: 0.8, Causes: map[string]uint64{"snapshot-newer-than-log": 2}}
	r.Plan = Plan{Mode: "tighten", Declined: []Declined{{Reason: "fidelity 0.8 is below 0.9"}}}
	r.Summary = Summary{Outcome: OutcomeDeclined, Headline: "No change is proposed: fidelity 0.8 is below 0.9.", Scope: r.Summary.Scope, Rules: 18, Editable: 15, Declined: 1, Verdicts: Verdicts{Used: 18}}
	return r.complete()
}

func TestRenderingFromStoredJSONIsTheSame(t *testing.T) {
	for name, r := range map[string]*Report{"sample": sample(), "hostile": hostile(), "declined": declined(), "zero": {}, "large": large(400)} {
		stored, err := Read(bytes.NewReader(encode(t, r)))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range Formats {
			direct := render(t, func(b *bytes.Buffer) error { return f.Render(b, r) })
			again := render(t, func(b *bytes.Buffer) error { return f.Render(b, stored) })
			if d := cmp.Diff(direct, again); d != "" {
				t.Errorf("%s, %s (-direct +stored):\n%s", name, f.Name, d)
			}
		}
	}
}

// The first line of the text and the first words of the others are the answer.
func TestEveryViewLeadsWithTheAnswer(t *testing.T) {
	r := declined()
	text := render(t, func(b *bytes.Buffer) error { return Text(b, r, Options{}) })
	if !strings.HasPrefix(text, r.Summary.Headline+"\n") {
		t.Errorf("the text starts with %.80q", text)
	}
	md := render(t, func(b *bytes.Buffer) error { return Markdown(b, r) })
	page := render(t, func(b *bytes.Buffer) error { return HTML(b, r) })
	if i := strings.Index(md, r.Summary.Headline); i < 0 || i > 80 {
		t.Errorf("the headline is at %d of the Markdown", i)
	}
	if !strings.Contains(page, "<h1>"+r.Summary.Headline+"</h1>") {
		t.Error("the headline is not the h1 of the page")
	}
	for name, view := range map[string]string{"text": text, "markdown": md, "html": page} {
		if a, b := strings.Index(view, "Fidelity"), strings.Index(view, "Proof"); a < 0 || b < a {
			t.Errorf("%s: fidelity does not come first", name)
		}
	}
}

func TestTextFitsItsWidth(t *testing.T) {
	for _, width := range []int{80, 100, 140} {
		text := render(t, func(b *bytes.Buffer) error { return Text(b, sample(), Options{Width: width}) })
		for line := range strings.Lines(text) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > width {
				t.Errorf("width %d: %d columns: %s", width, n, line)
			}
		}
	}
}

var sgr = regexp.MustCompile("\x1b\\[[0-9]*m")

func TestColourAddsNothingButColour(t *testing.T) {
	plain := render(t, func(b *bytes.Buffer) error { return Text(b, sample(), Options{Verbose: true}) })
	colour := render(t, func(b *bytes.Buffer) error { return Text(b, sample(), Options{Verbose: true, Color: true}) })
	if strings.Contains(plain, "\x1b") || !strings.Contains(colour, "\x1b[31m") {
		t.Fatal("colour is where it should not be, or is missing")
	}
	trim := func(s string) string { return regexp.MustCompile(`(?m) +$`).ReplaceAllString(s, "") }
	if d := cmp.Diff(plain, trim(sgr.ReplaceAllString(colour, ""))); d != "" {
		t.Error(d)
	}
}

func TestBriefTextSaysWhatItLeftOut(t *testing.T) {
	r := large(300)
	brief := render(t, func(b *bytes.Buffer) error { return Text(b, r, Options{}) })
	verbose := render(t, func(b *bytes.Buffer) error { return Text(b, r, Options{Verbose: true}) })
	for _, want := range []string{"showing 25 of 300 edits", "showing 10 of 300 findings"} {
		if !strings.Contains(brief, want) {
			t.Errorf("the brief view lacks %q", want)
		}
	}
	if strings.Contains(verbose, "showing") {
		t.Error("the verbose view leaves something out")
	}
	if lines := strings.Count(brief, "\n"); lines > 300 {
		t.Errorf("the brief view has %d lines", lines)
	}
}

// large is a report on n rules, each with an edit and a finding.
func large(n int) *Report {
	r := sample()
	rule, edit, finding := r.Rules[4], r.Plan.Edits[0], r.Findings[0]
	r.Rules, r.Plan.Edits, r.Findings = nil, nil, nil
	for i := range n {
		x, e, f := rule, edit, finding
		x.Group, x.Rule = fmt.Sprintf("sg-%017x", i/50), fmt.Sprintf("sgr-%017x", i)
		x.Ref = x.Group + "/" + x.Rule
		x.Description = strings.Repeat("what it is for, ", 6)
		e.Ref, e.Group, e.Finding = Optional(x.Ref), x.Group, Optional(fmt.Sprintf("%016x", i))
		f.ID, f.Ref = string(e.Finding), e.Ref
		r.Rules, r.Plan.Edits, r.Findings = append(r.Rules, x), append(r.Plan.Edits, e), append(r.Findings, f)
	}
	r.Details, r.Groups = nil, nil
	for i := range r.Rules {
		x := &r.Rules[i]
		x.Daily = strings.Repeat("0123450", 60)[:366]
		if len(r.Details) < mostDetails {
			d := Detail{Ref: x.Ref, MoreShares: 7}
			for k := range 5 {
				d.Shares = append(d.Shares, Shared{r.Rules[(i+k+1)%n].Ref, uint64(1000 - k)})
				d.Decisive = append(d.Decisive, Example{"eni-0123456789abcdef0", "tcp", "2001:db8:1234:5678:9abc:def0:1234:5678", "65535", false, 123_456, at(31, 0)})
			}
			r.Details = append(r.Details, d)
		}
	}
	for i := range mostSpaces {
		s := Space{Ref: r.Rules[i%n].Ref, Kind: "addresses", Within: "0.0.0.0/0", Cell: "0.0.0.0/12", Count: 4096, Filled: 4096}
		for y := range 64 {
			s.Cells = append(s.Cells, strings.Repeat("0123451234512345", 4)[y%7:][:57]+"0123451")
		}
		r.Pictures.Spaces = append(r.Pictures.Spaces, s)
	}
	r.Pictures.Flows.Links = nil
	for i := range mostFlows {
		r.Pictures.Flows.Links = append(r.Pictures.Flows.Links, Flow{fmt.Sprintf("sg-%017x", i%10), fmt.Sprintf("tcp %d", i%9), fmt.Sprintf("sg-%017x", i%7), 1, uint64(i)})
	}
	r.Coverage.Interfaces = nil
	for i := range n / 2 {
		c := InterfaceCoverage{Interface: fmt.Sprintf("eni-%017x", i), InPolicy: true, From: at(1, 0), To: at(31, 0), Records: 9}
		for day := 1; day < 31; day += 2 {
			c.Gaps = append(c.Gaps, Gap{at(day, 0), at(day+1, 0), GapNoRecord})
		}
		r.Coverage.Interfaces = append(r.Coverage.Interfaces, c)
	}
	return r
}

func TestSizeBudgets(t *testing.T) {
	r := large(10_000)
	for _, c := range []struct {
		format string
		limit  int
	}{{"html", 3 << 20}, {"markdown", 1 << 20}} {
		f, err := FormatFor(c.format)
		if err != nil {
			t.Fatal(err)
		}
		out := render(t, func(b *bytes.Buffer) error { return f.Render(b, r) })
		if len(out) > c.limit {
			t.Errorf("%s: %d bytes for 10,000 rules, limit %d", c.format, len(out), c.limit)
		}
		if !strings.Contains(out, "of 10,000 edits") || !strings.Contains(out, "of 10,000 rules") || !strings.Contains(out, "of 10,000 findings") {
			t.Errorf("%s does not say what it left out", c.format)
		}
		t.Logf("%s: %d bytes", c.format, len(out))
	}
	for _, n := range []int{100, 1000} {
		out := render(t, func(b *bytes.Buffer) error { return HTML(b, large(n)) })
		t.Logf("html, %d rules: %d bytes", n, len(out))
	}
}

// A page of 1,000 detail rows at most, however large the report.
func TestHTMLCapsItsRows(t *testing.T) {
	if htmlEdits+htmlFindings+htmlRules > 1000 {
		t.Error("more than 1,000 detail rows")
	}
	page := render(t, func(b *bytes.Buffer) error { return HTML(b, large(2000)) })
	if n := strings.Count(page, "<tr"); n > 1600 {
		t.Errorf("%d rows", n)
	}
}

// Texts as they might come from logs and exports, each a trap for some format.
var traps = []string{
	`<script>alert(1)</script>`,
	`"><img src=x onerror=alert(1)>`,
	`javascript:alert(1)`,
	"a | b | c",
	"line one\nline two\r\n# heading",
	"\x1b[31mred\x1b[0m\x1b]0;title\x07\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\",
	"\u009b31mred\u009d0;title\u009c",
	"\u202egpj.exe\u2066\u200f\u061c",
	"zero\u200bwidth\ufeff\u00ad\U000e0041",
	"=HYPERLINK(\"https://evil.example\")",
	"@everyone #1 GH-1 https://evil.example www.evil.example",
	"[x](javascript:alert(1)) ![x](https://evil.example/x.png) `code` ``` **b** _i_ ~~s~~",
	"</summary></details><!-- -->&lt;&#124;",
	"\\| \\` \\\\|",
	"bad utf8 \xff\xfe",
	"- item\n1. item\n> quote\n---\n\n    code",
	"{{.}} {{template \"x\"}} ${x} $x$",
	strings.Repeat("long ", 500),
	"日本語のルール 漢字 ｆｕｌｌ",
	"beep\x00\x07\x08\x7f",
}

// hostile is the sample with a trap in every text that comes from outside.
func hostile() *Report {
	r := sample()
	n := 0
	next := func() string { n++; return traps[n%len(traps)] }
	for range 2 { // twice around, so that different texts meet different traps
		for _, s := range []*string{&r.Inputs.Logs[0].Path, &r.Inputs.Logs[0].Format, &r.Inputs.Policy[0].Path, &r.Inputs.Policy[0].Kind,
			&r.Inputs.Skipped[0].Path, &r.Inputs.Skipped[0].Reason, &r.Ledger.Samples[0].Path, &r.Ledger.Samples[0].Field, &r.Ledger.Samples[0].Reason,
			&r.Coverage.Missing[0].What, &r.Coverage.Missing[0].Effect, &r.Undecided[0].Interface, &r.Tool.Version, &r.Summary.Scope, &r.Summary.Headline} {
			*s = next()
		}
	}
	for i := range traps {
		trap := traps[i]
		r.Notes = append(r.Notes, trap)
		r.Groups = append(r.Groups, Group{ID: trap, Name: trap, Kind: "security-group", VPC: trap})
		r.Rules = append(r.Rules, Rule{Ref: trap + "/x", Group: trap, Rule: "x", Direction: "ingress", Action: "allow", Priority: 1,
			Protocol: "tcp", Ports: "443", Peer: trap, Description: trap, Verdict: "unused", Reason: trap})
		r.Findings = append(r.Findings, Finding{ID: fmt.Sprint("f", i), Check: trap, Severity: "low", Confidence: "low", Ref: Optional(trap),
			Message: trap, Facts: []Fact{{trap, trap}}, Related: []string{trap}, Controls: []string{trap}, Suppressed: &Suppression{Reason: trap}})
		r.Plan.Edits = append(r.Plan.Edits, Edit{Op: "replace", Ref: Optional(trap + "/x"), Group: trap, Basis: "observed", Confidence: "low",
			Check: trap, Reason: trap, Finding: Optional(fmt.Sprint("f", i)), With: []NewRule{{"ingress", "allow", 1, "tcp", "443", trap, trap}}})
		r.Plan.Declined = append(r.Plan.Declined, Declined{Optional(trap), trap})
		r.Coverage.Interfaces = append(r.Coverage.Interfaces, InterfaceCoverage{Interface: trap, InPolicy: true, From: at(1, 0), To: at(2, 0),
			Gaps: []Gap{{at(1, 0), at(3, 0), GapNoRecord}}})
		r.Fidelity.Causes[trap] = uint64(i + 1)
		r.Details = append(r.Details, Detail{trap + "/x", []Shared{{trap, 1}}, 1, []Example{{trap, trap, trap, trap, true, 1, at(2, 0)}}})
		r.Pictures.Flows.Links = append(r.Pictures.Flows.Links, Flow{trap, trap, trap, 1, 1})
		r.Pictures.Spaces = append(r.Pictures.Spaces, Space{trap, "ports", trap, trap, 64, 1, []string{strings.Repeat("0", 63) + "1"}, []UsedPart{{trap, 1}}})
		r.Fidelity.Interfaces = append(r.Fidelity.Interfaces, InterfaceFidelity{Interface: trap, Judged: 2, Causes: map[string]uint64{trap: 2}})
	}
	return r.complete()
}

// No character that acts instead of showing gets into any view.
func TestHostileTextCannotSteer(t *testing.T) {
	r := hostile()
	for _, f := range Formats {
		out := render(t, func(b *bytes.Buffer) error { return f.Render(b, r) })
		if f.Name == "csv" {
			out = strings.ReplaceAll(out, "\r\n", "\n") // its line ends
		}
		for i, c := range out {
			if c != '\n' && (unicode.IsControl(c) || unicode.In(c, unicode.Cf, unicode.Zl, unicode.Zp)) {
				t.Errorf("%s: raw %U after %q", f.Name, c, out[max(0, i-40):i])
				break
			}
		}
	}
}

// The structure of each view is that of the same report with harmless words in the
// place of the traps: nothing in a text made a row, a cell, a tag or an attribute.
func TestHostileTextMakesNoStructure(t *testing.T) {
	harmless := func() *Report {
		old := traps
		defer func() { traps = old }()
		traps = make([]string, len(old))
		for i := range traps {
			traps[i] = fmt.Sprintf("harmless%d", i)
		}
		return hostile()
	}()
	bad := render(t, func(b *bytes.Buffer) error { return HTML(b, hostile()) })
	good := render(t, func(b *bytes.Buffer) error { return HTML(b, harmless) })
	tags := regexp.MustCompile(`<[a-zA-Z!/][^>]*>`)
	title := regexp.MustCompile(`\b(content|id|href|class|d|y|height|viewBox)="[^"]*"`)
	shape := func(s string) []string {
		var out []string
		for _, tag := range tags.FindAllString(s, -1) {
			out = append(out, title.ReplaceAllString(tag, "$1"))
		}
		return out
	}
	if d := cmp.Diff(shape(good), shape(bad)); d != "" {
		t.Errorf("html: tags differ (-harmless +hostile):\n%s", d)
	}
	if strings.Count(bad, "<script") != 1 || strings.Contains(bad, "http://") || strings.Contains(bad, "https://evil.example\"") {
		t.Error("html: a script or an address to load")
	}

	badMD := render(t, func(b *bytes.Buffer) error { return Markdown(b, hostile()) })
	goodMD := render(t, func(b *bytes.Buffer) error { return Markdown(b, harmless) })
	if a, b := strings.Count(goodMD, "\n"), strings.Count(badMD, "\n"); a != b {
		t.Errorf("markdown: %d lines, %d with traps", a, b)
	}
	badLines, goodLines := strings.Split(badMD, "\n"), strings.Split(goodMD, "\n")
	for i := range min(len(badLines), len(goodLines)) {
		if a, b := markdownShape(goodLines[i]), markdownShape(badLines[i]); a != b {
			t.Errorf("markdown line %d: marks %q, with traps %q:\n%s", i+1, a, b, badLines[i])
		}
	}
	for _, s := range []string{"](", "@e", "://", "www.", "#1"} {
		if strings.Contains(entity.ReplaceAllString(badMD, ""), s) {
			t.Errorf("markdown: contains %q", s)
		}
	}

	badText := render(t, func(b *bytes.Buffer) error { return Text(b, hostile(), Options{Width: 4000, Verbose: true}) })
	goodText := render(t, func(b *bytes.Buffer) error { return Text(b, harmless, Options{Width: 4000, Verbose: true}) })
	if a, b := strings.Count(goodText, "\n"), strings.Count(badText, "\n"); a != b {
		t.Errorf("text: %d lines, %d with traps", a, b)
	}
}

var entity = regexp.MustCompile(`&#[0-9]+;`)

// markdownShape is what could act in a line of Markdown: its marks, in order.
func markdownShape(line string) string {
	line = entity.ReplaceAllString(line, "")
	return strings.Map(func(c rune) rune {
		if strings.ContainsRune("|<>*_`[]!~\\&#$", c) {
			return c
		}
		return -1
	}, line)
}

func TestEscapeAtTheStartOfALine(t *testing.T) {
	for _, s := range []string{"# h", "- i", "+ i", "* i", "> q", "---", "===", "```", "    code", "<b>", "| a |", "[a]: b"} {
		got := escape(s)
		if strings.ContainsAny(got[:1], "#-+*>=`<|[") {
			t.Errorf("escape(%q) = %q", s, got)
		}
	}
}

// The page asks for nothing, and allows nothing but the style and the script in it, which
// its policy names by their digests.
func TestHTMLIsSelfContained(t *testing.T) {
	page := render(t, func(b *bytes.Buffer) error { return HTML(b, sample()) })
	digest := func(element string) string {
		m := regexp.MustCompile("(?s)<"+element+">(.*?)</"+element+">").FindAllStringSubmatch(page, -1)
		if len(m) != 1 {
			t.Fatalf("%d elements %s", len(m), element)
		}
		sum := sha256.Sum256([]byte(m[0][1]))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	m := regexp.MustCompile(`<meta http-equiv="Content-Security-Policy" content="([^"]*)">`).FindStringSubmatch(page)
	want := "default-src 'none'; style-src " + digest("style") + "; script-src " + digest("script") + "; base-uri 'none'; form-action 'none'"
	if m == nil || html.UnescapeString(m[1]) != want {
		t.Errorf("policy %q, want %q", m, want)
	}
	if i, j := strings.Index(page, "Content-Security-Policy"), strings.Index(page, "<style"); i > j {
		t.Error("the policy comes after what it is about")
	}
	for _, want := range []string{`<html lang="en">`, `<meta name="color-scheme" content="light dark">`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if m := regexp.MustCompile(`(?i)<link|<iframe|<object|src=|@import|url\(|https?:|style="| on[a-z]+="|fetch\(|XMLHttp|innerHTML|eval\(`).FindString(page); m != "" {
		t.Errorf("the page contains %q", m)
	}
	for _, m := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if !strings.HasPrefix(m[1], "#") {
			t.Errorf("a link to %q", m[1])
		} else if !strings.Contains(page, `id="`+m[1][1:]+`"`) {
			t.Errorf("a link to %q, which is not there", m[1])
		}
	}
}

// A document can be anything: what makes no picture is left out.
func TestHTMLOfOddPictures(t *testing.T) {
	for name, spoil := range map[string]func(r *Report){
		"no pictures":  func(r *Report) { r.Pictures, r.Details, r.Trend = nil, nil, nil },
		"empty":        func(r *Report) { r.Pictures = &Pictures{} },
		"no numbers":   func(r *Report) { r.Pictures.Tradeoff[0].IPv4 = "many" },
		"huge numbers": func(r *Report) { r.Pictures.Tradeoff[0].IPv4 = strings.Repeat("9", 400) },
		"negative":     func(r *Report) { r.Pictures.Tradeoff[0].Rules = -5 },
		"out of order": func(r *Report) { r.Pictures.Tradeoff[0].Rules = 1 << 40 },
		"another kind": func(r *Report) { r.Pictures.Tradeoff[1].Kind = "dream" },
		"one point":    func(r *Report) { r.Pictures.Tradeoff = r.Pictures.Tradeoff[:1] },
		"all today": func(r *Report) {
			for i := range r.Pictures.Tradeoff {
				r.Pictures.Tradeoff[i].Kind = TradeoffToday
			}
		},
		"cells of no square":   func(r *Report) { r.Pictures.Spaces[0].Cells, r.Pictures.Spaces[0].Count = []string{"012"}, 3 },
		"cells of other count": func(r *Report) { r.Pictures.Spaces[0].Count = 7 },
		"cells of no digits":   func(r *Report) { r.Pictures.Spaces[0].Cells[0] = strings.Repeat("x", 64) },
		"too many cells": func(r *Report) {
			r.Pictures.Spaces[0].Cells, r.Pictures.Spaces[0].Count = slices.Repeat([]string{strings.Repeat("5", 64)}, 400), 25600
		},
		"a prefix of ports": func(r *Report) { r.Pictures.Spaces[1].Kind, r.Pictures.Spaces[1].Within = "addresses", "10.0.0.0/32" },
		"kept elsewhere":    func(r *Report) { r.Pictures.Spaces[0].Ref = "sg-0web/sgr-0e4" },
		"no flows":          func(r *Report) { r.Pictures.Flows = Flows{} },
		"flows of nothing": func(r *Report) {
			for i := range r.Pictures.Flows.Links {
				r.Pictures.Flows.Links[i].Records = 0
			}
		},
		"days of no digits":   func(r *Report) { r.Rules[0].Daily, r.Rules[1].Daily = "unused", strings.Repeat("5", 5000) },
		"a trend of nothing":  func(r *Report) { r.Trend = make([]TrendPoint, 100) },
		"a trend of nonsense": func(r *Report) { r.Trend[0].Fidelity, r.Trend[1].Rules, r.Trend[2].Exposure[0].Before = -3, -1, "x" },
	} {
		r := sample()
		spoil(r)
		page := render(t, func(b *bytes.Buffer) error { return HTML(b, r) })
		if m := regexp.MustCompile(`NaN|Inf[^o]|%!|ZgotmplZ`).FindString(page); m != "" {
			t.Errorf("%s: the page contains %q", name, m)
		}
	}
}

func TestHTMLIsAccessible(t *testing.T) {
	page := render(t, func(b *bytes.Buffer) error { return HTML(b, sample()) })
	if a, b := strings.Count(page, "<table"), strings.Count(page, "<caption"); a != b {
		t.Errorf("%d tables, %d captions", a, b)
	}
	for _, th := range regexp.MustCompile(`<th[ >][^>]*>?`).FindAllString(page, -1) {
		if !strings.Contains(th, "scope=") {
			t.Errorf("%s has no scope", th)
		}
	}
	for _, svg := range regexp.MustCompile(`<svg[^>]*>(<[a-z]*>)?`).FindAllString(page, -1) {
		if strings.Contains(svg, `class="share" aria-hidden="true"`) {
			continue // the number stands beside it
		}
		if !strings.Contains(svg, `role="img"`) || !strings.HasSuffix(svg, "<title>") {
			t.Errorf("%s has no role or title", svg)
		}
	}
	ids := map[string]bool{}
	for _, m := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if ids[m[1]] {
			t.Errorf("id %q twice", m[1])
		}
		ids[m[1]] = true
	}
}

func TestFormatFor(t *testing.T) {
	for name, want := range map[string]string{"text": "text", "json": "json", "out/report.MD": "markdown", ".html": "html", "a.b.txt": "text", "report.json": "json",
		"a/b.sarif": "sarif", "scan.SARIF.json": "sarif", "sarif": "sarif", "rules.csv": "csv", "junit.xml": "junit"} {
		f, err := FormatFor(name)
		if err != nil || f.Name != want {
			t.Errorf("FormatFor(%q) = %q, %v; want %q", name, f.Name, err, want)
		}
	}
	_, err := FormatFor("report.pdf")
	if want := `"report.pdf" is no report format; there are text (.txt), markdown (.md), html (.html), json (.json), sarif (.sarif), csv (.csv), junit (.xml)`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
