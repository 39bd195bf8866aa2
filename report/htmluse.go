package report

import (
	"fmt"
	"html/template"
	"net/netip"
	"strings"

	"github.com/sgadvise/sgadvise/report/chart"
)

type (
	pageFinding struct {
		Finding
		Anchor, Edit, Suppressed string
	}
	pageRule struct {
		Ref, Text, Verdict, Reason, Hits, Decisive, Peers, LastSeen string
		Edit                                                        string // anchor of the edit that changes it
		Implicit, Editable                                          bool
		Evidence                                                    *pageEvidence // of a rule that no edit changes
	}
	pageDaily struct {
		Ref, Text, Days, LastSeen string
		Picture                   template.HTML
	}
	pageSpace struct {
		Ref, Text, Kind, Fill string
		Square                bool
		Picture               template.HTML
		Used                  []Fact
		UsedMore              string
		Kept                  []string
	}
	pageFlows struct {
		Picture template.HTML
		Text    string
		Rows    []pageFlow
	}
	pageFlow struct{ From, Service, To, Connections, Records, Share string }
)

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
	shown, details := firstOf(ofRules(r), htmlRules), detailsByRef(r)
	for _, x := range shown {
		row := pageRule{Ref: x.Ref, Text: x.text(), Verdict: x.Verdict, Reason: x.Reason, Hits: x.hits(),
			Decisive: number(x.Decisive), Peers: number(x.Peers), LastSeen: day(x.LastSeen), Edit: p.edits[x.Ref], Implicit: x.Implicit, Editable: x.Editable}
		if d := details[x.Ref]; d != nil && row.Edit == "" {
			row.Evidence = evidence(r, x, d)
		}
		p.Rules = append(p.Rules, row)
	}
	p.RulesMore = showing(len(shown), len(r.Rules), "rules")
}

func newPageCount(c count, total uint64) pageCount {
	return pageCount{Name: c.Name, N: number(c.N), Share: share(c.N, total), Meaning: c.Meaning, Picture: chart.Share(c.N, total)}
}

// mostBars is how many days have a bar each.
const mostBars = 92

// barsOf folds days of use to so few bars that they can be told apart: of each per days
// the one with most use.
func barsOf(daily string) (bars string, per int) {
	per = max((len(daily)+mostBars-1)/mostBars, 1)
	if per == 1 {
		return daily, 1
	}
	var b strings.Builder
	for i := 0; i < len(daily); i += per {
		most := byte('0')
		for _, c := range []byte(daily[i:min(i+per, len(daily))]) {
			if most = max(most, c); c > '5' {
				return "", per
			}
		}
		b.WriteByte(most)
	}
	return b.String(), per
}

// daily shows on which days the rules that matter most were used.
func (p *page) daily(r *Report) {
	var used []*Rule
	for _, x := range ofRules(r) {
		if x.Daily != "" && !x.Implicit {
			used = append(used, x)
		}
	}
	shown := firstOf(used, htmlDaily)
	for _, x := range shown {
		days := len(x.Daily) - strings.Count(x.Daily, "0")
		row := pageDaily{Ref: x.Ref, Text: x.text(), Days: number(uint64(days)), LastSeen: day(x.LastSeen)}
		bars, per := barsOf(x.Daily)
		row.Picture = chart.Heat(bars, fmt.Sprintf("%s, used on %d of %s", x.Ref, days, plural(len(x.Daily), "day")))
		if per > 1 {
			p.DailyNote = fmt.Sprintf("Each bar is %d days, and shows the one with most use. ", per)
		}
		p.Daily = append(p.Daily, row)
	}
	p.DailyMore = showing(len(shown), len(used), "rules with use")
	if r.Window.Days > 64 {
		p.DailyNote += "The window is longer than 64 days: of a connection that lasted longer, a day's use may be that of the day 64 days before or after it."
	}
}

// mostCells bounds what a picture of used space is made of, whatever the document holds.
const mostCells = 4096

func (p *page) spaces(r *Report) {
	if r.Pictures == nil {
		return
	}
	byRef := rulesByRef(r)
	edits := make(map[string]*Edit)
	for i := range r.Plan.Edits {
		edits[string(r.Plan.Edits[i].Ref)] = &r.Plan.Edits[i]
	}
	for i := range firstOf(r.Pictures.Spaces, mostSpaces) {
		s := &r.Pictures.Spaces[i]
		cells := strings.Join(s.Cells, "")
		if len(cells) != s.Count || len(cells) > mostCells || len(cells) == 0 {
			continue
		}
		x := pageSpace{Ref: s.Ref, Kind: s.Kind, Fill: fmt.Sprintf("%s of %s cells used", number(uint64(s.Filled)), number(uint64(s.Count)))}
		if old := byRef[s.Ref]; old != nil {
			x.Text = old.text()
		}
		if e := edits[s.Ref]; e != nil {
			for j := range e.With {
				x.Kept = append(x.Kept, e.With[j].text())
			}
		}
		title := fmt.Sprintf("%s, %s %s: %s", s.Ref, s.Kind, s.Within, x.Fill)
		within, err := netip.ParsePrefix(s.Within)
		if x.Square = s.Kind == "addresses" && err == nil && within.Addr().Is4(); x.Square {
			x.Fill += ", each a " + maskOf(s.Cell)
			x.Picture = chart.Square(cells, keptCells(within, len(cells), edits[s.Ref]), title, "Addresses run along a Hilbert curve, so that each block of them is a square. Cells that were used are filled; what the plan keeps is framed.")
		} else {
			x.Fill += ", the first is " + s.Cell
			x.Picture = chart.Heat(cells, title)
		}
		for _, u := range s.Used {
			x.Used = append(x.Used, Fact{u.Part, number(u.Connections)})
		}
		x.UsedMore = showing(len(s.Used), s.Filled, "cells")
		p.Spaces = append(p.Spaces, x)
	}
}

// maskOf is the length of a prefix, with its slash.
func maskOf(prefix string) string {
	_, bits, ok := strings.Cut(prefix, "/")
	if !ok {
		return prefix
	}
	return "/" + bits
}

// keptCells says which of n cells of a prefix hold what an edit keeps; nil: it keeps all,
// or does not say it by addresses.
func keptCells(within netip.Prefix, n int, e *Edit) func(int) bool {
	if e == nil {
		return nil
	}
	kept := make([]bool, n)
	for j := range e.With {
		p, err := netip.ParsePrefix(e.With[j].Peer)
		if err != nil || !p.Addr().Is4() || !within.Contains(p.Addr()) {
			return nil
		}
		size := max(uint64(1)<<(32-within.Bits())/uint64(n), 1)
		first := uint64(v4(p.Masked().Addr())-v4(within.Masked().Addr())) / size
		last := (uint64(v4(p.Masked().Addr())-v4(within.Masked().Addr())) + uint64(1)<<(32-p.Bits()) - 1) / size
		for i := first; i <= last && i < uint64(n); i++ {
			kept[i] = true
		}
	}
	return func(i int) bool { return kept[i] }
}

func v4(a netip.Addr) uint32 {
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

func (p *page) flows(r *Report) {
	if r.Pictures == nil || len(r.Pictures.Flows.Links) == 0 {
		return
	}
	f := &r.Pictures.Flows
	groups := groupsByID(r)
	name := func(party string) string {
		if g := groups[party]; g != nil && g.Name != "" {
			return g.Name
		}
		return party
	}
	var links []chart.Link
	p.Flows = &pageFlows{Text: fmt.Sprintf("%s in %s that were accepted and whose opener is known.", plural64(f.Records, "record"), plural64(f.Connections, "connection"))}
	for _, l := range firstOf(f.Links, mostFlows) {
		row := pageFlow{name(l.From), l.Service, name(l.To), number(l.Connections), number(l.Records), share(l.Records, f.Records)}
		links = append(links, chart.Link{From: row.From, Via: row.Service, To: row.To, Size: l.Records, Title: fmt.Sprintf("%s → %s, %s: %s", row.From, row.To, row.Service, plural64(l.Records, "record"))})
		p.Flows.Rows = append(p.Flows.Rows, row)
	}
	if f.Folded > 0 {
		p.Flows.Text += fmt.Sprintf(" %s more are too small to be shown.", plural(f.Folded, "flow"))
	}
	p.Flows.Picture = chart.Layers(links, func(name string) bool { return name == "others" }, "Who talks to whom",
		"Flows from those who open connections, by the service, to those who are reached. The thickness of a band is its share of the records. The numbers are in the table below.")
}
