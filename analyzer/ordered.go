package analyzer

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/space"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

var (
	allIPv4 = netset.Box{Services: netset.AllServices, Addrs: netset.AddrsOf(netip.PrefixFrom(netip.IPv4Unspecified(), 0))}
	allIPv6 = netset.Box{Services: netset.AllServices, Addrs: netset.AddrsOf(netip.PrefixFrom(netip.IPv6Unspecified(), 0))}
)

// catchAll reports whether x matches all traffic of a family for certain, and of which.
func catchAll(x *space.Line) (v4, v6 bool) {
	if x.Rule.Action == policy.Next {
		return false, false
	}
	return covers(x.Sure, allIPv4), covers(x.Sure, allIPv6)
}

// covers reports whether boxes hold all of a large one. Most often they are too small for
// it, which is seen sooner than by subtraction.
func covers(boxes []netset.Box, all netset.Box) bool {
	var most netset.Size
	for _, b := range boxes {
		if x, ok := b.Intersect(all); ok {
			most = most.Add(x.Size())
		}
	}
	if most.Less(all.Size()) {
		return false
	}
	ok, _ := netset.Covered(all, boxes)
	return ok
}

// onlyOf reports whether all that x may match is of the families that are true.
func onlyOf(x *space.Line, v4, v6 bool) bool {
	return len(x.Perhaps) > 0 && !slices.ContainsFunc(x.Perhaps, func(b netset.Box) bool {
		return b.Overlaps(allIPv4) && !v4 || b.Overlaps(allIPv6) && !v6
	})
}

// before reports whether x speaks before y.
func before(x, y *space.Line) bool {
	return cmp.Or(cmp.Compare(x.Tier, y.Tier), cmp.Compare(x.Rule.Rank, y.Rule.Rank), cmp.Compare(x.Rule.Action, y.Rule.Action)) < 0
}

// ownList is the rules of one group or network ACL in one direction.
type ownList struct {
	owner     string
	direction flow.Direction
	list      *space.List
}

// ownLists returns the lists of all groups, then of all network ACLs.
func (p *Pass) ownLists() []ownList {
	var out []ownList
	add := func(owner string) {
		for _, d := range directions {
			out = append(out, ownList{owner, d, p.Coverage.lists.own[owner][side(d)]})
		}
	}
	for i := range p.Snapshot.Groups {
		add(p.Snapshot.Groups[i].ID)
	}
	for i := range p.Snapshot.ACLs {
		add(p.Snapshot.ACLs[i].ID)
	}
	return out
}

// opposedRule is one of two rules of opposite action that overlap.
type opposedRule struct{ *space.Line }

func (x *opposedRule) covers(y *opposedRule) bool {
	ok, _ := netset.CoveredAll(y.Perhaps, x.Sure)
	return ok
}

// opposed reports rules of which a stronger one of the opposite action takes a part, but
// not all, in one list: one finding a rule, for the pairs that pick wants.
func opposed(p *Pass, pick func(weak, strong *opposedRule) bool, message string) []Finding {
	found := make(map[policy.Ref][]policy.Ref)
	look := func(l *space.List) {
		if l.Plain {
			return
		}
		for j := range l.Lines {
			weak := &opposedRule{&l.Lines[j]}
			if v4, v6 := catchAll(weak.Line); v4 || v6 || !weak.decides() {
				continue
			}
			for i := range j {
				strong := &opposedRule{&l.Lines[i]}
				if strong.decides() && strong.Rule.Action != weak.Rule.Action && before(strong.Line, weak.Line) &&
					meet(weak.Sure, strong.Sure) && !strong.covers(weak) && pick(weak, strong) {
					found[weak.Rule.Ref] = append(found[weak.Rule.Ref], strong.Rule.Ref)
				}
			}
		}
	}
	for _, at := range p.ownLists() {
		look(at.list)
	}
	for i := range p.Coverage.lists.scopes {
		for _, stages := range p.Coverage.lists.scopes[i].stages {
			for n := range stages {
				look(stages[n].list)
			}
		}
	}
	var out []Finding
	for i, r := range p.Snapshot.Rules() {
		refs := found[r.Ref]
		if len(refs) == 0 || p.Coverage.rules[i].everywhere {
			continue
		}
		sortRefs(refs)
		refs = slices.Compact(refs)
		f := about(r, message, words(r), refList(refs))
		f.Facts = []Fact{{"opposed by", plural(len(refs), "rule")}}
		f.Related = refs[:min(len(refs), maxRelated)]
		out = append(out, f)
	}
	return out
}

// decides reports whether x is a declared rule that allows or denies, and is known to the
// end.
func (x *opposedRule) decides() bool {
	return !x.Rule.Implicit && x.Exact && (x.Rule.Action == policy.Allow || x.Rule.Action == policy.Deny)
}
