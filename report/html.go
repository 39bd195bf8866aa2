package report

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"
	"strconv"
	"strings"

	"github.com/sgadvise/sgadvise/report/chart"
)

// How many rows the page shows: at most 500 rows of detail, and the first 20 of each
// list of evidence. That keeps a report on 10,000 rules far below 3 MB, so that it
// opens anywhere.
const (
	htmlEdits    = 150
	htmlFindings = 150
	htmlRules    = 200
	htmlEvidence = 20
)

//go:embed html/report.tmpl html/style.css
var htmlFiles embed.FS

var htmlPage = template.Must(template.ParseFS(htmlFiles, "html/report.tmpl"))

// HTML writes r as one page that needs nothing else: no script, no network. Its
// content security policy forbids both.
func HTML(w io.Writer, r *Report) error {
	css, err := htmlFiles.ReadFile("html/style.css")
	if err != nil {
		return fmt.Errorf("html: %w", err)
	}
	var b bytes.Buffer
	p := newPage(inert(r))
	p.CSS = template.CSS(css)
	if err := htmlPage.Execute(&b, p); err != nil {
		return fmt.Errorf("html: %w", err)
	}
	_, err = w.Write(b.Bytes())
	return err
}

// page is the document in the words and the order of the template. It holds plain
// strings; the template escapes them.
type page struct {
	CSS                                           template.CSS
	Tool, Schema, Created                         string
	Outcome, Headline, Scope, Window, WindowShort string
	Exposure                                      *pageExposure
	Statements                                    []pageStatement
	Facts, Settings                               []Fact
	Parts                                         []pagePart
	Notes                                         []string
	Edits                                         []pageGroup
	EditsMore                                     string
	Declined                                      []Declined
	DeclinedCount, DeclinedMore                   string
	Findings                                      []pageFinding
	FindingsCount, FindingsMore                   string
	Rules                                         []pageRule
	RulesCount, RulesMore                         string
	Verdicts, Ledger                              []pageCount
	CoverageText, FirstDay, LastDay               string
	Strips                                        []pageStrip
	StripsMore                                    string
	Missing                                       []Missing
	Records, Outside                              string
	Causes                                        []pageCauses
	CausesMore                                    string
	Account                                       []string
	Orientation                                   []pageMethod
	Undecided                                     []pageUndecided
	UndecidedMore                                 string
	Samples                                       []pageSample
	SamplesMore                                   string
	Inputs                                        []pageInput
	InputsMore                                    string
	Skipped                                       []Skipped

	anchors map[string]bool // of the findings that are shown
}

type (
	pageStatement struct {
		statement
		Sign string
	}
	pagePart     struct{ ID, Name, N string }
	pageExposure struct {
		Before, After, Stays, More string
		Family, Rest               string // of the figure; the other families in words
		Picture                    template.HTML
		Groups                     []pageGroupExposure
	}
	pageGroupExposure struct {
		Group, Name, Before, After, Stays string
		Picture                           template.HTML
	}
	pageGroup struct {
		ID, About string
		Edits     []pageEdit
	}
	pageEdit struct {
		Op, Rule, Description, Old, Reason, Check, Basis, Confidence, Anchor string
		New                                                                  []string
	}
	pageFinding struct {
		Finding
		Anchor, Suppressed string
	}
	pageRule struct {
		Ref, Text, Verdict, Reason, Hits, Decisive, Peers, LastSeen string
		Implicit, Editable                                          bool
	}
	pageCount struct {
		Name, N, Share, Meaning string
		Percent                 float64
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
	p.Facts = []Fact{
		{"Window", windowText(r.Window)},
		{"Inputs", plural(len(r.Inputs.Logs), "log file") + " with " + plural64(r.Ledger.Records, "record") + ", " + plural(len(r.Inputs.Policy), "policy export")},
		{"Made by", p.Tool + ", mode " + r.Options.Mode},
	}
	p.findings(r) // before the edits, which link to them
	p.plan(r)
	p.exposure(r)
	p.rules(r)
	p.coverage(r)
	p.account(r)
	p.inputs(r)
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
	add(p.Exposure != nil && len(p.Exposure.Groups) > 0, "exposure", "Exposure", 0)
	add(len(p.Findings) > 0, "findings", "Findings", len(r.Findings))
	add(len(p.Rules) > 0, "rules", "Rules", len(r.Rules))
	add(true, "coverage", "Coverage", 0)
	add(true, "account", "Account", 0)
	add(true, "record", "Record", 0)
}

func (p *page) plan(r *Report) {
	byRef, groups := rulesByRef(r), groupsByID(r)
	shown := firstOf(r.Plan.Edits, htmlEdits)
	for i := range shown {
		e := &shown[i]
		if n := len(p.Edits); n == 0 || p.Edits[n-1].ID != e.Group {
			p.Edits = append(p.Edits, pageGroup{ID: e.Group, About: groupAbout(groups[e.Group])})
		}
		// The group stands over its edits.
		row := pageEdit{Op: e.Op, Rule: strings.TrimPrefix(string(e.Ref), e.Group+"/"), Reason: e.Reason, Check: e.Check, Basis: e.Basis, Confidence: e.Confidence}
		if row.Rule == "" {
			row.Rule = "new rule"
		}
		if p.anchors[string(e.Finding)] {
			row.Anchor = anchor(string(e.Finding))
		}
		if old := byRef[string(e.Ref)]; old != nil {
			row.Old, row.Description = old.text(), old.Description
		}
		for j := range e.With {
			row.New = append(row.New, e.With[j].text())
		}
		g := &p.Edits[len(p.Edits)-1]
		g.Edits = append(g.Edits, row)
	}
	p.EditsMore = showing(len(shown), len(r.Plan.Edits), "edits")
	p.Declined = firstOf(r.Plan.Declined, htmlEvidence)
	p.DeclinedCount = number(uint64(len(r.Plan.Declined)))
	p.DeclinedMore = showing(len(p.Declined), len(r.Plan.Declined), "rules")
}

func anchor(finding string) string { return "f-" + finding }

func groupsByID(r *Report) map[string]*Group {
	m := make(map[string]*Group, len(r.Groups))
	for i := range r.Groups {
		m[r.Groups[i].ID] = &r.Groups[i]
	}
	return m
}

func groupAbout(g *Group) string {
	if g == nil {
		return ""
	}
	about := plural(g.Interfaces, "interface") + ", " + plural(g.Rules, "rule")
	if g.Name != "" {
		about = g.Name + ", " + about
	}
	return about
}

func (p *page) exposure(r *Report) {
	e := &r.Plan.Exposure
	if e.Before == "" {
		return
	}
	// Decimal integers of any length fit a float well enough for a length in pixels.
	size := func(s string) float64 { f, _ := strconv.ParseFloat(s, 64); return f }
	picture := func(s chart.Scale, what, before, after string) template.HTML {
		return chart.Bars(s, size(before), size(after), what+": "+magnitude(before)+" before, "+magnitude(after)+" after")
	}
	// The figure is of the family that changed most; the others are one line of text.
	main, what := FamilyExposure{Before: e.Before, After: e.After, Ratio: e.Ratio}, "All groups"
	var rest []string
	for i, f := range e.Families {
		if i == 0 || f.Ratio < main.Ratio {
			main, what = f, familyName(f.Family)
		}
	}
	for _, f := range e.Families {
		if f != main {
			rest = append(rest, familyText(familyName(f.Family)+" ", f.Before, f.After, f.Ratio))
		}
	}
	p.Exposure = &pageExposure{
		Before: magnitude(main.Before), After: magnitude(main.After), Stays: Percent(main.Ratio),
		Family: familyName(main.Family), Rest: strings.Join(rest, "; "),
		Picture: picture(chart.NewScale(size(main.Before), size(main.After)), what, main.Before, main.After),
	}
	shown := firstOf(e.Groups, htmlEvidence)
	var all []float64
	for _, g := range shown {
		all = append(all, size(g.Before), size(g.After))
	}
	scale, groups := chart.NewScale(all...), groupsByID(r)
	for _, g := range shown {
		row := pageGroupExposure{Group: g.Group, Before: magnitude(g.Before), After: magnitude(g.After), Stays: Percent(g.Ratio),
			Picture: picture(scale, g.Group, g.Before, g.After)}
		if known := groups[g.Group]; known != nil {
			row.Name = known.Name
		}
		p.Exposure.Groups = append(p.Exposure.Groups, row)
	}
	p.Exposure.More = showing(len(shown), len(e.Groups), "groups")
}

func (p *page) findings(r *Report) {
	shown := firstOf(r.Findings, htmlFindings)
	for _, f := range shown {
		row := pageFinding{Finding: f}
		if f.ID != "" && !p.anchors[f.ID] {
			p.anchors[f.ID], row.Anchor = true, anchor(f.ID)
		}
		if f.Suppressed != nil {
			row.Suppressed = suppressionText(f.Suppressed)
		}
		row.Related = firstOf(f.Related, htmlEvidence)
		p.Findings = append(p.Findings, row)
	}
	p.FindingsCount = findingCounts(&r.Summary)
	p.FindingsMore = showing(len(shown), len(r.Findings), "findings")
}

func (p *page) rules(r *Report) {
	s := &r.Summary
	p.RulesCount = fmt.Sprintf("%s declared, %s of them editable.", plural(s.Rules, "rule"), number(uint64(s.Editable)))
	for _, c := range s.Verdicts.list() {
		if c.N > 0 {
			p.Verdicts = append(p.Verdicts, newPageCount(c, uint64(s.Rules)))
		}
	}
	shown := firstOf(r.Rules, htmlRules)
	for i := range shown {
		x := &shown[i]
		p.Rules = append(p.Rules, pageRule{Ref: x.Ref, Text: x.text(), Verdict: x.Verdict, Reason: x.Reason, Hits: number(x.Hits),
			Decisive: number(x.Decisive), Peers: number(x.Peers), LastSeen: day(x.LastSeen), Implicit: x.Implicit, Editable: x.Editable})
	}
	p.RulesMore = showing(len(shown), len(r.Rules), "rules")
}

func newPageCount(c count, total uint64) pageCount {
	out := pageCount{Name: c.Name, N: number(c.N), Share: share(c.N, total), Meaning: c.Meaning}
	if total > 0 {
		out.Percent = float64(c.N*1000/total) / 10
	}
	if c.N > 0 {
		out.Percent = max(out.Percent, 0.1)
	}
	return out
}

func (p *page) coverage(r *Report) {
	p.CoverageText = coverageStatement(r).Detail
	p.FirstDay, p.LastDay = day(r.Window.From), day(r.Window.To)
	var known []InterfaceCoverage
	for _, c := range r.Coverage.Interfaces {
		if c.InPolicy {
			known = append(known, c)
		}
	}
	shown, what := known, "interfaces"
	if len(known) > htmlEvidence {
		// Those without a gap all look the same.
		known = withGaps(known)
		shown, what = firstOf(known, htmlEvidence), "interfaces with gaps"
	}
	for i := range shown {
		c := &shown[i]
		row := pageStrip{Interface: c.Interface, Records: number(c.Records)}
		some := firstOf(c.Gaps, 5)
		for j := range some {
			row.Gaps = append(row.Gaps, some[j].text())
		}
		if s := showing(len(some), len(c.Gaps), "gaps"); s != "" {
			row.Gaps = append(row.Gaps, s)
		}
		row.Picture = chart.Strip(days(r.Window, c.Gaps), fmt.Sprintf("%s, %s to %s: %s", c.Interface, p.FirstDay, p.LastDay, plural(len(c.Gaps), "gap")))
		p.Strips = append(p.Strips, row)
	}
	p.StripsMore = showing(len(shown), len(known), what)
}

// days is the state of each day of w, at most ten years of them.
func days(w Window, gaps []Gap) []chart.Day {
	const length = 86400
	first := int64(w.From) / length
	n := int64(w.To-1)/length - first + 1
	if w.To <= w.From {
		return nil
	}
	out := make([]chart.Day, min(n, 3660))
	for _, g := range gaps {
		state := chart.Lossy
		if g.Kind == GapNoRecord {
			state = chart.None
		}
		for d := max(int64(g.From)/length-first, 0); d <= int64(g.To-1)/length-first && d < int64(len(out)); d++ {
			out[d] = max(out[d], state)
		}
	}
	return out
}

func (p *page) account(r *Report) {
	for _, c := range r.Ledger.Dispositions.list() {
		p.Ledger = append(p.Ledger, newPageCount(c, r.Ledger.Records))
	}
	var apart []InterfaceFidelity
	for _, f := range r.Fidelity.Interfaces {
		if f.Agree < f.Judged {
			apart = append(apart, f)
		}
	}
	shown := firstOf(apart, htmlEvidence)
	for _, f := range shown {
		p.Causes = append(p.Causes, pageCauses{f.Interface, number(f.Judged), number(f.Agree), countsText(causeList(f.Causes))})
	}
	p.CausesMore = showing(len(shown), len(apart), "interfaces")
	p.Account = accountTexts(r)
	for _, o := range r.Orientation {
		kind := "inference"
		switch {
		case o.Proven:
			kind = "proof"
		case o.Method == "undecided":
			kind = "both readings counted"
		}
		p.Orientation = append(p.Orientation, pageMethod{o.Method, kind, number(o.Records)})
	}
	open := firstOf(r.Undecided, htmlEvidence)
	for _, u := range open {
		p.Undecided = append(p.Undecided, pageUndecided{u.Interface, u.Protocol, endpoint(u.Local, u.LocalPort), endpoint(u.Remote, u.RemotePort), number(u.Records)})
	}
	p.UndecidedMore = showing(len(open), len(r.Undecided), "connections")
	samples := firstOf(r.Ledger.Samples, htmlEvidence)
	for i := range samples {
		p.Samples = append(p.Samples, pageSample{samples[i].place(), samples[i].Field, samples[i].Reason})
	}
	p.SamplesMore = showing(len(samples), len(r.Ledger.Samples), "samples")
}

func (p *page) inputs(r *Report) {
	logs, policies := firstOf(r.Inputs.Logs, htmlEvidence), firstOf(r.Inputs.Policy, htmlEvidence)
	for _, l := range logs {
		p.Inputs = append(p.Inputs, pageInput{l.Path, l.Format, size(l.Bytes), number(l.Records), l.Digest})
	}
	for _, l := range policies {
		p.Inputs = append(p.Inputs, pageInput{Path: l.Path, Kind: l.Kind, Digest: l.Digest})
	}
	p.Skipped = firstOf(r.Inputs.Skipped, htmlEvidence)
	p.InputsMore = showing(len(p.Inputs)+len(p.Skipped), len(r.Inputs.Logs)+len(r.Inputs.Policy)+len(r.Inputs.Skipped), "files")
}
