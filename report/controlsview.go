package report

import (
	"fmt"
	"strings"

	"github.com/sgadvise/sgadvise/analyzer/control"
)

// controlGroup is the controls of one framework, as views show them.
type controlGroup struct {
	ID, Title string
	Controls  []ControlEvidence
}

// controlGroups splits controls by framework, in their order.
func controlGroups(all []ControlEvidence) []controlGroup {
	var out []controlGroup
	for i := range all {
		c := &all[i]
		if n := len(out); n == 0 || out[n-1].ID != c.Framework {
			g := controlGroup{ID: c.Framework, Title: c.Framework}
			if f := control.Find(c.Framework); f != nil {
				g.Title = f.Title
			}
			out = append(out, g)
		}
		g := &out[len(out)-1]
		g.Controls = append(g.Controls, *c)
	}
	return out
}

// controlCaveat goes with every table of controls.
const controlCaveat = "Evidence toward controls, within what the exports and the logs hold; never proof of compliance."

// with lists the ids of the controls that have a status.
func (g *controlGroup) with(status string) []string {
	var out []string
	for i := range g.Controls {
		if g.Controls[i].Status == status {
			out = append(out, g.Controls[i].ID)
		}
	}
	return out
}

func (g *controlGroup) counts() string {
	return fmt.Sprintf("%d pass, %d fail, %d not assessable", len(g.with(ControlPass)), len(g.with(ControlFail)), len(g.with(ControlNotAssessable)))
}

// statusText is the status as people read it.
func (c *ControlEvidence) statusText() string {
	text := strings.ReplaceAll(c.Status, "-", " ")
	if c.Status == ControlFail && c.Findings == 0 {
		text += ", all suppressed"
	}
	return text
}

// lines are the evidence in words, the first of what it is about, and whose mapping it is.
func (c *ControlEvidence) lines(refs int) []string {
	out := []string{strings.Join(c.Evidence, "; ")}
	if shown := firstOf(c.Refs, refs); len(shown) > 0 {
		text := "see " + strings.Join(shown, ", ")
		if len(shown) < len(c.Refs) {
			text += ", …"
		}
		out = append(out, text)
	}
	if c.Basis == "judgement" {
		out = append(out, "that this is evidence is our judgement")
	}
	return out
}

func (t *textView) controls() {
	groups := controlGroups(t.r.Controls)
	if len(groups) == 0 {
		return
	}
	t.heading("Controls", "evidence toward them, never proof of compliance")
	tab := table{head: []string{"framework", "pass", "fail", "not assessable", "failing"}, bend: 4, right: []int{1, 2, 3}}
	for i := range groups {
		g := &groups[i]
		failing := g.with(ControlFail)
		text := strings.Join(firstOf(failing, briefFindings), ", ")
		if len(failing) > briefFindings {
			text += ", …"
		}
		tab.add(g.ID, number(uint64(len(g.with(ControlPass)))), number(uint64(len(failing))), number(uint64(len(g.with(ControlNotAssessable)))), text)
	}
	t.table(&tab)
	if !t.o.Verbose {
		return
	}
	for i := range groups {
		t.heading(groups[i].Title, "")
		tab := table{head: []string{"control", "status", "evidence"}, bend: 2}
		for k := range groups[i].Controls {
			c := &groups[i].Controls[k]
			tab.add(clip(c.ID, 32), c.statusText(), c.Title+"\n"+strings.Join(c.lines(briefEvidence), "\n"))
		}
		t.table(&tab)
	}
}

func (m *mdView) controls() {
	groups := controlGroups(m.r.Controls)
	if len(groups) == 0 {
		return
	}
	m.linef("\n## Controls\n\n%s", controlCaveat)
	for i := range groups {
		g := &groups[i]
		m.fold(g.Title + ": " + g.counts())
		m.head("Control", "Status", "What is asked for", "Evidence")
		for k := range g.Controls {
			c := &g.Controls[k]
			m.row(escape(c.ID), "**"+escape(c.statusText())+"**", escape(c.Title), strings.ReplaceAll(escape(strings.Join(c.lines(briefEvidence), "\n")), "\n", "<br>"))
		}
		m.unfold()
	}
}

// pageFramework and pageControl are what the template shows of a framework.
type (
	pageFramework struct {
		Title, Counts string
		Controls      []pageControl
	}
	pageControl struct {
		ID, Title, Status, Sign, Class, Evidence string
		Judged                                   bool
		Refs                                     []string
		More                                     string
	}
	pageAssertion struct {
		Name, Expect, About, Witness, Now, NowClass, Planned, PlannedClass string
	}
	pageSuppression struct{ Status, Class, Check, About, Until, Findings, Reason string }
)

// statusClass is the class by which the style sheet shows a status beside its word.
var statusClass = map[string]string{
	ControlPass: "used", ControlFail: "high",
	"holds": "used", "fails": "high", "unknown": "medium",
	SuppressionActive: "used", SuppressionExpired: "high", SuppressionUnmatched: "medium",
}

// lists fills in what people wrote beside the policy, and the controls.
func (p *page) lists(r *Report) {
	p.Controls = pageControls(r)
	asserted := failingFirst(r.Assertions)
	shown := firstOf(asserted, htmlEvidence)
	for i := range shown {
		a := &shown[i]
		p.Assertions = append(p.Assertions, pageAssertion{a.Name, a.Expect, a.About, a.witness(), a.Present.Status, statusClass[a.Present.Status],
			a.Planned.Status, statusClass[a.Planned.Status]})
	}
	p.AssertionsMore = showing(len(shown), len(asserted), "assertions")
	accepted := troubledFirst(r.Suppressions)
	some := firstOf(accepted, htmlEvidence)
	for i := range some {
		s := &some[i]
		c := s.cells()
		p.Suppressions = append(p.Suppressions, pageSuppression{s.Status, statusClass[s.Status], string(s.Check), s.About, c[3], c[2], c[4]})
	}
	p.SuppressionsMore = showing(len(some), len(accepted), "suppressions")
}

// pageControls are the controls in the words of the template.
func pageControls(r *Report) []pageFramework {
	var out []pageFramework
	groups := controlGroups(r.Controls)
	for i := range groups {
		g := &groups[i]
		f := pageFramework{Title: g.Title, Counts: g.counts()}
		for k := range g.Controls {
			c := &g.Controls[k]
			row := pageControl{ID: c.ID, Title: c.Title, Status: c.statusText(), Evidence: strings.Join(c.Evidence, "; "),
				Judged: c.Basis == "judgement", Refs: firstOf(c.Refs, briefEvidence)}
			row.More = showing(len(row.Refs), len(c.Refs), "refs")
			row.Class = statusClass[c.Status]
			switch c.Status {
			case ControlPass:
				row.Sign = "✓"
			case ControlFail:
				row.Sign = "✕"
			default:
				row.Sign = "–"
			}
			f.Controls = append(f.Controls, row)
		}
		out = append(out, f)
	}
	return out
}
