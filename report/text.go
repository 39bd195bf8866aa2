package report

import (
	"fmt"
	"io"
	"strings"
)

// Options are how the text view is shown; the zero value suits a file.
type Options struct {
	Color   bool // with terminal colours; nothing is said by colour alone
	Width   int  // columns; 0: 100
	Verbose bool // all rows, the reasons, and the table of rules
}

// How many rows the brief text view shows of each list.
const (
	briefEdits    = 25
	briefFindings = 10
	briefEvidence = 5
)

// Text writes r for a terminal: the answer, how sure it is, the plan, the findings,
// and the account.
func Text(w io.Writer, r *Report, o Options) error {
	if o.Width <= 0 {
		o.Width = 100
	}
	var b strings.Builder
	t := textView{w: &b, r: inert(r), o: o}
	t.answer()
	t.plan()
	t.assertions()
	t.findings()
	t.suppressions()
	t.controls()
	t.rules()
	t.account()
	t.coverage()
	t.openEnds()
	t.inputs()
	if t.err != nil {
		return t.err
	}
	_, err := io.WriteString(w, b.String())
	return err
}

type textView struct {
	w   *strings.Builder
	r   *Report // cleaned
	o   Options
	err error
}

// style is a terminal colour by what it is for.
type style string

const (
	bold   style = "1"
	dim    style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
	cyan   style = "36"
)

func (t *textView) paint(s style, text string) string {
	if !t.o.Color || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

func (t *textView) linef(format string, args ...any) { fmt.Fprintf(t.w, format+"\n", args...) }

// say writes text wrapped and indented by two.
func (t *textView) say(text string) {
	for line := range strings.SplitSeq(wrap(text, t.o.Width-2), "\n") {
		t.linef("  %s", line)
	}
}

func (t *textView) heading(name string, about string) {
	if about != "" {
		about = t.paint(dim, "  "+about)
	}
	t.linef("\n%s%s", t.paint(bold, name), about)
}

func (t *textView) table(tab *table) {
	for i := range tab.head {
		tab.head[i] = t.paint(dim, tab.head[i])
	}
	if err := tab.write(t.w, t.o.Width); err != nil && t.err == nil {
		t.err = fmt.Errorf("text: %w", err)
	}
}

// limit is n in the brief view and no limit in the verbose one.
func (t *textView) limit(n int) int {
	if t.o.Verbose {
		return -1
	}
	return n
}

// rest says what a list left out.
func (t *textView) rest(shown, all int, what string) {
	if s := showing(shown, all, what); s != "" {
		t.linef("  %s", t.paint(dim, s+"; the verbose view and the JSON report have all"))
	}
}

var markStyle = map[mark]style{good: green, caution: yellow, bad: red, neutral: dim}

var markSign = map[mark]string{good: "+", caution: "!", bad: "x", neutral: "-"}

func (t *textView) answer() {
	r := t.r
	s := bold
	if r.Summary.Outcome == OutcomeDeclined || r.Summary.Outcome == OutcomeRejectOnly {
		s = yellow
	}
	for line := range strings.SplitSeq(wrap(r.Summary.Headline, t.o.Width), "\n") {
		t.linef("%s", t.paint(s, line))
	}
	if r.Plan.Exposure.Before != "" {
		for _, line := range exposureTexts(&r.Plan.Exposure) {
			t.linef("Exposure %s", line)
		}
	}
	t.linef("")
	for _, st := range statements(r) {
		t.linef("  %s %-11s %s", t.paint(markStyle[st.Mark], markSign[st.Mark]), st.Name,
			strings.ReplaceAll(wrap(st.Value+" – "+st.Detail, max(t.o.Width-16, narrowest)), "\n", "\n"+strings.Repeat(" ", 16)))
	}
	t.linef("    %-11s %s, %s", "Window", windowText(r.Window), plural(len(r.Coverage.Interfaces), "interface"))
	if len(r.Notes) > 0 {
		t.heading("Before you act", "")
		for _, n := range r.Notes {
			t.linef("  - %s", strings.ReplaceAll(wrap(n, max(t.o.Width-4, narrowest)), "\n", "\n    "))
		}
	}
}

var opStyle = map[string]style{"remove": red, "replace": yellow, "add": green}

func (t *textView) plan() {
	p := &t.r.Plan
	if len(p.Edits) > 0 {
		t.heading("Plan", "mode "+p.Mode)
		byRef, groups := rulesByRef(t.r), groupsByID(t.r)
		// Ids are long: the rule stands over its change, not beside it.
		tab := table{head: []string{"do", "rule and change", "basis", "confidence"}, bend: 1}
		shown := firstOf(p.Edits, t.limit(briefEdits))
		for i := range shown {
			e := &shown[i]
			name := string(e.Ref)
			if name == "" {
				name = e.Group
			}
			if g := groups[e.Group]; g != nil && g.Name != "" {
				name += " " + clip(g.Name, 24)
			}
			change := append([]string{name}, changeLines(e, byRef)...)
			if t.o.Verbose && e.Reason != "" {
				change = append(change, e.Reason)
			}
			tab.add(t.paint(opStyle[e.Op], e.Op), strings.Join(change, "\n"), e.Basis, e.Confidence)
		}
		t.table(&tab)
		t.rest(len(shown), len(p.Edits), "edits")
	}
	if len(p.Declined) > 0 {
		t.heading("Not proposed", "rules that could have been edited, and why they stay")
		shown := firstOf(p.Declined, t.limit(briefEvidence))
		tab := table{head: []string{"rule", "reason"}, bend: 1}
		for _, d := range shown {
			name := string(d.Ref)
			if name == "" {
				name = "the whole plan"
			}
			tab.add(clip(name, 44), d.Reason)
		}
		t.table(&tab)
		t.rest(len(shown), len(p.Declined), "rules")
	}
}

// changeLines are the old rule and the new ones in the manner of a diff.
func changeLines(e *Edit, byRef map[string]*Rule) []string {
	var out []string
	if old := byRef[string(e.Ref)]; old != nil {
		out = append(out, "- "+old.text())
	}
	for i := range e.With {
		out = append(out, "+ "+e.With[i].text())
	}
	return out
}

var severityStyle = map[string]style{"critical": red, "high": red, "medium": yellow, "low": cyan, "info": dim}

func (t *textView) findings() {
	all := t.r.Findings
	if len(all) == 0 {
		return
	}
	t.heading("Findings", findingCounts(&t.r.Summary))
	shown := firstOf(countingFirst(all), t.limit(briefFindings))
	tab := table{head: []string{"severity", "check", "finding"}, bend: 2}
	for i := range shown {
		f := &shown[i]
		message := string(f.Ref) + "\n" + f.Message
		if f.Suppressed != nil {
			message += "\n" + suppressionText(f.Suppressed)
		}
		if t.o.Verbose {
			for _, fact := range f.Facts {
				message += "\n" + fact.Name + ": " + fact.Value
			}
			if len(f.Related) > 0 {
				message += "\nsee " + strings.Join(f.Related, ", ")
			}
			if len(f.Controls) > 0 {
				message += "\n" + strings.Join(f.Controls, ", ")
			}
		}
		tab.add(t.paint(severityStyle[f.Severity], f.Severity), f.Check, message)
	}
	t.table(&tab)
	t.rest(len(shown), len(all), "findings")
}

// countsText lists the counts that are not 0.
func countsText(cs []count) string {
	var parts []string
	for _, c := range cs {
		if c.N > 0 {
			parts = append(parts, number(c.N)+" "+c.Name)
		}
	}
	return strings.Join(parts, ", ")
}

func (t *textView) rules() {
	s := &t.r.Summary
	if len(t.r.Rules) == 0 {
		return
	}
	t.heading("Rules", fmt.Sprintf("%s declared, %s editable", number(uint64(s.Rules)), number(uint64(s.Editable))))
	tab := table{head: []string{"verdict", "rules", "meaning"}, bend: 2, right: []int{1}}
	for _, c := range s.Verdicts.list() {
		if c.N > 0 {
			tab.add(c.Name, number(c.N), c.Meaning)
		}
	}
	t.table(&tab)
	if !t.o.Verbose {
		return
	}
	t.linef("")
	tab = table{head: []string{"rule", "verdict", "hits", "decisive", "last seen"}, right: []int{2, 3}}
	for i := range t.r.Rules {
		r := &t.r.Rules[i]
		tab.add(r.Ref+"\n"+r.text(), r.Verdict, r.hits(), r.decisive(), day(r.LastSeen))
	}
	t.table(&tab)
}

func (t *textView) account() {
	l := &t.r.Ledger
	t.heading("Account", number(l.Records)+" records, each in one line")
	tab := table{head: []string{"disposition", "records", "share", "the record is"}, bend: 3, right: []int{1, 2}}
	for _, c := range l.Dispositions.list() {
		tab.add(c.Name, number(c.N), share(c.N, l.Records), c.Meaning)
	}
	t.table(&tab)
	if l.Outside > 0 {
		t.say(number(l.Outside) + " more lie outside the window that was asked for.")
	}
	if causes := causeList(t.r.Fidelity.Causes); len(causes) > 0 {
		t.say("Disagreements with the policy by cause: " + countsText(causes))
	}
	for _, s := range accountTexts(t.r) {
		t.say(s)
	}
	if len(t.r.Orientation) > 0 {
		var parts []count
		for _, o := range t.r.Orientation {
			parts = append(parts, count{Name: o.Method, N: o.Records})
		}
		t.say("Openers by what told them: " + countsText(parts))
	}
	if len(l.Samples) > 0 {
		t.heading("Records that could not be read", "samples")
		shown := firstOf(l.Samples, t.limit(briefEvidence))
		tab := table{head: []string{"where", "field", "reason"}, bend: 2}
		for i := range shown {
			s := &shown[i]
			tab.add(clip(s.place(), 60), clip(s.Field, 24), s.Reason)
		}
		t.table(&tab)
		t.rest(len(shown), len(l.Samples), "samples")
	}
}

func (t *textView) coverage() {
	if gaps := withGaps(t.r.Coverage.Interfaces); len(gaps) > 0 {
		t.heading("Gaps", fmt.Sprintf("%s of %s", number(uint64(len(gaps))), plural(len(t.r.Coverage.Interfaces), "interface")))
		shown := firstOf(gaps, t.limit(briefEvidence))
		tab := table{head: []string{"interface", "records", "gaps"}, bend: 2, right: []int{1}}
		for i := range shown {
			c := &shown[i]
			var parts []string
			some := firstOf(c.Gaps, t.limit(briefEvidence))
			for _, g := range some {
				parts = append(parts, g.text())
			}
			if s := showing(len(some), len(c.Gaps), "gaps"); s != "" {
				parts = append(parts, s)
			}
			tab.add(clip(c.Interface, 48), number(c.Records), strings.Join(parts, "; "))
		}
		t.table(&tab)
		t.rest(len(shown), len(gaps), "interfaces with gaps")
	}
	if len(t.r.Coverage.Missing) > 0 {
		t.heading("Not exported", "")
		tab := table{head: []string{"what", "what follows"}, bend: 1}
		for _, m := range t.r.Coverage.Missing {
			tab.add(clip(m.What, 48), m.Effect)
		}
		t.table(&tab)
	}
}

func (t *textView) openEnds() {
	all := t.r.Undecided
	if len(all) == 0 {
		return
	}
	t.heading("Openers that stay undecided", "both readings counted, so no rule lost its evidence")
	shown := firstOf(all, t.limit(briefEvidence))
	tab := table{head: []string{"interface", "protocol", "local", "remote", "records"}, bend: 3, right: []int{4}}
	for _, u := range shown {
		tab.add(clip(u.Interface, 48), u.Protocol, endpoint(u.Local, u.LocalPort), endpoint(u.Remote, u.RemotePort), number(u.Records))
	}
	t.table(&tab)
	t.rest(len(shown), len(all), "connections")
}

func (t *textView) inputs() {
	in := &t.r.Inputs
	t.heading("Inputs", plural(len(in.Logs), "log file")+", "+plural(len(in.Policy), "policy file"))
	if t.o.Verbose {
		tab := table{head: []string{"file", "kind", "size", "records", "digest"}, right: []int{2, 3}}
		for _, l := range in.Logs {
			tab.add(l.Path, l.Format, size(l.Bytes), number(l.Records), l.Digest)
		}
		for _, p := range in.Policy {
			tab.add(p.Path, p.Kind, "", "", p.Digest)
		}
		t.table(&tab)
	}
	for _, s := range in.Skipped {
		t.say("not read: " + s.Path + ": " + s.Reason)
	}
	for _, s := range settingsList(t.r) {
		if t.o.Verbose {
			t.say(s.Name + ": " + s.Value)
		}
	}
	t.linef("\n%s %s, document %s", t.r.Tool.Name, t.r.Tool.Version, t.r.Schema)
}
