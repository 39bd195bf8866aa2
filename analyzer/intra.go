package analyzer

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/analyzer/cover"
	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/space"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// IntraMaskedRule finds rules for members that may talk to one another anyway.
var IntraMaskedRule = &Analyzer{
	Name:     "intra-masked-rule",
	Title:    "Members of the group may do anyway what this rule allows",
	Severity: Info,
	Doc: `All peers of the rule are members of a group whose members may talk to one another by
private address whatever the rules say, and every interface with the rule is a member, too,
and another one than some of them. So the rule never decides, as long as the group stays
open inside and its members are those of the snapshot.

It is no reason to remove the rule: it is what would remain if the members were isolated
from one another, and the check intra-group-only names the rules that are lacking then.`,
	Run: func(p *Pass) []Finding {
		var out []Finding
		for i, r := range p.Snapshot.Rules() {
			c := &p.Coverage.rules[i]
			if !c.everywhere || c.instead != byIntra || r.Action != policy.Allow {
				continue
			}
			f := about(r, "%s never decides: its peers are members of %s, who may talk to one another anyway", words(r), groupList(c.by))
			f.Related, f.Confidence = c.by, plan.Medium
			f.Facts = []Fact{{"holds", "while the members of " + groupList(c.by) + " are not isolated, for the members as of the snapshot"}}
			out = append(out, f)
		}
		return out
	},
}

// groupList names the groups of hidden rules.
func groupList(intra []policy.Ref) string {
	var ids []string
	for _, ref := range intra {
		ids = append(ids, intraGroup(ref))
	}
	return strings.Join(ids, ", ")
}

// IneffectiveDeny finds rules that do not deny what they say.
var IneffectiveDeny = &Analyzer{
	Name:     "ineffective-deny",
	Title:    "The rule does not stop what it says it denies",
	Severity: Medium,
	Doc: `A deny rule names addresses of members of a group whose members may talk to one
another by private address, and is in force on other members of it. That permission comes
before every rule, so these peers are not stopped, whatever the rule's priority; the facts
name them and count what the logs show of them. To stop them, isolate the members of every
such group that both ends share (the check intra-group-only says what rules that would
need), or take one end out of it.

A deny is also found if stronger rules decide all that it matches and one of them allows:
then it denies nothing that they allow. A rule that denies a whole address family is of
least severity: its aim is the rest.`,
	Run: func(p *Pass) []Finding {
		intra := p.wonBy(p.implicit(isIntra))
		seen := p.countTouching(func(i int) bool { return p.Snapshot.Rules()[i].Action == policy.Deny },
			p.accepted(slices.ContainsFunc(intra, func(w won) bool { return w.hit })), func(c *engine.Connection) bool { return intra[c.Signature].hit })
		var out []Finding
		for i, r := range p.Snapshot.Rules() {
			if r.Action != policy.Deny {
				continue
			}
			c := &p.Coverage.rules[i]
			if c.everywhere && c.shadowed && c.conflict && c.instead == byRules {
				f := about(r, "%s stops nothing that stronger rules allow: %s", words(r), refList(c.by))
				f.Related = c.by
				out = append(out, f)
				continue
			}
			mates, by := p.matesDespite(i)
			if len(mates) == 0 {
				continue
			}
			f := about(r, "%s does not stop %s of %s: they may talk to one another whatever the rules say", words(r), plural(len(mates), "member"), groupList(by))
			f.Related, f.Confidence = by, plan.Medium
			f.Facts = []Fact{{"not stopped", prefixList(mates)}, {"connections from or to them that it matches", count(seen[i])},
				{"relies on", "the members of a group as of the snapshot"}}
			for n := range r.Match {
				if v4, v6 := worldOpen(r.Match[n].Remote.Prefixes); v4 || v6 {
					f.Severity = Info
				}
			}
			out = append(out, f)
		}
		return out
	},
}

// touches reports whether boxes hold any service of c at its peer.
func touches(boxes []netset.Box, c *engine.Connection) bool {
	at := pointOf(c)
	return slices.ContainsFunc(boxes, func(b netset.Box) bool { return b.Services.Overlaps(at.Services) && b.Addrs.Overlaps(at.Addrs()) })
}

// pointOf is a connection as a cover sees it.
func pointOf(c *engine.Connection) cover.Point {
	return cover.Point{Addr: c.Remote, Free: c.RemoteFree, Services: netset.ServiceOf(c.Proto, netset.PortRange{First: c.Port, Last: max(c.Port, c.PortHi)})}
}

// matesDespite returns the members of groups that deny rule r names and, on some interface
// where it is in force, does not stop, and the hidden rules that let them.
func (p *Pass) matesDespite(r int) (mates []netip.Prefix, by []policy.Ref) {
	p.Coverage.eachMate(p.Snapshot, r, func(mate netip.Prefix, hidden policy.Ref) bool {
		mates, by = append(mates, mate), append(by, hidden)
		return true
	})
	slices.SortFunc(mates, policy.ComparePrefix)
	sortRefs(by)
	return slices.Compact(mates), slices.Compact(by)
}

// eachMate calls f with the other members that rule r may match on each interface where it
// is in force and who may talk to that interface anyway, and the hidden rule that lets
// them, until f returns false.
func (c *ruleCoverage) eachMate(s *policy.Snapshot, r int, f func(mate netip.Prefix, hidden policy.Ref) bool) {
	for _, n := range c.interfaces[r] {
		iface := &s.Interfaces[n]
		for _, x := range c.lists.ofRule(r, n) {
			for k := range x.list.Lines {
				line := &x.list.Lines[k]
				if !isIntra(line.Rule.Ref) || !meet(line.Sure, x.list.Lines[x.at].Perhaps) {
					continue
				}
				for _, m := range line.Rule.Match {
					for _, mate := range m.Remote.Prefixes {
						if reaches(iface, mate) && meet(prefixBoxes([]netip.Prefix{mate}), x.list.Lines[x.at].Perhaps) && !f(mate, line.Rule.Ref) {
							return
						}
					}
				}
			}
		}
	}
}

// reaches reports whether the addresses of a member may be those of one that f talks to:
// they are not its own, and f has an address of their family, if its addresses are known.
func reaches(f *policy.Interface, member netip.Prefix) bool {
	if slices.ContainsFunc(f.Addresses, member.Contains) || slices.Contains(f.Prefixes, member) {
		return false
	}
	is4 := member.Addr().Is4()
	return len(f.Addresses)+len(f.Prefixes) == 0 ||
		slices.ContainsFunc(f.Addresses, func(a netip.Addr) bool { return a.Is4() == is4 }) ||
		slices.ContainsFunc(f.Prefixes, func(a netip.Prefix) bool { return a.Addr().Is4() == is4 })
}

// prefixList names up to five prefixes.
func prefixList(ps []netip.Prefix) string {
	var parts []string
	for i, p := range ps {
		if i == maxRelated {
			return strings.Join(parts, ", ") + fmt.Sprintf(" and %d more", len(ps)-i)
		}
		parts = append(parts, p.String())
	}
	return strings.Join(parts, ", ")
}

// implicit returns the indexes in Result.Rules of the implicit rules that pick wants.
func (p *Pass) implicit(pick func(policy.Ref) bool) map[int32]bool {
	out := make(map[int32]bool)
	for i := len(p.Snapshot.Rules()); i < len(p.Result.Rules); i++ {
		if r := p.Result.Rules[i]; r.Implicit && pick(r.Ref) {
			out[int32(i)] = true
		}
	}
	return out
}

// won says what a signature says of some rules.
type won struct{ hit, possible bool }

// wonBy says for each signature whether one of rules won, or might have.
func (p *Pass) wonBy(rules map[int32]bool) []won {
	out := make([]won, len(p.Result.Signatures))
	for i := range p.Result.Signatures {
		s := &p.Result.Signatures[i]
		is := func(id int32) bool { return rules[id] }
		out[i] = won{slices.ContainsFunc(s.Hits, is), slices.ContainsFunc(s.Possible, is)}
	}
	return out
}

// IntraGroupOnly finds groups whose members talk by the hidden rule alone.
var IntraGroupOnly = &Analyzer{
	Name:     "intra-group-only",
	Title:    "Members of this group talk by the hidden intra-group rule only",
	Severity: Low,
	Doc: `Members of the group may talk to one another by private address whatever the rules
say. The logs hold connections between members that no rule would admit without that. If
the members are isolated, which is how a group is closed inside, these connections break
unless the rules in the facts are there first.

The rules cover what was observed, as few as are worth while, and name whole subnets: the
next member has another address. Connections that come once a month are not in a short
window. Add the rules, watch that they get hits only after isolation, and isolate in a quiet
hour. Members that share another such group stay open to each other, so what that group
carries, too, does not count: isolate one group, then look again.

Where it is not settled who opened a connection (equal ports at both ends, pings, protocols
without ports), every reading counts, and the rules are for each. If nothing else is found,
the confidence is low.`,
	Run: func(p *Pass) []Finding {
		only := make(map[string]*[2]lack) // group → direction
		all := make(map[string]int)
		type place struct {
			scope int
			group string
		}
		bare := make(map[place][2][][]netset.Box)
		is := p.implicit(isIntra)
		won := p.wonBy(is)
		for _, c := range p.Result.Connections.All() {
			if w := won[c.Signature]; c.Action != flow.Accept || !w.hit && !w.possible {
				continue
			}
			s := &p.Result.Signatures[c.Signature]
			for k, id := range slices.Concat(s.Hits, s.Possible) {
				if !is[id] {
					continue
				}
				settled := k < len(s.Hits)
				at := place{p.Coverage.lists.of[c.Interface], intraGroup(p.Result.Rules[id].Ref)}
				if settled {
					all[at.group]++
				}
				permits, ok := bare[at]
				if !ok {
					permits = permitsWithout(&p.Coverage.lists.scopes[at.scope], p.Result.Rules[id].Ref)
					bare[at] = permits
				}
				if admitted(permits[side(c.Direction)], c) {
					continue
				}
				if only[at.group] == nil {
					only[at.group] = new([2]lack)
				}
				only[at.group][side(c.Direction)].add(c, settled)
			}
		}
		var out []Finding
		for i := range p.Snapshot.Groups {
			g := &p.Snapshot.Groups[i]
			l := only[g.ID]
			if l == nil {
				continue
			}
			f := Finding{Subject: policy.Ref{Owner: g.ID}, Confidence: p.observedConfidence(g.ID), substance: g.ID}
			n, open := len(l[0].settled)+len(l[1].settled), slices.Concat(l[0].unsettled, l[1].unsettled)
			f.Message = fmt.Sprintf("isolating the members of %s would cut %s that no rule admits", g.ID, plural(n, "connection"))
			if n == 0 {
				var seen observed
				for _, c := range open {
					seen.add(c)
				}
				f.Confidence = plan.Low
				f.Message = fmt.Sprintf("isolating the members of %s may cut what they say by %s: who opened it is not settled, and no rule admits every reading", g.ID, seen.ports())
			}
			f.Related = []policy.Ref{policy.IntraRef(g.ID)}
			if n > 0 {
				f.Facts = []Fact{{"connections between members", count(all[g.ID])}}
			}
			f.Facts = append(f.Facts, counted(&lack{slices.Concat(l[0].settled, l[1].settled), open}, "that no rule would admit")...)
			for _, d := range directions {
				rules := p.propose(g, &l[side(d)], func(flow.Addr) bool { return true })
				f.Facts = append(f.Facts, rules.facts(d, p.placeAbove(g, d, rules.sets()))...)
			}
			out = append(out, f)
		}
		return out
	},
}

// permitsWithout returns what the stages of sc would permit for certain without the hidden rule
// ref. Those of other groups stay: who shares another open group may go on talking.
func permitsWithout(sc *scope, ref policy.Ref) (out [2][][]netset.Box) {
	for d, stages := range sc.stages {
		for i := range stages {
			l := *stages[i].list
			l.Lines = slices.DeleteFunc(slices.Clone(l.Lines), func(x space.Line) bool { return x.Rule.Ref == ref })
			out[d] = append(out[d], l.Permits().Sure)
		}
	}
	return out
}

// admitted reports whether every one of stages permits all that c may be.
func admitted(stages [][]netset.Box, c *engine.Connection) bool {
	at := pointOf(c)
	box := netset.Box{Services: at.Services, Addrs: netset.Addrs{First: at.Addr, Last: at.Addr}}
	return !slices.ContainsFunc(stages, func(permits []netset.Box) bool {
		ok, _ := netset.Covered(box, permits)
		return !ok
	})
}
