package report

import (
	"fmt"
	"io"
	"strings"
)

// How many rows the Markdown view shows. A job summary may hold 1 MiB and a comment
// 64 KiB; these keep a report of any size within the first and most within the second.
const (
	markdownEdits    = 100
	markdownFindings = 100
	markdownRules    = 100
	markdownEvidence = 20
)

// Markdown writes r as GitHub-flavoured Markdown: the answer and the plan in the
// open, the evidence in folded parts.
func Markdown(w io.Writer, r *Report) error {
	var b strings.Builder
	m := mdView{&b, inert(r)}
	m.answer()
	m.plan()
	m.assertions()
	m.findings()
	m.suppressions()
	m.controls()
	m.rules()
	m.account()
	m.coverage()
	m.openEnds()
	m.inputs()
	_, err := io.WriteString(w, b.String())
	return err
}

type mdView struct {
	w *strings.Builder
	r *Report // cleaned, not escaped
}

func (m *mdView) linef(format string, args ...any) { fmt.Fprintf(m.w, format+"\n", args...) }

// head begins a table. Columns that start with ">" are aligned right.
func (m *mdView) head(columns ...string) {
	var names, rules []string
	for _, c := range columns {
		name, right := strings.CutPrefix(c, ">")
		names = append(names, name)
		if right {
			rules = append(rules, "---:")
		} else {
			rules = append(rules, "---")
		}
	}
	m.linef("")
	m.row(names...)
	m.row(rules...)
}

// row writes cells that are escaped already.
func (m *mdView) row(cells ...string) { m.linef("| %s |", strings.Join(cells, " | ")) }

func (m *mdView) rest(shown, all int, what string) {
	if s := showing(shown, all, what); s != "" {
		m.linef("\n_%s; the JSON report has all._", s)
	}
}

// fold opens a part that is closed by unfold.
func (m *mdView) fold(title string) {
	m.linef("\n<details>\n<summary>%s</summary>", escape(title))
}

func (m *mdView) unfold() { m.linef("\n</details>") }

func (m *mdView) answer() {
	r := m.r
	m.linef("# Security-group report\n")
	m.linef("**%s**", escape(r.Summary.Headline))
	if e := r.Plan.Exposure; e.Before != "" {
		m.linef("\nExposure of the editable rules: %s", escape(strings.Join(exposureTexts(&e), "; ")))
	}
	m.head("How sure", "", "")
	for _, s := range statements(r) {
		m.row(s.Name, "**"+escape(s.Value)+"**", escape(s.Detail))
	}
	m.row("Window", "**"+plural(r.Window.Days, "day")+"**", escape(windowText(r.Window)))
	if len(r.Notes) > 0 {
		m.linef("\n**Before you act**\n")
		for _, n := range r.Notes {
			m.linef("- %s", escape(n))
		}
	}
}

func (m *mdView) plan() {
	p := &m.r.Plan
	if len(p.Edits) == 0 && len(p.Declined) == 0 {
		return
	}
	m.linef("\n## Plan")
	if len(p.Edits) > 0 {
		byRef := rulesByRef(m.r)
		shown := firstOf(p.Edits, markdownEdits)
		m.head("Do", "Rule", "Now", "Becomes", "Basis", "Confidence")
		for i := range shown {
			e := &shown[i]
			now, becomes := "–", "–"
			if old := byRef[string(e.Ref)]; old != nil {
				now = code(old.text())
			}
			var with []string
			for j := range e.With {
				with = append(with, code(e.With[j].text()))
			}
			if len(with) > 0 {
				becomes = strings.Join(with, "<br>")
			}
			name := string(e.Ref)
			if name == "" {
				name = e.Group
			}
			m.row("**"+escape(e.Op)+"**", code(name), now, becomes, escape(e.Basis), escape(e.Confidence))
		}
		m.rest(len(shown), len(p.Edits), "edits")
	}
	if len(p.Declined) > 0 {
		m.fold("Not proposed: " + plural(len(p.Declined), "rule"))
		shown := firstOf(p.Declined, markdownEvidence)
		m.head("Rule", "Why it stays")
		for _, d := range shown {
			name := "the whole plan"
			if d.Ref != "" {
				name = code(string(d.Ref))
			}
			m.row(name, escape(d.Reason))
		}
		m.rest(len(shown), len(p.Declined), "rules")
		m.unfold()
	}
}

func (m *mdView) findings() {
	all := m.r.Findings
	if len(all) == 0 {
		return
	}
	m.linef("\n## Findings\n\n%s", escape(findingCounts(&m.r.Summary)))
	shown := firstOf(countingFirst(all), markdownFindings)
	m.head("Severity", "Check", "Subject", "Finding")
	for i := range shown {
		f := &shown[i]
		text := escape(f.Message)
		if f.Suppressed != nil {
			text += "<br>_" + escape(suppressionText(f.Suppressed)) + "_"
		}
		var facts []string
		for _, fact := range f.Facts {
			facts = append(facts, escape(fact.Name+" "+fact.Value))
		}
		if len(facts) > 0 {
			text += "<br><sub>" + strings.Join(facts, "; ") + "</sub>"
		}
		m.row("**"+escape(f.Severity)+"**", escape(f.Check), code(string(f.Ref)), text)
	}
	m.rest(len(shown), len(all), "findings")
}

func (m *mdView) rules() {
	s, all := &m.r.Summary, m.r.Rules
	if len(all) == 0 {
		return
	}
	m.linef("\n## Rules")
	m.head("Verdict", ">Rules", "Meaning")
	for _, c := range s.Verdicts.list() {
		if c.N > 0 {
			m.row(c.Name, number(c.N), escape(c.Meaning))
		}
	}
	shown := firstOf(all, markdownRules)
	m.fold("Evidence rule by rule")
	m.head("Rule", "It says", "Verdict", ">Hits", ">Decisive", "Last seen")
	for i := range shown {
		r := &shown[i]
		m.row(code(r.Ref), code(r.text()), escape(r.Verdict), r.hits(), r.decisive(), day(r.LastSeen))
	}
	m.rest(len(shown), len(all), "rules")
	m.unfold()
}

func (m *mdView) account() {
	l := &m.r.Ledger
	m.linef("\n## Account\n\n%s records, each in one line.", number(l.Records))
	m.head("Disposition", ">Records", ">Share", "The record is")
	for _, c := range l.Dispositions.list() {
		m.row(c.Name, number(c.N), escape(share(c.N, l.Records)), escape(c.Meaning))
	}
	if l.Outside > 0 {
		m.linef("\n%s more lie outside the window that was asked for.", number(l.Outside))
	}
	if causes := causeList(m.r.Fidelity.Causes); len(causes) > 0 {
		m.linef("\nDisagreements with the policy by cause: %s.", escape(countsText(causes)))
	}
	for _, s := range accountTexts(m.r) {
		m.linef("\n%s.", escape(s))
	}
	if len(l.Samples) > 0 {
		shown := firstOf(l.Samples, markdownEvidence)
		m.fold("Records that could not be read: samples")
		m.head("Where", "Field", "Reason")
		for i := range shown {
			s := &shown[i]
			m.row(code(s.place()), code(s.Field), escape(s.Reason))
		}
		m.rest(len(shown), len(l.Samples), "samples")
		m.unfold()
	}
}

func (m *mdView) coverage() {
	c := &m.r.Coverage
	m.linef("\n## Coverage\n\n%s", escape(coverageStatement(m.r).Detail))
	if gaps := withGaps(c.Interfaces); len(gaps) > 0 {
		shown := firstOf(gaps, markdownEvidence)
		m.head("Interface", ">Records", "Gaps")
		for i := range shown {
			some := firstOf(shown[i].Gaps, markdownEvidence)
			var parts []string
			for j := range some {
				parts = append(parts, some[j].text())
			}
			if s := showing(len(some), len(shown[i].Gaps), "gaps"); s != "" {
				parts = append(parts, s)
			}
			m.row(code(shown[i].Interface), number(shown[i].Records), escape(strings.Join(parts, "; ")))
		}
		m.rest(len(shown), len(gaps), "interfaces with gaps")
	}
	if len(c.Missing) > 0 {
		m.head("Not exported", "What follows")
		for _, x := range c.Missing {
			m.row(code(x.What), escape(x.Effect))
		}
	}
}

func (m *mdView) openEnds() {
	all := m.r.Undecided
	if len(all) == 0 {
		return
	}
	m.fold("Openers that stay undecided: both readings counted")
	shown := firstOf(all, markdownEvidence)
	m.head("Interface", "Protocol", "Local", "Remote", ">Records")
	for _, u := range shown {
		m.row(code(u.Interface), escape(u.Protocol), code(endpoint(u.Local, u.LocalPort)), code(endpoint(u.Remote, u.RemotePort)), number(u.Records))
	}
	m.rest(len(shown), len(all), "connections")
	m.unfold()
}

func (m *mdView) inputs() {
	in := &m.r.Inputs
	m.fold("Inputs and options")
	m.head("File", "Kind", ">Size", ">Records", "Digest")
	logs := firstOf(in.Logs, markdownEvidence)
	for _, l := range logs {
		m.row(code(l.Path), escape(l.Format), size(l.Bytes), number(l.Records), code(l.Digest))
	}
	policies := firstOf(in.Policy, markdownEvidence)
	for _, p := range policies {
		m.row(code(p.Path), escape(p.Kind), "", "", code(p.Digest))
	}
	m.rest(len(logs)+len(policies), len(in.Logs)+len(in.Policy), "files")
	for _, s := range firstOf(in.Skipped, markdownEvidence) {
		m.linef("\nNot read: %s: %s", code(s.Path), escape(s.Reason))
	}
	m.head("Option", "Value")
	for _, s := range settingsList(m.r) {
		m.row(escape(s.Name), escape(s.Value))
	}
	m.unfold()
	m.linef("\n<sub>%s %s, document %s</sub>", escape(m.r.Tool.Name), escape(m.r.Tool.Version), escape(m.r.Schema))
}

// escape makes text stand for itself in Markdown, in and outside tables. Everything
// that Markdown, HTML or a forge could read as markup becomes a character reference,
// which neither parses further; a backslash would not do for pipes in tables, nor
// for links and mentions, which forges look for after parsing.
func escape(s string) string {
	var b strings.Builder
	for i, c := range s {
		switch c {
		case '\\', '`', '*', '_', '{', '}', '[', ']', '<', '>', '|', '~', '&', '!', '$':
			fmt.Fprintf(&b, "&#%d;", c)
		case '@', '#':
			// The word joiner keeps the name or number behind it from being looked up.
			fmt.Fprintf(&b, "&#%d;&#8288;", c)
		case ':':
			if strings.HasPrefix(s[i:], "://") {
				b.WriteString("&#58;")
			} else {
				b.WriteRune(c)
			}
		case '.':
			if i >= 3 && strings.EqualFold(s[i-3:i], "www") {
				b.WriteString("&#46;")
			} else {
				b.WriteRune(c)
			}
		case '-', '+', '=':
			// A list, a heading's underline, or a rule, if they open a line.
			if i == 0 {
				fmt.Fprintf(&b, "&#%d;", c)
			} else {
				b.WriteRune(c)
			}
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}

// code shows an identifier as it is. The text is escaped as anywhere else: a code
// span would leave pipes and backticks to each parser's own reading.
func code(s string) string {
	if s == "" {
		return ""
	}
	return "<code>" + escape(s) + "</code>"
}
