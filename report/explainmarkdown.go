package report

import (
	"fmt"
	"io"
	"strings"
)

// ExplanationMarkdown writes e as GitHub-flavoured Markdown.
func ExplanationMarkdown(w io.Writer, e *Explanation) error {
	var b strings.Builder
	m := mdView{w: &b}
	e = cleaned(e)
	if e.Flow != nil {
		m.flow(e.Flow)
	}
	if e.Rule != nil {
		m.rule(e.Rule)
	}
	if len(e.Notes) > 0 {
		m.linef("")
	}
	for _, n := range e.Notes {
		m.linef("- %s", escape(n))
	}
	m.linef("\n<sub>%s %s, document %s</sub>", escape(e.Tool.Name), escape(e.Tool.Version), escape(e.Schema))
	_, err := io.WriteString(w, b.String())
	return err
}

func (m *mdView) flow(f *FlowExplanation) {
	m.linef("**%s**", escape(f.Headline))
	for i := range f.Ends {
		e := &f.Ends[i]
		if e.Interface == nil {
			m.linef("\n## %s %s\n\noutside: no interface of the policy owns this address", escape(upperFirst(e.Side)), escape(e.Address))
			continue
		}
		m.linef("\n## %s %s, %s: %s", escape(upperFirst(e.Side)), escape(e.Address), escape(named(e.Interface.ID, e.Interface.Name)), escape(e.Verdict))
		for n, ps := range [2][]FlowPass{e.Requests, e.Answers} {
			for j := range ps {
				if title := passTitle(&ps[j], n == 1, len(ps) > 1); title != "" {
					m.linef("\n%s", escape(title))
				}
				m.head("Stage", "Says", "Rule", "What it is")
				for k := range ps[j].Stages {
					for _, row := range stageRows(&ps[j].Stages[k]) {
						m.row(escape(row[0]), escape(row[1]), escape(row[2]), strings.ReplaceAll(escape(row[3]), "\n", "<br>"))
					}
				}
			}
		}
		if e.Observed != nil {
			m.linef("\n%s", escape(e.Observed.text()))
		}
	}
	m.changes("What would have to change for it to be allowed: all of these", f.ToAllow)
	m.changes("What would have to change for it to be denied: "+anyOne(f), f.ToDeny)
}

func (m *mdView) changes(title string, places []Place) {
	if len(places) == 0 {
		return
	}
	m.linef("\n## %s\n", escape(title))
	for i := range places {
		p := &places[i]
		var ways []string
		for n := range p.Ways {
			ways = append(ways, p.Ways[n].Text)
		}
		if len(ways) == 0 {
			ways = []string{"nothing that can be edited here leads there"}
		}
		m.linef("- %s: %s", escape(p.where()), escape(strings.Join(ways, ", or ")))
	}
}

func (m *mdView) rule(r *RuleExplanation) {
	m.linef("**%s**\n\n%s, in force on %s", escape(r.Headline), code(r.Rule.text()), escape(inForce(r.Interfaces)))
	ev := r.Evidence
	if ev == nil {
		return
	}
	m.head("Evidence", "")
	m.row("Window", escape(windowText(ev.Window)))
	m.row("Hits", fmt.Sprintf("%s, %s decisive, %s possible besides", number(ev.Hits), number(ev.Decisive), number(ev.PossibleHits)))
	m.row("Records", fmt.Sprintf("%s with %s", number(ev.Records), plural64(ev.Peers, "peer")))
	m.linef("\n%s", escape(r.withoutText()))
	if len(ev.Connections) > 0 {
		m.head("Part", "Connection", ">Records", "First seen", "Last seen", ">Days", "Also by")
		for i := range ev.Connections {
			c := &ev.Connections[i]
			days := "–"
			if len(c.Days) > 0 {
				days = number(uint64(len(c.Days)))
			}
			m.row(escape(c.Kind), escape(c.text()), number(c.Records), minute(c.FirstSeen), minute(c.LastSeen), days, code(strings.Join(c.Others, ", ")))
		}
		if s := showing(len(ev.Connections), int(ev.TotalConnections), "connections"); s != "" {
			m.linef("\n_%s; --top shows more._", s)
		}
	}
	if same := ev.sameStage(); len(same) > 0 {
		m.head(">Connections shared", "Rule")
		shown := firstOf(same, markdownEvidence)
		for _, s := range shown {
			m.row(number(s.Connections), code(s.Ref))
		}
		m.rest(len(shown), len(same), "rules")
	}
}
