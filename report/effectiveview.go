package report

import (
	"io"
	"slices"
	"strconv"
	"strings"
)

// EffectiveText writes e for a terminal: a table for each stage.
func EffectiveText(w io.Writer, e *Effective, o Options) error {
	if o.Width <= 0 {
		o.Width = 100
	}
	var b strings.Builder
	t := textView{w: &b, o: o}
	e = cleaned(e)
	for i := range e.Lists {
		l := &e.Lists[i]
		if i > 0 {
			t.linef("")
		}
		for n, line := range listTitle(l) {
			if n == 0 {
				t.headline(line, bold)
				continue
			}
			t.say(line)
		}
		if len(l.Attached) > 0 {
			t.heading("Attached", plural(len(l.Attached), "place"))
			shown := firstOf(l.Attached, t.limit(briefEdits))
			for _, a := range shown {
				t.say(a.text())
			}
			t.rest(len(shown), len(l.Attached), "places")
		}
		for j := range l.Stages {
			st := &l.Stages[j]
			t.heading(upperFirst(st.Direction)+", "+stageName(st.Stage), "")
			t.say(st.about())
			t.table(st.table())
		}
		if len(l.Stages) == 0 {
			t.say("No stage filters it: it has no group, and its network ACL is not known.")
		}
		for _, d := range unfiltered(l) {
			t.heading(upperFirst(d), "")
			t.say("no stage filters this direction")
		}
		if x := exempted(l); len(x) > 0 {
			t.heading("Not asked", "traffic that a stage does not filter")
			for _, line := range x {
				t.linef("  - %s", strings.ReplaceAll(wrap(line, max(t.o.Width-4, narrowest)), "\n", "\n    "))
			}
		}
	}
	t.notes(e.Notes)
	if t.err != nil {
		return t.err
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// notes ends a text with what the policy lacks.
func (t *textView) notes(notes []string) {
	if len(notes) == 0 {
		return
	}
	t.heading("Notes", "")
	for _, n := range notes {
		t.linef("  - %s", strings.ReplaceAll(wrap(n, max(t.o.Width-4, narrowest)), "\n", "\n    "))
	}
}

// exempted words what the stages of a list do not filter, each thing once.
func exempted(l *EffectiveList) []string {
	var keys []string
	stages := map[string][]string{}
	for i := range l.Stages {
		for _, x := range l.Stages[i].Exempt {
			k := x.Why + ": " + strings.Join(x.Peers, ", ")
			if stages[k] == nil {
				keys = append(keys, k)
			}
			if name := stageName(l.Stages[i].Stage); !slices.Contains(stages[k], name) {
				stages[k] = append(stages[k], name)
			}
		}
	}
	for i, k := range keys {
		keys[i] = strings.Join(stages[k], " and ") + ": " + k
	}
	return keys
}

// listTitle says what a list is of.
func listTitle(l *EffectiveList) []string {
	if l.Interface == nil {
		out := []string{"Group " + named(l.Group.ID, l.Group.Name)}
		if l.Group.Description != "" {
			out = append(out, l.Group.Description)
		}
		if len(l.Attached) == 0 {
			out = append(out, "attached to no interface of the policy")
		}
		return out
	}
	f := l.Interface
	out := []string{"Interface " + named(f.ID, f.Name)}
	var facts []string
	for _, x := range []struct{ name, value string }{
		{"", strings.Join(f.Addresses, ", ")}, {"instance ", f.Instance}, {"kind ", f.Kind}, {"", f.Subnet}, {"", f.VPC},
	} {
		if x.value != "" {
			facts = append(facts, x.name+x.value)
		}
	}
	if len(facts) > 0 {
		out = append(out, strings.Join(facts, ", "))
	}
	var groups []string
	for _, g := range f.Groups {
		groups = append(groups, named(g.ID, g.Name))
	}
	if len(groups) > 0 {
		out = append(out, strings.Join(groups, ", "))
	}
	return out
}

// named is an id with the name behind it.
func named(id, name string) string {
	if name == "" || name == id {
		return id
	}
	return id + " " + clip(name, 40)
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func (a *AttachedTo) text() string {
	out := named(a.Interface, a.Name)
	if a.Instance != "" {
		out += " of " + a.Instance
	}
	if a.Stage != "" {
		out += ", stage " + a.Stage + ", tier " + a.Tier
	}
	return out
}

// stageName words the name of a stage.
func stageName(stage string) string {
	switch stage {
	case "sg":
		return "security groups"
	case "nacl":
		return "network ACL"
	}
	return "stage " + stage
}

// unfiltered lists the directions of an interface that no stage filters, if the other
// has one.
func unfiltered(l *EffectiveList) []string {
	var out []string
	for _, d := range []string{"ingress", "egress"} {
		if len(l.Stages) > 0 && !slices.ContainsFunc(l.Stages, func(s EffectiveStage) bool { return s.Direction == d }) {
			out = append(out, d)
		}
	}
	return out
}

// ranked reports whether the rules of a stage differ in priority.
func (st *EffectiveStage) ranked() bool {
	first := uint32(0)
	for i := range st.Rules {
		r := &st.Rules[i]
		switch {
		case r.Implicit:
		case r.Priority > 1:
			return true
		case first == 0:
			first = r.Priority
		}
	}
	return false
}

// tiered reports whether a stage has more than one tier besides the default.
func (st *EffectiveStage) tiered() bool {
	first := ""
	for i := range st.Rules {
		switch tier := st.Rules[i].Tier; {
		case tier == "default" || tier == first:
		case first == "":
			first = tier
		default:
			return true
		}
	}
	return first != "" && first != "rules"
}

// about says how a stage is read.
func (st *EffectiveStage) about() string {
	var parts []string
	switch {
	case len(st.Rules) <= 1:
		parts = append(parts, "no rule")
	case st.ranked():
		parts = append(parts, "the smallest priority that matches decides")
	default:
		parts = append(parts, "all rules have the same rank")
	}
	if !st.Stateful {
		parts = append(parts, "every packet is judged, answers too")
	}
	if n := len(st.Rules); n > 0 && st.Rules[n-1].Tier == "default" {
		what := "what no rule matches"
		if n == 1 {
			what = "everything"
		}
		parts = append(parts, what+" falls to the default: "+st.Rules[n-1].Action)
	}
	return strings.Join(parts, "; ")
}

// table lists the rules of a stage, a row for each part of a rule.
func (st *EffectiveStage) table() *table {
	ranked, tiered := st.ranked(), st.tiered()
	tab := &table{}
	if tiered {
		tab.head = append(tab.head, "tier")
	}
	if ranked {
		tab.head = append(tab.head, "priority")
	}
	tab.head = append(tab.head, "action", "protocol", "ports", "peer, and the rule it is of")
	tab.bend = len(tab.head) - 1
	for i := range st.Rules {
		r := &st.Rules[i]
		for n := range r.Parts {
			p := &r.Parts[n]
			var row []string
			first := n == 0
			if tiered {
				row = append(row, only(first, r.Tier))
			}
			if ranked {
				row = append(row, only(first && !r.Implicit, strconv.FormatUint(uint64(r.Priority), 10)))
			}
			row = append(row, only(first, r.Action), p.Protocol, p.Ports, p.peerText())
			if n == len(r.Parts)-1 {
				for _, line := range r.lines() {
					row[tab.bend] += "\n" + line
				}
			}
			tab.add(row...)
		}
	}
	return tab
}

func only(show bool, s string) string {
	if show {
		return s
	}
	return ""
}

// peerText is the far side of a part with what else it restricts.
func (p *RulePart) peerText() string {
	out := p.Peer
	if p.SourcePorts != "all" {
		out += " source ports " + p.SourcePorts
	}
	if p.Local != "any" {
		out += " at " + p.Local
	}
	return out
}

// lines are what stands under the peers of a rule: what its sets hold, and who it is.
func (r *ListedRule) lines() []string {
	var out []string
	for i := range r.Sets {
		out = append(out, r.Sets[i].text())
	}
	name := r.Ref
	if r.OwnerName != "" {
		name += " " + clip(r.OwnerName, 24)
	}
	if r.Description != "" {
		name += " – " + r.Description
	}
	return append(out, name)
}

func (h *HeldSet) text() string {
	switch {
	case h.Dead != "":
		return h.ID + " is dead: " + h.Dead
	case len(h.Holds) == 0 && !h.Known:
		return h.ID + ": what it holds is not known"
	case len(h.Holds) == 0:
		return h.ID + " holds nothing"
	}
	out := h.ID + " holds " + strings.Join(h.Holds, ", ")
	if !h.Known {
		out += " and what is not known"
	}
	return out
}

// EffectiveMarkdown writes e as GitHub-flavoured Markdown.
func EffectiveMarkdown(w io.Writer, e *Effective) error {
	var b strings.Builder
	m := mdView{w: &b}
	e = cleaned(e)
	for i := range e.Lists {
		l := &e.Lists[i]
		for n, line := range listTitle(l) {
			if n == 0 {
				m.linef("## %s\n", escape(line))
				continue
			}
			m.linef("%s  ", escape(line))
		}
		for j := range l.Attached {
			m.linef("- %s", escape(l.Attached[j].text()))
		}
		for j := range l.Stages {
			st := &l.Stages[j]
			m.linef("\n### %s, %s\n\n%s", escape(upperFirst(st.Direction)), escape(stageName(st.Stage)), escape(st.about()))
			m.head("Tier", ">Priority", "Action", "Protocol", "Ports", "Peer", "Rule", "Description")
			for k := range st.Rules {
				r := &st.Rules[k]
				for n := range r.Parts {
					p := &r.Parts[n]
					peer := code(p.peerText())
					if n == len(r.Parts)-1 {
						for s := range r.Sets {
							peer += "<br>" + escape(r.Sets[s].text())
						}
					}
					m.row(escape(r.Tier), only(!r.Implicit && st.ranked(), strconv.FormatUint(uint64(r.Priority), 10)), "**"+escape(r.Action)+"**",
						escape(p.Protocol), escape(p.Ports), peer, code(r.Ref)+" "+escape(r.OwnerName), escape(r.Description))
				}
			}
		}
		m.linef("")
		for _, line := range exempted(l) {
			m.linef("- Not asked, %s", escape(line))
		}
		m.linef("")
	}
	for _, n := range e.Notes {
		m.linef("- %s", escape(n))
	}
	if e.Tool.Version != "" {
		m.linef("\n<sub>%s %s, document %s</sub>", escape(e.Tool.Name), escape(e.Tool.Version), escape(e.Schema))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
