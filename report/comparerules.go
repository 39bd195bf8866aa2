package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// DocumentChange is a value that is different. Empty stands for nothing.
type DocumentChange struct {
	Name string `json:"name"`
	Old  string `json:"old"`
	New  string `json:"new"`
}

// What happened to a rule or a group.
const (
	changeAdded   = "added"
	changeRemoved = "removed"
	changeChanged = "changed"
)

// RuleChange is a rule that came, went, or says something else.
type RuleChange struct {
	Change   string           `json:"change" enum:"added,removed,changed"`
	Ref      string           `json:"ref"`
	Group    string           `json:"group"`
	Implicit bool             `json:"implicit"`
	Old      Optional         `json:"old" doc:"The rule in words; null if it was added."`
	New      Optional         `json:"new" doc:"The rule in words; null if it was removed."`
	Fields   []DocumentChange `json:"fields" doc:"Of a changed rule, what is different."`
	Verdict  Optional         `json:"verdict" doc:"In the new report; null if it was removed."`
	Was      Optional         `json:"was" doc:"The verdict in the old report; null if it was added."`
	Planned  bool             `json:"planned" doc:"As the plan of the old report says."`
}

// GroupChange is a group that came, went, or is on other interfaces.
type GroupChange struct {
	Change string           `json:"change" enum:"added,removed,changed"`
	ID     string           `json:"id"`
	Name   string           `json:"name"`
	Kind   string           `json:"kind"`
	Fields []DocumentChange `json:"fields"`
}

// VerdictChange is another verdict on a rule that says what it said.
type VerdictChange struct {
	Ref     string `json:"ref"`
	Rule    string `json:"rule" doc:"In words."`
	Was     string `json:"was"`
	Verdict string `json:"verdict"`
	OldHits uint64 `json:"old_hits"`
	NewHits uint64 `json:"new_hits"`
	Last    Time   `json:"last_seen" doc:"In the new report; in the old one if that has no hit."`
	Cause   string `json:"cause" enum:"traffic,policy,evidence"`
	Why     string `json:"why"`
}

// ruleFields are what a rule says: first what decides, then what does not.
func ruleFields(r *Rule) []Fact {
	return []Fact{{"direction", r.Direction}, {"action", r.Action}, {"priority", fmt.Sprint(r.Priority)}, {"protocol", r.Protocol},
		{"ports", r.Ports}, {"peer", r.Peer}, {"description", r.Description}, {"editable", fmt.Sprint(r.Editable)}}
}

// decidingFields is how many of ruleFields decide.
const decidingFields = 6

// sameMatch reports whether a and b decide the same of the same connections, as far as
// the report tells: what the groups and lists that they name hold is not in it.
func sameMatch(a, b *Rule) bool {
	return slices.Equal(ruleFields(a)[:decidingFields], ruleFields(b)[:decidingFields])
}

func fieldChanges(a, b []Fact) []DocumentChange {
	var out []DocumentChange
	for i := range a {
		if a[i].Value != b[i].Value {
			out = append(out, DocumentChange{a[i].Name, a[i].Value, b[i].Value})
		}
	}
	return out
}

// ruleChanges compares the rules by ref and notes which are edited, and the groups that
// this touches.
func (c *comparer) ruleChanges() []RuleChange {
	var out []RuleChange
	add := func(x RuleChange, matters bool) {
		if matters {
			c.edited[x.Ref], c.touched[x.Group] = true, true
		}
		out = append(out, x)
	}
	for i := range c.new.Rules {
		b := &c.new.Rules[i]
		x := RuleChange{Change: changeAdded, Ref: b.Ref, Group: b.Group, Implicit: b.Implicit, New: Optional(b.text()), Verdict: Optional(b.Verdict)}
		a := c.oldRules[b.Ref]
		if a == nil {
			add(x, true)
			continue
		}
		x.Change, x.Old, x.Was = changeChanged, Optional(a.text()), Optional(a.Verdict)
		if x.Fields = fieldChanges(ruleFields(a), ruleFields(b)); len(x.Fields) > 0 {
			add(x, !sameMatch(a, b))
		}
	}
	for i := range c.old.Rules {
		if a := &c.old.Rules[i]; c.newRules[a.Ref] == nil {
			add(RuleChange{Change: changeRemoved, Ref: a.Ref, Group: a.Group, Implicit: a.Implicit, Old: Optional(a.text()), Was: Optional(a.Verdict)}, true)
		}
	}
	slices.SortStableFunc(out, func(a, b RuleChange) int {
		return cmp.Or(strings.Compare(a.Group, b.Group), strings.Compare(a.Ref, b.Ref))
	})
	return out
}

// groupChanges compares the groups by id and notes those that are on other interfaces.
func (c *comparer) groupChanges() []GroupChange {
	fields := func(g *Group) []Fact {
		return []Fact{{"name", g.Name}, {"kind", g.Kind}, {"vpc", g.VPC}, {"interfaces", fmt.Sprint(g.Interfaces)}}
	}
	old, now := groupsByID(c.old), groupsByID(c.new)
	var out []GroupChange
	for i := range c.new.Groups {
		b := &c.new.Groups[i]
		x := GroupChange{Change: changeAdded, ID: b.ID, Name: b.Name, Kind: b.Kind}
		if a := old[b.ID]; a != nil {
			x.Change, x.Fields = changeChanged, fieldChanges(fields(a), fields(b))
			if len(x.Fields) == 0 {
				continue
			}
			c.touched[b.ID] = c.touched[b.ID] || a.Interfaces != b.Interfaces
		}
		out = append(out, x)
	}
	for i := range c.old.Groups {
		if a := &c.old.Groups[i]; now[a.ID] == nil {
			out = append(out, GroupChange{Change: changeRemoved, ID: a.ID, Name: a.Name, Kind: a.Kind})
		}
	}
	slices.SortStableFunc(out, func(a, b GroupChange) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// verdictChanges lists the verdicts that moved on declared rules that decide what they
// decided.
func (c *comparer) verdictChanges() []VerdictChange {
	var out []VerdictChange
	for i := range c.new.Rules {
		b := &c.new.Rules[i]
		a := c.oldRules[b.Ref]
		if a == nil || a.Verdict == b.Verdict || b.Implicit || c.edited[b.Ref] {
			continue
		}
		x := VerdictChange{Ref: b.Ref, Rule: b.text(), Was: a.Verdict, Verdict: b.Verdict, OldHits: a.Hits, NewHits: b.Hits, Last: cmp.Or(b.LastSeen, a.LastSeen)}
		x.Cause, x.Why = c.whyMoved(a, b)
		c.moved[b.Ref] = x
		out = append(out, x)
	}
	return out
}

// whyMoved explains another verdict on the same rule by its hits, by the rules around
// it, or by what the logs could show.
func (c *comparer) whyMoved(a, b *Rule) (cause, why string) {
	others := c.touched[a.Group] || a.Interfaces != b.Interfaces
	around := ""
	if others {
		around = "; other rules of the group, or its interfaces, changed, too"
	}
	switch {
	case a.Hits == 0 && b.Hits > 0:
		if b.FirstSeen != 0 && b.FirstSeen <= c.old.Window.To && b.FirstSeen >= c.old.Window.From {
			return causeEvidence, fmt.Sprintf("%s used it, the first on %s: in the window of the old report, whose logs do not show them%s",
				plural64(b.Hits, "connection"), minute(b.FirstSeen), around)
		}
		return causeTraffic, fmt.Sprintf("%s used it, the first on %s%s", plural64(b.Hits, "connection"), minute(b.FirstSeen), around)
	case a.Hits > 0 && b.Hits == 0:
		switch {
		case a.LastSeen < c.new.Window.From:
			return causeTraffic, fmt.Sprintf("no connection used it any more; the last was on %s, before the window of the new report%s", minute(a.LastSeen), around)
		case others:
			return causePolicy, fmt.Sprintf("%s before the change used it; other rules of the group, or its interfaces, changed", plural64(a.Hits, "connection"))
		}
		return causeEvidence, fmt.Sprintf("%s used it until %s, in the window of the new report, whose logs do not show them", plural64(a.Hits, "connection"), minute(a.LastSeen))
	case a.Hits > 0 && (a.Decisive > 0) != (b.Decisive > 0):
		text := "every connection that it decides is allowed by other rules, too"
		if b.Decisive > 0 {
			text = fmt.Sprintf("%s would be decided otherwise without it", plural64(b.Decisive, "connection"))
		}
		if others || len(c.edited) > 0 {
			return causePolicy, text + "; other rules changed"
		}
		return causeTraffic, text
	case a.Hits > 0:
		text := fmt.Sprintf("its hits were %s and are %s", number(a.Hits), number(b.Hits))
		switch {
		case b.Verdict == "attempt-only":
			return causeTraffic, text + "; none was answered" + around
		case a.Verdict == "attempt-only":
			return causeTraffic, text + "; some were answered" + around
		}
		return causeEvidence, text + "; who opened them is known otherwise" + around
	}
	why = b.Reason
	if why == "" {
		why = "neither report has a hit"
	}
	if b.Verdict == "dead-by-config" || a.Verdict == "dead-by-config" || others {
		return causePolicy, why + around
	}
	return causeEvidence, why
}
