package plan

import (
	"slices"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/space"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// removeLines removes network ACL lines that allow: in tightening those that passed
// neither a connection nor a reply, and in any mode those without which the ACL passes
// the same. Removing a line that allows never admits anything: what it decided falls to
// later lines.
func (p *planner) removeLines(w *world) []Edit {
	var out []Edit
	gone := make(map[policy.Ref]bool)
	remove := func(acl *policy.ACL, r *policy.Rule) {
		gone[r.Ref] = true
		out = append(out, Edit{Op: Remove, Rule: r.Ref, Group: acl.ID})
	}
	lists := aclLists(w.snap)
	for i := range w.snap.ACLs {
		acl := &w.snap.ACLs[i]
		if p.in.Mode == ModeTighten {
			for k := range acl.Rules {
				r := &acl.Rules[k]
				if p.unusedLine(r, lists[aclKey{acl.ID, r.Direction}]) {
					remove(acl, r)
				}
			}
		}
		for _, d := range directions {
			l := lists[aclKey{acl.ID, d}]
			if l == nil {
				continue
			}
			keep := func(j int) bool { return !gone[l.Lines[j].Rule.Ref] }
			for n := len(l.Lines) - 1; n >= 0; n-- { // from the last line to the first
				r := l.Lines[n].Rule
				if r.Action != policy.Allow || !r.Editable || r.Implicit || gone[r.Ref] || p.held(r.Ref) {
					continue
				}
				switch l.Redundant(n, keep) {
				case space.Shadowed:
					p.lines[r.Ref] = "earlier lines decide all that it matches"
				case space.Covered:
					p.lines[r.Ref] = "other lines pass all that it passes"
				default:
					continue
				}
				remove(acl, r)
			}
		}
	}
	return out
}

// unusedLine reports whether nothing passed line r of a network ACL, whose list is l, and
// the evidence is enough to say so. Why a line stays is noted.
func (p *planner) unusedLine(r *policy.Rule, l *space.List) bool {
	if !r.Editable || r.Implicit || p.held(r.Ref) {
		return false
	}
	switch ev := p.evidence(r.Ref); {
	case r.Action == policy.Allow && p.usage(r.Ref).Hits == 0 && p.usage(r.Ref).Possible > 0 && p.doubtAbove(r, l):
		p.note(r.Ref, "accepted traffic may have used it: whether a line above it rejects that traffic the log does not say")
	case !ev.Attached || p.usage(r.Ref).Hits > 0 || p.usage(r.Ref).Possible > 0:
	case r.Action != policy.Allow:
		p.note(r.Ref, denies)
	case !ev.Observable:
		p.note(r.Ref, because("the log could not have shown its use", ev.Why))
	case !ev.UnusedOK:
		p.note(r.Ref, because("no use seen, but it cannot be called unused", ev.Why))
	default:
		return true
	}
	return false
}

// held reports whether no edit may touch ref.
func (p *planner) held(ref policy.Ref) bool { return p.in.Held[ref] != "" }

// doubtAbove reports whether a line of l that denies, and outranks r, may match what r
// does.
func (p *planner) doubtAbove(r *policy.Rule, l *space.List) bool {
	if l == nil {
		return false
	}
	at, ok := l.Find(r.Ref)
	for j := 0; ok && j < at; j++ {
		x := &l.Lines[j]
		if x.Rule.Action == policy.Deny && meet(x.Perhaps, l.Lines[at].Perhaps) {
			return true
		}
	}
	return false
}

// denies is why rules that deny stay though nothing was seen to meet them.
const denies = "it denies: without it a later line could admit what it rejects"

// aclKey is one of the lists of a network ACL.
type aclKey struct {
	acl string
	d   flow.Direction
}

// aclLists returns the lists of the network ACLs that filter some interface of s, with
// nothing for certain that rests on what a named set holds today.
func aclLists(s *policy.Snapshot) map[aclKey]*space.List {
	out := make(map[aclKey]*space.List)
	for i := range s.Interfaces {
		f := &s.Interfaces[i]
		acl, _, ok := s.ACLFor(f)
		if !ok || out[aclKey{acl.ID, flow.Ingress}] != nil {
			continue
		}
		for _, d := range directions {
			for _, st := range s.Path(f.ID, d) {
				if st.Name == policy.ACLStage && !st.Stateful {
					out[aclKey{acl.ID, d}] = settled(s, &st)
				}
			}
		}
	}
	return out
}

// settled returns the list of st, a stage of s, in which lines that name sets kept
// elsewhere match nothing for certain and perhaps any address: what it decides then holds
// whatever the sets come to hold.
func settled(s *policy.Snapshot, st *policy.Stage) *space.List {
	l := space.Of(st)
	for k := range l.Lines {
		x := &l.Lines[k]
		if st.Tiers[x.Tier].Name == policy.IntraTier {
			x.Sure, x.Exact = nil, false
		}
		at, ok := s.RuleIndex(x.Rule.Ref)
		if !ok {
			continue
		}
		r := s.Rules()[at]
		if !slices.ContainsFunc(r.Refs(), func(x policy.SetRef) bool { return x.Dead == "" }) {
			continue
		}
		x.Sure, x.Perhaps, x.Exact = nil, nil, false
		for i := range r.Match {
			m := r.Match[i]
			m.Remote = policy.AnyAddr
			boxes, _ := m.Boxes(r.Direction)
			x.Perhaps = append(x.Perhaps, boxes...)
		}
	}
	return l
}
