package report

import (
	"io"
	"strings"
)

// How many rows of one list the views of a comparison show.
const (
	briefDiff    = 25
	markdownDiff = 100
)

// diffSection is a part of a comparison as a table. The last column says most.
type diffSection struct {
	title, about, what string
	head               []string
	rows               [][]string
}

// sections are the parts of c that are not empty, findings first.
func (c *Comparison) sections() []diffSection {
	var out []diffSection
	add := func(s diffSection) {
		if len(s.rows) > 0 {
			out = append(out, s)
		}
	}
	add(c.aftermath())
	for _, part := range []struct{ status, title, about string }{
		{FindingNew, "New findings", "not in the old report"},
		{FindingReopened, "Re-opened findings", "resolved before, and back"},
		{FindingExpired, "Expired suppressions", "findings that were accepted for a time that is over"},
		{FindingWorsened, "Worsened findings", "graver than in the old report"},
		{FindingImproved, "Improved findings", "less grave than in the old report"},
		{FindingResolved, "Resolved findings", "not in the new report"},
	} {
		s := diffSection{title: part.title, about: part.about, what: "findings", head: []string{"severity", "check", "finding"}}
		for i := range c.Findings {
			if f := &c.Findings[i]; f.Status == part.status {
				s.rows = append(s.rows, f.cells())
			}
		}
		add(s)
	}
	suppressed := diffSection{title: "Suppressions", about: "findings that persist, and are suppressed in one of the reports", what: "findings", head: []string{"severity", "check", "finding"}}
	for i := range c.Findings {
		if f := &c.Findings[i]; f.Status == FindingPersisting && f.Suppressed != f.WasSuppressed {
			suppressed.rows = append(suppressed.rows, f.cells())
		}
	}
	add(suppressed)
	rules := diffSection{title: "Policy", about: "rules that came, went or say something else", what: "rules", head: []string{"change", "rule"}}
	for i := range c.Rules {
		rules.rows = append(rules.rows, c.Rules[i].cells())
	}
	add(rules)
	groups := diffSection{title: "Groups", about: "that came, went or are on other interfaces", what: "groups", head: []string{"change", "group"}}
	for i := range c.Groups {
		g := &c.Groups[i]
		groups.rows = append(groups.rows, []string{g.Change, joinLines(strings.TrimSpace(g.ID+" "+g.Name), changesText(g.Fields))})
	}
	add(groups)
	verdicts := diffSection{title: "Verdicts", about: "that moved on rules that did not change", what: "verdicts", head: []string{"was", "is", "rule and reason"}}
	for i := range c.Verdicts {
		v := &c.Verdicts[i]
		verdicts.rows = append(verdicts.rows, []string{v.Was, v.Verdict, joinLines(v.Ref+" "+v.Rule, v.Cause+": "+v.Why)})
	}
	add(verdicts)
	edits := diffSection{title: "Plan", about: "edits that are in one plan only, or are others", what: "edits", head: []string{"edit", "rule and change"}}
	for i := range c.Edits {
		edits.rows = append(edits.rows, c.Edits[i].cells())
	}
	add(edits)
	for _, part := range []struct {
		title, about string
		of           []DocumentChange
	}{{"Evidence", "what the logs could show", c.Evidence}, {"Options", "", c.Options}} {
		s := diffSection{title: part.title, about: part.about, what: "values", head: []string{"value", "change"}}
		for _, x := range part.of {
			s.rows = append(s.rows, []string{clip(x.Name, 60), orDash(x.Old) + " → " + orDash(x.New)})
		}
		add(s)
	}
	return out
}

func joinLines(lines ...string) string {
	var out []string
	for _, l := range lines {
		if l != "" {
			out = append(out, l)
		}
	}
	return strings.Join(out, "\n")
}

// changesText words changed fields: "ports 80 → 443, peer …".
func changesText(fields []DocumentChange) string {
	var parts []string
	for _, x := range fields {
		parts = append(parts, x.Name+" "+orDash(x.Old)+" → "+orDash(x.New))
	}
	return strings.Join(parts, ", ")
}

func (f *FindingChange) cells() []string {
	severity := f.Severity
	if f.Was != "" && string(f.Was) != f.Severity {
		severity = string(f.Was) + " → " + severity
	}
	text := joinLines(string(f.Ref), f.Message, f.because())
	return []string{severity, f.Check, text}
}

// because is the reason of a change with its kind.
func (f *FindingChange) because() string {
	if f.Cause == "" {
		return f.Why
	}
	return string(f.Cause) + ": " + f.Why
}

func (r *RuleChange) cells() []string {
	was, is := "", ""
	if r.Old != "" {
		was = "- " + string(r.Old)
	}
	if r.New != "" && r.New != r.Old {
		is = "+ " + string(r.New)
	}
	if r.New == r.Old {
		was = changesText(r.Fields)
	}
	planned := ""
	if r.Planned {
		planned = "as the plan of the old report says"
	}
	return []string{r.Change, joinLines(r.Ref, was, is, planned)}
}

func (e *EditChange) cells() []string {
	name := string(e.Ref)
	if name == "" {
		name = e.Group
	}
	was, is := "", ""
	if e.Old != "" {
		was = "- " + string(e.Old)
	}
	if e.New != "" {
		is = "+ " + string(e.New)
	}
	return []string{e.Status, joinLines(name, was, is, e.Why)}
}

// sides are one line on each report.
func (c *Comparison) sides() [2]string {
	var out [2]string
	for i, r := range []*ComparedReport{&c.Old, &c.New} {
		var severities []count
		for _, x := range r.Findings.list() {
			if x.N > 0 {
				severities = append(severities, x)
			}
		}
		text := windowText(r.Window) + ", " + plural(r.Rules, "rule")
		if len(severities) > 0 {
			text += "; findings: " + countsText(severities)
		}
		if r.ExposureBefore != "" {
			text += "; exposure " + magnitude(r.ExposureBefore)
		}
		out[i] = text
	}
	return out
}

// ComparisonText writes c for a terminal.
func ComparisonText(w io.Writer, c *Comparison, o Options) error {
	if o.Width <= 0 {
		o.Width = 100
	}
	var b strings.Builder
	c = cleaned(c)
	t := textView{w: &b, o: o}
	for line := range strings.SplitSeq(wrap(c.Headline, o.Width), "\n") {
		t.linef("%s", t.paint(bold, line))
	}
	t.linef("")
	for i, side := range c.sides() {
		t.linef("  %s  %s", [2]string{"old", "new"}[i], strings.ReplaceAll(wrap(side, max(o.Width-7, narrowest)), "\n", "\n       "))
	}
	if n := c.Counts.Persisting; n > 0 {
		t.linef("  %s", plural(n, "finding")+" "+map[bool]string{true: "persists", false: "persist"}[n == 1])
	}
	if len(c.Notes) > 0 {
		t.heading("Mind", "")
		for _, n := range c.Notes {
			t.linef("  - %s", strings.ReplaceAll(wrap(n, max(o.Width-4, narrowest)), "\n", "\n    "))
		}
	}
	for _, s := range c.sections() {
		t.heading(s.title, s.about)
		tab := &table{head: s.head, bend: len(s.head) - 1}
		shown := firstOf(s.rows, t.limit(briefDiff))
		for _, row := range shown {
			if st, ok := severityStyle[row[0]]; ok {
				row[0] = t.paint(st, row[0])
			}
			tab.add(row...)
		}
		t.table(tab)
		t.rest(len(shown), len(s.rows), s.what)
	}
	if t.err != nil {
		return t.err
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// ComparisonMarkdown writes c as GitHub-flavoured Markdown.
func ComparisonMarkdown(w io.Writer, c *Comparison) error {
	var b strings.Builder
	m := mdView{w: &b}
	c = cleaned(c)
	m.linef("# Comparison\n")
	m.linef("**%s**", escape(c.Headline))
	m.head("Report", "")
	for i, side := range c.sides() {
		m.row([2]string{"old", "new"}[i], escape(side))
	}
	if len(c.Notes) > 0 {
		m.linef("\n**Mind**\n")
		for _, n := range c.Notes {
			m.linef("- %s", escape(n))
		}
	}
	if n := c.Counts.Persisting; n > 0 {
		m.linef("\nFindings that persist: %s.", number(uint64(n)))
	}
	for _, s := range c.sections() {
		m.linef("\n## %s", s.title)
		if s.about != "" {
			m.linef("\n%s", escape(upperFirst(s.about)+"."))
		}
		head := make([]string, len(s.head))
		for i := range head {
			head[i] = upperFirst(s.head[i])
		}
		m.head(head...)
		shown := firstOf(s.rows, markdownDiff)
		for _, row := range shown {
			cells := make([]string, len(row))
			for i, cell := range row {
				lines := strings.Split(cell, "\n")
				for j := range lines {
					lines[j] = escape(lines[j])
				}
				cells[i] = strings.Join(lines, "<br>")
			}
			m.row(cells...)
		}
		m.rest(len(shown), len(s.rows), s.what)
	}
	m.linef("\n<sub>%s %s, document %s</sub>", escape(c.Tool.Name), escape(c.Tool.Version), escape(c.Schema))
	_, err := io.WriteString(w, b.String())
	return err
}
