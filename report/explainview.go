package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// ExplanationText writes e for a terminal.
func ExplanationText(w io.Writer, e *Explanation, o Options) error {
	if o.Width <= 0 {
		o.Width = 100
	}
	var b strings.Builder
	t := textView{w: &b, o: o}
	e = cleaned(e)
	if e.Flow != nil {
		t.flow(e.Flow)
	}
	if e.Rule != nil {
		t.rule(e.Rule)
	}
	t.notes(e.Notes)
	if t.err != nil {
		return t.err
	}
	_, err := io.WriteString(w, b.String())
	return err
}

var verdictStyle = map[string]style{"allow": green, "deny": red, "unknown": yellow}

func (t *textView) headline(text string, s style) {
	for line := range strings.SplitSeq(wrap(text, t.o.Width), "\n") {
		t.linef("%s", t.paint(s, line))
	}
}

func (t *textView) flow(f *FlowExplanation) {
	t.headline(f.Headline, verdictStyle[f.Verdict])
	for i := range f.Ends {
		e := &f.Ends[i]
		title := upperFirst(e.Side) + " " + e.Address
		if e.Interface == nil {
			t.heading(title, "")
			t.say("outside: no interface of the policy owns this address")
			continue
		}
		t.heading(title+", "+named(e.Interface.ID, e.Interface.Name), e.Direction+", "+e.Verdict)
		for n, ps := range [2][]FlowPass{e.Requests, e.Answers} {
			for j := range ps {
				p := &ps[j]
				if title := passTitle(p, n == 1, len(ps) > 1); title != "" {
					t.say(title)
				}
				if len(p.Stages) == 0 {
					t.say("no stage filters it here")
					continue
				}
				tab := table{head: []string{"stage", "says", "rule", "what it is"}, bend: 3}
				for k := range p.Stages {
					for _, row := range stageRows(&p.Stages[k]) {
						row[1] = t.paint(verdictStyle[row[1]], row[1])
						tab.add(row...)
					}
				}
				t.table(&tab)
			}
		}
		if e.Observed != nil {
			t.say(e.Observed.text())
		}
	}
	t.changes("What would have to change for it to be allowed", "all of these", f.ToAllow)
	if f.Verdict != "deny" {
		t.changes("What would have to change for it to be denied", anyOne(f), f.ToDeny)
		if len(f.ToDeny) == 0 {
			t.heading("What would have to change for it to be denied", "")
			t.say("nothing that can be edited here leads there")
		}
	}
}

// anyOne says how much of what would deny is needed.
func anyOne(f *FlowExplanation) string {
	if slices.ContainsFunc(f.Ends, func(e FlowEnd) bool { return len(e.Requests) > 1 }) {
		return "any one of these, for each range of the client's ports"
	}
	return "any one of these"
}

// passTitle introduces the table of a pass, where it needs that.
func passTitle(p *FlowPass, answers, several bool) string {
	switch {
	case answers && p.ClientPorts == "all":
		return "answers, which go " + way(p.Direction) + ":"
	case answers:
		return "answers, which go " + way(p.Direction) + " to the client's port " + p.ClientPorts + ":"
	case several:
		return "from the client's port " + p.ClientPorts + ":"
	}
	return ""
}

func way(direction string) string {
	return map[string]string{"ingress": "in", "egress": "out"}[direction]
}

// stageRows are the rows of one stage: what decides, what else matches, what is next.
func stageRows(st *FlowStage) [][]string {
	first := []string{st.Stage, st.Verdict}
	if st.Exempt != "" {
		return [][]string{{st.Stage, "allow", "not asked", "it does not filter " + st.Exempt}}
	}
	if !st.Reached {
		first[1] += ", unasked"
	}
	var rows [][]string
	add := func(part, text string) {
		rows = append(rows, []string{first[0], first[1], part, text})
		first = []string{"", ""}
	}
	if st.Tier == "default" {
		add("decides", strings.Join(st.DecidedBy, ", ")+": no rule matches for certain")
		if len(st.Matches) == 0 {
			rows[0][3] = strings.Join(st.DecidedBy, ", ") + ": no rule matches"
		}
	}
	for i := range st.Matches {
		m := &st.Matches[i]
		text := m.Rule.Ref + "\n" + m.Rule.text()
		switch {
		case m.Through != "" && m.Certain:
			text += "; " + m.Through + " holds the peer"
		case m.Through != "":
			text += "; what " + m.Through + " holds is not known"
		case !m.Certain:
			text += "; whether it matches is not known"
		}
		if len(m.By) > 0 {
			text += "\n" + m.Part + " by " + strings.Join(firstOf(m.By, 3), ", ")
			if len(m.By) > 3 {
				text += " …"
			}
		}
		add(m.Part, text)
	}
	if st.Tier != "default" {
		add("next", st.Next+" by "+strings.Join(st.NextBy, ", "))
	}
	return rows
}

// text words a rule of a list as the report words rules.
func (r *ListedRule) text() string {
	if len(r.Parts) == 1 {
		p := &r.Parts[0]
		return r.rankText() + ruleText(r.Direction, r.Action, p.Protocol, p.Ports, p.peerText())
	}
	return r.rankText() + ruleText(r.Direction, r.Action, r.Protocol, r.Ports, r.Peer)
}

func (r *ListedRule) rankText() string {
	if r.Priority <= 1 {
		return ""
	}
	return fmt.Sprintf("%d: ", r.Priority)
}

func (t *textView) changes(title, about string, places []Place) {
	if len(places) == 0 {
		return
	}
	t.heading(title, about)
	for i := range places {
		p := &places[i]
		t.linef("  - %s", strings.ReplaceAll(wrap(p.where(), t.o.Width-4), "\n", "\n    "))
		for n := range p.Ways {
			text := p.Ways[n].Text
			if n > 0 {
				text = "or " + text
			}
			t.linef("      %s", strings.ReplaceAll(wrap(text, max(t.o.Width-6, narrowest)), "\n", "\n      "))
		}
		if len(p.Ways) == 0 {
			t.linef("      nothing that can be edited here leads there")
		}
	}
}

// where says which stage at which end p is.
func (p *Place) where() string {
	where := fmt.Sprintf("%s, %s, %s", p.Side, p.Interface, stageName(p.Stage))
	switch {
	case p.Answers && p.ClientPorts != "all":
		where += ", answers to port " + p.ClientPorts
	case p.Answers:
		where += ", answers"
	}
	return where
}

func (o *Observed) text() string {
	switch {
	case !o.Logged:
		return "The logs hold no row of this interface."
	case o.Connections == 0:
		return "The logs hold no record of this connection here."
	}
	out := fmt.Sprintf("Seen here from %s to %s: %s accepted, %s rejected", minute(o.FirstSeen), minute(o.LastSeen), plural64(o.Accepted, "record"), number(o.Rejected))
	if o.Undecided > 0 {
		out += fmt.Sprintf(", %s of connections whose opener is not decided", plural64(o.Undecided, "record"))
	}
	return out + "."
}

func (t *textView) rule(r *RuleExplanation) {
	t.headline(r.Headline, bold)
	about := r.Rule.text()
	if r.Rule.OwnerName != "" {
		about += ", in " + r.Rule.OwnerName
	}
	if r.Rule.Description != "" {
		about += " – " + r.Rule.Description
	}
	t.say(about)
	t.say("in force on " + inForce(r.Interfaces))
	ev := r.Evidence
	if ev == nil {
		return
	}
	t.heading("Evidence", windowText(ev.Window))
	t.say(fmt.Sprintf("%s: %s decisive, %s possible besides", plural64(ev.Hits, "hit"), number(ev.Decisive), number(ev.PossibleHits)))
	if ev.Hits > 0 {
		t.say(fmt.Sprintf("%s, %s, %s with %s, first seen %s, last %s", plural64(ev.Records, "record"), plural64(ev.Packets, "packet"), size(int64(min(ev.Bytes, 1<<62))),
			plural64(ev.Peers, "peer"), minute(ev.FirstSeen), minute(ev.LastSeen)))
	}
	t.say(r.withoutText())
	if len(ev.Connections) > 0 {
		t.heading("Connections", "the decisive first; a block is a day with records, from "+day(ev.Window.From))
		tab := table{head: []string{"part", "connection", "records", "first seen", "last seen"}, bend: 1, right: []int{2}}
		for i := range ev.Connections {
			c := &ev.Connections[i]
			lines := []string{c.text()}
			if s := dayStrip(c.Days, ev.Window); s != "" {
				lines = append(lines, s)
			}
			if len(c.Others) > 0 {
				lines = append(lines, "also "+strings.Join(c.Others, ", "))
			}
			tab.add(c.Kind, strings.Join(lines, "\n"), number(c.Records), minute(c.FirstSeen), minute(c.LastSeen))
		}
		t.table(&tab)
		if s := showing(len(ev.Connections), int(ev.TotalConnections), "connections"); s != "" {
			t.linef("  %s", t.paint(dim, s+"; --top shows more"))
		}
	}
	if same := ev.sameStage(); len(same) > 0 {
		t.heading("Rules that share its hits", "of the same stage: each would decide in its place")
		tab := table{head: []string{"rule", "connections"}, bend: 0, right: []int{1}}
		shown := firstOf(same, t.limit(briefFindings))
		for _, s := range shown {
			tab.add(s.Ref, number(s.Connections))
		}
		t.table(&tab)
		t.rest(len(shown), len(same), "rules")
	}
}

// sameStage are the rules of its own stage that share its hits.
func (ev *RuleEvidence) sameStage() []SharedWith {
	n := slices.IndexFunc(ev.Shared, func(s SharedWith) bool { return !s.SameStage })
	return firstOf(ev.Shared, n)
}

func inForce(ids []string) string {
	const some = 4
	switch {
	case len(ids) == 0:
		return "no interface"
	case len(ids) > some:
		return plural(len(ids), "interface") + ": " + strings.Join(ids[:some], ", ") + " …"
	}
	return plural(len(ids), "interface") + ": " + strings.Join(ids, ", ")
}

func (r *RuleExplanation) withoutText() string {
	ev := r.Evidence
	if r.Rule.Tier == "default" {
		return "It is a default: these connections match no rule of their stage."
	}
	if ev.Without.Connections == 0 {
		return "Without this rule alone, nothing that was observed would be " + ev.Without.Becomes + "."
	}
	return fmt.Sprintf("Without this rule, %s (%s) would be %s.", plural64(ev.Without.Connections, "connection"), plural64(ev.Without.Records, "record"), ev.Without.Becomes)
}

func (c *RuleConnection) text() string {
	what := c.Protocol
	if c.Ports != "all" {
		what += " " + c.Ports
	}
	out := c.Peer + " to " + c.Interface + " " + what
	if c.Direction == "egress" {
		out = c.Interface + " to " + c.Peer + " " + what
	}
	var marks []string
	if c.Action == "REJECT" {
		marks = append(marks, "rejected")
	} else if !c.Answered {
		marks = append(marks, "not answered")
	}
	if c.Opener != "proven" {
		marks = append(marks, "opener "+c.Opener)
	}
	if len(marks) > 0 {
		out += " (" + strings.Join(marks, ", ") + ")"
	}
	return out
}

// dayStrip draws the window, a character a day; nothing if it is too long to show or
// the days are not known.
func dayStrip(days []string, w Window) string {
	const longest = 64
	first, last := floorDay(int64(w.From)), floorDay(max(int64(w.From), int64(w.To)-1))
	if len(days) == 0 || last-first >= longest {
		return ""
	}
	on := make(map[string]bool, len(days))
	for _, d := range days {
		on[d] = true
	}
	var b strings.Builder
	for d := first; d <= last; d++ {
		if on[time.Unix(d*daySeconds, 0).UTC().Format(time.DateOnly)] {
			b.WriteString("█")
		} else {
			b.WriteString("·")
		}
	}
	return b.String()
}
