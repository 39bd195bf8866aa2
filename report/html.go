package report

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
)

// How many rows the page shows of each list, and the first 20 of each list of evidence.
// That keeps a report on 10,000 rules below 3 MB, so that it opens anywhere.
const (
	htmlEdits    = 300
	htmlFindings = 300
	htmlRules    = 400
	htmlDaily    = 40
	htmlInputs   = 100
	htmlEvidence = 20
	htmlFirst    = 3
)

//go:embed html/*.tmpl html/style.css html/script.js
var htmlFiles embed.FS

var htmlPage = template.Must(template.ParseFS(htmlFiles, "html/*.tmpl"))

// HTML writes r as one page that needs nothing else: no network, and no script, which
// only adds a search to the long tables. Its content security policy forbids all but the
// style and the script that are in it, which it names by their digests.
func HTML(w io.Writer, r *Report) error {
	css, err := htmlFiles.ReadFile("html/style.css")
	if err != nil {
		return fmt.Errorf("html: %w", err)
	}
	js, err := htmlFiles.ReadFile("html/script.js")
	if err != nil {
		return fmt.Errorf("html: %w", err)
	}
	var b bytes.Buffer
	p := newPage(inert(r))
	p.CSS, p.JS = template.CSS(css), template.JS(js)
	p.Policy = "default-src 'none'; style-src '" + sourceDigest(css) + "'; script-src '" + sourceDigest(js) + "'; base-uri 'none'; form-action 'none'"
	if err := htmlPage.ExecuteTemplate(&b, "page.tmpl", p); err != nil {
		return fmt.Errorf("html: %w", err)
	}
	_, err = w.Write(b.Bytes())
	return err
}

// sourceDigest names a style or a script as a content security policy does.
func sourceDigest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// page is the document in the words and the order of the template. It holds plain
// strings; the template escapes them.
type page struct {
	CSS                      template.CSS
	JS                       template.JS
	Policy                   string
	Tool, Schema, Created    string
	Outcome, Headline, Scope string
	Window, WindowShort      string
	Answer                   []string // what follows from the headline, in sentences
	Exposure                 *pageExposure
	First                    []pageEdit // what to do first
	Statements               []pageStatement
	Facts, Settings          []Fact
	Parts                    []pagePart
	Notes                    []string
	Edits                    []pageGroup
	EditsMore                string
	Declined                 []Declined
	DeclinedCount            string
	DeclinedMore             string
	Tradeoff                 *pageTradeoff
	Trend                    *pageTrend
	Findings                 []pageFinding
	FindingsCount            string
	FindingsMore             string
	Daily                    []pageDaily
	DailyMore, DailyNote     string
	Spaces                   []pageSpace
	Flows                    *pageFlows
	Rules                    []pageRule
	RulesCount, RulesMore    string
	Verdicts, Ledger         []pageCount
	CoverageText             string
	FirstDay, LastDay        string
	Strips                   []pageStrip
	StripsMore               string
	Missing                  []Missing
	Records, Outside         string
	Causes                   []pageCauses
	CausesMore               string
	Account                  []string
	Orientation              []pageMethod
	Undecided                []pageUndecided
	UndecidedMore            string
	Samples                  []pageSample
	SamplesMore              string
	Certain, Unknown         []Fact // what the auditor signs for, and what could not be known
	UnknownCount             string
	Inputs                   []pageInput
	InputsMore               string
	Skipped                  []Skipped
	Controls                 []pageFramework
	Suppressions             []pageSuppression
	SuppressionsMore         string
	Assertions               []pageAssertion
	AssertionsMore           string
	Signers                  []string

	anchors map[string]bool   // of the findings that are shown
	edits   map[string]string // ref → anchor of the edit that is shown
}

type (
	pageStatement struct {
		statement
		Sign string
	}
	pagePart  struct{ ID, Name, N string }
	pageCount struct {
		Name, N, Share, Meaning string
		Picture                 template.HTML
	}
	pageStrip struct {
		Interface, Records string
		Picture            template.HTML
		Gaps               []string
	}
	pageCauses    struct{ Interface, Judged, Agree, Causes string }
	pageMethod    struct{ Method, Kind, Records string }
	pageUndecided struct{ Interface, Protocol, Local, Remote, Records string }
	pageSample    struct{ Where, Field, Reason string }
	pageInput     struct{ Path, Kind, Size, Records, Digest string }
)

func newPage(r *Report) *page {
	p := &page{
		Tool:        r.Tool.Name + " " + r.Tool.Version,
		Schema:      r.Schema,
		Headline:    r.Summary.Headline,
		Scope:       r.Summary.Scope,
		Window:      windowText(r.Window),
		WindowShort: day(r.Window.From) + " to " + day(r.Window.To),
		Notes:       r.Notes,
		Settings:    settingsList(r),
		Missing:     r.Coverage.Missing,
		Records:     number(r.Ledger.Records),
		anchors:     map[string]bool{},
		edits:       map[string]string{},
		Signers:     []string{"Prepared by", "Reviewed by", "Approved by"},
	}
	if r.Created != 0 {
		p.Created = minute(r.Created) + " UTC"
	}
	if r.Ledger.Outside > 0 {
		p.Outside = number(r.Ledger.Outside)
	}
	p.Outcome = map[string]string{OutcomeDeclined: "plan declined", OutcomeRejectOnly: "rejected traffic only", OutcomeNoPlan: "no plan asked for"}[r.Summary.Outcome]
	signs := map[mark]string{good: "✓", caution: "!", bad: "✕", neutral: "–"}
	for _, s := range statements(r) {
		p.Statements = append(p.Statements, pageStatement{s, signs[s.Mark]})
	}
	p.findings(r) // before the edits, which link to them
	p.plan(r)
	p.exposure(r)
	p.tradeoff(r)
	p.trend(r)
	p.daily(r)
	p.spaces(r)
	p.flows(r)
	p.rules(r)
	p.lists(r)
	p.coverage(r)
	p.account(r)
	p.record(r)
	p.parts(r)
	return p
}

// parts lists the sections that the page has.
func (p *page) parts(r *Report) {
	add := func(on bool, id, name string, n int) {
		if on {
			s := ""
			if n > 0 {
				s = number(uint64(n))
			}
			p.Parts = append(p.Parts, pagePart{id, name, s})
		}
	}
	add(len(p.Edits)+len(p.Declined) > 0, "plan", "Plan", len(r.Plan.Edits))
	add(p.Exposure != nil && len(p.Exposure.Groups) > 0 || p.Tradeoff != nil, "exposure", "Exposure", 0)
	add(p.Trend != nil, "trend", "Trend", 0)
	add(len(p.Assertions) > 0, "assertions", "Assertions", len(r.Assertions))
	add(len(p.Findings) > 0, "findings", "Findings", len(r.Findings))
	add(len(p.Suppressions) > 0, "suppressions", "Accepted risks", len(r.Suppressions))
	add(len(p.Controls) > 0, "controls", "Controls", 0)
	add(len(p.Rules) > 0, "rules", "Rules", len(r.Rules))
	add(p.Flows != nil, "traffic", "Traffic", 0)
	add(true, "coverage", "Coverage", 0)
	add(true, "account", "Account", 0)
	add(true, "record", "Record", 0)
}
